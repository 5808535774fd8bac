//! `control-api`: companies, their numbers, campaigns, contacts, calls and suppression lists, over HTTP.
//!
//! | route | answer |
//! |---|---|
//! | `GET /v1/health` | 200 when everything that is needed answers, else 503 and what does not; without a key |
//! | `GET /v1/company`, `PATCH` | the settings of the caller's company |
//! | `GET /v1/companies?after=&limit=`, `POST` | for an operator's key: the companies with the use of their pools; 201 a new one and its key |
//! | `GET /v1/numbers?after=&limit=&state=&area=&standing=&health_under=` | the pool, number by number |
//! | `POST /v1/numbers:import`, `/v1/numbers/import` | CSV or JSON; what was taken and each row that was not, and why |
//! | `GET /v1/numbers/{number}`, `PATCH` | one number, its health part by part; its registration |
//! | `GET /v1/numbers/{number}/lead` | whose an inbound call or text on it is |
//! | `POST /v1/numbers/{number}/release`, `extend`, `quarantine`, `restore`, `drain`, `retire`, `label`, `complaint` | the number after it |
//! | `GET /v1/pool/report` | figures, health, distribution, overdue holds, double assignments (none) |
//! | `GET /v1/campaigns?after=&limit=`, `POST` | the campaigns, the newest first; 201 a campaign |
//! | `GET /v1/campaigns/{id}`, `PATCH` | it, and how far it got; another assistant, before it begins |
//! | `POST /v1/campaigns/{id}/contacts` | CSV or JSON, at most 10,000 rows; as for numbers |
//! | `GET /v1/campaigns/{id}/contacts?after=&limit=` | its contacts |
//! | `POST /v1/campaigns/{id}/start`, `pause`, `resume`, `cancel` | the campaign after it |
//! | `POST /v1/campaigns/{id}/preflight` | who of its contacts may be called now, later, or never, and what that takes |
//! | `POST /v1/campaigns/{id}/callbacks` | a contact that is to be called at a time of its own, before others |
//! | `GET /v1/campaigns/{id}/calls?after=&limit=`, `/v1/calls` | its calls, or all, the newest first, without transcripts |
//! | `GET /v1/campaigns/{id}/export?after=` | its contacts as CSV, with what became of them; `Link` has the next page |
//! | `GET /v1/campaigns/{id}/calls/export?after=` | its calls as CSV, each with why it was lawful |
//! | `GET /v1/calls/{id}` | a call, its events, what the provider sent |
//! | `GET /v1/tasks?after=&limit=` | the open tasks for a person, the oldest first |
//! | `GET /v1/tasks/{id}`, `POST /v1/tasks/{id}/done` | one task; it is settled |
//! | `GET /v1/rules` | the calling rules in force, with their sources |
//! | `GET /v1/stops`, `PUT`, `DELETE ?state=` | the company's stop switch, for all its calls or those into a state |
//! | `GET /v1/operator/stops`, `PUT`, `DELETE ?state=` | for an operator's key: the same for all companies |
//! | `POST /v1/consents`, `GET /v1/consents/{phone}`, `POST /v1/consents/{phone}/revoke` | what a person agreed to |
//! | `GET /v1/assistants?after=&limit=`, `POST` | the assistants; 201 a new one, made of a `configuration`, a `template`, or as `clone_of` another |
//! | `POST /v1/assistants/import` | 201 one that the provider has already |
//! | `GET /v1/assistants/{id}`, `PATCH`, `DELETE` | it and its configuration; a change is the provider's first; struck off here, never at the provider |
//! | `GET /v1/assistants/{id}/versions?before=&limit=` | its configurations, the newest first |
//! | `GET /v1/assistants/{id}/drift` | where the provider has something else, by JSON pointer |
//! | `POST /v1/assistants/{id}/adopt` | what the provider has, as a new version |
//! | `GET /v1/assistant-templates` | the stock templates |
//! | `GET /v1/provider/numbers` | what the provider says of each number in service |
//! | `POST /v1/provider/numbers/sync` | the provider's ids of them, written into the pool |
//! | `GET /v1/operator/provider/numbers` | for an operator's key: the same for all companies, and what the provider has beside |
//! | `POST /v1/suppressions` | a phone number that must not be called; in force when this answers |
//! | `POST /v1/operator/suppressions` | for an operator's key: the same for all companies |
//!
//! Every other route but the first acts within the company of the caller's key. `?dry_run=true` on an import changes nothing.
//! A body may have 10 MB, and come with `Content-Encoding: gzip`.

