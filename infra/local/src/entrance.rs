//! The entrance: everything that listens on this machine is reached through it.
//!
//! Listening on loopback keeps other machines out, and not the browser of this one. A web page has it send requests to any
//! port, and whoever owns the page's domain can have its name resolve to 127.0.0.1 and read the answers (DNS rebinding).
//! Both are told by what a browser cannot leave out or change:
//!
//! 1. `Host` names loopback (`localhost`, 127.0.0.0/8, `[::1]`). The API takes the host of `DIALPOOL_PUBLIC_URL` as well.
//! 2. The services of AWS, which hand out every secret, take no request with `Origin` or `Sec-Fetch-Site`, and none
//!    without a signature (AWS Signature Version 4) by the key that the folder keeps and `serve` prints. So the users of
//!    this machine who cannot read the folder are kept out, too.
//!
//! The API itself needs no signature: its keys are its own. Pages that may use it are a matter of its CORS setting.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dialpool_domain::Timestamp;
use dialpool_domain::time::Duration;
use dialpool_runtime::Clock;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::{Digest, Sha256};
use tower::ServiceExt;

/// The access key of the local stack. Its secret differs from folder to folder.
pub const ACCESS_KEY: &str = "DIALPOOLLOCALSTACK";

/// A signature is good for as long before and after its time, as on AWS.
const SIGNATURE_LASTS: Duration = Duration::from_mins(15);

/// No request to the services is larger: `BatchWriteItem` takes 16 MB.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// What a signature has to cover, at least.
const SIGNED: [&str; 3] = ["host", "x-amz-date", "x-amz-target"];

/// What stands between whoever connects, and the API and the services.
#[derive(Clone)]
pub struct Entrance(Arc<Inner>);

struct Inner {
    api: Router,
    aws: Option<(Router, Signatures)>,
    public_host: Option<String>,
}

impl Entrance {
    /// An entrance to the API, for loopback names and `public_host`; and to the services of AWS, where there are some,
    /// for loopback names and requests with a signature.
    pub fn new(api: Router, public_host: Option<String>, aws: Option<(Router, Signatures)>) -> Self {
        Self(Arc::new(Inner { api, aws, public_host }))
    }

    /// All of it as one router.
    pub fn router(self) -> Router {
        Router::new().fallback(move |request: Request| {
            let entrance = self.clone();
            async move { entrance.answer(request).await }
        })
    }

    async fn answer(&self, request: Request) -> Response {
        let Inner { api, aws, public_host } = &*self.0;
        let aws = aws.as_ref().filter(|_| request.headers().contains_key("x-amz-target"));
        if let Some((services, signatures)) = aws {
            return match signatures.checked(request).await {
                Ok(request) => through(services, request).await,
                Err(refused) => refused.into_response(),
            };
        }
        let is_public =
            |host: &str| public_host.as_ref().is_some_and(|public| public.eq_ignore_ascii_case(host));
        if !is_for(&request, |host| is_loopback(host) || is_public(host)) {
            return wrong_host().into_response();
        }
        through(api, request).await
    }
}

async fn through(router: &Router, request: Request) -> Response {
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Whether all hosts that a request names, at least one, are accepted.
fn is_for(request: &Request, accepted: impl Fn(&str) -> bool) -> bool {
    let of_target = request.uri().authority().map(|authority| Some(authority.clone()));
    let of_headers = request.headers().get_all(header::HOST).iter();
    let of_headers =
        of_headers.map(|host| host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()));
    let mut named = of_target.into_iter().chain(of_headers).peekable();
    named.peek().is_some()
        && named.all(|host| host.is_some_and(|host| !host.as_str().contains('@') && accepted(host.host())))
}

/// Whether a host, without its port, is this machine by whatever a resolver says.
fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || address.is_some_and(|address| address.parse() == Ok(Ipv6Addr::LOCALHOST))
}

/// A request that is not let in.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    kind: &'static str,
    text: &'static str,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, "application/x-amz-json-1.0")];
        let body = json!({ "__type": self.kind, "message": self.text }).to_string();
        (self.status, headers, body).into_response()
    }
}

fn wrong_host() -> Refused {
    Refused {
        status: StatusCode::MISDIRECTED_REQUEST,
        kind: "AccessDeniedException",
        text: "the Host of the request is not this machine: ask localhost or 127.0.0.1, or name a public host of the API \
               in DIALPOOL_PUBLIC_URL",
    }
}

fn from_browser() -> Refused {
    Refused {
        status: StatusCode::FORBIDDEN,
        kind: "AccessDeniedException",
        text: "the request comes from a web page (it has Origin or Sec-Fetch-Site): the services of AWS are for tools",
    }
}

fn unsigned() -> Refused {
    Refused {
        status: StatusCode::FORBIDDEN,
        kind: "MissingAuthenticationTokenException",
        text: "the request has no signature of version 4 over host, x-amz-date and x-amz-target",
    }
}

