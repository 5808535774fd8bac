//! `pool-assign`: one number for one lead, over HTTP.
//!
//! | route | answer |
//! |---|---|
//! | `POST /v1/assignments` | 201 a number, 200 the number held already, 409 `pool-exhausted` or `pool-at-limit`; with `"wait": true` 202 instead of 409 |
//! | `GET /v1/assignments/{id}` | a hold, over or not |
//! | `GET /v1/leads/{lead}/assignment` | the hold in force |
//! | `POST /v1/assignments/{id}/book` | held until 24 h after the appointment; without one: cancelled |
//! | `POST /v1/assignments/{id}/extend` | held until then, at most 168 h from now |
//! | `POST /v1/assignments/{id}/release` | free; 200 also when it was over |
//! | `GET /v1/pool` | the pool in figures |
//! | `GET /v1/waiting` | who waits for a number, the first that came first |
//! | `DELETE /v1/waiting/{lead}` | 204 the lead waits no longer |
//!
//! Every route acts within the company of the caller's key. A lead that asks again gets the same hold.

mod wire;

use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use dialpool_domain::place::{Place, State as Region};
use dialpool_domain::pool::{HoldHours, ReleaseReason};
use dialpool_domain::time::Duration;
use dialpool_domain::{AssignmentId, LeadId};
use dialpool_dynamo::{Assigned, Changed, PoolSummary, Request, Waiting};
use dialpool_runtime::http::{Api, Body, Caller, IdIn, Problem, edge, with_gzip, with_idempotency};
use dialpool_runtime::{Start, StartError};

use crate::wire::{AssignRequest, AssignmentView, BookRequest, ExtendRequest, WaitingList, WaitingView};

/// Requests of this function are small.
const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// A number is kept for no appointment later than this.
const FARTHEST_APPOINTMENT: Duration = Duration::from_hours(366 * 24);

/// The most of a waiting list that one answer shows.
const MOST_WAITING_SHOWN: i32 = 1_000;

/// The state of the function.
#[derive(Debug, Clone, FromRef)]
struct PoolAssign {
    api: Api,
}

/// The routes of the function.
///
/// # Errors
/// When the environment is incomplete.
pub fn router(start: &Start) -> Result<Router, StartError> {
    let state = PoolAssign { api: Api::new(start)? };
    let routes = Router::new()
        .route("/v1/assignments", post(assign))
        .route("/v1/assignments/{id}", get(assignment))
        .route("/v1/assignments/{id}/book", post(book))
        .route("/v1/assignments/{id}/extend", post(extend))
        .route("/v1/assignments/{id}/release", post(release))
        .route("/v1/leads/{lead}/assignment", get(hold_of_lead))
        .route("/v1/pool", get(pool))
        .route("/v1/waiting", get(waiting))
        .route("/v1/waiting/{lead}", delete(stop_waiting));
    let routes = with_gzip(with_idempotency(routes, state.clone()).with_state(state));
    edge(routes, start, BODY_LIMIT_BYTES)
}

async fn assign(
    State(api): State<Api>,
    caller: Caller,
    Body(request): Body<AssignRequest>,
) -> Result<Response, Problem> {
    caller.must_be(request.company.as_ref())?;
    let place = place(&request)?;
    let company = api.company(caller.at, &caller.company).await?;
    let hold = request.hold_hours.unwrap_or(company.hold_hours);
    let waiting = request.wait.then(|| Waiting {
        lead: request.lead.clone(),
        since: caller.at,
        hold_hours: hold,
        area: place.area.clone(),
        region: place.state.clone(),
    });
    let assignment_id = AssignmentId::new(caller.at, api.entropy.next_u128());
    let request = Request::new(&company, request.lead, place, hold, assignment_id);
    let assigned = api.store.assign(&caller.cause(), &request).await?;
    let has_none = matches!(assigned, Assigned::Exhausted { .. } | Assigned::AtLimit { .. });
    match waiting {
        Some(waiting) if has_none => return wait(&api, &caller, &waiting).await,
        // Who asked before, and waits, has what it waited for.
        Some(waiting) => {
            api.store.stop_waiting(&caller.company, &waiting.lead).await?;
        }
        None => {}
    }
    Ok(match assigned {
        Assigned::Granted(hold, tier) => {
            (StatusCode::CREATED, Json(AssignmentView::of_hold(hold, Some(tier)))).into_response()
        }
        Assigned::AlreadyHeld(hold) => Json(AssignmentView::of_hold(hold, None)).into_response(),
        Assigned::Exhausted { next_at } => Problem::exhausted(caller.at, next_at).into_response(),
        Assigned::AtLimit { next_at } => Problem::at_limit(caller.at, next_at).into_response(),
    })
}

