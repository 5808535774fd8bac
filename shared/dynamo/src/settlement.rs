//! How a call ends: once, with everything that follows from it.
//!
//! One transaction, conditional on the call as it was read: the call is over, its slots are free, the campaign's counters
//! know it, the contact is due again or done, the number rests, the hold is kept, extended or released, and the events
//! say so. Whatever is reported later is merged; it cannot end the call a second time (`corrections`).
//!
//! An opt-out goes first and alone: it must hold even when the rest has to be repeated.

use aws_sdk_dynamodb::types::AttributeValue;
use dialpool_domain::call::{Call, CallReport, CallState};
use dialpool_domain::campaign::Voicemail;
use dialpool_domain::contact::{Contact, ContactState};
use dialpool_domain::event::{Aggregate, CallOver, Cause, EventData};
use dialpool_domain::outcome::{Outcome, carrier_refused, number_used_up};
use dialpool_domain::pool::{AFTER_APPOINTMENT, ReleaseReason};
use dialpool_domain::retry::{self, DoneReason, HoldAfter, Next};
use dialpool_domain::task::{Task, TaskKind};
use dialpool_domain::time::Duration;
use dialpool_domain::usage::OverCall;
use dialpool_domain::{CallId, Timestamp, Usd};

use crate::callbacks::Promise;
use crate::corrections::LateTold;
use crate::dialing::{ROUNDS, other_call};
use crate::items::{AssignmentItem, CallItem, ContactItem, HeardInbound, NumberItem, PersonItem};
use crate::numbers::{NumberKeys, NumberWrite};
use crate::people::Company;
use crate::pool::{Changed, Over};
use crate::said::{Heard, task};
use crate::suppression::{PhoneHasher, Suppressed};
use crate::transaction::{Transacted, Write};
use crate::{Store, StoreError, items, keys};

/// What ends a call.
#[derive(Debug)]
pub struct Settlement<'a> {
    /// The call.
    pub call_id: &'a CallId,
    /// How it is over: ended, failed, canceled or timed out.
    pub state: CallState,
    /// The provider's id of it, when the report has one.
    pub provider_call_id: Option<&'a str>,
    /// What is reported.
    pub report: &'a CallReport,
    /// Whether that is everything.
    pub told: Told,
    /// Names the number called on the suppression lists, should the person have opted out.
    pub hasher: &'a PhoneHasher,
}

/// How much the provider has told of a call that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Only that it is over. What it was about, an opt-out above all, is asked for if it does not come.
    End,
    /// Everything.
    All,
}

/// The report on a call that is over is asked for when it has not come by then.
pub const REPORT_WITHIN: Duration = Duration::from_mins(2);

/// What became of a call's end.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The call is over now and its lines are free.
    Applied {
        /// The call as it ended.
        call: Box<Call>,
    },
    /// The call was over already; what was new in the report was added.
    AlreadyOver(Box<Call>),
    /// The provider's id is not the one that is known: there are two calls where there must be one.
    OtherCall {
        /// The id that is known.
        known: String,
    },
    /// It was to be ended only as it stood, and it had gone on.
    GoesOn,
    /// There is no such call.
    NotFound,
}

/// A call and all that its end changes, as read.
struct Around {
    call: CallItem,
    contact: ContactItem,
    number: NumberItem,
    assignment: AssignmentItem,
    company: Company,
    /// Whether the number called is on a suppression list by now.
    suppressed: bool,
    hash: String,
    person: PersonItem,
}

/// What follows from the end of a call.
struct Consequences {
    outcome: Outcome,
    next: Next,
    /// The callback that is owed to the contact.
    promised_for: Option<Timestamp>,
    hold: HoldAfter,
    attempts: Vec<i64>,
    provider_failures: u32,
    cost: Option<Usd>,
    /// Somebody was on the line, and how that ended was not told.
    end_unknown: bool,
    /// The appointment that the number is kept for from now on.
    appointment: Option<Timestamp>,
    /// What the call has for a person to settle.
    unclear: Vec<Task>,
}

