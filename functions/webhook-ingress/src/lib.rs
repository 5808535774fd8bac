//! `webhook-ingress`: what providers post, verified, stored, acknowledged.
//!
//! `POST /v1/webhooks/vapi`: the raw body is authenticated (401 without), read once in whatever state it is, put into the inbox
//! queue, and only then acknowledged. The queue gets the fields of the body that may be kept, and whether an opt-out was heard in it.
//! A body that nobody can understand is queued as it came, for a human. The secret that a call carries opens news of that call and
//! nothing else.
//!
//! Questions that the provider waits for are answered here: an assistant request (an inbound call needs an assistant) gets
//! the assistant that spoke last from the number called, while a lead holds it; a campaign of the provider's own that asks
//! whether it may call somebody is answered by the rules by which Dialpool itself dials, and a yes is counted as a call, with why it is lawful.

use axum::extract::{FromRef, State};
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use dialpool_domain::consent::ConsentRequired;
use dialpool_domain::contact::Address;
use dialpool_domain::dialable::{self, Callee, Person, Verdict};
use dialpool_domain::event::Cause;
use dialpool_domain::rules::Rules;
use dialpool_domain::{PhoneNumber, Timestamp, TraceId};
use dialpool_dynamo::PhoneHasher;
use dialpool_providers::vapi::webhook::{Kind, Webhook};
use dialpool_providers::vapi::webhook_auth::WebhookAuth;
use dialpool_runtime::http::{Api, Problem, RawBody, edge};
use dialpool_runtime::jobs::{InboxBody, InboxMessage};
use dialpool_runtime::{Queue, Start, StartError};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing::warn;

/// A Lambda function takes 6 MB in one request; a little is left for what surrounds the body.
const BODY_LIMIT_BYTES: usize = 5 * 1024 * 1024;

/// Larger bodies go into the journal's inbox, and the message refers to them.
const INLINE_BYTES: usize = 200 * 1024;

/// SQS refuses a message with one of these; all others below U+10000 that it refuses are escaped in JSON.
const NOT_IN_A_QUEUE: [char; 2] = ['\u{fffe}', '\u{ffff}'];

/// The provider account whose switch stops its own campaigns, too.
const ACCOUNT: &str = "vapi";

/// The state of the function.
#[derive(Debug, Clone, FromRef)]
struct WebhookIngress {
    api: Api,
    auth: WebhookAuth,
    inbox: Queue,
    hasher: PhoneHasher,
}

/// The routes of the function.
///
/// # Errors
/// When the environment is incomplete.
pub fn router(start: &Start) -> Result<Router, StartError> {
    let secret = start.environment.secret("VAPI_WEBHOOK_SECRET")?;
    let state = WebhookIngress {
        api: Api::new(start)?,
        auth: WebhookAuth::new(vec![secret]),
        inbox: start.queue("INBOX_QUEUE_URL")?,
        hasher: start.phone_hasher()?,
    };
    let routes = Router::new().route("/v1/webhooks/vapi", post(vapi)).with_state(state);
    Ok(edge(routes, start.entropy.clone(), BODY_LIMIT_BYTES))
}

async fn vapi(
    State(state): State<WebhookIngress>,
    axum::Extension(trace_id): axum::Extension<TraceId>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Json<Value>, Problem> {
    let now = state.api.clock.now();
    let received = state.auth.open(&headers, &body, now).map_err(|error| {
        warn!("a webhook was not authenticated: {error}");
        Problem::unauthenticated("no valid X-Vapi-Secret, bearer token or signature")
    })?;
    match &received.webhook {
        Ok(Webhook { kind: Kind::AssistantRequest { called, .. }, .. }) => {
            return answer_assistant_request(&state.api, called.as_ref()).await;
        }
        Ok(Webhook { kind: Kind::Predial, our_number, their_number, .. }) => {
            let eligible = match our_number.as_ref().zip(their_number.as_ref()) {
                Some((ours, theirs)) => {
                    let cause = Cause { at: now, actor: "webhook-ingress".to_owned(), trace_id };
                    state.may_call(&cause, ours, theirs).await?
                }
                None => false,
            };
            return Ok(Json(json!({ "eligible": eligible })));
        }
        Ok(_) => {}
        Err(error) => warn!("a webhook cannot be understood and is kept for a human: {error}"),
    }
    let message = InboxMessage {
        provider: "vapi".to_owned(),
        received_at: now,
        trace_id,
        opt_out: received.opt_out(),
        calls: received.about.calls.clone(),
        body: match received.kept() {
            Some(kept) => state.to_queue(now, kept.as_bytes()).await?,
            None => state.to_queue(now, &body).await?,
        },
    };
    state.inbox.send(&message, std::time::Duration::ZERO).await?;
    Ok(Json(json!({})))
}

impl WebhookIngress {
    /// A body as a message can have it: one that is long, or not of characters that a queue takes, is put into the journal.
    async fn to_queue(&self, now: Timestamp, body: &[u8]) -> Result<InboxBody, Problem> {
        match str::from_utf8(body) {
            Ok(text) if text.len() <= INLINE_BYTES && !text.contains(NOT_IN_A_QUEUE) => {
                Ok(InboxBody::Inline(text.to_owned()))
            }
            _ => {
                let reference = hex::encode(Sha256::digest(body));
                self.api.store.put_inbox_body(now, &reference, body).await?;
                Ok(InboxBody::Reference(reference))
            }
        }
    }

    /// Whether `theirs` may be called from `ours` now. What is not known is not dialed: the owner of the number, the place of the
    /// person, an express written consent in the ledger.
    async fn may_call(
        &self,
        cause: &Cause,
        ours: &PhoneNumber,
        theirs: &PhoneNumber,
    ) -> Result<bool, Problem> {
        let store = &self.api.store;
        let Some(owner) = store.owner_of(cause.at, ours).await? else { return Ok(false) };
        let hash = self.hasher.hash(theirs);
        let lawful = |person: &Person| {
            let callee = Callee { phone: theirs, address: &Address::default(), consent: None, person };
            match dialable::judge(Rules::united_states(), ConsentRequired::default(), callee, cause.at) {
                Verdict::Now(basis, _) => Some(*basis),
                Verdict::Later(..) | Verdict::Never(..) => None,
            }
        };
        Ok(store.permit_call(cause, &owner.company, ACCOUNT, (ours, theirs, &hash), lawful).await?)
    }
}

/// The answer that the provider expects: an assistant's id, or what to say before it hangs up.
async fn answer_assistant_request(api: &Api, called: Option<&PhoneNumber>) -> Result<Json<Value>, Problem> {
    let owner = match called {
        Some(number) => api.store.owner_of(api.clock.now(), number).await?,
        None => None,
    };
    let assistant = owner.filter(|owner| owner.held_by.is_some()).and_then(|owner| owner.last_assistant);
    Ok(Json(match assistant {
        Some(assistant_id) => json!({ "assistantId": assistant_id }),
        None => json!({ "error": "We cannot take your call right now." }),
    }))
}
