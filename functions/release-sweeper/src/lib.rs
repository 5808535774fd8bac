//! release-sweeper
