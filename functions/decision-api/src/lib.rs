//! `decision-api`: a trigger in, an ordered list of actions out (X1, first form).
//!
//! | route | answer |
//! |---|---|
//! | `POST /v1/decisions` | what is to be done about a `message_received` or a `call_ended` |
//! | `GET /v1/decisions/{id}` | the decision again |
//!
//! The same trigger gets the same decision, byte for byte, also when it comes twice at once (X2). A message that asks to be
//! left alone is on the suppression list before this answers (C3); every claim of a call asks that list again.

mod wire;

use axum::Router;
use axum::extract::{FromRef, Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use dialpool_domain::decision::{EndedCall, Known, Trigger, decide};
use dialpool_domain::law::Rules;
use dialpool_domain::opt_out::Intent;
use dialpool_dynamo::{Decided, PhoneHasher, StoredDecision, Suppressed};
use dialpool_runtime::http::{Api, Body, Caller, Problem, edge, with_idempotency};
use dialpool_runtime::{Start, StartError};
use sha2::{Digest, Sha256};

use crate::wire::{Decision, DecisionRequest, TriggerName};

/// A message with its surroundings is smaller than this.
const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// The state of the function.
#[derive(Debug, Clone, FromRef)]
struct DecisionApi {
    api: Api,
    hasher: PhoneHasher,
}

/// The routes of the function.
///
/// # Errors
/// When the environment is incomplete.
pub fn router(start: &Start) -> Result<Router, StartError> {
    let state = DecisionApi { api: Api::new(start)?, hasher: start.phone_hasher()? };
    let routes =
        Router::new().route("/v1/decisions", post(make_decision)).route("/v1/decisions/{id}", get(show));
    let routes = with_idempotency(routes, state.clone()).with_state(state);
    Ok(edge(routes, start.entropy.clone(), BODY_LIMIT_BYTES))
}

async fn make_decision(
    State(state): State<DecisionApi>,
    caller: Caller,
    Body(request): Body<DecisionRequest>,
) -> Result<Response, Problem> {
    caller.must_be(request.company.as_ref())?;
    let content = serde_json::to_vec(&request).map_err(|error| Problem::internal(&error))?;
    let trigger_sha256 = hex::encode(Sha256::digest(content));
    let trigger = match request.trigger {
        TriggerName::MessageReceived => Trigger::MessageReceived(request.message()?),
        TriggerName::CallEnded => state.ended_call(&caller, request).await?,
    };
    let store = &state.api.store;
    let key = trigger.key();
    if let Some(before) = store.decision(&caller.company, &key).await? {
        return answer(&before, &trigger_sha256);
    }

    let phone = match &trigger {
        Trigger::MessageReceived(message) => &message.phone,
        Trigger::CallEnded(ended) => &ended.call.to,
    };
    let mut suppressed = store.is_suppressed(&caller.company, &state.hasher.hash(phone)).await?;
    if let (Trigger::MessageReceived(message), Some(Intent::Stop)) = (&trigger, trigger.intent()) {
        let (cause, lead) = (caller.cause(), Some(&message.lead));
        let added = store.suppress(&cause, &caller.company, &state.hasher, phone, lead, "word").await?;
        suppressed = suppressed && added == Suppressed::Already;
    }
    let actions = decide(&trigger, Known { suppressed }, &Rules::federal(), caller.at);
    let decision =
        Decision { decision_id: &key, trigger: trigger.name(), decided_at: caller.at, actions: &actions };
    let decision = StoredDecision {
        answer: serde_json::to_string(&decision).map_err(|error| Problem::internal(&error))?,
        trigger_sha256: trigger_sha256.clone(),
    };
    let names = actions.iter().map(|action| action.kind.name().to_owned()).collect();
    match store.decide(&caller.cause(), &caller.company, &key, &decision, trigger.name(), names).await? {
        Decided::First => answer(&decision, &trigger_sha256),
        Decided::Before(before) => answer(&before, &trigger_sha256),
    }
}

impl DecisionApi {
    /// The call that the trigger names, of the caller's company, once it is over.
    async fn ended_call(&self, caller: &Caller, request: DecisionRequest) -> Result<Trigger, Problem> {
        let id = request.call()?;
        let store = &self.api.store;
        let call = store.call(&id).await?.filter(|call| call.company == caller.company);
        let call = call.ok_or_else(|| Problem::not_found("call: call_id names none of the company"))?;
        if !call.state.is_over() {
            return Err(Problem::conflict(format!("call_id: the call is {}, not over", call.state)));
        }
        let contact = store.contact(&call.campaign_id, &call.to).await?;
        let (contact, address) = contact.map(|contact| (contact.state, contact.address)).unzip();
        let address = address.unwrap_or_default();
        Ok(Trigger::CallEnded(Box::new(EndedCall { call, contact, address })))
    }
}

/// The decision as it was made; refused when it was made about something else.
fn answer(decision: &StoredDecision, trigger_sha256: &str) -> Result<Response, Problem> {
    if decision.trigger_sha256 != trigger_sha256 {
        return Err(Problem::field("id", "was used for another message"));
    }
    Ok(json(decision.answer.clone()))
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn show(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    let decision = api.store.decision(&caller.company, &id).await?;
    decision.map(|decision| json(decision.answer)).ok_or_else(|| Problem::not_found("decision"))
}
