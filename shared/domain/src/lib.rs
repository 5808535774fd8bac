//! The rules of outbound calling: what a number, a hold, a call and a campaign are, and what may follow from what.
//!
//! Nothing here does I/O, reads a clock or draws a random number: time, ids and chance are arguments.
//! Every value of a type in this crate is valid; text becomes such a value once, at the edge.

pub mod assistant;
pub mod breaker;
pub mod call;
pub mod callback;
pub mod campaign;
pub mod consent;
pub mod contact;
pub mod dead_air;
pub mod decision;
pub mod dialable;
pub mod event;
pub mod ids;
pub mod inbound;
pub mod inventory;
pub mod law;
pub mod money;
pub mod opt_out;
pub mod outcome;
pub mod phone;
mod phrases;
pub mod place;
pub mod pool;
pub mod preflight;
pub mod retry;
pub mod rules;
pub mod said_time;
pub mod task;
pub mod time;
pub mod usage;
mod whole_number;

pub use ids::{AssignmentId, AssistantId, CallId, CampaignId, CompanyId, EventId, LeadId, TaskId, TraceId};
pub use money::Usd;
pub use phone::PhoneNumber;
pub use time::Timestamp;
