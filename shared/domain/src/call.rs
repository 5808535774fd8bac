//! Calls: one attempt to reach one contact from one number.
//!
//! ```text
//!  intent ─▶ accepted ─▶ ringing ─▶ in_progress ─▶ ended
//!    │  ▲       ▲
//!    ▼  │       │ found at the provider
//!  unknown ─────┘                     failed, canceled, timed_out: from every state that is not over
//! ```
//! 1. States only move forward: a late or repeated report changes nothing but details that were missing.
//! 2. A call is asked of the provider once. What is unclear is `unknown` and is never asked again: it is looked up.
//! 3. Nothing is dialed for the contact until the call is over, and a call ends once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::campaign::Voicemail;
use crate::law::LegalBasis;
use crate::outcome::Outcome;
use crate::said_time::SaidTime;
use crate::time::Duration;
use crate::{AssignmentId, CallId, CampaignId, CompanyId, LeadId, PhoneNumber, Timestamp, Usd};

/// After this the provider must refuse to start the call. The request carries it, so that a request which was delayed
/// on its way cannot ring somebody after its call was given up.
pub const START_WITHIN: Duration = Duration::from_mins(4);

/// A process that took longer than this from claim to request does not send the request any more: what was paused, stopped or
/// opted out of since the claim was so for less than five seconds, clocks that differ by two included.
pub const SEND_WITHIN: Duration = Duration::from_secs(3);

/// How long after a call's `start_by` the provider's not knowing it begins to prove something: a minute for clocks that differ,
/// and for a provider whose lists are behind its calls.
pub const ABSENCE_PROVES_AFTER: Duration = Duration::from_mins(1);

/// A call whose answer is not known is looked up at the provider this long after it was asked for.
pub const FIRST_LOOK_AFTER: Duration = Duration::from_secs(15);

/// A call without news for this long is looked up at the provider.
pub const SILENT_AFTER: Duration = Duration::from_mins(10);

/// A number stays with its lead at least this long after a claim: longer than any call.
pub const HELD_THROUGH_CALL: Duration = Duration::from_hours(2);

/// How much of a transcript is kept, in bytes.
///
/// A call is one item, and DynamoDB takes none of more than 400 KB: a report that does not fit could never end its call, and
/// the call's line would stay taken. So every text of a provider's has a limit, together about half of an item.
pub const TRANSCRIPT_BYTES: usize = 200 * 1024;

/// How much of a summary is kept, in bytes.
pub const SUMMARY_BYTES: usize = 20 * 1024;

/// How much of an assistant's judgement is kept, in bytes.
pub const SUCCESS_EVALUATION_BYTES: usize = 2 * 1024;

/// How much of the provider's reason for an end is kept, in bytes; it is in the event of the end, too.
pub const ENDED_REASON_BYTES: usize = 1024;

/// How much of the words in which an opt-out was heard is kept, in bytes.
pub const OPT_OUT_HEARD_BYTES: usize = 512;

/// The address of a recording is kept up to this length, in bytes. A longer one is not cut, but left out: half an address
/// leads nowhere.
pub const RECORDING_URL_BYTES: usize = 2 * 1024;

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// Claimed: the provider is about to be asked, or was asked and the answer is not written down yet.
    Intent,
    /// The provider was asked and gave no clear answer.
    Unknown,
    /// The provider took the call.
    Accepted,
    /// It rings.
    Ringing,
    /// Somebody, or a machine, answered.
    InProgress,
    /// Over.
    Ended,
    /// Never took place.
    Failed,
    /// Withdrawn before it took place.
    Canceled,
    /// The provider lost it.
    TimedOut,
}

impl CallState {
    /// Whether the call is over.
    pub fn is_over(self) -> bool {
        match self {
            Self::Intent | Self::Unknown | Self::Accepted | Self::Ringing | Self::InProgress => false,
            Self::Ended | Self::Failed | Self::Canceled | Self::TimedOut => true,
        }
    }

    /// Whether `next` is ahead of this state. Nothing is ahead of a state in which the call is over.
    pub fn may_become(self, next: Self) -> bool {
        !self.is_over() && next.rank() > self.rank()
    }

    fn rank(self) -> u8 {
        match self {
            Self::Intent => 0,
            Self::Unknown => 1,
            Self::Accepted => 2,
            Self::Ringing => 3,
            Self::InProgress => 4,
            Self::Ended | Self::Failed | Self::Canceled | Self::TimedOut => 5,
        }
    }

    /// The state as it is stored and written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Unknown => "unknown",
            Self::Accepted => "accepted",
            Self::Ringing => "ringing",
            Self::InProgress => "in_progress",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::TimedOut => "timed_out",
        }
    }
}

