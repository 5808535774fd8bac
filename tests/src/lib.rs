//! dialpool-tests
