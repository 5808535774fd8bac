//! What became of a call that is silent: the provider is asked, never told to call again.
//!
//! **Absence.** That the provider does not know a call is said by a request that is still under way, by a list that is behind
//! itself, and by a deletion whose answer was lost. It proves something only as of a question asked at or after
//! [`Call::absence_proves_from`], whoever asks and however often: two withdrawals at once hear the same 404. A call
//! that the provider took is lost only when neither its id nor the list of its number's calls has it. A proof ends
//! a call that is as it was when the question was asked; one of which news came meanwhile goes on.

use dialpool_domain::call::{Call, CallReport, CallState, FIRST_LOOK_AFTER, HELD_THROUGH_CALL, SILENT_AFTER};
use dialpool_domain::event::Cause;
use dialpool_domain::outcome::Outcome;
use dialpool_domain::time::Duration;
use dialpool_domain::{CallId, Timestamp, TraceId};
use dialpool_dynamo::{Ended, Moved, REPORT_WITHIN, Settlement, Told};
use dialpool_providers::vapi::{ProviderCall, ProviderError, Withdrawn};
use dialpool_runtime::jobs::DialJob;
use tracing::{error, info, warn};

use crate::{CallDispatcher, DispatchError};

/// By how much the provider's clock may be behind ours.
const PROVIDER_CLOCK_SKEW: Duration = Duration::from_mins(2);

/// The second look at an unclear call.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(60);

/// A call that could not be withdrawn yet is looked at again after this.
const WITHDRAW_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// A call that is not to be seen at the provider is withdrawn again after this: it may ring as soon as it is.
const ABSENT_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// A provider that does not answer is asked again after this.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);

impl CallDispatcher {
    /// Finds out what became of a call, unless it is over and reported.
    pub(crate) async fn settle(&self, call_id: &CallId, trace_id: &TraceId) -> Result<(), DispatchError> {
        let Some(call) =
            self.store.call(call_id).await?.filter(|call| !call.state.is_over() || call.report_due)
        else {
            return Ok(());
        };
        // What is proven is proven for the moment of the question, however long the answer takes.
        let asked_at = self.start.clock.now();
        let cause = &self.cause(trace_id);
        match self.look_up(&call).await {
            Ok(Some(found)) => {
                if found.opt_out.is_some() {
                    // Before anything else: it must hold even when the rest fails.
                    let (company, lead) = (&call.company, Some(&call.lead));
                    let suppressed =
                        self.store.suppress(cause, company, &self.hasher, &call.to, lead, "voice").await?;
                    info!(call.id = %call_id, "the person of call {call_id} opted out: {suppressed:?}");
                }
                self.apply(cause, &call, found, asked_at).await
            }
            Ok(None) => self.absent(cause, &call, asked_at).await,
            Err(error) if asked_at.since(call.claimed_at) >= HELD_THROUGH_CALL => {
                warn!(call.id = %call_id, "failed to ask the provider for call {call_id}: {error}");
                self.give_up(cause, &call).await
            }
            Err(error) => {
                warn!(call.id = %call_id, "failed to ask the provider for call {call_id}: {error}");
                self.look_again(call_id, trace_id, ASK_AGAIN_AFTER).await
            }
        }
    }

    /// What the provider has of a call: by its id, or else in the list of its number's calls. A call that does not bear our id
    /// is another: its id was told by somebody who must not speak of it.
    async fn look_up(&self, call: &Call) -> Result<Option<ProviderCall>, ProviderError> {
        if let Some(provider_call_id) = &call.provider_call_id
            && let Some(found) = self.vapi.call(provider_call_id).await?
        {
            if found.our_call_id() == Some(&call.id) {
                return Ok(Some(found));
            }
            error!(call.id = %call.id, "call {} was told to be {provider_call_id}, which is another", call.id);
        }
        let from = call.claimed_at - PROVIDER_CLOCK_SKEW;
        self.vapi.our_call(&call.id, &call.provider_number_id, from).await
    }

