//! The messages between our functions.

use dialpool_domain::{CallId, CampaignId, Timestamp, TraceId};
use serde::{Deserialize, Serialize};

/// Work for the call dispatcher. A job is a hint: losing one delays a dial, doing one twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum DialJob {
    /// A line of the campaign may be free: dial the contact that is due longest.
    Dial {
        /// The campaign.
        campaign_id: CampaignId,
        /// Ties what follows to the request that it came of.
        trace_id: TraceId,
    },
    /// Take a call back that has not begun at the provider.
    Withdraw {
        /// The call.
        call_id: CallId,
        /// Ties what follows to the request that it came of.
        trace_id: TraceId,
    },
    /// Hold the numbers of the pools against those of the provider.
    CheckNumbers {
        /// Ties what follows to the run that asked for it.
        trace_id: TraceId,
    },
    /// Look up at the provider what became of a call.
    Settle {
        /// The call.
        call_id: CallId,
        /// Ties what follows to the request that it came of.
        trace_id: TraceId,
    },
}

/// A message that says what it came of. What is logged while it is worked on is found by that.
pub trait Traced {
    /// The trace of the request that it came of.
    fn trace_id(&self) -> &TraceId;
}

impl Traced for DialJob {
    fn trace_id(&self) -> &TraceId {
        match self {
            Self::Dial { trace_id, .. }
            | Self::Withdraw { trace_id, .. }
            | Self::CheckNumbers { trace_id }
            | Self::Settle { trace_id, .. } => trace_id,
        }
    }
}

impl Traced for InboxMessage {
    fn trace_id(&self) -> &TraceId {
        &self.trace_id
    }
}

/// Something that a provider sent, as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxMessage {
    /// Who sent it: `vapi`.
    pub provider: String,
    /// When it came in.
    pub received_at: Timestamp,
    /// Ties what follows to the delivery.
    pub trace_id: TraceId,
    /// The body: what is kept of it, or all of it when it could not be understood.
    pub body: InboxBody,
    /// Our calls that it is about, as far as that was proven or could be read where it came in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallId>,
    /// How it was heard that the person does not want to be called again, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_out: Option<String>,
}

/// A body, or where it is: a queue message holds at most 1 MiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboxBody {
    /// The body as it came.
    Inline(String),
    /// The journal's inbox has it under this reference.
    Reference(String),
}