mod assistants;
mod callbacks;
mod calling;
mod campaigns;
mod cells;
mod claims;
mod columns;
mod company;
mod exports;
mod health;
mod imports;
mod inventory;
mod marks;
mod numbers;
mod people;
mod rows;
mod tasks;
mod wire;
mod words;

use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use dialpool_domain::CallId;
use dialpool_domain::event::Aggregate;
use dialpool_domain::time::Duration;
use dialpool_dynamo::{Lines, PhoneHasher, Suppressed};
use dialpool_providers::http::Transport;
use dialpool_providers::vapi::{Vapi, kept};
use dialpool_runtime::http::{Api, Body, Caller, IdIn, Operator, Problem, edge, with_gzip, with_idempotency};
use dialpool_runtime::jobs::DialJob;
use dialpool_runtime::{Queue, Start, StartError};

use crate::health::Health;

pub use crate::calling::{Ahead, LookedAhead, Plan, look_ahead};
pub use crate::columns::Mapping;
pub use crate::exports::{ExportPage, export_calls, export_contacts};
pub use crate::imports::{
    Accepted, Report, RowRefused, bring_numbers, read_contacts, read_mapped_contacts, read_numbers, skipped,
};
pub use crate::people::{Marked, suppress_marked};
use crate::wire::{CallView, SuppressionRequest};

/// What a request may have, unpacked. A Lambda function takes 6 MB in one request: a larger file comes compressed.
const BODY_LIMIT_BYTES: usize = 10 * 1024 * 1024;

/// The state of the function.
#[derive(Debug, Clone, FromRef)]
pub(crate) struct ControlApi {
    api: Api,
    dial_queue: Queue,
    #[from_ref(skip)]
    withdraw_queue: Queue,
    hasher: PhoneHasher,
    vapi: Vapi,
    health: Health,
}

/// The routes of the function; `transport` is the way to the voice provider.
///
/// # Errors
/// When the environment is incomplete, or its hash key is not that of the tables.
pub async fn router(start: &Start, transport: Transport) -> Result<Router, StartError> {
    let state = ControlApi {
        api: Api::new(start)?,
        dial_queue: start.queue("DIAL_QUEUE_URL")?,
        withdraw_queue: start.queue("WITHDRAW_QUEUE_URL")?,
        hasher: start.phone_hasher().await?,
        vapi: Vapi::new(
            transport,
            start.environment.text("VAPI_BASE_URL")?,
            start.environment.secret("VAPI_API_KEY")?,
        ),
        health: Health::default(),
    };
    let routes = Router::new()
        .route("/v1/health", get(health::health))
        .route("/v1/company", get(company::show).patch(company::change))
        .route("/v1/numbers", get(numbers::list))
        .route("/v1/numbers/import", post(imports::import_numbers))
        .route("/v1/numbers:import", post(imports::import_numbers))
        .route("/v1/numbers/{number}", get(numbers::show).patch(numbers::register))
        .route("/v1/numbers/{number}/lead", get(numbers::lead))
        .route("/v1/numbers/{number}/release", post(numbers::release))
        .route("/v1/numbers/{number}/extend", post(numbers::extend))
        .route("/v1/numbers/{number}/quarantine", post(numbers::quarantine))
        .route("/v1/numbers/{number}/restore", post(numbers::restore))
        .route("/v1/numbers/{number}/drain", post(numbers::drain))
        .route("/v1/numbers/{number}/retire", post(numbers::retire))
        .route("/v1/numbers/{number}/label", post(numbers::label))
        .route("/v1/numbers/{number}/complaint", post(numbers::complaint))
        .route("/v1/pool/report", get(numbers::report))
        .route("/v1/campaigns", get(campaigns::list).post(campaigns::create))
        .route("/v1/campaigns/{id}", get(campaigns::show).patch(campaigns::change))
        .route("/v1/campaigns/{id}/contacts", get(campaigns::contacts).post(imports::import_contacts))
        .route("/v1/campaigns/{id}/start", post(campaigns::start))
        .route("/v1/campaigns/{id}/pause", post(campaigns::pause))
        .route("/v1/campaigns/{id}/resume", post(campaigns::resume))
        .route("/v1/campaigns/{id}/cancel", post(campaigns::cancel))
        .route("/v1/campaigns/{id}/preflight", post(calling::preflight))
        .route("/v1/campaigns/{id}/callbacks", post(callbacks::promise))
        .route("/v1/campaigns/{id}/calls", get(campaigns::calls_of))
        .route("/v1/campaigns/{id}/calls/export", get(exports::calls))
        .route("/v1/campaigns/{id}/export", get(exports::contacts))
        .route("/v1/calls", get(campaigns::calls))
        .route("/v1/calls/{id}", get(call))
        .route("/v1/tasks", get(tasks::list))
        .route("/v1/tasks/{id}", get(tasks::show))
        .route("/v1/tasks/{id}/done", post(tasks::settle))
        .route("/v1/rules", get(calling::rules))
        .route("/v1/stops", get(calling::stops).put(calling::stop).delete(calling::resume))
        .route("/v1/consents", post(calling::capture_consent))
        .route("/v1/consents/{phone}", get(calling::consent))
        .route("/v1/consents/{phone}/revoke", post(calling::revoke_consent))
        .route("/v1/assistants", get(assistants::list).post(assistants::create))
        .route("/v1/assistants/import", post(assistants::import))
        .route(
            "/v1/assistants/{id}",
            get(assistants::show).patch(assistants::change).delete(assistants::delete),
        )
        .route("/v1/assistants/{id}/versions", get(assistants::versions))
        .route("/v1/assistants/{id}/drift", get(assistants::drift))
        .route("/v1/assistants/{id}/adopt", post(assistants::adopt))
        .route("/v1/assistant-templates", get(assistants::stock_templates))
        .route("/v1/provider/numbers", get(inventory::show))
        .route("/v1/provider/numbers/sync", post(inventory::sync))
        .route("/v1/suppressions", post(suppress));
    // An answer is kept under the caller's company, and an operator has none. One with a new key in it is kept nowhere.
    let operators = Router::new()
        .route("/v1/companies", get(company::list).post(company::create))
        .route(
            "/v1/operator/stops",
            get(calling::stops_of_all).put(calling::stop_all).delete(calling::resume_all),
        )
        .route("/v1/operator/provider/numbers", get(inventory::show_all))
        .route("/v1/operator/numbers/{number}/confirm", post(claims::confirm))
        .route("/v1/operator/suppressions", post(suppress_everywhere));
    let routes = with_gzip(with_idempotency(routes, state.clone()).merge(operators).with_state(state));
    edge(routes, start, BODY_LIMIT_BYTES)
}

