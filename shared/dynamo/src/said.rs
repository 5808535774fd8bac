//! What a call says of later: a callback, an appointment. What is not understood is a task for a person.

use dialpool_domain::Timestamp;
use dialpool_domain::call::CallReport;
use dialpool_domain::event::Cause;
use dialpool_domain::outcome::Outcome;
use dialpool_domain::said_time::{DayAlone, SaidTime, Understood};
use dialpool_domain::task::{Task, TaskKind};
use dialpool_domain::time::Duration;

use crate::items::{CallItem, ContactItem};
use crate::pool::Changed;
use crate::tasks::TaskAdded;
use crate::{Store, StoreError};

/// A callback for a later day is an appointment, not a call of a campaign.
const FARTHEST_CALLBACK: Duration = Duration::from_hours(90 * 24);

/// A number is kept for no appointment later than this.
const FARTHEST_APPOINTMENT: Duration = Duration::from_hours(365 * 24);

/// What a call that is over says of later.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// When the person is to be called again.
    pub(crate) callback: Option<Timestamp>,
    /// When the person has an appointment.
    pub(crate) appointment: Option<Timestamp>,
    /// What was said and is not understood.
    pub(crate) unclear: Vec<Task>,
}

impl Heard {
    /// What the report says, as far as it is to be believed: somebody has talked.
    pub(crate) fn of(
        call: &CallItem,
        contact: &ContactItem,
        report: &CallReport,
        outcome: Outcome,
        ended_at: Timestamp,
    ) -> Self {
        let talked = match outcome {
            // A call that broke off, or ended in a way that nobody knows, may have been one.
            Outcome::Answered | Outcome::ProviderFailed | Outcome::Other => true,
            Outcome::Voicemail
            | Outcome::NoAnswer
            | Outcome::Busy
            | Outcome::InvalidNumber
            | Outcome::CapacityLimited
            | Outcome::NotPlaced
            | Outcome::Canceled => false,
        };
        let mut heard = Self::default();
        if !talked || report.opted_out {
            return heard;
        }
        let whereabouts = contact.address.whereabouts(&call.to_number);
        let mut understood = |said: &Option<SaidTime>, kind, day_alone, farthest: Duration| {
            let said = said.as_ref()?;
            match said.understood(&whereabouts, ended_at, day_alone) {
                Understood::At(at) if at <= ended_at + farthest => Some(at),
                Understood::ThatCall => None,
                Understood::At(_) | Understood::Unclear => {
                    heard.unclear.push(task(call, kind, ended_at).saying(said.as_str()));
                    None
                }
            }
        };
        let callback =
            understood(&report.callback, TaskKind::CallbackUnclear, DayAlone::Daytime, FARTHEST_CALLBACK);
        let appointment = understood(
            &report.appointment,
            TaskKind::AppointmentUnclear,
            DayAlone::Unclear,
            FARTHEST_APPOINTMENT,
        );
        (heard.callback, heard.appointment) = (callback, appointment);
        heard
    }

    /// The appointment is understood, and there is no number to be kept for it: a person has to look.
    pub(crate) fn cannot_book(&mut self, call: &CallItem, report: &CallReport, ended_at: Timestamp) {
        if let Some(said) = &report.appointment {
            self.unclear.push(task(call, TaskKind::AppointmentUnclear, ended_at).saying(said.as_str()));
        }
    }
}

/// A task about a call.
pub(crate) fn task(call: &CallItem, kind: TaskKind, now: Timestamp) -> Task {
    Task {
        lead: Some(call.lead_id.clone()),
        call_id: Some(call.call_id.clone()),
        campaign_id: Some(call.campaign_id.clone()),
        ..Task::new(&call.company, kind, call.call_id.as_str(), now)
    }
}

impl Store {
    pub(crate) async fn add_tasks(&self, cause: &Cause, tasks: &[Task]) -> Result<(), StoreError> {
        for task in tasks {
            let task = Task { created_at: cause.at, ..task.clone() };
            let _: TaskAdded = self.add_task(cause, &task).await?;
        }
        Ok(())
    }

    /// What a report that came after the end of its call says of later: an appointment is booked, and what is unclear is a task. A
    /// callback is promised with the report itself.
    pub(crate) async fn hear_late(
        &self,
        cause: &Cause,
        call: &CallItem,
        report: &CallReport,
    ) -> Result<(), StoreError> {
        let contact = self.contact_item(&call.campaign_id, &call.to_number).await?;
        let Some((contact, outcome)) = contact.zip(report.outcome) else { return Ok(()) };
        let ended_at = report.ended_at.unwrap_or(call.claimed_at);
        let mut heard = Heard::of(call, &contact, report, outcome, ended_at);
        if let Some(at) = heard.appointment {
            let booked = match self.assignment(&call.company, &call.assignment_id).await? {
                _ if call.only_number => false,
                // What was booked by hand since is the last word.
                Some(assignment) if assignment.appointment_at.is_some() => true,
                _ => {
                    let changed = self.book(cause, &call.company, &call.assignment_id, Some(at)).await?;
                    matches!(changed, Changed::Done(_))
                }
            };
            if !booked {
                heard.cannot_book(call, report, ended_at);
            }
        }
        self.add_tasks(cause, &heard.unclear).await
    }
}
