//! What surrounds the routes of every HTTP function: trace ids, limits, problems.

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use dialpool_domain::TraceId;
use tower_http::decompression::RequestDecompressionLayer;
use tracing::{Instrument, info_span};

use super::caller::Api;
use super::idempotency::idempotent;
use super::problem::Problem;
use crate::Entropy;

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
/// most `limit_bytes`, problem+json for every error, nothing cached.
pub fn edge(routes: Router, entropy: Entropy, limit_bytes: usize) -> Router {
    routes
        .fallback(async || Problem::not_found("route"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(limit_bytes))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let chance = entropy.next_u128();
            async move { traced(request, next, chance, limit_bytes).await }
        }))
}

async fn traced(mut request: Request, next: Next, chance: u128, limit_bytes: usize) -> Response {
    let given = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let trace = given.and_then(TraceId::from_traceparent).unwrap_or_else(|| TraceId::new(chance));
    request.extensions_mut().insert(trace.clone());
    request.extensions_mut().insert(BodyLimit(limit_bytes));
    // Whoever has the id from an answer finds what was logged.
    let logged = info_span!("request", trace.id = %trace);
    let mut response = next.run(request).instrument(logged).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem.render(&trace);
    }
    let span = u64::try_from(chance & u128::from(u64::MAX)).unwrap_or(1).max(1);
    if let Ok(value) = HeaderValue::from_str(&format!("00-{trace}-{span:016x}-01")) {
        response.headers_mut().insert(TRACEPARENT, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Lets the routes take bodies that are compressed (`Content-Encoding: gzip`): what they see, and what their limit is for, is
/// unpacked. Not for a route that verifies the bytes that were sent.
pub fn with_gzip(routes: Router) -> Router {
    routes.layer(RequestDecompressionLayer::new()).layer(middleware::map_response(
        async |response: Response| {
            let foreign = response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE
                && response.extensions().get::<Problem>().is_none();
            if foreign { Problem::unknown_encoding().into_response() } else { response }
        },
    ))
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
