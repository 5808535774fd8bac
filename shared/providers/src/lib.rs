//! dialpool-providers
