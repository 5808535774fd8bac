//! Everything Dialpool keeps: the only crate that knows DynamoDB. `TABLES.md` has the entities and access patterns.
//!
//! A change of state is one transaction: the items it is true of and its event, if it has one, go together or not at all.
//! Lost races and repeated requests are outcomes, not errors; an error means that the change could not be carried out,
//! and [`StoreError::is_transient`] says whether trying again may help.

mod assistants;
mod batch;
mod breaker;
mod callbacks;
mod calls;
mod campaigns;
mod claims;
mod consent;
mod corrections;
mod dead_air;
mod decisions;
mod dialing;
mod error;
mod hash_key;
mod idempotency;
mod inbound;
mod inbox;
mod inventory;
mod items;
mod journal;
mod keys;
mod lines;
mod numbers;
mod people;
mod pool;
mod query;
mod said;
mod settlement;
mod suppression;
mod tasks;
mod transaction;
mod waiting;
mod watch;

pub use assistants::{AssistantChanged, Deleted, Fenced, NewAssistant, Registered};
pub use callbacks::{Promise, Promised};
pub use calls::{Page, ToldOfCall};
pub use campaigns::{Added, AssistantChosen, CampaignMade, CapChanged, Commanded, ContactPage};
pub use consent::Consented;
pub use decisions::{Decided, NewDecision, StoredDecision, Supposed};
pub use dialing::{Claim, Claimed, LOG_BYTES, LOG_ENTRIES, LineLimits, LogEntry, Logged, Moved};
pub use error::StoreError;
pub use hash_key::{HashKey, Proof};
pub use idempotency::{Begun, StoredAnswer};
pub use inbound::{InboundCall, InboundSettled};
pub use journal::event_of_stream_image;
pub use lines::{Lines, LinesInUse};
pub use numbers::{
    Imported, NumberChange, NumberChanged, NumberOwner, NumberState, PoolReport, PoolSummary, Standing,
};
pub use people::{ApiKey, Company, KeyFound, NewApiKey};
pub use pool::{Assigned, Assignment, Changed, Request};
pub use settlement::{Ended, REPORT_WITHIN, Settlement, Told};
pub use suppression::{PhoneHasher, Suppressed};
pub use tasks::{TaskAdded, TaskSettled};
pub use waiting::Waiting;

pub use aws_sdk_dynamodb::Client;

/// The names of the tables, as deployed.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Numbers, holds, assignments.
    pub pool: String,
    /// Campaigns, contacts, calls, assistants, lines, suppression lists.
    pub dialing: String,
    /// Companies and API keys.
    pub people: String,
    /// The journal of events; idempotency; decisions.
    pub journal: String,
}

/// One of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// [`Tables::pool`].
    Pool,
    /// [`Tables::dialing`].
    Dialing,
    /// [`Tables::people`].
    People,
    /// [`Tables::journal`].
    Journal,
}

/// Access to the tables. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    tables: Tables,
    spread: pool::Spread,
}

impl Store {
    /// A store over `client`.
    pub fn new(client: Client, tables: Tables) -> Self {
        Self { client, tables, spread: pool::Spread::default() }
    }
}
