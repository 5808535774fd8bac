//! Errors over HTTP: problem+json (RFC 9457) with a stable type, the trace id, and what is wrong with which field.
//!
//! The detail of a 4xx is public and meant for the caller. The cause of a 5xx stays in the log, under the trace id that
//! the caller sees.

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dialpool_domain::time::Duration;
use dialpool_domain::{Timestamp, TraceId};
use dialpool_dynamo::StoreError;
use serde::Serialize;
use tracing::error;

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field: a path such as `contacts[3].phone`, a header or a query parameter.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// An error that is told to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: Box<str>,
    errors: Vec<FieldError>,
    retry_after_seconds: Option<u64>,
    next_available_at: Option<Timestamp>,
    /// What this kind of answer has to say in a header.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            title,
            detail: detail.into().into_boxed_str(),
            errors: Vec::new(),
            retry_after_seconds: None,
            next_available_at: None,
            header: None,
        }
    }

    /// 400: the request cannot be read.
    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unreadable", "The request cannot be read", detail)
    }

    /// 422: a field of the request is not what it should be.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        let detail = format!("{field}: {message}");
        let mut problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-field", "A field is invalid", detail);
        problem.errors.push(FieldError { field, message });
        problem
    }

    /// 401: the caller is not known.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        let problem =
            Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Who calls is not known", detail);
        Self {
            header: Some(Box::new((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))),
            ..problem
        }
    }

    /// 403: the caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The caller may not do this", detail)
    }

    /// 404: there is no such thing in the caller's company.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", format!("no such {what}"))
    }

    /// 405: the resource does not take this method, but `allowed`.
    pub fn method_not_allowed(method: &Method, allowed: &'static str) -> Self {
        let (kind, title) = ("method-not-allowed", "The resource does not take this method");
        let detail = format!("{method} is not taken here: the methods are {allowed}");
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, kind, title, detail);
        Self { header: Some(Box::new((header::ALLOW, HeaderValue::from_static(allowed)))), ..problem }
    }

    /// 409: the thing is not in a state in which this can be done.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "The present state does not allow this", detail)
    }

    /// 409: every number is taken at `now`. `next_at` is when the next one comes free, if any does.
    pub fn exhausted(now: Timestamp, next_at: Option<Timestamp>) -> Self {
        let detail = match next_at {
            Some(at) => format!("every number is held; the next one comes free at {at}"),
            None => "the company has no number that will come free: import numbers first".to_owned(),
        };
        let problem =
            Self::new(StatusCode::CONFLICT, "pool-exhausted", "Every number of the pool is taken", detail);
        let retry_after_seconds = next_at.map(|at| at.since(now).as_secs().max(1));
        Self { retry_after_seconds, next_available_at: next_at, ..problem }
    }

    /// 409: no number is free at `now`, and the next one, at `next_at`, rests or is at its limit.
    pub fn at_limit(now: Timestamp, next_at: Timestamp) -> Self {
        let detail =
            format!("every number is held, rests or is at its limit; the next one can be used at {next_at}");
        let problem = Self::new(
            StatusCode::CONFLICT,
            "pool-at-limit",
            "Every number of the pool is at a limit",
            detail,
        );
        let retry_after_seconds = Some(next_at.since(now).as_secs().max(1));
        Self { retry_after_seconds, next_available_at: Some(next_at), ..problem }
    }

    /// 409: what the answer depends on is not known yet, and soon will be.
    pub fn not_yet(detail: impl Into<String>, after: Duration) -> Self {
        let problem =
            Self::new(StatusCode::CONFLICT, "not-yet", "What this depends on is not known yet", detail);
        Self { retry_after_seconds: Some(after.as_secs()), ..problem }
    }

    /// 413: the body is larger than the route takes.
    pub fn too_large(limit_bytes: usize) -> Self {
        let (kind, title) = ("too-large", "The body is too large");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            kind,
            title,
            format!("the body may have at most {limit_bytes} bytes"),
        )
    }

    /// 415: the body is compressed in a way that is not taken.
    pub fn unknown_encoding() -> Self {
        let (kind, title) = ("unknown-encoding", "The body is encoded in a way that is not taken");
        let detail = "Content-Encoding: is gzip, or left out";
        let problem = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, kind, title, detail);
        Self {
            header: Some(Box::new((header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")))),
            ..problem
        }
    }

    /// 415: the body is of a kind that the route does not take, which are `taken`.
    pub fn unknown_media_type(taken: &'static str) -> Self {
        let (kind, title) = ("unknown-media-type", "The body is of a kind that is not taken");
        let detail = format!("Content-Type: must be {}", taken.replace(", ", " or "));
        let problem = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, kind, title, detail);
        Self { header: Some(Box::new((header::ACCEPT, HeaderValue::from_static(taken)))), ..problem }
    }

    /// 422: the `Idempotency-Key` was used for another request.
    pub fn key_reused() -> Self {
        let (kind, title) = ("idempotency-key-reused", "The Idempotency-Key was used for another request");
        let detail = "use a new Idempotency-Key, or repeat the first request unchanged";
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title, detail);
        let message = "was used with another method, path or body".to_owned();
        problem.errors.push(FieldError { field: "Idempotency-Key".to_owned(), message });
        problem
    }

    /// 409: a request with this `Idempotency-Key` is being carried out.
    pub fn under_way() -> Self {
        let (kind, title) = ("under-way", "A request with this Idempotency-Key is being carried out");
        let detail = "repeat the request in a moment to get its answer";
        Self { retry_after_seconds: Some(1), ..Self::new(StatusCode::CONFLICT, kind, title, detail) }
    }

    /// 503: something that is needed does not answer; trying again may help.
    pub fn unavailable(cause: &dyn std::fmt::Display) -> Self {
        error!("failed to answer: {cause}");
        let (kind, title) = ("unavailable", "Something that is needed does not answer");
        let detail = "nothing is lost: repeat the request in a moment";
        Self {
            retry_after_seconds: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, detail)
        }
    }

    /// 503: the voice provider does not do, or not clearly, what was asked of it; trying again `after` may help.
    pub fn provider(detail: impl Into<String>, after: Duration) -> Self {
        let (kind, title) = ("provider-unavailable", "The voice provider gives no clear answer");
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, detail);
        Self { retry_after_seconds: Some(after.as_secs().max(1)), ..problem }
    }

    /// 500: our fault. The cause goes to the log, not to the caller.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        error!("failed to answer: {cause}");
        let (kind, title) = ("internal", "Something is wrong on our side");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            kind,
            title,
            "the trace id leads to the cause in the logs",
        )
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer, as part of `trace`.
    pub(super) fn render(&self, trace: &TraceId) -> Response {
        #[derive(Serialize)]
        struct Json<'a> {
            #[serde(rename = "type")]
            kind: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            trace_id: &'a TraceId,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [FieldError],
            #[serde(skip_serializing_if = "Option::is_none")]
            next_available_at: Option<Timestamp>,
        }
        let json = Json {
            kind: format!("urn:dialpool:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            trace_id: trace,
            errors: &self.errors,
            next_available_at: self.next_available_at,
        };
        let mut response = (self.status, axum::Json(json)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(header) = &self.header {
            headers.insert(&header.0, header.1.clone());
        }
        response
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl IntoResponse for Problem {
    /// Hands the problem to the edge, which knows the trace id and renders it.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_transient() { Self::unavailable(&error) } else { Self::internal(&error) }
    }
}

impl From<crate::QueueError> for Problem {
    fn from(error: crate::QueueError) -> Self {
        Self::unavailable(&error)
    }
}