async fn call(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<CallId>,
) -> Result<Json<CallView>, Problem> {
    let call = api.store.call(&id).await?.filter(|call| call.company == caller.company);
    let call = call.ok_or_else(|| Problem::not_found("call"))?;
    let events = api.store.events_of(&caller.company, &Aggregate::Call(id.clone())).await?;
    let mut provider_log = api.store.call_log(&id).await?;
    for entry in &mut provider_log {
        entry.body = kept::shown(&entry.body);
    }
    Ok(Json(CallView { call, events, provider_log }))
}

async fn suppress(
    State(state): State<ControlApi>,
    caller: Caller,
    Body(request): Body<SuppressionRequest>,
) -> Result<(StatusCode, Json<serde_json::Value>), Problem> {
    caller.must_be(request.company.as_ref())?;
    let store = &state.api.store;
    let added = store
        .suppress(
            &caller.cause(),
            &caller.company,
            &state.hasher,
            &request.phone,
            request.lead.as_ref(),
            "request",
        )
        .await?;
    let status = match added {
        Suppressed::Added => StatusCode::CREATED,
        Suppressed::Already => StatusCode::OK,
    };
    Ok((status, Json(serde_json::json!({ "phone": request.phone, "suppressed": true }))))
}

/// Of no company, and so in no company's journal. What waits at the provider by then is withdrawn.
async fn suppress_everywhere(
    State(state): State<ControlApi>,
    operator: Operator,
    Body(request): Body<SuppressionRequest>,
) -> Result<(StatusCode, Json<serde_json::Value>), Problem> {
    if request.company.is_some() || request.lead.is_some() {
        return Err(Problem::field(
            "company",
            "and lead are not to be named: the list is that of all companies",
        ));
    }
    let (store, cause) = (&state.api.store, operator.cause());
    let hash = state.hasher.hash(&request.phone);
    let suppressed = store.suppress_everywhere(&cause, &hash).await?;
    let lines = store.lines(&Lines::Account(calling::ACCOUNT.to_owned())).await?.unwrap_or_default();
    for call_id in lines.calls() {
        if store.call(call_id).await?.is_some_and(|call| call.to == request.phone) {
            let job = DialJob::Withdraw { call_id: call_id.clone(), trace_id: cause.trace_id.clone() };
            state.withdraw_queue.send(&job, Duration::ZERO).await?;
        }
    }
    let status = match suppressed {
        Suppressed::Added => StatusCode::CREATED,
        Suppressed::Already => StatusCode::OK,
    };
    Ok((status, Json(serde_json::json!({ "phone": request.phone, "suppressed": true }))))
}
