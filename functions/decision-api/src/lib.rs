//! `decision-api`: a trigger in, an ordered list of actions out.
//!
//! | route | answer |
//! |---|---|
//! | `POST /v1/decisions` | what is to be done about a `message_received` or a `call_ended` |
//! | `GET /v1/decisions/{id}` | that decision again |
//!
//! The same trigger gets the same decision, byte for byte, also when it comes twice at once. Who asks in a message to
//! be left alone is on the suppression list before this answers; whatever carries an action out asks that list again.

mod wire;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use dialpool_domain::CallId;
use dialpool_domain::decision::{Context, DecisionId, EndedCall, Trigger, decide};
use dialpool_domain::rules::Rules;
use dialpool_domain::time::Duration;
use dialpool_dynamo::{Decided, NewDecision, PhoneHasher, StoredDecision, Supposed, Suppressed};
use dialpool_runtime::http::{Api, Body, Caller, IdIn, Problem, edge, with_gzip, with_idempotency};
use dialpool_runtime::{Start, StartError};

use crate::wire::{Asked, DecisionRequest, DecisionView, trigger_sha256};

/// A message with its surroundings is smaller than this.
const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// For so long after its end a call is not decided about without the provider's report.
const REPORT_AWAITED: Duration = Duration::from_mins(15);

/// When a caller who came before the report had better come again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The state of the function.
#[derive(Debug, Clone, FromRef)]
pub struct DecisionApi {
    api: Api,
    hasher: PhoneHasher,
}

/// The routes of the function.
///
/// # Errors
/// When the environment is incomplete, or its hash key is not that of the tables.
pub async fn router(start: &Start) -> Result<Router, StartError> {
    let state = DecisionApi::new(start).await?;
    let routes = Router::new().route("/v1/decisions", post(answer)).route("/v1/decisions/{id}", get(show));
    let routes = with_gzip(with_idempotency(routes, state.clone()).with_state(state));
    edge(routes, start, BODY_LIMIT_BYTES)
}

async fn answer(
    State(state): State<DecisionApi>,
    caller: Caller,
    Body(request): Body<DecisionRequest>,
) -> Result<Response, Problem> {
    caller.must_be(request.company.as_ref())?;
    let trigger = match request.asked()? {
        Asked::Message(message) => Trigger::MessageReceived(Box::new(message)),
        Asked::Call(id) => Trigger::CallEnded(Box::new(state.ended_call(&caller, &id).await?)),
    };
    let sha256 = trigger_sha256(&trigger).map_err(|error| Problem::internal(&error))?;
    let decision = state.decision_about(&caller, &trigger, &sha256).await?;
    if decision.trigger_sha256 == sha256 {
        return Ok(json(decision.answer));
    }
    // Whatever is wrong with the request, who said stop is not called again.
    if let Some(lead) = trigger.opted_out_by_word() {
        let (store, company, phone) = (&state.api.store, &caller.company, trigger.phone());
        let _: Suppressed =
            store.suppress(&caller.cause(), company, &state.hasher, phone, Some(lead), "word").await?;
    }
    Err(Problem::field("id", "was used for another message"))
}

async fn show(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<DecisionId>,
) -> Result<Response, Problem> {
    let decision = api.store.decision(&caller.company, &id).await?;
    decision.map(|decision| json(decision.answer)).ok_or_else(|| Problem::not_found("decision"))
}

impl DecisionApi {
    /// What the start provides.
    ///
    /// # Errors
    /// When the environment is incomplete, or its hash key is not that of the tables.
    pub async fn new(start: &Start) -> Result<Self, StartError> {
        Ok(Self { api: Api::new(start)?, hasher: start.phone_hasher().await? })
    }

    /// A call of the caller's company that is over.
    async fn ended_call(&self, caller: &Caller, id: &CallId) -> Result<EndedCall, Problem> {
        let store = &self.api.store;
        let call = store.call(id).await?.filter(|call| call.company == caller.company);
        let call = call.ok_or_else(|| Problem::not_found("call: call_id names none of the company"))?;
        if !call.state.is_over() {
            return Err(Problem::conflict(format!("call_id: the call is {}, not over", call.state)));
        }
        // A decision is made once: not before all is known that it is about.
        let ended_at = call.report.ended_at.unwrap_or(call.claimed_at);
        if call.report_due && caller.at.since(ended_at) < REPORT_AWAITED {
            let detail = "call_id: the provider's report of the call has not come yet";
            return Err(Problem::not_yet(detail, ASK_AGAIN_AFTER));
        }
        let contact = store.contact(&call.campaign_id, &call.to).await?;
        Ok(EndedCall { call, contact })
    }

    /// The decision about a trigger: the one that was made, else the one that is made now.
    async fn decision_about(
        &self,
        caller: &Caller,
        trigger: &Trigger,
        sha256: &str,
    ) -> Result<StoredDecision, Problem> {
        let (store, company) = (&self.api.store, &caller.company);
        let id = trigger.decision_id(company);
        if let Some(before) = store.decision(company, &id).await? {
            return Ok(before);
        }
        let mut suppressed = store.is_suppressed(company, &self.hasher.hash(trigger.phone())).await?;
        // A second round at most: entries of the list are never removed.
        loop {
            let actions = decide(trigger, Context { company, suppressed }, caller.at, Rules::united_states());
            let view = DecisionView {
                decision_id: &id,
                trigger: trigger.name(),
                decided_at: caller.at,
                actions: &actions,
            };
            let decision = StoredDecision {
                answer: serde_json::to_string(&view).map_err(|error| Problem::internal(&error))?,
                trigger_sha256: sha256.to_owned(),
            };
            let supposed = match trigger.opted_out_by_word() {
                _ if suppressed => Supposed::Suppressed,
                Some(lead) => Supposed::OptsOut(lead),
                None => Supposed::Free,
            };
            let new = NewDecision {
                company,
                id: &id,
                trigger: trigger.name(),
                actions: actions.iter().map(|action| action.kind.name().to_owned()).collect(),
                decision: &decision,
                phone: trigger.phone(),
                hasher: &self.hasher,
                supposed,
            };
            match store.decide(&caller.cause(), new).await? {
                Decided::First => return Ok(decision),
                Decided::Before(before) => return Ok(before),
                Decided::Suppressed => suppressed = true,
            }
        }
    }
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
