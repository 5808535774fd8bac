//! Campaigns: a list of contacts, an assistant that speaks to them, and how many lines may ring at once.
//!
//! ```text
//!  created ──start──▶ running ◀──resume── paused
//!     │                 │ │ ──pause──────▶  │
//!     │                 │ └─ all contacts done ─▶ completed
//!     └────── cancel ───┴──────── cancel ───┴──▶ cancelled
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::assistant::AssistantUse;
use crate::consent::ConsentRequired;
use crate::pool::HoldHours;
use crate::time::Duration;
use crate::whole_number::WholeNumber;
use crate::{CampaignId, CompanyId, PhoneNumber, Timestamp, Usd};

/// Where a campaign stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignStatus {
    /// Made, not started: contacts can be added, nobody is dialed.
    Created,
    /// Contacts that are due are dialed.
    Running,
    /// No new dial; calls under way go on.
    Paused,
    /// Every contact is done.
    Completed,
    /// Ended by hand; what was not dialed stays undialed.
    Cancelled,
}

/// What can be asked of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignCommand {
    /// Begin to dial.
    Start,
    /// Stop new dials.
    Pause,
    /// Go on after a pause.
    Resume,
    /// End for good.
    Cancel,
}

impl CampaignStatus {
    /// The status after `command`, or `None` where the command makes no sense.
    pub fn after(self, command: CampaignCommand) -> Option<Self> {
        match (self, command) {
            (Self::Created, CampaignCommand::Start) | (Self::Paused, CampaignCommand::Resume) => {
                Some(Self::Running)
            }
            (Self::Running, CampaignCommand::Pause) => Some(Self::Paused),
            (Self::Created | Self::Running | Self::Paused, CampaignCommand::Cancel) => Some(Self::Cancelled),
            (
                Self::Created | Self::Running | Self::Paused | Self::Completed | Self::Cancelled,
                CampaignCommand::Start
                | CampaignCommand::Pause
                | CampaignCommand::Resume
                | CampaignCommand::Cancel,
            ) => None,
        }
    }

    /// The status as it is stored and written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for CampaignStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many calls of one campaign may be under way at once: 1 to 50, 8 when nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "u32")]
pub struct Cap(u32);

/// The cap is not between 1 and 50.
#[derive(Debug, thiserror::Error)]
#[error("a campaign has 1 to 50 lines")]
pub struct InvalidCap;

impl Cap {
    /// The number of lines.
    pub const fn lines(self) -> u32 {
        self.0
    }
}

impl Cap {
    /// One line: a number makes one call at a time.
    pub const ONE: Self = Self(1);
}

impl Default for Cap {
    fn default() -> Self {
        Self(8)
    }
}

impl TryFrom<u32> for Cap {
    type Error = InvalidCap;

    fn try_from(lines: u32) -> Result<Self, Self::Error> {
        if (1..=50).contains(&lines) { Ok(Self(lines)) } else { Err(InvalidCap) }
    }
}

impl<'de> Deserialize<'de> for Cap {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u32(WholeNumber { least: 1, most: 50 }).map(Self)
    }
}

impl From<Cap> for u32 {
    fn from(cap: Cap) -> Self {
        cap.0
    }
}

/// In which order lines are filled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A line that frees is filled at once.
    #[default]
    Continuous,
    /// As many calls as there are lines begin together; the next begin when all of them are over.
    Batch,
}

/// What the assistant does when a machine answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voicemail {
    /// Hangs up.
    Skip,
    /// Leaves the message that the assistant is configured with.
    #[default]
    Leave,
}

/// One called person gets a message at most once in this, whichever campaigns of a company call.
pub const MESSAGE_EVERY: Duration = Duration::from_hours(3 * 24);

impl Voicemail {
    /// What applies to a call that begins at `now`, to a person for whom a message was left at `left_at`. A call that is to leave none
    /// takes place all the same: a person may answer.
    #[must_use]
    pub fn of_call(self, left_at: Option<Timestamp>, now: Timestamp) -> Self {
        match self {
            Self::Leave if left_at.is_none_or(|at| now.since(at) >= MESSAGE_EVERY) => Self::Leave,
            Self::Leave | Self::Skip => Self::Skip,
        }
    }
}

/// How a campaign calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// In which order lines are filled.
    pub mode: Mode,
    /// What people must have agreed to.
    pub consent_required: ConsentRequired,
    /// What the assistant does when a machine answers.
    pub voicemail: Voicemail,
}

