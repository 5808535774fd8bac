//! What every function starts from: environment, clients, HTTP edges, queues, logs.
//!
//! A function is a library: its state is made from a [`Start`], and its `main` only decides that the start is the one of
//! the process. The local stack makes the same state from another start: other endpoints, another clock.

pub mod aws;
pub mod clock;
pub mod environment;
pub mod http;
pub mod jobs;
pub mod queue;
pub mod start;

pub use clock::{Clock, Entropy};
pub use environment::{Environment, EnvironmentError};
pub use queue::{Queue, QueueError};
pub use start::{Start, StartError};