impl Store {
    /// Ends a call, once; merges what is new when it was over already.
    ///
    /// # Errors
    /// When the store gives no answer; it must be repeated until it does.
    pub async fn end_call(&self, cause: &Cause, settlement: &Settlement<'_>) -> Result<Ended, StoreError> {
        self.end_call_in(cause, settlement, |_| true).await
    }

    /// Ends a call that is in one of these states still: what was concluded of it, that it was taken back or is not there, holds of no
    /// other. One of which news came meanwhile goes on.
    ///
    /// # Errors
    /// When the store gives no answer; it must be repeated until it does.
    pub async fn end_call_while(
        &self,
        states: &[CallState],
        cause: &Cause,
        settlement: &Settlement<'_>,
    ) -> Result<Ended, StoreError> {
        self.end_call_in(cause, settlement, |state| states.contains(&state)).await
    }

    async fn end_call_in(
        &self,
        cause: &Cause,
        settlement: &Settlement<'_>,
        may_end: impl Fn(CallState) -> bool,
    ) -> Result<Ended, StoreError> {
        let id = settlement.call_id;
        for _round in 0..ROUNDS {
            let key = keys::call(id);
            let Some(call) = self.get::<CallItem>("call", &self.tables.dialing, key).await? else {
                return Ok(Ended::NotFound);
            };
            if let Some(known) = other_call(&call, settlement.provider_call_id) {
                return Ok(Ended::OtherCall { known });
            }
            if settlement.report.opted_out && !call.report.opted_out {
                self.opt_out(cause, &call, settlement.hasher).await?;
            }
            if !call.call_state.is_over() && !may_end(call.call_state) {
                return Ok(Ended::GoesOn);
            }
            let ended = if call.call_state.is_over() {
                Box::pin(self.merge_report(cause, call, settlement)).await?
            } else {
                Box::pin(self.apply_end(cause, call, settlement)).await?
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
        Err(StoreError::Busy(format!("{id} changed under {ROUNDS} attempts to end it")))
    }

    /// The person called does not want to be called again: onto the list, and no further attempt.
    async fn opt_out(&self, cause: &Cause, call: &CallItem, hasher: &PhoneHasher) -> Result<(), StoreError> {
        let lead = Some(&call.lead_id);
        let _: Suppressed =
            self.suppress(cause, &call.company, hasher, &call.to_number, lead, "voice").await?;
        if !call.call_state.is_over() {
            return Ok(());
        }
        let (campaign, contact) = tokio::try_join!(
            self.campaign_of_job(&call.campaign_id),
            self.contact(&call.campaign_id, &call.to_number),
        )?;
        if let Some((campaign, contact)) = campaign.zip(contact)
            && matches!(contact.state, ContactState::Pending { .. })
        {
            self.finish_contact(cause, &campaign, &contact, DoneReason::OptedOut).await?;
        }
        let _: Changed =
            self.release(cause, &call.company, &call.assignment_id, ReleaseReason::OptedOut).await?;
        Ok(())
    }

    async fn apply_end(
        &self,
        cause: &Cause,
        call: CallItem,
        settlement: &Settlement<'_>,
    ) -> Result<Option<Ended>, StoreError> {
        let number_key = keys::number(&call.company, &call.from_number);
        let hash = settlement.hasher.hash(&call.to_number);
        let (contact, number, assignment, company, everywhere, person) = tokio::try_join!(
            self.contact_item(&call.campaign_id, &call.to_number),
            self.get::<NumberItem>("number", &self.tables.pool, number_key),
            self.assignment_item(&call.company, &call.assignment_id),
            self.settings(&call.company),
            self.is_suppressed_everywhere(&hash),
            self.person(&call.company, &hash),
        )?;
        let (Some(contact), Some(number), Some(assignment)) = (contact, number, assignment) else {
            let missing = format!("{}: its contact, its number or its hold is not there", call.call_id);
            return Err(StoreError::unreadable("call", missing));
        };
        let suppressed = everywhere || person.suppressed_at.is_some();
        let around = Around { call, contact, number, assignment, company, suppressed, hash, person };
        let report = around.call.report.clone().completed_by(settlement.report.clone());
        let ended_at = report.ended_at.unwrap_or(cause.at).min(cause.at).max(around.call.claimed_at);
        let consequences = consequences(&around, settlement, &report, cause.at);
        let report = CallReport { outcome: Some(consequences.outcome), ended_at: Some(ended_at), ..report };
        // Before what they are about is written: after a crash between the two the repetition finds the tasks there.
        Box::pin(self.add_tasks(cause, &consequences.unclear)).await?;

        let mut writes = self.over_writes(cause, &around, settlement, &report, &consequences)?;
        writes.extend(self.contact_writes(cause, &around, &consequences)?);
        writes.push(self.person_write(&around, consequences.outcome, ended_at)?);
        let answered_at = report.started_at.or(around.call.answered_at);
        let talked = answered_at.map(|answered_at| ended_at.since(answered_at));
        let over = OverCall {
            outcome: consequences.outcome,
            talked,
            carrier_refused: report.ended_reason.as_deref().is_some_and(carrier_refused),
            used_up: report.ended_reason.as_deref().is_some_and(number_used_up),
            claimed_at: around.call.claimed_at,
        };
        let (number, told) = around.number.clone().with_call_over(ended_at, &around.company, &over);
        writes.extend(self.hold_writes(cause, &around, &consequences, &number, ended_at)?);
        let campaign = &around.call.campaign_id;
        writes.extend(self.silence_counted(campaign, &CallReport::default(), &report, ended_at));
        if let Some(told) = told {
            writes.push(self.number_event(cause, &around.call.company, &number, told)?);
        }
        Ok(match self.transact(writes).await? {
            Transacted::Refused(_) => None,
            Transacted::Done => {
                let call = CallItem { call_state: settlement.state, report, check_at: None, ..around.call };
                Some(Ended::Applied { call: Box::new(call.into()) })
            }
        })
    }

    /// The call, its slots, the campaign's counters, the event.
    fn over_writes(
        &self,
        cause: &Cause,
        around: &Around,
        settlement: &Settlement<'_>,
        report: &CallReport,
        consequences: &Consequences,
    ) -> Result<Vec<Write>, StoreError> {
        let call = &around.call;
        let dialing = &self.tables.dialing;
        let mut expression = "SET call_state = :state, report = :report, item_version = :next".to_owned();
        if settlement.provider_call_id.is_some() {
            expression.push_str(", provider_call_id = :provider");
        }
        if consequences.end_unknown {
            expression.push_str(", end_unknown = :unknown");
        }
        match settlement.told {
            Told::All => expression.push_str(" REMOVE check_at, check_shard"),
            Told::End => expression.push_str(", check_at = :report_by, report_due = :due"),
        }
        let mut over = Write::update(dialing, keys::call(&call.call_id), expression)
            .when("item_version = :version")
            .value(":state", settlement.state.as_str())
            .value(":report", items::attribute("call", report)?)
            .value(":next", call.item_version + 1)
            .value(":version", call.item_version);
        if let Some(provider_call_id) = settlement.provider_call_id {
            over = over.value(":provider", provider_call_id);
        }
        if consequences.end_unknown {
            over = over.value(":unknown", AttributeValue::Bool(true));
        }
        if settlement.told == Told::End {
            over =
                over.value(":report_by", cause.at + REPORT_WITHIN).value(":due", AttributeValue::Bool(true));
        }

        let mut counters = format!("n_calls :one, {} :one", counter(consequences.outcome));
        let mut removed = "slots.#call".to_owned();
        // One that had no line, or was not asked for, says nothing of what the campaign calls with.
        if settlement.state == CallState::Failed && consequences.outcome == Outcome::ProviderFailed {
            counters.push_str(", refused_in_a_row :one");
        } else if consequences.outcome.counts() {
            removed.push_str(", refused_in_a_row");
        }
        if consequences.cost.is_some() {
            counters.push_str(", cost_e4 :cost");
        }
        if matches!(consequences.next, Next::Done(_)) {
            counters.push_str(", n_open :less");
        }
        let mut campaign = Write::update(
            dialing,
            keys::campaign(&call.campaign_id),
            format!("REMOVE {removed} ADD {counters}"),
        )
        .name("#call", call.call_id.as_str())
        .value(":one", 1u64);
        if let Some(cost) = consequences.cost {
            campaign = campaign.value(":cost", cost.as_ten_thousandths());
        }
        if matches!(consequences.next, Next::Done(_)) {
            campaign = campaign.value(":less", -1i64);
        }

        let lines = [keys::account_line(&call.account), keys::company_line(&call.company)];
        let [account, company] = lines.map(|line| {
            Write::update(dialing, line, "REMOVE slots.#call").name("#call", call.call_id.as_str())
        });

        let told = CallOver {
            campaign_id: call.campaign_id.clone(),
            lead: call.lead_id.clone(),
            outcome: consequences.outcome,
            ended_reason: report.ended_reason.clone(),
            ended_at: report.ended_at.unwrap_or(cause.at),
            cost: consequences.cost,
            retry_at: match consequences.next {
                Next::At(at) => Some(at),
                Next::Done(_) => None,
            },
        };
        let data = match settlement.state {
            CallState::Failed => EventData::CallFailed(told),
            CallState::Canceled => EventData::CallCanceled(told),
            CallState::TimedOut => EventData::CallTimedOut(told),
            CallState::Intent
            | CallState::Unknown
            | CallState::Accepted
            | CallState::Ringing
            | CallState::InProgress
            | CallState::Ended => EventData::CallEnded(told),
        };
        let aggregate = Aggregate::Call(call.call_id.clone());
        let event = self.journal(cause, &call.company, aggregate, call.item_version + 1, data)?;
        Ok(vec![over, campaign, account, company, event])
    }

    /// How often the person was called: a call that nobody got does not count. What the call found out of the number, and whether it left
    /// a message. The next call to it may begin.
    fn person_write(
        &self,
        around: &Around,
        outcome: Outcome,
        ended_at: Timestamp,
    ) -> Result<Write, StoreError> {
        let Around { call, person, hash, .. } = around;
        let mut begun = person.begun.clone();
        if !outcome.counts()
            && let Some(this) = begun.iter().rposition(|at| *at == call.claimed_at.as_millis())
        {
            begun.remove(this);
        }
        let mut set = "SET begun = :begun, item_version = :next".to_owned();
        let mut remove = " REMOVE active_call, inbound".to_owned();
        let message_left = call.on_machine == Some(Voicemail::Leave) && outcome.may_leave_message();
        if outcome == Outcome::InvalidNumber {
            set.push_str(", invalid_at = :ended");
        } else if outcome.rang() {
            remove.push_str(", invalid_at");
        }
        if message_left {
            set.push_str(", message_left_at = :ended");
        }
        let write = Write::update(&self.tables.dialing, keys::person(&call.company, hash), set + &remove)
            .when("item_version = :version AND active_call = :call")
            .value(":begun", items::attribute("person", &begun)?)
            .value(":next", person.item_version + 1)
            .value(":version", person.item_version)
            .value(":call", call.call_id.as_str());
        // A value that no expression names is refused.
        Ok(if message_left || outcome == Outcome::InvalidNumber {
            write.value(":ended", ended_at)
        } else {
            write
        })
    }

    /// The contact: due again, or done.
    fn contact_writes(
        &self,
        cause: &Cause,
        around: &Around,
        consequences: &Consequences,
    ) -> Result<Vec<Write>, StoreError> {
        let Around { call, contact, .. } = around;
        let keeps = matches!(consequences.hold, HoldAfter::Keep | HoldAfter::KeepUntil(_));
        let expression = match (consequences.next, consequences.promised_for) {
            (Next::At(_), None) if keeps => {
                "SET due_at = :due, ahead_due = :due, attempts = :attempts, provider_failures = :failures, item_version = :next, \
                 n_events = :events REMOVE call_id, promised_for"
            }
            (Next::At(_), None) => {
                "SET due_at = :due, attempts = :attempts, provider_failures = :failures, item_version = :next, n_events = :events \
                 REMOVE call_id, promised_for"
            }
            (Next::At(_), Some(_)) => {
                "SET due_at = :due, ahead_due = :due, promised_for = :promised, attempts = :attempts, \
                 provider_failures = :failures, item_version = :next, n_events = :events REMOVE call_id"
            }
            (Next::Done(_), _) => {
                "SET done = :done, attempts = :attempts, provider_failures = :failures, item_version = :next, n_events = :events \
                 REMOVE call_id, due_at, promised_for"
            }
        };
        let write = Write::update(
            &self.tables.dialing,
            keys::contact(&call.campaign_id, &call.to_number),
            expression,
        )
        .when("call_id = :call")
        .value(":call", call.call_id.as_str())
        .value(":attempts", items::attribute("contact", &consequences.attempts)?)
        .value(":failures", u64::from(consequences.provider_failures))
        .value(":next", contact.item_version + 1);
        let (one_more, none) = (contact.n_events + 1, contact.n_events);
        Ok(match consequences.next {
            Next::At(at) => match consequences.promised_for {
                None => vec![write.value(":due", at).value(":events", none)],
                // Owed from before: the call was not placed.
                Some(promised) if contact.promised_for == Some(promised) => {
                    vec![write.value(":due", at).value(":promised", promised).value(":events", none)]
                }
                Some(promised) => {
                    let event = EventData::ContactCallbackPromised {
                        lead: call.lead_id.clone(),
                        phone: call.to_number.clone(),
                        at: promised,
                    };
                    let contact = Aggregate::contact(&call.campaign_id, &call.to_number);
                    vec![
                        write.value(":due", at).value(":promised", promised).value(":events", one_more),
                        self.journal(cause, &call.company, contact, one_more, event)?,
                    ]
                }
            },
            Next::Done(reason) => {
                let finished = Contact::try_from(ContactItem {
                    call_id: None,
                    due_at: None,
                    done: Some(reason),
                    attempts: consequences.attempts.clone(),
                    ..contact.clone()
                })?;
                vec![
                    write.value(":done", items::attribute("reason", &reason)?).value(":events", one_more),
                    self.contact_finished(cause, &call.company, &call.campaign_id, &finished, reason)?,
                ]
            }
        })
    }

    /// The number and its hold.
    fn hold_writes(
        &self,
        cause: &Cause,
        around: &Around,
        consequences: &Consequences,
        after: &NumberItem,
        ended_at: Timestamp,
    ) -> Result<Vec<Write>, StoreError> {
        let Around { call, number, assignment, .. } = around;
        let held = number.assignment_id.as_ref() == Some(&call.assignment_id);
        let used = |write: NumberWrite| {
            let write = write
                .becomes(after)?
                .set("last_used_at = :ended")
                .remove("active_call")
                .add("calls :one")
                .when("active_call = :call")
                .bind(":ended", ended_at)
                .bind(":one", 1u64)
                .bind(":call", call.call_id.as_str());
            Ok::<_, StoreError>(if consequences.outcome == Outcome::Answered {
                write.add("answered :one").write()
            } else {
                write.write()
            })
        };
        if !held {
            // The hold was ended by hand during the call: the number only has its rest before it.
            let available_at = number.available_at.and_then(|at| after.available_after(at));
            return Ok(vec![used(
                self.available_from(&call.company, &NumberKeys::of(assignment), available_at)
                    .when("attribute_not_exists(assignment_id)"),
            )?]);
        }
        // A hold that ran out during the call is over, whatever the call came to.
        let ran_out = assignment.release_at <= cause.at;
        match if ran_out { HoldAfter::Release(ReleaseReason::Expired) } else { consequences.hold } {
            HoldAfter::Release(reason) => {
                let over_at = cause.at.min(assignment.release_at);
                let over = Over {
                    assignment_id: &call.assignment_id,
                    lead: &call.lead_id,
                    number: &call.from_number,
                    sequence: assignment.hold_version + 1,
                    reason,
                    ended_at: over_at,
                };
                let available_at = after.available_after(cause.at);
                let freed = self.free_number(&call.company, assignment, over_at, available_at);
                let mut writes = vec![used(freed)?];
                writes.extend(self.close(cause, &call.company, &over)?);
                Ok(writes)
            }
            HoldAfter::KeepUntil(until)
                if until > assignment.release_at || consequences.appointment.is_some() =>
            {
                let kept = self
                    .available_from(&call.company, &NumberKeys::of(assignment), Some(until))
                    .set("release_at = :available_at, hold_version = :hold_next")
                    .when("assignment_id = :assignment AND hold_version = :hold_version")
                    .bind(":hold_next", assignment.hold_version + 1)
                    .bind(":hold_version", assignment.hold_version)
                    .bind(":assignment", call.assignment_id.as_str());
                let mut writes = vec![used(kept)?];
                writes.extend(self.moved_apart_from_number(
                    cause,
                    &call.company,
                    assignment,
                    until,
                    consequences.appointment.or(assignment.appointment_at),
                )?);
                Ok(writes)
            }
            HoldAfter::Keep | HoldAfter::KeepUntil(_) => {
                let kept =
                    NumberWrite::new(&self.tables.pool, keys::number(&call.company, &call.from_number))
                        .when("assignment_id = :assignment")
                        .bind(":assignment", call.assignment_id.as_str());
                Ok(vec![used(kept)?])
            }
        }
    }

    /// Adds to a call that is over what its report did not have.
    async fn merge_report(
        &self,
        cause: &Cause,
        call: CallItem,
        settlement: &Settlement<'_>,
    ) -> Result<Option<Ended>, StoreError> {
        let known = &call.report;
        let told_now = settlement.told == Told::All && call.report_due;
        // How it ended was not known: who says it first is right.
        let outcome = settlement.report.outcome.filter(|_| call.end_unknown);
        let merged = match outcome {
            None => known.clone().completed_by(settlement.report.clone()),
            Some(_) => {
                let before =
                    CallReport { outcome: None, ended_reason: None, ended_at: None, ..known.clone() };
                let merged = before.completed_by(settlement.report.clone());
                CallReport { ended_at: merged.ended_at.or(known.ended_at), ..merged }
            }
        };
        if merged == *known && !told_now && outcome.is_none() {
            return Ok(Some(Ended::AlreadyOver(Box::new(call.into()))));
        }
        let new_cost = if known.cost.is_none() { merged.cost } else { None };
        let call_state = if outcome.is_some() { settlement.state } else { call.call_state };
        let mut expression = "SET report = :report, item_version = :next, call_state = :state".to_owned();
        expression.push_str(match (settlement.told, outcome) {
            (Told::All, None) => " REMOVE report_due, check_at, check_shard",
            (Told::All, Some(_)) => " REMOVE report_due, check_at, check_shard, end_unknown",
            (Told::End, None) => "",
            (Told::End, Some(_)) => " REMOVE end_unknown",
        });
        let mut writes = vec![
            Write::update(&self.tables.dialing, keys::call(&call.call_id), expression)
                .when("item_version = :version")
                .value(":state", call_state.as_str())
                .value(":report", items::attribute("call", &merged)?)
                .value(":next", call.item_version + 1)
                .value(":version", call.item_version),
            self.journal(
                cause,
                &call.company,
                Aggregate::Call(call.call_id.clone()),
                call.item_version + 1,
                EventData::CallReported {
                    cost: new_cost,
                    summary: if known.summary.is_none() { merged.summary.clone() } else { None },
                    success_evaluation: if known.success_evaluation.is_none() {
                        merged.success_evaluation.clone()
                    } else {
                        None
                    },
                    outcome,
                },
            )?,
        ];
        let ended_at = merged.ended_at.unwrap_or(cause.at);
        writes.extend(self.silence_counted(&call.campaign_id, known, &merged, ended_at));
        let callback = known.callback.is_none() && merged.callback.is_some();
        let appointment = known.appointment.is_none() && merged.appointment.is_some();
        if callback || appointment {
            Box::pin(self.hear_late(cause, &call, &merged)).await?;
        }
        let late = LateTold { cost: new_cost, outcome };
        let promised = if known.callback.is_none() && merged.callback.is_some() {
            self.late_promise(cause, &call, &merged, &late).await?
        } else {
            None
        };
        if let Some(promised) = promised {
            writes.extend(promised);
        } else if outcome.is_some() {
            writes.extend(self.corrected(cause, &call, &late, merged.opted_out).await?);
        } else if !late.is_nothing() {
            writes.push(late.count(&self.tables.dialing, &call.campaign_id, 0));
        }
        Ok(match self.transact(writes).await? {
            Transacted::Refused(_) => None,
            Transacted::Done => {
                let item_version = call.item_version + 1;
                let call = CallItem { report: merged, call_state, item_version, ..call };
                Some(Ended::AlreadyOver(Box::new(call.into())))
            }
        })
    }

    /// The writes that promise what the person asked for, when that is told after the end of the call; nothing when it cannot be
    /// promised any more.
    async fn late_promise(
        &self,
        cause: &Cause,
        call: &CallItem,
        report: &CallReport,
        late: &LateTold,
    ) -> Result<Option<Vec<Write>>, StoreError> {
        let (campaign, contact) = tokio::try_join!(
            self.campaign_item(&call.campaign_id),
            self.contact_item(&call.campaign_id, &call.to_number),
        )?;
        let Some((campaign, contact)) = campaign.zip(contact) else { return Ok(None) };
        let (outcome, ended_at) = (report.outcome, report.ended_at.unwrap_or(call.claimed_at));
        let at = outcome.and_then(|outcome| Heard::of(call, &contact, report, outcome, ended_at).callback);
        let Some(at) = at else { return Ok(None) };
        let refused = matches!(
            contact.done,
            Some(DoneReason::OptedOut | DoneReason::Suppressed | DoneReason::OtherNumber)
        );
        // What was agreed on since, or said on a later call, is the last word.
        let since = contact.promised_for.is_some() || contact.calls.last() != Some(&call.call_id);
        if contact.call_id.is_some() || refused || since {
            return Ok(None);
        }
        if !self.keep_open(cause, &campaign).await? {
            return Ok(None);
        }
        let promise = Promise { campaign: &call.campaign_id, phone: &call.to_number, at, due_at: at };
        self.promise_writes(cause, &call.company, &promise, &contact, late).map(Some)
    }
}

fn consequences(
    around: &Around,
    settlement: &Settlement<'_>,
    report: &CallReport,
    now: Timestamp,
) -> Consequences {
    let outcome = report.outcome.unwrap_or(match settlement.state {
        CallState::Canceled => Outcome::Canceled,
        CallState::Failed => Outcome::ProviderFailed,
        CallState::Intent
        | CallState::Unknown
        | CallState::Accepted
        | CallState::Ringing
        | CallState::InProgress
        | CallState::Ended
        // What the provider lost may have rung: the longest wait is the safe one.
        | CallState::TimedOut => Outcome::Other,
    });
    let taken_back =
        outcome == Outcome::Canceled && around.call.withdrawn_at.is_some() && report.started_at.is_none();
    let outcome = match around.call.call_state {
        // Before anybody was called, whoever reports it first.
        CallState::Intent | CallState::Unknown | CallState::Accepted if taken_back => Outcome::NotPlaced,
        CallState::Ringing if taken_back => Outcome::NoAnswer,
        _ => outcome,
    };
    // From the answer on, what nobody tells the end of is for a person: the one called may have been reached.
    let in_progress = around.call.call_state == CallState::InProgress || around.call.answered_at.is_some();
    let told = match settlement.state {
        CallState::Failed | CallState::Canceled => true,
        CallState::Intent
        | CallState::Unknown
        | CallState::Accepted
        | CallState::Ringing
        | CallState::InProgress
        | CallState::Ended
        | CallState::TimedOut => report.outcome.is_some(),
    };
    let end_unknown = in_progress && !told;
    let mut attempts = around.contact.attempts.clone();
    if !outcome.counts() {
        attempts.pop();
    }
    let failed = u32::from(outcome == Outcome::ProviderFailed);
    let provider_failures = around.contact.provider_failures + failed;
    let policy = &around.company.retry;
    let ended_at = report.ended_at.unwrap_or(now);
    let mut heard = Heard::of(&around.call, &around.contact, report, outcome, ended_at);
    let asked = heard.callback;
    // Nobody was called: what was owed is owed still, however often the person was called before.
    let wait_min = match outcome {
        Outcome::CapacityLimited | Outcome::NotPlaced => Some(policy.capacity_limited_min),
        Outcome::ProviderFailed if provider_failures <= policy.provider_failures => {
            Some(policy.provider_failed_min)
        }
        _ => None,
    };
    let owed = around.contact.promised_for.zip(wait_min);
    let (next, promised_for) = if report.opted_out {
        (Next::Done(DoneReason::OptedOut), None)
    } else if around.suppressed {
        (Next::Done(DoneReason::Suppressed), None)
    } else if let Some(heard) = heard_meanwhile(around, outcome, ended_at) {
        match heard.callback {
            Some(at) => (Next::At(at), Some(at)),
            None => (Next::Done(DoneReason::Reached), None),
        }
    } else if let Some(at) = asked {
        (Next::At(at), Some(at))
    } else if end_unknown {
        (Next::Done(DoneReason::EndUnknown), None)
    } else if let Some((promised_for, wait_min)) = owed {
        (Next::At(now + Duration::from_mins(wait_min.into())), Some(promised_for))
    } else {
        let begun: Vec<Timestamp> = attempts.iter().map(|millis| Timestamp::from_millis(*millis)).collect();
        (retry::plan(outcome, &begun, provider_failures, now, policy), None)
    };
    let (number, assignment) = (&around.number, &around.assignment);
    let goes_on =
        number.assignment_id.as_ref() == Some(&around.call.assignment_id) && assignment.release_at > now;
    let (hold, appointment) = match (hold_after(next, now, around), heard.appointment) {
        (hold, None) => (hold, None),
        (hold @ HoldAfter::Release(ReleaseReason::OptedOut | ReleaseReason::OnlyNumber), Some(_)) => {
            heard.cannot_book(&around.call, report, ended_at);
            (hold, None)
        }
        (hold, Some(_)) if !goes_on => {
            heard.cannot_book(&around.call, report, ended_at);
            (hold, None)
        }
        (HoldAfter::KeepUntil(until), Some(at)) => {
            (HoldAfter::KeepUntil(until.max(at + AFTER_APPOINTMENT)), Some(at))
        }
        (HoldAfter::Keep | HoldAfter::Release(_), Some(at)) => {
            (HoldAfter::KeepUntil(at + AFTER_APPOINTMENT), Some(at))
        }
    };
    if end_unknown {
        heard.unclear.push(task(&around.call, TaskKind::CallEndUnknown, now));
    }
    Consequences {
        outcome,
        next,
        promised_for,
        hold,
        attempts,
        provider_failures,
        cost: report.cost,
        end_unknown,
        appointment,
        unclear: heard.unclear,
    }
}

/// What the person said on a call to us that was settled during this one; the later of two talks is the last word.
fn heard_meanwhile(around: &Around, outcome: Outcome, ended_at: Timestamp) -> Option<&HeardInbound> {
    let heard = around.person.inbound.as_ref()?;
    let last = !outcome.talked() || heard.ended_at >= ended_at;
    (heard.during == around.call.call_id && last).then_some(heard)
}

/// What becomes of the hold. A lead with an appointment keeps its number for it, whatever a call comes to, unless it
/// does not want to be called, or the number is the only one of a campaign: that is for the next lead.
fn hold_after(next: Next, now: Timestamp, around: &Around) -> HoldAfter {
    let appointment_at = around.assignment.appointment_at;
    let after = match retry::hold_after(next, now) {
        HoldAfter::Keep | HoldAfter::KeepUntil(_) if around.call.only_number => {
            HoldAfter::Release(ReleaseReason::OnlyNumber)
        }
        after => after,
    };
    match after {
        HoldAfter::Release(reason)
            if !matches!(reason, ReleaseReason::OptedOut | ReleaseReason::OnlyNumber)
                && appointment_at.is_some_and(|at| at + AFTER_APPOINTMENT > now) =>
        {
            HoldAfter::Keep
        }
        hold => hold,
    }
}

/// The counter of a campaign that counts calls with this outcome.
pub(crate) fn counter(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answered => "n_answered",
        Outcome::NoAnswer => "n_no_answer",
        Outcome::Busy => "n_busy",
        Outcome::Voicemail => "n_voicemail",
        Outcome::InvalidNumber
        | Outcome::ProviderFailed
        | Outcome::CapacityLimited
        | Outcome::NotPlaced
        | Outcome::Canceled
        | Outcome::Other => "n_failed",
    }
}
