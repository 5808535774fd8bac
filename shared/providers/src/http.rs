//! How a request reaches a provider: over the network, or to a peer in this process.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

/// A connection is made within this time, or not at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// A request is answered in full within this time, whatever the transport.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A longer answer is no answer.
const BODY_LIMIT_BYTES: usize = 5 * 1024 * 1024;

/// Carries requests to a provider and its answers back. Cloning is cheap; clones share connections.
#[derive(Clone)]
pub struct Transport(BoxCloneSyncService<Request<Bytes>, Response<Bytes>, TransportError>);

/// Whom a TLS connection trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roots {
    /// Those of Mozilla, compiled in. Reading the system's would take longer than the rest of a function's cold start.
    OfMozilla,
    /// Those of the operating system, which the user may have added to.
    OfSystem,
}

/// A request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No byte of the request left: no address, no connection, or no TLS. The peer cannot have acted on it.
    #[error("not sent: {0}")]
    NotSent(String),
    /// Anything else, time-outs included: the peer may have acted on the request.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

impl Transport {
    /// Requests over the network, with TLS by rustls and ring. No redirect is followed and no request is repeated.
    ///
    /// # Errors
    /// [`TransportError::NotSent`] when TLS cannot be set up, for example without root certificates in the system.
    pub fn network(roots: Roots) -> Result<Self, TransportError> {
        // Fails when the process has a provider already, which then is used.
        let _: Result<(), _> = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        match roots {
            Roots::OfSystem => {}
            Roots::OfMozilla => {
                let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
                let roots: Result<Vec<_>, _> =
                    roots.map(|root| reqwest::Certificate::from_der(root)).collect();
                client = client.tls_certs_only(roots.map_err(not_answered)?);
            }
        }
        let client = client.build().map_err(|error| TransportError::NotSent(with_causes(&error)))?;
        Ok(Self::from_service(tower::service_fn(move |request| exchange(client.clone(), request))))
    }

    /// Requests to a peer in this process.
    pub fn from_service<S>(service: S) -> Self
    where
        S: Service<Request<Bytes>, Response = Response<Bytes>> + Clone + Send + Sync + 'static,
        S::Error: Into<TransportError>,
        S::Future: Send + 'static,
    {
        Self(BoxCloneSyncService::new(service.map_err(Into::into)))
    }

    /// Sends one request, once.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        match tokio::time::timeout(ANSWER_WITHIN, self.0.clone().oneshot(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(TransportError::NoAnswer(format!("none within {} s", ANSWER_WITHIN.as_secs()))),
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl From<Infallible> for TransportError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn exchange(
    client: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, TransportError> {
    let request = reqwest::Request::try_from(request).map_err(not_answered)?;
    let mut answer = client.execute(request).await.map_err(not_answered)?;
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    let mut body = BytesMut::new();
    while let Some(chunk) =
        answer.chunk().await.map_err(|error| TransportError::NoAnswer(with_causes(&error)))?
    {
        if body.len() + chunk.len() > BODY_LIMIT_BYTES {
            return Err(TransportError::NoAnswer(format!(
                "the answer is longer than {BODY_LIMIT_BYTES} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    *response.body_mut() = body.freeze();
    Ok(response)
}

fn not_answered(error: reqwest::Error) -> TransportError {
    let never_left = error.is_builder() || error.is_connect();
    let text = with_causes(&error.without_url());
    if never_left { TransportError::NotSent(text) } else { TransportError::NoAnswer(text) }
}

/// The error with its causes, which say more than reqwest's own text.
fn with_causes(error: &dyn Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn get(address: std::net::SocketAddr) -> Request<Bytes> {
        Request::get(format!("http://{address}/call")).body(Bytes::new()).unwrap()
    }

    /// A peer that reads one request and answers with `answer`.
    async fn peer(answer: Vec<u8>) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _: usize = connection.read(&mut request).await.unwrap();
            connection.write_all(&answer).await
        });
        address
    }

    #[tokio::test]
    async fn a_refused_connection_was_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let answer = Transport::network(Roots::OfMozilla).unwrap().send(get(address)).await;
        assert!(matches!(answer, Err(TransportError::NotSent(_))), "{answer:?}");
    }

    #[tokio::test]
    async fn a_peer_that_reads_and_hangs_up_gave_no_answer() {
        let answer = Transport::network(Roots::OfMozilla).unwrap().send(get(peer(Vec::new()).await)).await;
        assert!(matches!(answer, Err(TransportError::NoAnswer(_))), "{answer:?}");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let redirect =
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nhi".to_vec();
        let answer =
            Transport::network(Roots::OfMozilla).unwrap().send(get(peer(redirect).await)).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (302, b"hi".as_slice()));
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_is_none() {
        let mut long =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BODY_LIMIT_BYTES + 1).into_bytes();
        long.resize(long.len() + BODY_LIMIT_BYTES + 1, b' ');
        let answer = Transport::network(Roots::OfMozilla).unwrap().send(get(peer(long).await)).await;
        assert!(
            matches!(answer, Err(TransportError::NoAnswer(_))),
            "{:?}",
            answer.map(|answer| answer.status())
        );
    }
}
