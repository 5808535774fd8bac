//! The HTTP API, as far as Dialpool uses it; errors have the bodies that Vapi was seen to send.

use std::time::Duration;

use axum::extract::{FromRequestParts, Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use dialpool_domain::Timestamp;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde_json::{Map, Value, json};

use super::call::{Call, ORG_ID, Order, Server};
use super::script::{self, RequestFault};
use super::{AssistantFault, Simulator, order_key};

type Answer = (StatusCode, Json<Value>);

/// The properties of a request for a call (`CreateCallDTO` of Vapi's OpenAPI).
const PROPERTIES: [&str; 18] = [
    "assistant",
    "assistantId",
    "assistantOverrides",
    "assistantVersion",
    "customer",
    "customerId",
    "customers",
    "name",
    "phoneNumber",
    "phoneNumberId",
    "schedulePlan",
    "squad",
    "squadId",
    "squadOverrides",
    "transport",
    "workflow",
    "workflowId",
    "workflowOverrides",
];

/// How long the answer to an accepted call is held back: longer than any caller waits.
const HELD_BACK: Duration = Duration::from_secs(60);

pub(super) fn router(simulator: &Simulator) -> Router {
    Router::new()
        .route("/call", post(create_call).get(list_calls))
        .route("/call/{id}", get(get_call).delete(delete_call))
        .merge(assistants(simulator))
        .route("/phone-number", get(list_numbers))
        .route("/phone-number/{id}", get(get_number))
        .layer(middleware::from_fn_with_state(simulator.clone(), check_key))
        .with_state(simulator.clone())
}

fn assistants(simulator: &Simulator) -> Router<Simulator> {
    let scripted = simulator.clone();
    Router::new()
        .route("/assistant", post(create_assistant).get(list_assistants))
        .route("/assistant/{id}", get(get_assistant).patch(update_assistant).delete(delete_assistant))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let simulator = scripted.clone();
            async move { before(&simulator, request, next).await }
        }))
}

async fn check_key(State(simulator): State<Simulator>, request: Request, next: Next) -> Response {
    let header = request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    if header.and_then(|header| header.strip_prefix("Bearer ")) == Some(&*simulator.0.config.api_key) {
        next.run(request).await
    } else {
        error(StatusCode::UNAUTHORIZED, &json!("Invalid Key.")).into_response()
    }
}

async fn create_call(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let inner = &simulator.0;
    let order = match order(&body, inner.clock.now()) {
        Ok(order) => order,
        Err(messages) => return error(StatusCode::BAD_REQUEST, &json!(messages)),
    };
    let key = order_key(&order);
    let count = {
        let mut state = inner.state();
        let requests = state.requests.entry(key.clone()).or_default();
        *requests += 1;
        *requests
    };
    tokio::time::sleep(script::latency(&inner.config, &key, count)).await;
    let faults = !inner.state().faults_off;
    let fault = faults.then(|| RequestFault::draw(&inner.config, &key, count)).flatten();
    match fault {
        Some(RequestFault::Refused) => {
            return error(StatusCode::BAD_REQUEST, &json!(["customer.number must be a valid phone number"]));
        }
        Some(RequestFault::RateLimited) => {
            let body = json!({ "message": "Rate limit exceeded", "statusCode": 429 });
            return (StatusCode::TOO_MANY_REQUESTS, Json(body));
        }
        Some(RequestFault::ErrorBefore) => return internal_error(),
        Some(RequestFault::ErrorAfter | RequestFault::AcceptedThenTimeout) | None => {}
    }
    // The plan may have run out while the request was on its way.
    if order.latest_at.is_some_and(|latest| latest <= inner.clock.now()) {
        return error(StatusCode::BAD_REQUEST, &json!([LATEST_AT]));
    }
    let Some((call, free)) = inner.make(order) else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "Over Concurrency Limit" })));
    };
    match fault {
        Some(RequestFault::ErrorAfter) => internal_error(),
        Some(RequestFault::AcceptedThenTimeout) => {
            tokio::time::sleep(HELD_BACK).await;
            error(StatusCode::GATEWAY_TIMEOUT, &json!("Gateway Timeout"))
        }
        Some(RequestFault::Refused | RequestFault::RateLimited | RequestFault::ErrorBefore) | None => {
            let mut shown = call.shown(call.created_at);
            shown["subscriptionLimits"] = json!({
                "concurrencyBlocked": false,
                "concurrencyLimit": inner.config.concurrency_limit,
                "remainingConcurrentCalls": free,
            });
            (StatusCode::CREATED, Json(shown))
        }
    }
}

