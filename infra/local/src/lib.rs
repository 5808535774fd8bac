//! dialpool
