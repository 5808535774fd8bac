//! campaign-pacer