const LATEST_AT: &str = "schedulePlan.latestAt must be in the future";

/// Reads a request for a call, or says everything that is wrong with it.
fn order(body: &[u8], now: Timestamp) -> Result<Order, Vec<String>> {
    let mut request: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| vec![format!("body must be a JSON object: {error}")])?;
    let unknown = request.keys().filter(|key| !PROPERTIES.contains(&key.as_str()));
    let mut messages: Vec<_> = unknown.map(|key| format!("property {key} should not exist")).collect();
    for property in ["assistantId", "phoneNumberId"] {
        if request.get(property).and_then(Value::as_str).is_none_or(str::is_empty) {
            messages.push(format!("{property} must be a string"));
        }
    }
    let customer = request
        .get("customer")
        .and_then(|customer| customer["number"].as_str())
        .unwrap_or_default()
        .to_owned();
    let digits = customer.strip_prefix('+').unwrap_or_default();
    if !(8..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        messages.push("customer.number must be a valid phone number in the E.164 format".to_owned());
    }
    let name = text(&request, "/name", &mut messages);
    let customer_name = text(&request, "/customer/name", &mut messages);
    for (property, name) in [("name", &name), ("customer.name", &customer_name)] {
        if name.as_ref().is_some_and(|name| name.chars().count() > 40) {
            messages.push(format!("{property} must be shorter than or equal to 40 characters"));
        }
    }
    let earliest_at = moment(&request, "earliestAt", &mut messages);
    let latest_at = moment(&request, "latestAt", &mut messages);
    if request.get("schedulePlan").is_some_and(|plan| plan.get("earliestAt").is_none()) {
        messages.push("schedulePlan.earliestAt must be a valid ISO 8601 date string".to_owned());
    }
    if latest_at.is_some_and(|latest| latest <= now) {
        messages.push(LATEST_AT.to_owned());
    }
    // The provider does not show where webhooks go: the address and its headers are the caller's secret.
    let server = request.get_mut("assistantOverrides").and_then(Value::as_object_mut);
    let server = server.and_then(|overrides| overrides.remove("server")).and_then(|server| {
        let server = serde_json::from_value::<Server>(server).map_err(|error| error.to_string());
        let checked = server.and_then(|server| match server.request(Bytes::new()) {
            Ok(_) => Ok(server),
            Err(error) => Err(error.to_string()),
        });
        checked.map_err(|error| messages.push(format!("assistantOverrides.server is invalid: {error}"))).ok()
    });
    if messages.is_empty() {
        Ok(Order { request, name, customer, server, earliest_at, latest_at })
    } else {
        Err(messages)
    }
}

fn text(request: &Map<String, Value>, pointer: &str, messages: &mut Vec<String>) -> Option<String> {
    let mut steps = pointer.split('/').skip(1);
    let first = request.get(steps.next()?);
    match steps.fold(first, |value, step| value?.get(step))? {
        Value::String(text) => Some(text.clone()),
        _ => {
            messages.push(format!("{} must be a string", pointer[1..].replace('/', ".")));
            None
        }
    }
}

fn moment(request: &Map<String, Value>, property: &str, messages: &mut Vec<String>) -> Option<Timestamp> {
    let written = text(request, &format!("/schedulePlan/{property}"), messages)?;
    let moment = written.parse().ok();
    if moment.is_none() {
        messages.push(format!("schedulePlan.{property} must be a valid ISO 8601 date string"));
    }
    moment
}

