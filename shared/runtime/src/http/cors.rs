//! Which web pages may call the API from a browser (CORS): those of the origins of a setting, and none without it.
//!
//! An API key is sent as a header that a page sets for itself. So credentials that a browser would send on its own, such as
//! cookies, are allowed to nobody, and no origin is given more than another.

use std::collections::BTreeSet;
use std::str::FromStr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::routes::methods_of;

/// What a page may send, beside what every page may.
const REQUEST_HEADERS: &str =
    "authorization, content-encoding, content-type, idempotency-key, traceparent, tracestate";

/// What a page may read of an answer, beside what every page may.
const RESPONSE_HEADERS: &str = "allow, idempotency-replayed, link, retry-after, traceparent";

/// For so long a browser need not ask again. None remembers it for longer.
const REMEMBERED_SECONDS: &str = "7200";

/// The origins of the setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Cors {
    /// No page may call.
    #[default]
    Off,
    /// The pages of these origins may call.
    Origins(BTreeSet<String>),
    /// Any page may call.
    Anybody,
}

/// The setting names something that is no origin.
#[derive(Debug, thiserror::Error)]
#[error("CORS_ALLOW_ORIGINS is origins such as https://app.example.com, parted by commas, or * alone")]
pub(super) struct InvalidOrigins;

impl FromStr for Cors {
    type Err = InvalidOrigins;

    fn from_str(text: &str) -> Result<Self, InvalidOrigins> {
        let origins = text.split(',').map(|origin| origin.trim().to_ascii_lowercase());
        let origins: BTreeSet<String> = origins.filter(|origin| !origin.is_empty()).collect();
        if origins.contains("*") {
            return if origins.len() == 1 { Ok(Self::Anybody) } else { Err(InvalidOrigins) };
        }
        if origins.is_empty() {
            return Ok(Self::Off);
        }
        if origins.iter().all(|origin| is_origin(origin)) {
            Ok(Self::Origins(origins))
        } else {
            Err(InvalidOrigins)
        }
    }
}

/// Whether the text is an origin as a browser writes it: a scheme, a host and perhaps a port.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    host.is_some_and(|host| !host.is_empty() && host.bytes().all(is_part))
}

/// What an answer is given for the page that asks.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// The page's origin, where it may call.
    origin: Option<HeaderValue>,
    /// Whether the answer is another for another origin.
    varies: bool,
}

impl Cors {
    /// What the page that sends the request may.
    pub(super) fn grant(&self, headers: &HeaderMap) -> Grant {
        let origin = headers.get(header::ORIGIN);
        let origin = match self {
            Self::Off => None,
            Self::Anybody => origin.map(|_| HeaderValue::from_static("*")),
            Self::Origins(origins) => origin
                .filter(|origin| {
                    let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
                    origins.contains(&origin)
                })
                .cloned(),
        };
        Grant { origin, varies: matches!(self, Self::Origins(_)) }
    }
}

impl Grant {
    /// The answer to a browser that asks, before it sends a request, whether the page may send it. `None`: this is no such
    /// question, or the page may not.
    pub(super) fn preflight(&self, request: &Request) -> Option<Response> {
        let asks = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || self.origin.is_none() {
            return None;
        }
        let methods = methods_of(request.uri().path())?;
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED_SECONDS));
        Some(response)
    }

    /// Writes into an answer, whatever it is, that the page may read it.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = self.origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_origins_or_everybody_and_nothing_else() {
        let origins = |text: &str| text.parse::<Cors>().ok();
        let both = BTreeSet::from(["https://app.example.com", "http://localhost:5173"].map(str::to_owned));
        assert_eq!(origins(""), Some(Cors::Off));
        assert_eq!(origins(" , "), Some(Cors::Off));
        assert_eq!(origins("*"), Some(Cors::Anybody));
        assert_eq!(origins("https://App.example.com, http://localhost:5173"), Some(Cors::Origins(both)));
        for wrong in
            ["*, https://a.example.com", "app.example.com", "https://a.example.com/x", "null", "https://"]
        {
            assert_eq!(origins(wrong), None, "{wrong}");
        }
    }
}
