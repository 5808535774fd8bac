//! What callers send and what they get.

use dialpool_domain::place::State;
use dialpool_domain::pool::{Hold, HoldHours, ReleaseReason, Tier};
use dialpool_domain::{AssignmentId, CompanyId, LeadId, PhoneNumber, Timestamp};
use dialpool_dynamo::Assignment;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignRequest {
    pub(crate) company: Option<CompanyId>,
    pub(crate) lead: LeadId,
    pub(crate) phone: Option<PhoneNumber>,
    pub(crate) zip: Option<String>,
    pub(crate) state: Option<State>,
    pub(crate) hold_hours: Option<HoldHours>,
    /// Whether the lead waits for the next number when none is free.
    #[serde(default)]
    pub(crate) wait: bool,
}

/// A lead that waits for a number.
#[derive(Debug, Serialize)]
pub(crate) struct WaitingView {
    pub(crate) lead: LeadId,
    pub(crate) waits_since: Timestamp,
}

#[derive(Debug, Serialize)]
pub(crate) struct WaitingList {
    /// The first came first.
    pub(crate) waiting: Vec<WaitingView>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookRequest {
    /// Absent or null: the appointment is cancelled.
    pub(crate) appointment_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtendRequest {
    pub(crate) until: Timestamp,
}

/// A hold, as callers see it.
#[derive(Debug, Serialize)]
pub(crate) struct AssignmentView {
    assignment_id: AssignmentId,
    company: CompanyId,
    lead: LeadId,
    number: PhoneNumber,
    status: HoldStatus,
    held_since: Timestamp,
    release_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    appointment_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<ReleaseReason>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum HoldStatus {
    Held,
    Over,
}

impl AssignmentView {
    /// A hold that is in force.
    pub(crate) fn of_hold(hold: Hold, tier: Option<Tier>) -> Self {
        Self {
            assignment_id: hold.assignment_id,
            company: hold.company,
            lead: hold.lead,
            number: hold.number,
            status: HoldStatus::Held,
            held_since: hold.held_since,
            release_at: hold.release_at,
            tier,
            appointment_at: None,
            ended_at: None,
            end_reason: None,
        }
    }

    /// A hold as it is at `now`: one whose time is over is over, written down or not.
    pub(crate) fn of_assignment(assignment: Assignment, now: Timestamp) -> Self {
        let expired =
            (!assignment.hold.is_live(now)).then_some((assignment.hold.release_at, ReleaseReason::Expired));
        let ended = assignment.ended.or(expired);
        Self {
            status: if ended.is_some() { HoldStatus::Over } else { HoldStatus::Held },
            appointment_at: assignment.appointment_at,
            ended_at: ended.map(|(at, _)| at),
            end_reason: ended.map(|(_, reason)| reason),
            ..Self::of_hold(assignment.hold, Some(assignment.tier))
        }
    }
}
