//! What callers send, read once, with errors that name the field.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use axum::RequestExt;
use axum::body::BodyDataStream;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use futures::TryStreamExt;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;

use super::json;
use super::problem::Problem;

/// What `Content-Type` says of a body, as far as routes tell bodies apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// Nothing.
    Unsaid,
    /// JSON.
    Json,
    /// A table in text.
    Csv,
    /// Anything else.
    Other,
}

impl MediaType {
    /// The media type of a request, whatever its case and parameters are.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Self::Unsaid };
        let value = value.to_str().unwrap_or("?").split(';').next().unwrap_or_default();
        match value.trim().to_ascii_lowercase().as_str() {
            "" => Self::Unsaid,
            "application/json" | "text/json" => Self::Json,
            other if other.starts_with("application/") && other.ends_with("+json") => Self::Json,
            "text/csv" | "application/csv" | "text/x-csv" | "application/x-csv" => Self::Csv,
            _ => Self::Other,
        }
    }
}

/// A JSON body.
#[derive(Debug, Clone)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match MediaType::of(request.headers()) {
            MediaType::Json | MediaType::Unsaid => {}
            MediaType::Csv | MediaType::Other => return Err(Problem::unknown_media_type("application/json")),
        }
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        json::read(&bytes).map(Self)
    }
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
        json::read_query(parts.uri.query().unwrap_or_default()).map(Self)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_known_in_whatever_case_and_with_parameters() {
        for (value, expected) in [
            ("application/json", MediaType::Json),
            ("Application/JSON; charset=UTF-8", MediaType::Json),
            ("application/merge-patch+json", MediaType::Json),
            ("TEXT/CSV;header=present", MediaType::Csv),
            (" text/csv ", MediaType::Csv),
            ("application/x-www-form-urlencoded", MediaType::Other),
            ("text/plain", MediaType::Other),
            ("application/jsonp", MediaType::Other),
            ("", MediaType::Unsaid),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(MediaType::of(&headers), expected, "{value}");
        }
        assert_eq!(MediaType::of(&HeaderMap::new()), MediaType::Unsaid);
    }
}
