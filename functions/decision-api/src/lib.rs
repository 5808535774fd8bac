//! decision-api