async fn get_call(State(simulator): State<Simulator>, Path(id): Path<String>) -> Answer {
    let now = simulator.0.clock.now();
    let state = simulator.0.state();
    let call = state.places.get(&id).map(|place| &state.calls[*place]);
    let call = call.filter(|call| !call.erased && call.is_seen(&simulator.0.config, now));
    call.map_or_else(not_found, |call| (StatusCode::OK, Json(call.shown(now))))
}

async fn delete_call(State(simulator): State<Simulator>, Path(id): Path<String>) -> Answer {
    simulator.0.delete(&id).map_or_else(not_found, |shown| (StatusCode::OK, Json(shown)))
}

type Comparison = fn(&Timestamp, &Timestamp) -> bool;

/// What a request for a list asks for.
struct Filter {
    tests: Vec<(String, String)>,
    created: Vec<(Comparison, Timestamp)>,
    limit: usize,
}

impl<S: Send + Sync> FromRequestParts<S> for Filter {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Query(parameters) =
            Query::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let filter = Self::read(parameters);
        filter.map_err(|message| error(StatusCode::BAD_REQUEST, &json!([message])).into_response())
    }
}

impl Filter {
    fn read(parameters: Vec<(String, String)>) -> Result<Self, String> {
        let mut filter = Self { tests: Vec::new(), created: Vec::new(), limit: 100 };
        for (name, value) in parameters {
            let compare: Comparison = match name.as_str() {
                "id" | "assistantId" | "phoneNumberId" => {
                    filter.tests.push((name, value));
                    continue;
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| *limit <= 1_000);
                    filter.limit = limit.ok_or("limit must not be greater than 1000")?;
                    continue;
                }
                "createdAtGt" => Timestamp::gt,
                "createdAtLt" => Timestamp::lt,
                "createdAtGe" => Timestamp::ge,
                "createdAtLe" => Timestamp::le,
                _ => return Err(format!("property {name} should not exist")),
            };
            let moment = value.parse().map_err(|_| format!("{name} must be a valid ISO 8601 date string"))?;
            filter.created.push((compare, moment));
        }
        Ok(filter)
    }

    /// Whether something was made when it should have been.
    fn made_in_time(&self, made: &Value) -> bool {
        let made_at = made["createdAt"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        made_at.is_some_and(|at| self.created.iter().all(|(compare, moment)| compare(&at, moment)))
    }

    fn fits(&self, call: &Call) -> bool {
        let named = self.tests.iter().all(|(property, value)| match property.as_str() {
            "id" => call.id == *value,
            property => call.asked(property) == Some(value),
        });
        named && self.created.iter().all(|(compare, moment)| compare(&call.created_at, moment))
    }
}

async fn list_calls(State(simulator): State<Simulator>, filter: Filter) -> Answer {
    let now = simulator.0.clock.now();
    let state = simulator.0.state();
    let shown = |call: &&Call| !call.erased && call.is_seen(&simulator.0.config, now);
    let newest_first = state.calls.iter().rev().filter(shown).filter(|call| filter.fits(call));
    (StatusCode::OK, Json(newest_first.take(filter.limit).map(|call| call.shown(now)).collect()))
}

/// What is scripted for a request to an endpoint of assistants, before it is acted on.
async fn before(simulator: &Simulator, request: Request, next: Next) -> Response {
    let fault = simulator.0.state().assistant_faults.pop_front().flatten();
    match fault {
        Some(AssistantFault::Refused) => {
            let messages = json!(["model.provider must be one of the following values: openai"]);
            error(StatusCode::BAD_REQUEST, &messages).into_response()
        }
        Some(AssistantFault::ErrorBefore) => internal_error().into_response(),
        Some(AssistantFault::ErrorAfter) => {
            let _applied: Response = next.run(request).await;
            internal_error().into_response()
        }
        Some(AssistantFault::AnswerLost) => {
            let _applied: Response = next.run(request).await;
            tokio::time::sleep(HELD_BACK).await;
            internal_error().into_response()
        }
        Some(AssistantFault::Late(late)) => {
            // It is on its way, whether or not anybody still waits for the answer.
            let acted_on = tokio::spawn(async move {
                tokio::time::sleep(late).await;
                next.run(request).await
            });
            acted_on.await.unwrap_or_else(|_| internal_error().into_response())
        }
        None => next.run(request).await,
    }
}

