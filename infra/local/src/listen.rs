//! HTTP connections: accepted, bounded in time, ended.
//!
//! A client that opens a connection and says little keeps it open no longer than the time-outs below. A client that does
//! so when the stack is told to stop keeps it from stopping for [`GRACE`] at most.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures::{StreamExt, stream};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tower::ServiceExt;
use tracing::{debug, warn};

/// The head of a request has to be there within this; a connection without a request is closed after it.
const HEAD_WITHIN: Duration = Duration::from_secs(15);

/// The body of a request has to be there within this: 10 MB by 1 Mbit/s take 80 s.
const BODY_WITHIN: Duration = Duration::from_secs(120);

/// Requests that are under way when the stack is told to stop have so long.
const GRACE: Duration = Duration::from_secs(3);

/// Accepting a connection failed, for want of file descriptors as a rule: it is tried again after this.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Answers who connects, until `told_to_stop` is there, and those who are connected by then for [`GRACE`] at most.
pub(crate) async fn listen(listener: TcpListener, app: Router, told_to_stop: impl Future<Output = ()>) {
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut told_to_stop = pin!(told_to_stop);
    loop {
        let accepted = tokio::select! {
            () = &mut told_to_stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, app.clone(), stopped.clone()));
            }
            Err(error) => {
                warn!("failed to accept a connection: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    stop.send_replace(());
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, ended).await.is_err() {
        warn!("connections that were still open {} s after the stop are cut", GRACE.as_secs());
    }
}

/// Answers a client until it is gone. After a stop only the request that is under way is answered.
async fn connection<I>(stream: I, app: Router, mut stopped: watch::Receiver<()>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let app = app.clone();
        async move {
            let request = request.map(|body| in_time(Body::new(body), Instant::now() + BODY_WITHIN));
            app.oneshot(request).await.map_err(|never: Infallible| never)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        _ = stopped.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        debug!("a connection broke off: {error}");
    }
}

/// The body, which breaks off at the deadline.
fn in_time(body: Body, deadline: Instant) -> Body {
    let pieces = body.into_data_stream();
    Body::from_stream(stream::try_unfold(pieces, move |mut pieces| async move {
        match timeout_at(deadline, pieces.next()).await {
            Ok(Some(Ok(piece))) => Ok(Some((piece, pieces))),
            Ok(Some(Err(error))) => Err(std::io::Error::other(error)),
            Ok(None) => Ok(None),
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::routing::post;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// A client, connected to a server that answers with the length of what it was sent; and the server.
    fn connected() -> (DuplexStream, watch::Sender<()>, JoinSet<()>) {
        let app = Router::new().route("/", post(|body: Bytes| async move { body.len().to_string() }));
        let (client, server) = duplex(1024);
        let (stop, stopped) = watch::channel(());
        let mut connections = JoinSet::new();
        connections.spawn(connection(server, app, stopped));
        (client, stop, connections)
    }

    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\n";

    async fn rest(client: &mut DuplexStream) -> String {
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_ends_is_waited_for_no_longer_than_its_time() {
        let (mut client, _stop, _connections) = connected();
        let began = Instant::now();
        client.write_all(b"POST / HTTP/1.1\r\nhost: loc").await.unwrap();
        let writing = async {
            // A little now and then does not make it longer.
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(2)).await;
                client.write_all(b"a").await.unwrap();
            }
            rest(&mut client).await
        };
        let answer = writing.await;
        assert!(began.elapsed() <= HEAD_WITHIN + Duration::from_secs(1), "{:?}: {answer}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_closed_after_a_while() {
        let (mut client, _stop, _connections) = connected();
        let began = Instant::now();
        client.write_all(HEAD).await.unwrap();
        client.write_all(b"1234").await.unwrap();
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\n4"), "{answer}");
        assert!(began.elapsed() <= HEAD_WITHIN + Duration::from_secs(1), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_refused_at_its_deadline() {
        let (mut client, _stop, _connections) = connected();
        let began = Instant::now();
        client.write_all(HEAD).await.unwrap();
        client.write_all(b"123").await.unwrap();
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request"), "{answer}");
        assert_eq!(began.elapsed().as_secs(), BODY_WITHIN.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_by_a_stop_and_one_in_a_request_is_answered() {
        let (mut idle, stop, _connections) = connected();
        tokio::task::yield_now().await;
        stop.send_replace(());
        assert_eq!(rest(&mut idle).await, "");

        let (mut busy, stop, _connections) = connected();
        busy.write_all(HEAD).await.unwrap();
        tokio::task::yield_now().await;
        stop.send_replace(());
        tokio::time::sleep(Duration::from_secs(1)).await;
        busy.write_all(b"1234").await.unwrap();
        let answer = rest(&mut busy).await;
        assert!(answer.ends_with("\r\n\r\n4"), "{answer}");
    }
}
