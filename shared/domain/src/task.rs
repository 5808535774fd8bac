//! Tasks: what was heard or found and could not be acted on, for a person of the company to settle.
//!
//! A task is about one thing (a call, a report) and of one kind. Its id follows from these, so a report that comes twice
//! makes one task. Dialpool never settles a task itself.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{CallId, CampaignId, CompanyId, LeadId, TaskId, Timestamp};

/// The most characters of what was said that a task keeps.
pub const LONGEST_SAID: usize = 500;

/// Why a person has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// A callback was asked for in words that name no time.
    CallbackUnclear,
    /// An appointment was made in words that name no time, or at a time that cannot be booked.
    AppointmentUnclear,
    /// A wish that may be an opt-out.
    OptOutUnclear,
    /// The call was in progress, and how it ended was never learned: the person may have been reached.
    CallEndUnknown,
    /// A provider's report that nobody could read or that belongs to no call.
    ReportUnreadable,
}

impl TaskKind {
    /// The kind as text, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallbackUnclear => "callback_unclear",
            Self::AppointmentUnclear => "appointment_unclear",
            Self::OptOutUnclear => "opt_out_unclear",
            Self::CallEndUnknown => "call_end_unknown",
            Self::ReportUnreadable => "report_unreadable",
        }
    }
}

/// Something for a person to settle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Follows from company, kind and what it is about.
    pub id: TaskId,
    /// The tenant.
    pub company: CompanyId,
    /// Why a person has to look.
    pub kind: TaskKind,
    /// The thing that it is about: the id of a call, or a name that is the same each time the thing is reported.
    pub about: String,
    /// The person concerned, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead: Option<LeadId>,
    /// The call, when there is one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// The campaign, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<CampaignId>,
    /// What was said, in the words of the report; at most [`LONGEST_SAID`] characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// When it was found.
    pub created_at: Timestamp,
    /// When somebody settled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}

impl Task {
    /// An open task of `company`, about `about`.
    pub fn new(company: &CompanyId, kind: TaskKind, about: impl Into<String>, now: Timestamp) -> Self {
        let about = about.into();
        Self {
            id: TaskId::about(company, kind, &about),
            company: company.clone(),
            kind,
            about,
            lead: None,
            call_id: None,
            campaign_id: None,
            said: None,
            created_at: now,
            done_at: None,
        }
    }

    /// The task with what was said, cut to [`LONGEST_SAID`] characters.
    #[must_use]
    pub fn saying(self, said: &str) -> Self {
        Self { said: Some(said.chars().take(LONGEST_SAID).collect()), ..self }
    }
}

impl TaskId {
    /// The id of the task of this kind about this thing.
    pub fn about(company: &CompanyId, kind: TaskKind, about: &str) -> Self {
        let digest = Sha256::digest(format!("{company}/{}/{about}", kind.as_str()));
        let number = |bytes: &[u8]| bytes.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
        // 48 bits stand where other ids have their time: tasks are listed by an index, not by their ids.
        let high = i64::try_from(number(&digest[..6])).unwrap_or_default();
        Self::new(Timestamp::from_millis(high), number(&digest[6..16]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_about_the_same_thing_has_the_same_id_and_about_another_thing_another() {
        let (acme, other): (CompanyId, CompanyId) = ("acme".parse().unwrap(), "other".parse().unwrap());
        let id = |company, kind, about| TaskId::about(company, kind, about);

        let first = id(&acme, TaskKind::CallbackUnclear, "call_1");

        assert_eq!(first, id(&acme, TaskKind::CallbackUnclear, "call_1"));
        assert_eq!(first.as_str().parse::<TaskId>().unwrap(), first);
        assert_ne!(first, id(&other, TaskKind::CallbackUnclear, "call_1"));
        assert_ne!(first, id(&acme, TaskKind::AppointmentUnclear, "call_1"));
        assert_ne!(first, id(&acme, TaskKind::CallbackUnclear, "call_2"));
    }

    #[test]
    fn a_task_keeps_the_beginning_of_what_was_said() {
        let task = Task::new(
            &"acme".parse().unwrap(),
            TaskKind::CallbackUnclear,
            "call_1",
            Timestamp::from_millis(1),
        );

        let said = task.saying(&"\u{e9}".repeat(600)).said.unwrap();

        assert_eq!(said.chars().count(), LONGEST_SAID);
    }

    #[test]
    fn a_kind_is_written_as_in_json() {
        for kind in [
            TaskKind::CallbackUnclear,
            TaskKind::AppointmentUnclear,
            TaskKind::OptOutUnclear,
            TaskKind::CallEndUnknown,
            TaskKind::ReportUnreadable,
        ] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