async fn create_assistant(
    State(simulator): State<Simulator>,
    Json(mut assistant): Json<Map<String, Value>>,
) -> Answer {
    let now = simulator.0.clock.now();
    let mut state = simulator.0.state();
    state.assistants_made += 1;
    let id = script::uuid(simulator.0.config.seed, &["assistant", &state.assistants_made.to_string()]);
    let own = [
        ("id", json!(id)),
        ("orgId", json!(ORG_ID)),
        ("createdAt", json!(now)),
        ("updatedAt", json!(now)),
        ("isServerUrlSecretSet", json!(false)),
    ];
    assistant.extend(own.map(|(key, value)| (key.to_owned(), value)));
    let assistant = Value::Object(assistant);
    simulator.0.save_assistant(&assistant);
    state.assistants.push(assistant.clone());
    (StatusCode::CREATED, Json(assistant))
}

async fn list_assistants(State(simulator): State<Simulator>, filter: Filter) -> Answer {
    let state = simulator.0.state();
    let fitting = state.assistants.iter().rev().filter(|assistant| filter.made_in_time(assistant));
    (StatusCode::OK, Json(fitting.take(filter.limit).cloned().collect()))
}

async fn get_assistant(State(simulator): State<Simulator>, Path(id): Path<String>) -> Answer {
    let state = simulator.0.state();
    let assistant = state.assistants.iter().find(|assistant| assistant["id"] == id);
    assistant.map_or_else(not_found, |assistant| (StatusCode::OK, Json(assistant.clone())))
}

async fn update_assistant(
    State(simulator): State<Simulator>,
    Path(id): Path<String>,
    Json(changes): Json<Map<String, Value>>,
) -> Answer {
    let now = simulator.0.clock.now();
    let mut state = simulator.0.state();
    let Some(assistant) = state.assistants.iter_mut().find(|assistant| assistant["id"] == id) else {
        return not_found();
    };
    for (key, value) in changes.into_iter().filter(|(key, _)| key != "id") {
        assistant[key] = value;
    }
    assistant["updatedAt"] = json!(now);
    simulator.0.save_assistant(assistant);
    (StatusCode::OK, Json(assistant.clone()))
}

async fn delete_assistant(State(simulator): State<Simulator>, Path(id): Path<String>) -> Answer {
    let mut state = simulator.0.state();
    match state.assistants.iter().position(|assistant| assistant["id"] == id) {
        Some(place) => {
            let deleted = state.assistants.remove(place);
            let (id, made_at) = (&deleted["id"], &deleted["createdAt"]);
            simulator.0.save_assistant(&json!({ "id": id, "createdAt": made_at, "deleted": true }));
            (StatusCode::OK, Json(deleted))
        }
        None => not_found(),
    }
}

async fn list_numbers(State(simulator): State<Simulator>, filter: Filter) -> Answer {
    simulator.0.state().numbers_listed += 1;
    match simulator.0.numbers().await {
        Ok(numbers) => {
            let numbers = numbers.into_iter().filter(|number| filter.made_in_time(number));
            (StatusCode::OK, Json(numbers.take(filter.limit).collect()))
        }
        Err(error) => {
            tracing::error!("failed to read the numbers of the pools: {error}");
            internal_error()
        }
    }
}

async fn get_number(State(simulator): State<Simulator>, Path(id): Path<String>) -> Answer {
    let Ok(numbers) = simulator.0.numbers().await else { return internal_error() };
    let number = numbers.into_iter().find(|number| number["id"] == id);
    number.map_or_else(not_found, |number| (StatusCode::OK, Json(number)))
}

fn not_found() -> Answer {
    error(StatusCode::NOT_FOUND, &json!("Not Found"))
}

fn internal_error() -> Answer {
    error(StatusCode::INTERNAL_SERVER_ERROR, &json!("Internal server error"))
}

fn error(status: StatusCode, message: &Value) -> Answer {
    let body =
        json!({ "message": message, "error": status.canonical_reason(), "statusCode": status.as_u16() });
    (status, Json(body))
}
