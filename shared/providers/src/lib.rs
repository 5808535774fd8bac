//! The providers that Dialpool talks to: their requests, answers and webhooks, read into the words of `dialpool_domain`.
//!
//! Nothing here decides what a call may become, and nothing here asks twice: an answer that is unclear is handed to the
//! caller as unclear.

pub mod http;
pub mod json;
pub mod vapi;