    /// Takes a call back that waits at the provider; one that rings is not cut off. One of which it is not known yet whether
    /// the provider has it is looked at again, as long as the provider may start it.
    pub(crate) async fn withdraw(&self, call_id: &CallId, trace_id: &TraceId) -> Result<(), DispatchError> {
        let Some(call) = self.store.call(call_id).await? else { return Ok(()) };
        let cause = &self.cause(trace_id);
        let again = async |after: Duration| {
            if cause.at < call.absence_proves_from() {
                let job = DialJob::Withdraw { call_id: call_id.clone(), trace_id: trace_id.clone() };
                self.withdraw_queue.send(&job, after).await?;
            }
            Ok::<(), DispatchError>(())
        };
        if matches!(call.state, CallState::Intent | CallState::Unknown) {
            return again(WITHDRAW_AGAIN_AFTER).await;
        }
        let Some(provider_call_id) = &call.provider_call_id else { return Ok(()) };
        match self.store.begin_withdrawal(cause.at, call_id).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // The queue gives a message that failed again only when the call may have begun.
            Err(error) => {
                warn!(call.id = %call_id, "failed to begin to withdraw call {call_id}: {error}");
                return again(WITHDRAW_AGAIN_AFTER).await;
            }
        }
        let asked_at = self.start.clock.now();
        match self.vapi.withdraw(provider_call_id, call_id).await {
            Ok(Withdrawn::Done) => self.withdrawn(cause, &call).await,
            Ok(Withdrawn::Begun) => Ok(()),
            Ok(Withdrawn::Waits) => again(WITHDRAW_AGAIN_AFTER).await,
            // Deleted by a try whose answer was lost, or not to be seen yet: the same answer. The report of a deletion tells sooner.
            Ok(Withdrawn::NotFound) if asked_at < call.absence_proves_from() => {
                let wait = call.absence_proves_from().since(asked_at).min(ABSENT_AGAIN_AFTER);
                again(wait.max(WITHDRAW_AGAIN_AFTER)).await
            }
            Ok(Withdrawn::NotFound) => self.withdrawn(cause, &call).await,
            Err(error) => {
                warn!(call.id = %call_id, "failed to withdraw call {call_id}: {error}");
                again(WITHDRAW_AGAIN_AFTER).await
            }
        }
    }

    /// The provider has taken the call back; the line is free for whoever may use it.
    async fn withdrawn(&self, cause: &Cause, call: &Call) -> Result<(), DispatchError> {
        let report = CallReport {
            outcome: Some(Outcome::NotPlaced),
            ended_reason: Some("withdrawn".to_owned()),
            ..CallReport::default()
        };
        let settlement = Settlement {
            call_id: &call.id,
            state: CallState::Canceled,
            provider_call_id: None,
            report: &report,
            told: Told::All,
            hasher: &self.hasher,
        };
        let waits = [CallState::Accepted];
        if let Ended::Applied { call } = self.store.end_call_while(&waits, cause, &settlement).await? {
            info!(call.id = %call.id, "call {} is withdrawn", call.id);
        }
        self.ask_for_dial(&call.campaign_id, &cause.trace_id, Duration::ZERO).await
    }

    /// The provider knows the call.
    async fn apply(
        &self,
        cause: &Cause,
        call: &Call,
        found: ProviderCall,
        asked_at: Timestamp,
    ) -> Result<(), DispatchError> {
        let state = found.state();
        // It bears our id: an id that was told before and is another was told by somebody who must not speak of it.
        let found_id = call.provider_call_id.is_none().then_some(found.id.as_str());
        if state.is_over() {
            // What the call was about, an opt-out above all, is there a while after its end.
            let ended_at = call.report.ended_at.or(found.ended_at);
            let all = ended_at.is_some_and(|at| asked_at.since(at) >= REPORT_WITHIN);
            let waited = asked_at.since(call.claimed_at) >= HELD_THROUGH_CALL;
            if found.ended_reason.is_none() && !call.state.is_over() && !all && !waited {
                // How it ended decides whether the person is called again.
                return self.look_again(&call.id, &cause.trace_id, ASK_AGAIN_AFTER).await;
            }
            let told = if all { Told::All } else { Told::End };
            return self.end(cause, &call.id, state, found_id, &found.report(), told).await;
        }
        if asked_at.since(call.claimed_at) >= HELD_THROUGH_CALL {
            return self.give_up(cause, call).await;
        }
        if call.state.is_over() {
            // The provider is behind its own webhook.
            return self.look_again(&call.id, &cause.trace_id, SILENT_AFTER).await;
        }
        match self.store.move_call(cause, &call.id, state, found_id, None, found.started_at).await? {
            Moved::Done(_) | Moved::Stale(_) | Moved::NotFound => {}
            Moved::OtherCall { known } => {
                return Err(DispatchError::SecondCall { call: call.id.clone(), known });
            }
        }
        if state == CallState::Accepted && asked_at >= call.start_by + PROVIDER_CLOCK_SKEW {
            // It was not to be started any more.
            self.withdraw(&call.id, &cause.trace_id).await?;
        }
        self.look_again(&call.id, &cause.trace_id, SILENT_AFTER).await
    }

    /// No call takes this long: its line, its number and its lead do not wait for the provider any longer.
    async fn give_up(&self, cause: &Cause, call: &Call) -> Result<(), DispatchError> {
        error!(call.id = %call.id, "call {} has no end at the provider", call.id);
        let (state, reason) = if call.state.is_over() {
            (call.state, None)
        } else {
            (CallState::TimedOut, Some("no-end-at-provider".to_owned()))
        };
        let report = CallReport { ended_reason: reason, ..CallReport::default() };
        self.end(cause, &call.id, state, None, &report, Told::All).await
    }

    /// The provider does not know the call, at least not yet.
    async fn absent(&self, cause: &Cause, call: &Call, asked_at: Timestamp) -> Result<(), DispatchError> {
        let proven = asked_at >= call.absence_proves_from();
        let (known, over) = (call.provider_call_id.is_some(), call.state.is_over());
        if !proven {
            let age = asked_at.since(call.claimed_at);
            let looks = [FIRST_LOOK_AFTER, SECOND_LOOK_AFTER].map(|look| call.claimed_at + look);
            let next = looks.into_iter().find(|look| *look > asked_at && !known);
            let wait = next.unwrap_or(call.absence_proves_from()).since(asked_at) + Duration::from_secs(1);
            info!(call.id = %call.id, "call {} is not at the provider after {} s", call.id, age.as_secs());
            return self.look_again(&call.id, &cause.trace_id, wait).await;
        }
        if over {
            warn!(call.id = %call.id, "the provider lost call {} before it reported on it", call.id);
            return self.end(cause, &call.id, call.state, None, &call.report, Told::All).await;
        }
        if known && call.state == CallState::Accepted && call.withdrawn {
            return self.withdrawn(cause, call).await;
        }
        if known {
            warn!(call.id = %call.id, "the provider lost call {}", call.id);
            let settlement = Settlement {
                call_id: &call.id,
                state: CallState::TimedOut,
                provider_call_id: None,
                report: &CallReport::default(),
                told: Told::All,
                hasher: &self.hasher,
            };
            let ended = self.store.end_call_while(&[call.state], cause, &settlement).await?;
            return self.ended(cause, &call.id, ended).await;
        }
        info!(call.id = %call.id, "call {} was never placed", call.id);
        self.not_placed(cause, call, Outcome::NotPlaced, "never-placed".to_owned()).await
    }
}