/// The lead gets the next number that comes free, after those who came before it. 202: it waits.
async fn wait(api: &Api, caller: &Caller, waiting: &Waiting) -> Result<Response, Problem> {
    let since = api.store.wait(&caller.company, waiting).await?;
    let view = WaitingView { lead: waiting.lead.clone(), waits_since: since };
    Ok((StatusCode::ACCEPTED, Json(view)).into_response())
}

async fn waiting(State(api): State<Api>, caller: Caller) -> Result<Json<WaitingList>, Problem> {
    let waiting = api.store.waiting(&caller.company, MOST_WAITING_SHOWN).await?;
    let view = |waiting: Waiting| WaitingView { lead: waiting.lead, waits_since: waiting.since };
    Ok(Json(WaitingList { waiting: waiting.into_iter().map(view).collect() }))
}

async fn stop_waiting(
    State(api): State<Api>,
    caller: Caller,
    IdIn(lead): IdIn<LeadId>,
) -> Result<StatusCode, Problem> {
    if api.store.stop_waiting(&caller.company, &lead).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("lead: it does not wait"))
    }
}

/// Where the lead is: the state as given, else by ZIP, else by phone; the area code of the phone.
fn place(request: &AssignRequest) -> Result<Place, Problem> {
    let of_zip = match &request.zip {
        Some(zip) => {
            Some(Region::of_zip(zip).ok_or_else(|| Problem::field("zip", "is no ZIP code of a US state"))?)
        }
        None => None,
    };
    let of_phone = request.phone.as_ref().map(Place::of_phone).unwrap_or_default();
    Ok(Place { area: of_phone.area, state: request.state.clone().or(of_zip).or(of_phone.state) })
}

async fn assignment(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<AssignmentId>,
) -> Result<Json<AssignmentView>, Problem> {
    let found = api.store.assignment(&caller.company, &id).await?;
    let assignment = found.ok_or_else(|| Problem::not_found("assignment"))?;
    Ok(Json(AssignmentView::of_assignment(assignment, caller.at)))
}

async fn hold_of_lead(
    State(api): State<Api>,
    caller: Caller,
    IdIn(lead): IdIn<LeadId>,
) -> Result<Json<AssignmentView>, Problem> {
    let hold = api.store.hold_of(caller.at, &caller.company, &lead).await?;
    let hold = hold.ok_or_else(|| Problem::not_found("assignment: the lead holds no number"))?;
    Ok(Json(AssignmentView::of_hold(hold, None)))
}

async fn book(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<AssignmentId>,
    Body(request): Body<BookRequest>,
) -> Result<Json<AssignmentView>, Problem> {
    if request.appointment_at.is_some_and(|at| at <= caller.at) {
        return Err(Problem::field("appointment_at", "is not in the future"));
    }
    if request.appointment_at.is_some_and(|at| at > caller.at + FARTHEST_APPOINTMENT) {
        return Err(Problem::field("appointment_at", "is more than a year ahead"));
    }
    let changed = api.store.book(&caller.cause(), &caller.company, &id, request.appointment_at).await?;
    still_held(changed, &caller)
}

async fn extend(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<AssignmentId>,
    Body(request): Body<ExtendRequest>,
) -> Result<Json<AssignmentView>, Problem> {
    if request.until <= caller.at || request.until > caller.at + HoldHours::longest().duration() {
        return Err(Problem::field("until", "is not within the next 168 hours"));
    }
    still_held(api.store.extend(&caller.cause(), &caller.company, &id, request.until).await?, &caller)
}

async fn release(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<AssignmentId>,
) -> Result<Json<AssignmentView>, Problem> {
    match api.store.release(&caller.cause(), &caller.company, &id, ReleaseReason::Requested).await? {
        Changed::Done(assignment) | Changed::AlreadyOver(assignment) => {
            Ok(Json(AssignmentView::of_assignment(assignment, caller.at)))
        }
        Changed::NotFound => Err(Problem::not_found("assignment")),
    }
}

/// The answer to a change that only a hold in force can have.
fn still_held(changed: Changed, caller: &Caller) -> Result<Json<AssignmentView>, Problem> {
    match changed {
        Changed::Done(assignment) => Ok(Json(AssignmentView::of_assignment(assignment, caller.at))),
        Changed::AlreadyOver(_) => Err(Problem::conflict("the hold is over; assign a number again")),
        Changed::NotFound => Err(Problem::not_found("assignment")),
    }
}

async fn pool(State(api): State<Api>, caller: Caller) -> Result<Json<PoolSummary>, Problem> {
    Ok(Json(api.store.pool_summary(caller.at, &caller.company).await?))
}
