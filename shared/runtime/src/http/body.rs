//! What callers send, read once, with errors that name the field.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use axum::RequestExt;
use axum::body::BodyDataStream;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use futures::TryStreamExt;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::problem::Problem;

/// A JSON body.
#[derive(Debug, Clone)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        match serde_path_to_error::deserialize(&mut json) {
            Ok(value) => Ok(Self(value)),
            Err(error) if error.inner().is_data() && error.path().iter().next().is_some() => {
                Err(Problem::field(error.path().to_string(), without_position(error.inner())))
            }
            Err(error) if error.inner().is_data() => {
                Err(named_field("body", &without_position(error.inner())))
            }
            Err(error) => Err(Problem::unreadable(format!("the body is not JSON: {}", error.inner()))),
        }
    }
}

/// serde says ``missing field `lead` ``: the field is named as a field. Where it names none, `whole` is what is wrong.
fn named_field(whole: &str, message: &str) -> Problem {
    let mut quoted = message.split('`');
    match (quoted.next(), quoted.next()) {
        (Some("missing field "), Some(field)) => Problem::field(field, "is missing"),
        (Some("unknown field "), Some(field)) => Problem::field(field, "is not known here"),
        (Some("duplicate field "), Some(field)) => Problem::field(field, "is there more than once"),
        _ => Problem::field(whole, message),
    }
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// A body as it came.
#[derive(Debug, Clone)]
pub struct RawBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let limit = request.extensions().get::<super::edge::BodyLimit>().copied().unwrap_or_default();
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| refused(&rejection, limit.0))
    }
}

/// A body that is read as it comes, and no further than its limit.
#[derive(Debug)]
pub struct Pieces {
    body: BodyDataStream,
    limit_bytes: usize,
}

impl Pieces {
    /// The next piece; none: that was all.
    ///
    /// # Errors
    /// 413 when the body is larger than the route takes, 400 when it breaks off, or is not what its encoding says.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        self.body.try_next().await.map_err(|error| {
            match causes(&error).any(|cause| cause.is::<LengthLimitError>()) {
                true => Problem::too_large(self.limit_bytes),
                false => broken(),
            }
        })
    }
}

impl<S: Send + Sync> FromRequest<S> for Pieces {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let limit = request.extensions().get::<super::edge::BodyLimit>().copied().unwrap_or_default();
        let body = request.into_limited_body().into_data_stream();
        Ok(Self { body, limit_bytes: limit.0 })
    }
}

/// The error, its cause, the cause of that, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}

fn broken() -> Problem {
    Problem::unreadable("the body broke off, or is not compressed as its Content-Encoding says")
}

fn refused(rejection: &BytesRejection, limit_bytes: usize) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(limit_bytes),
        _ => broken(),
    }
}

/// Query parameters.
#[derive(Debug, Clone)]
pub struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(wrong_parameter(&rejection)),
        }
    }
}

/// axum has what serde found wrong, and with which parameter, among the causes of its rejection.
fn wrong_parameter(rejection: &QueryRejection) -> Problem {
    type Found = serde_path_to_error::Error<serde::de::value::Error>;
    let Some(found) = causes(rejection).find_map(|cause| cause.downcast_ref::<Found>()) else {
        return Problem::field("query", rejection.body_text());
    };
    let message = found.inner().to_string();
    match found.path().iter().next() {
        Some(Segment::Map { key }) => Problem::field(key, message),
        _ => named_field("query", &message),
    }
}

/// The one id in the path of a route. A wrong one is told under the name that the route has for it.
#[derive(Debug, Clone)]
pub struct IdIn<T>(pub T);

impl<S, T> FromRequestParts<S> for IdIn<T>
where
    S: Send + Sync,
    T: FromStr<Err: fmt::Display>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let parameters = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::field("path", rejection.body_text()))?;
        let only = parameters.iter().next();
        let (name, text) = only.ok_or_else(|| Problem::internal(&"the route has no id in its path"))?;
        text.parse().map(Self).map_err(|error: T::Err| Problem::field(name, error.to_string()))
    }
}
