//! The edge of an HTTP function: who calls, what they send, how errors are told.

mod body;
mod caller;
mod cors;
mod edge;
mod gzip;
mod idempotency;
mod json;
mod problem;
mod routes;

pub use body::{Body, IdIn, MediaType, Parameters, Pieces, RawBody};
pub use caller::{Api, Caller, Operator, issue_api_key};
pub use edge::{edge, with_idempotency};
pub use gzip::with_gzip;
pub use problem::{FieldError, Problem};
pub use routes::ROUTES;
