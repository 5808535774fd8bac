//! pool-assign