/// What a campaign is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCampaign {
    /// Its id.
    pub id: CampaignId,
    /// The tenant.
    pub company: CompanyId,
    /// A name for people.
    pub name: String,
    /// The assistant: the id of a company's record of it, or else its id at the voice provider.
    pub assistant_id: String,
    /// Lines at once.
    pub cap: Cap,
    /// How long a number is held for a lead of this campaign.
    pub hold: HoldHours,
    /// The one number that it calls from; none: whichever the pool has for the lead.
    pub from_number: Option<PhoneNumber>,
    /// How it calls.
    pub policy: Policy,
}

/// A campaign and how far it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// The tenant.
    pub company: CompanyId,
    /// A name for people.
    pub name: String,
    /// The assistant's id at the voice provider.
    pub assistant_id: String,
    /// The company's record of the assistant, if it has one, and which version of it speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assistant: Option<AssistantUse>,
    /// Where it stands.
    pub status: CampaignStatus,
    /// Lines at once.
    pub cap: Cap,
    /// How long a number is held for a lead of this campaign.
    pub hold_hours: HoldHours,
    /// The one number that it calls from, held for the length of each call; none: whichever the pool has for the lead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_number: Option<PhoneNumber>,
    /// How it calls.
    #[serde(flatten)]
    pub policy: Policy,
    /// When it was made.
    pub created_at: Timestamp,
    /// Calls under way, queued and ringing included.
    pub lines_in_use: usize,
    /// In batches: how many calls of the present one are still to begin.
    #[serde(skip)]
    pub batch_left: u32,
    /// How many of its last calls the provider would not begin, in a row. With [`REFUSED_IN_A_ROW`] it is paused.
    #[serde(skip_serializing_if = "is_zero")]
    pub refused_in_a_row: u64,
    /// Counts and sums over its contacts and calls.
    #[serde(flatten)]
    pub progress: Progress,
}

/// A campaign of which the provider would not begin so many calls in a row is paused: what it calls with, an assistant or its
/// numbers, is not what the provider has, and each refusal takes one of a contact's few chances.
pub const REFUSED_IN_A_ROW: u64 = 10;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Campaign {
    /// Whether another call may begin, as far as its own lines go.
    pub fn has_free_line(&self) -> bool {
        let free = self.lines_in_use < self.cap.lines() as usize;
        match self.policy.mode {
            Mode::Continuous => free,
            Mode::Batch => self.lines_in_use == 0 || (free && self.batch_left > 0),
        }
    }
}

/// How far a campaign got. Kept in the transactions that change what is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Contacts in all.
    pub contacts: u64,
    /// Contacts that are neither done nor given up.
    pub contacts_open: u64,
    /// Calls ended, of every outcome.
    pub calls: u64,
    /// Calls that a person answered.
    pub answered: u64,
    /// Calls that nobody answered.
    pub no_answer: u64,
    /// Calls that found the line busy.
    pub busy: u64,
    /// Calls that a machine answered. `voicemail` is what is done then.
    pub voicemails: u64,
    /// Calls that failed: provider faults, numbers that do not exist, refusals, unknown reasons.
    pub failed: u64,
    /// What the calls cost so far, in US dollars.
    pub cost: Usd,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_that_is_over_takes_no_command() {
        for status in [CampaignStatus::Completed, CampaignStatus::Cancelled] {
            for command in [
                CampaignCommand::Start,
                CampaignCommand::Pause,
                CampaignCommand::Resume,
                CampaignCommand::Cancel,
            ] {
                assert_eq!(status.after(command), None);
            }
        }
    }

    #[test]
    fn a_message_is_left_for_a_person_at_most_once_in_three_days() {
        let now = Timestamp::from_millis(1_772_463_600_000);
        let ago = |ago: Duration| Some(now - ago);
        for (policy, left_at, applies) in [
            (Voicemail::Leave, None, Voicemail::Leave),
            (Voicemail::Leave, ago(MESSAGE_EVERY), Voicemail::Leave),
            (Voicemail::Leave, ago(MESSAGE_EVERY - Duration::from_millis(1)), Voicemail::Skip),
            (Voicemail::Leave, ago(Duration::ZERO), Voicemail::Skip),
            // By the clock of another function it was left a moment from now.
            (Voicemail::Leave, Some(now + Duration::from_secs(1)), Voicemail::Skip),
            (Voicemail::Skip, None, Voicemail::Skip),
            (Voicemail::Skip, ago(MESSAGE_EVERY * 2), Voicemail::Skip),
        ] {
            assert_eq!(policy.of_call(left_at, now), applies, "{policy:?} {left_at:?}");
        }
    }

    #[test]
    fn only_a_paused_campaign_resumes() {
        assert_eq!(CampaignStatus::Paused.after(CampaignCommand::Resume), Some(CampaignStatus::Running));
        assert_eq!(CampaignStatus::Created.after(CampaignCommand::Resume), None);
        assert_eq!(CampaignStatus::Running.after(CampaignCommand::Start), None);
    }
}
