//! `Idempotency-Key`: the same request again gets the answer that it got before.
//!
//! The key belongs to a company and one path, its query included; it is for requests that change something, which are all
//! of a company's `POST`. An operator's key opens no company: its routes are not to be put behind this. The same key with
//! another body is refused (422), as is a second request while the first is under way (409). JSON is compared by what it
//! says, not by how it is written. An answer that says "try again" (5xx) is not kept.

use axum::body::Body;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dialpool_dynamo::{Begun, StoredAnswer};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

use super::body::{MediaType, RawBody};
use super::caller::{Api, Caller};
use super::json;
use super::problem::Problem;

const HEADER: &str = "idempotency-key";

/// Keys are short: a UUID has 36 characters.
const LONGEST_KEY: usize = 255;

pub(super) async fn idempotent<S>(state: S, request: Request, next: Next) -> Result<Response, Problem>
where
    S: Send + Sync,
    Api: FromRef<S>,
{
    let Some(value) = request.headers().get(HEADER).filter(|_| request.method() == Method::POST) else {
        return Ok(next.run(request).await);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY)
        .ok_or_else(|| Problem::field("Idempotency-Key", "must be 1 to 255 visible ASCII characters"))?;
    let api = Api::from_ref(&state);
    // A key of a table has 2 KB at most: a path may be longer.
    let name = hex::encode(Sha256::digest(format!("{} {key}", request.uri())));
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &state).await?;
    let whole = Request::from_parts(parts.clone(), body);
    let RawBody(bytes) = RawBody::from_request(whole, &state).await?;
    let said = match MediaType::of(&parts.headers) {
        MediaType::Json | MediaType::Unsaid => json::canonical(&bytes),
        MediaType::Csv | MediaType::Other => None,
    };
    let request_sha256 = hex::encode(match said {
        Some(said) => Sha256::digest(said),
        None => Sha256::digest(&bytes),
    });
    let attempt = format!("{:032x}", api.entropy.next_u128());

    match api.store.begin_idempotent(caller.at, &caller.company, &name, &request_sha256, &attempt).await? {
        Begun::Answered(answer) => return Ok(replay(answer)),
        Begun::UnderWay => return Err(Problem::under_way()),
        Begun::OtherRequest => return Err(Problem::key_reused()),
        Begun::Fresh => {}
    }
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    if response.status().is_server_error() || response.extensions().get::<Problem>().is_some() {
        api.store.abandon_idempotent(&caller.company, &name, &attempt).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| Problem::internal(&error))?.to_bytes();
    let text = String::from_utf8(body.to_vec()).map_err(|error| Problem::internal(&error))?;
    let answer = StoredAnswer { http_status: parts.status.as_u16(), body: text };
    // What was done is done: an answer that cannot be kept is given all the same.
    let kept = api.store.finish_idempotent(caller.at, &caller.company, &name, &attempt, answer).await;
    if let Err(error) = kept {
        tracing::warn!("failed to keep the answer to an idempotent request: {error}");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn replay(answer: StoredAnswer) -> Response {
    let status = StatusCode::from_u16(answer.http_status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}
