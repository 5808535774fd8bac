//! What surrounds the routes of every HTTP function: trace ids, limits, problems.

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, Request};
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use dialpool_domain::TraceId;
use tracing::{Instrument, info_span};

use super::caller::Api;
use super::cors::Cors;
use super::idempotency::idempotent;
use super::problem::Problem;
use super::routes::not_routed;
use crate::{EnvironmentError, Start, StartError};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The most bytes that a body of the request may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimit(pub(super) usize);

impl Default for BodyLimit {
    fn default() -> Self {
        Self(1024 * 1024)
    }
}

/// Puts the edge around routes: a trace id for each request (the caller's, when it sends a `traceparent`), bodies of at
/// most `limit_bytes`, problem+json for every error, what web pages may do (`CORS_ALLOW_ORIGINS`), nothing cached.
///
/// # Errors
/// When `CORS_ALLOW_ORIGINS` cannot be read.
pub fn edge(routes: Router, start: &Start, limit_bytes: usize) -> Result<Router, StartError> {
    let setting = start.environment.optional_text("CORS_ALLOW_ORIGINS").unwrap_or_default();
    let cors: Cors = setting.parse().map_err(|error: super::cors::InvalidOrigins| {
        EnvironmentError::Unreadable { name: "CORS_ALLOW_ORIGINS".to_owned(), cause: error.to_string() }
    })?;
    let entropy = start.entropy.clone();
    let routes = routes
        .fallback(unmatched)
        .method_not_allowed_fallback(unmatched)
        .layer(DefaultBodyLimit::max(limit_bytes))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let (chance, cors) = (entropy.next_u128(), cors.clone());
            async move { traced(request, next, chance, limit_bytes, &cors).await }
        }));
    Ok(routes)
}

async fn unmatched(method: Method, uri: Uri) -> Problem {
    not_routed(&method, &uri)
}

async fn traced(mut request: Request, next: Next, chance: u128, limit_bytes: usize, cors: &Cors) -> Response {
    let given = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let trace = given.and_then(TraceId::from_traceparent).unwrap_or_else(|| TraceId::new(chance));
    request.extensions_mut().insert(trace.clone());
    request.extensions_mut().insert(BodyLimit(limit_bytes));
    let grant = cors.grant(request.headers());
    // Whoever has the id from an answer finds what was logged.
    let logged = info_span!("request", trace.id = %trace);
    let mut response = if let Some(answer) = grant.preflight(&request) {
        answer
    } else if request.method() == Method::HEAD {
        // The API gateway has no route for it, but axum would take it for a GET.
        unmatched(Method::HEAD, request.uri().clone()).await.into_response()
    } else {
        next.run(request).instrument(logged).await
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem.render(&trace);
    }
    let headers = response.headers_mut();
    grant.write(headers);
    let span = u64::try_from(chance & u128::from(u64::MAX)).unwrap_or(1).max(1);
    if let Ok(value) = HeaderValue::from_str(&format!("00-{trace}-{span:016x}-01")) {
        headers.insert(TRACEPARENT, value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Lets the routes honour `Idempotency-Key`.
pub fn with_idempotency<S>(routes: Router<S>, state: S) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Api: FromRef<S>,
{
    routes.layer(middleware::from_fn(move |request: Request, next: Next| {
        let state = state.clone();
        async move {
            match idempotent(state, request, next).await {
                Ok(response) => response,
                Err(problem) => problem.into_response(),
            }
        }
    }))
}