impl fmt::Display for CallState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Its id; the provider carries it in the call's name.
    pub id: CallId,
    /// The tenant.
    pub company: CompanyId,
    /// The campaign that it is part of.
    pub campaign_id: CampaignId,
    /// Who is called.
    pub lead: LeadId,
    /// The number called.
    pub to: PhoneNumber,
    /// The number it is called from.
    pub from: PhoneNumber,
    /// The id of that number at the provider.
    pub provider_number_id: String,
    /// The hold that the number was called under.
    pub assignment_id: AssignmentId,
    /// Which attempt at this contact it is, from 1.
    pub attempt: u32,
    /// Where it stands.
    pub state: CallState,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// The last moment at which the provider may start it.
    pub start_by: Timestamp,
    /// The provider's id, once known.
    pub provider_call_id: Option<String>,
    /// Why calling was lawful.
    pub legal_basis: LegalBasis,
    /// What the assistant was told to do when a machine answers: `skip` also where the campaign says `leave` and a message was left
    /// for the person less than three days before. None: the call is older than this field.
    #[serde(rename = "voicemail", skip_serializing_if = "Option::is_none")]
    pub on_machine: Option<Voicemail>,
    /// What was reported of it.
    #[serde(flatten)]
    pub report: CallReport,
    /// Whether it is over and the provider has more to say of it.
    #[serde(skip)]
    pub report_due: bool,
    /// Whether it is being taken back.
    #[serde(skip)]
    pub withdrawn: bool,
    /// Changes so far: the fence for the next one.
    #[serde(skip)]
    pub version: u64,
}

impl Call {
    /// From this moment on the provider's not knowing the call proves that it will not ring: the provider itself does not start it
    /// any more. Before, the request may be under way, or the provider behind itself, however often it is asked.
    pub fn absence_proves_from(&self) -> Timestamp {
        self.start_by + ABSENCE_PROVES_AFTER
    }
}

/// What a provider reports of a call that is over. Every part may come late, and is kept once it came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallReport {
    /// How it ended, in our words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// How it ended, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_reason: Option<String>,
    /// When somebody answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
    /// Where its recording is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_url: Option<String>,
    /// What was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// What was said, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Whether it did what it was for, in the assistant's judgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_evaluation: Option<String>,
    /// Whether the person asked not to be called again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opted_out: bool,
    /// How that was heard: the field and its value, or what the person said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_out_heard: Option<String>,
    /// When the person asked to be called again, as it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<SaidTime>,
    /// When an appointment was made for, as it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment: Option<SaidTime>,
    /// How long a person who answered heard nobody of ours, in milliseconds. None: the provider told no times
    /// ([`dead_air`](crate::dead_air)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence_ms: Option<u64>,
}

impl CallReport {
    /// This report in a size that can be kept with its call: texts end where a character does.
    #[must_use]
    pub fn within_limits(self) -> Self {
        let cut = |text: Option<String>, bytes: usize| {
            text.map(|mut text| {
                text.truncate(text.floor_char_boundary(bytes));
                text
            })
        };
        Self {
            ended_reason: cut(self.ended_reason, ENDED_REASON_BYTES),
            recording_url: self.recording_url.filter(|url| url.len() <= RECORDING_URL_BYTES),
            transcript: cut(self.transcript, TRANSCRIPT_BYTES),
            summary: cut(self.summary, SUMMARY_BYTES),
            success_evaluation: cut(self.success_evaluation, SUCCESS_EVALUATION_BYTES),
            opt_out_heard: cut(self.opt_out_heard, OPT_OUT_HEARD_BYTES),
            ..self
        }
    }

    /// This report with the parts that only `late` has. A part that is known is not replaced, except that an opt-out
    /// counts whenever it comes.
    #[must_use]
    pub fn completed_by(self, late: Self) -> Self {
        Self {
            outcome: self.outcome.or(late.outcome),
            ended_reason: self.ended_reason.or(late.ended_reason),
            started_at: self.started_at.or(late.started_at),
            ended_at: self.ended_at.or(late.ended_at),
            cost: self.cost.or(late.cost),
            recording_url: self.recording_url.or(late.recording_url),
            transcript: self.transcript.or(late.transcript),
            summary: self.summary.or(late.summary),
            success_evaluation: self.success_evaluation.or(late.success_evaluation),
            opted_out: self.opted_out || late.opted_out,
            opt_out_heard: self.opt_out_heard.or(late.opt_out_heard),
            callback: self.callback.or(late.callback),
            silence_ms: self.silence_ms.or(late.silence_ms),
            appointment: self.appointment.or(late.appointment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [CallState; 9] = [
        CallState::Intent,
        CallState::Unknown,
        CallState::Accepted,
        CallState::Ringing,
        CallState::InProgress,
        CallState::Ended,
        CallState::Failed,
        CallState::Canceled,
        CallState::TimedOut,
    ];

    #[test]
    fn a_call_never_moves_back() {
        for (earlier, state) in STATES.iter().enumerate() {
            for later in &STATES[..=earlier] {
                assert!(!state.may_become(*later), "{state} -> {later}");
            }
        }
    }

    #[test]
    fn a_call_that_is_over_stays_as_it_is() {
        for over in STATES.into_iter().filter(|state| state.is_over()) {
            assert!(STATES.into_iter().all(|next| !over.may_become(next)));
        }
    }

    #[test]
    fn late_detail_fills_gaps_and_replaces_nothing() {
        let known = CallReport { outcome: Some(Outcome::Busy), ..CallReport::default() };
        let late = CallReport {
            outcome: Some(Outcome::Answered),
            cost: Some(Usd::from_ten_thousandths(5)),
            ..CallReport::default()
        };
        let merged = known.completed_by(late);
        assert_eq!((merged.outcome, merged.cost), (Some(Outcome::Busy), Some(Usd::from_ten_thousandths(5))));
    }
}
