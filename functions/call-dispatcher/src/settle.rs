//! What became of a call that is silent: the provider is asked, never told to call again.

use dialpool_domain::call::{
    ABSENCE_PROVES_AFTER, Call, CallReport, CallState, FIRST_LOOK_AFTER, HELD_THROUGH_CALL, SILENT_AFTER,
};
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
        let asked = self.ask_for(&call).await;
        let cause = &self.cause(trace_id);
        match asked {
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

    /// The call as the provider has it. One that does not bear our id is another: its id was told by somebody who must not
    /// speak of it, and ours is looked for among the calls of the number.
    async fn ask_for(&self, call: &Call) -> Result<Option<ProviderCall>, ProviderError> {
        if let Some(provider_call_id) = &call.provider_call_id {
            match self.vapi.call(provider_call_id).await? {
                Some(found) if found.our_call_id() != Some(&call.id) => {
                    error!(call.id = %call.id, "call {} was told to be {provider_call_id}, which is another", call.id);
                }
                found => return Ok(found),
            }
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
            if cause.at < call.start_by {
                let job = DialJob::Withdraw { call_id: call_id.clone(), trace_id: trace_id.clone() };
                self.dial_queue.send(&job, after).await?;
            }
            Ok::<(), DispatchError>(())
        };
        if matches!(call.state, CallState::Intent | CallState::Unknown) {
            return again(WITHDRAW_AGAIN_AFTER).await;
        }
        let Some(provider_call_id) = &call.provider_call_id else { return Ok(()) };
        let tried_before = match self.store.begin_withdrawal(cause.at, call_id).await {
            Ok(Some(tried_before)) => tried_before,
            Ok(None) => return Ok(()),
            // The queue gives a message that failed again only when the call may have begun.
            Err(error) => {
                warn!(call.id = %call_id, "failed to begin to withdraw call {call_id}: {error}");
                return again(WITHDRAW_AGAIN_AFTER).await;
            }
        };
        match self.vapi.withdraw(provider_call_id, call_id).await {
            Ok(Withdrawn::Done) => self.withdrawn(cause, &call).await,
            // The answer to the first try was lost: what was deleted is not there.
            Ok(Withdrawn::NotFound) if tried_before => self.withdrawn(cause, &call).await,
            Ok(Withdrawn::Begun) => Ok(()),
            Ok(Withdrawn::Waits) => again(WITHDRAW_AGAIN_AFTER).await,
            // So soon after it was accepted that may be a provider behind itself: later it is proof.
            Ok(Withdrawn::NotFound) => again(ASK_AGAIN_AFTER).await,
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
        if let Ended::Applied { call } = self.store.end_withdrawn(cause, &settlement).await? {
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
        if call.state.is_over() {
            warn!(call.id = %call.id, "the provider lost call {} before it reported on it", call.id);
            return self.end(cause, &call.id, call.state, None, &call.report, Told::All).await;
        }
        if call.provider_call_id.is_some() {
            warn!(call.id = %call.id, "the provider lost call {}", call.id);
            let report = CallReport::default();
            return self.end(cause, &call.id, CallState::TimedOut, None, &report, Told::All).await;
        }
        let age = asked_at.since(call.claimed_at);
        if age >= ABSENCE_PROVES_AFTER {
            info!(call.id = %call.id, "call {} was never placed", call.id);
            return self.not_placed(cause, call, Outcome::NotPlaced, "never-placed".to_owned()).await;
        }
        let next_look = [FIRST_LOOK_AFTER, SECOND_LOOK_AFTER, ABSENCE_PROVES_AFTER]
            .into_iter()
            .find(|look| *look > age)
            .unwrap_or(ABSENCE_PROVES_AFTER);
        self.look_again(&call.id, &cause.trace_id, next_look - age + Duration::from_secs(1)).await
    }
}
