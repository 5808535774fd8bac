//! The edge of an HTTP function: who calls, what they send, how errors are told.

mod body;
mod caller;
mod edge;
mod idempotency;
mod problem;

pub use body::{Body, IdIn, Parameters, Pieces, RawBody};
pub use caller::{Api, Caller, Operator, issue_api_key};
pub use edge::{edge, with_gzip, with_idempotency};
pub use problem::{FieldError, Problem};