fn unknown_key() -> Refused {
    Refused {
        status: StatusCode::FORBIDDEN,
        kind: "UnrecognizedClientException",
        text: "the access key is not that of the local stack: use the one that `dialpool serve` prints",
    }
}

fn wrong_signature() -> Refused {
    Refused {
        status: StatusCode::FORBIDDEN,
        kind: "InvalidSignatureException",
        text: "the signature is not by the secret that `dialpool serve` prints, or more than 15 minutes old",
    }
}

/// What signatures are held against.
#[derive(Clone)]
pub struct Signatures {
    secret: String,
    /// Real time: tools sign by it, however late it is in the simulated world.
    clock: Clock,
}

impl Signatures {
    /// Signatures by [`ACCESS_KEY`] and this secret.
    pub fn by(secret: String, clock: Clock) -> Self {
        Self { secret, clock }
    }

    async fn checked(&self, request: Request) -> Result<Request, Refused> {
        if !is_for(&request, is_loopback) {
            return Err(wrong_host());
        }
        if ["origin", "sec-fetch-site"].iter().any(|name| request.headers().contains_key(*name)) {
            return Err(from_browser());
        }
        // Before the body is read: who has no key has no 16 MB read.
        let signature = Signature::of(request.headers()).ok_or_else(unsigned)?;
        if signature.access_key != ACCESS_KEY {
            return Err(unknown_key());
        }
        let (parts, body) = request.into_parts();
        let too_large = |_| Refused {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            kind: "RequestEntityTooLarge",
            text: "the body broke off, or has more than 16 MB",
        };
        let body = axum::body::to_bytes(body, LARGEST_BODY).await.map_err(too_large)?;
        if !self.is_good(&signature, &parts, &body) {
            return Err(wrong_signature());
        }
        Ok(Request::from_parts(parts, Body::from(body)))
    }

    fn is_good(&self, signature: &Signature, parts: &Parts, body: &Bytes) -> bool {
        let now = self.clock.now();
        let age = now.since(signature.at).max(signature.at.since(now));
        // All requests of the JSON protocols go to the root.
        if age > SIGNATURE_LASTS || parts.uri.path() != "/" || parts.uri.query().is_some() {
            return false;
        }
        let mut canonical = format!("{}\n/\n\n", parts.method);
        for name in signature.signed.split(';') {
            let values: Vec<_> =
                parts.headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
            let Some(values) = values.into_iter().collect::<Option<Vec<_>>>() else { return false };
            let single_spaced = |value: &&str| value.split_whitespace().collect::<Vec<_>>().join(" ");
            let values = values.iter().map(single_spaced).collect::<Vec<_>>().join(",");
            canonical.push_str(&format!("{name}:{values}\n"));
        }
        canonical.push_str(&format!("\n{}\n{}", signature.signed, hex::encode(Sha256::digest(body))));
        let Signature { date_time, scope, .. } = signature;
        let hashed = hex::encode(Sha256::digest(canonical));
        let text = format!("AWS4-HMAC-SHA256\n{date_time}\n{scope}\n{hashed}");
        let key = scope.split('/').fold(format!("AWS4{}", self.secret).into_bytes(), |key, part| {
            mac(&key, part).finalize().into_bytes().to_vec()
        });
        mac(&key, &text).verify_slice(&signature.signature).is_ok()
    }
}

fn mac(key: &[u8], text: &str) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "an HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("an HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac
}

/// What a request says of its signature.
struct Signature {
    access_key: String,
    /// `20261128/us-east-1/dynamodb/aws4_request`.
    scope: String,
    /// `20261128T015400Z`.
    date_time: String,
    at: Timestamp,
    /// The names of the signed headers, parted by semicolons.
    signed: String,
    signature: Vec<u8>,
}

impl Signature {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let fields = text("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let fields: Vec<(&str, &str)> =
            fields.split(',').filter_map(|field| field.trim().split_once('=')).collect();
        let field = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let (access_key, scope) = field("Credential")?.split_once('/')?;
        let date_time = text("x-amz-date")?;
        let date = scope.strip_suffix("/aws4_request")?.split('/').next()?;
        let signed = field("SignedHeaders")?;
        let covers = |name: &&str| signed.split(';').any(|signed| signed == *name);
        if !date_time.starts_with(date) || !SIGNED.iter().all(covers) {
            return None;
        }
        Some(Self {
            access_key: access_key.to_owned(),
            scope: scope.to_owned(),
            date_time: date_time.to_owned(),
            at: moment(date_time)?,
            signed: signed.to_owned(),
            signature: hex::decode(field("Signature")?).ok()?,
        })
    }
}

/// `20261128T015400Z`.
fn moment(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let part = |text: &'_ str, from: usize, to: usize| text.get(from..to).map(str::to_owned);
    let (year, month, day) = (part(date, 0, 4)?, part(date, 4, 6)?, part(date, 6, 8)?);
    let (hour, minute, second) = (part(time, 0, 2)?, part(time, 2, 4)?, part(time, 4, 6)?);
    (date.len() == 8 && time.len() == 6)
        .then(|| format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok())
        .flatten()
}
