//! From an AWS SDK client to the engine, without a socket; and the faults that can be put in between.
//!
//! The SDK builds, signs and retries its requests as it does against AWS. Only its HTTP client is another one: it hands
//! the request to the engine. A test can put an [`Intercept`] before it, which decides for each request what goes wrong.
//! Nothing here waits for anything but tokio's clock, so that a stack on a paused clock runs in virtual time.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use tokio::sync::Notify;

use super::meter::Metered;
use super::{Answer, Engine};

/// A request on its way.
#[derive(Debug)]
pub struct WireRequest<'a> {
    /// `DynamoDB`, `DynamoDBStreams`, `SQS` or `Events`.
    pub service: &'a str,
    /// `TransactWriteItems`, `SendMessage`, ...
    pub operation: &'a str,
    /// The JSON body.
    pub body: &'a [u8],
}

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It takes this long.
    Delay(Duration),
    /// It never arrives: the client sees a connection error.
    Lost,
    /// It is carried out, but the client sees a connection error.
    AnswerLost,
    /// It is carried out at once, and the answer comes this much later: until then a transaction is under way.
    AnswerLate(Duration),
    /// What a query of DynamoDB finds is not all there: its isolation from transactions is read-committed.
    Hides(Hidden),
    /// It is not carried out, and this is the answer: status and JSON body.
    Refused(u16, String),
    /// The process that sends it dies before it arrives.
    CrashBefore,
    /// The process that sent it dies after it was carried out, before the answer arrives.
    CrashAfter,
}

/// What a query does not find although it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// Everything.
    All,
    /// Of the items that transactions under way write, those that this draw falls on.
    UnderWay(u64),
}

/// Decides for each request what goes wrong with it.
pub type Intercept = Arc<dyn Fn(&WireRequest<'_>) -> Fault + Send + Sync>;

/// The process of an invocation died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the process died")]
pub struct Crashed;

tokio::task_local! {
    static INVOCATION: Arc<Notify>;
}

/// Runs an invocation of a function. A [`Fault::CrashBefore`] or [`Fault::CrashAfter`] on one of its requests ends it
/// there and then: nothing after that request happens.
///
/// # Errors
/// When it crashed.
pub async fn run_invocation<F: Future>(invocation: F) -> Result<F::Output, Crashed> {
    let crash = Arc::new(Notify::new());
    tokio::select! {
        biased;
        () = crash.notified() => Err(Crashed),
        output = INVOCATION.scope(crash.clone(), invocation) => Ok(output),
    }
}

/// The process that makes this request dies here.
async fn crash() -> ConnectorError {
    match INVOCATION.try_with(|crash| crash.notify_one()) {
        Ok(()) => std::future::pending().await,
        // Not in an invocation: nobody is there to die, the connection breaks.
        Err(_) => broken(),
    }
}

fn broken() -> ConnectorError {
    ConnectorError::io(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into())
}

#[derive(Clone)]
struct Connector {
    engine: Engine,
    intercept: Option<Intercept>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

pub(super) fn http_client(engine: &Engine, intercept: Option<Intercept>) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Connector { engine: engine.clone(), intercept });
    http_client_fn(move |_, _| connector.clone())
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.exchange(&request).await })
    }
}

impl Connector {
    async fn exchange(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let (service, operation) = super::split_target(target);
        let fault = match &self.intercept {
            Some(intercept) => intercept(&WireRequest { service, operation, body }),
            None => Fault::None,
        };
        // Nothing below waits by itself: without giving way here, concurrent tasks would never meet between two requests.
        tokio::task::yield_now().await;
        let metered = Metered::begin();
        let asked = metered.as_ref().filter(|_| service == "DynamoDB").map(|metered| metered.ask(body));
        let body = asked.as_deref().unwrap_or(body);
        let _under_way = (operation == "TransactWriteItems").then(|| self.engine.under_way.begin(body));
        let answer = match fault {
            Fault::None => self.engine.answer(target, body).await,
            Fault::AnswerLate(late) => {
                let answer = self.engine.answer(target, body).await;
                tokio::time::sleep(late).await;
                answer
            }
            Fault::Hides(hidden) => {
                let answer = self.engine.answer(target, body).await;
                if operation == "Query" { self.engine.under_way.hide(hidden, body, answer) } else { answer }
            }
            Fault::Delay(delay) => {
                tokio::time::sleep(delay).await;
                self.engine.answer(target, body).await
            }
            Fault::Lost => return Err(broken()),
            Fault::AnswerLost => {
                let _unseen: Answer = self.engine.answer(target, body).await;
                return Err(broken());
            }
            Fault::Refused(status, body) => Answer::new(status, body),
            Fault::CrashBefore => return Err(crash().await),
            Fault::CrashAfter => {
                let _unseen: Answer = self.engine.answer(target, body).await;
                return Err(crash().await);
            }
        };
        tokio::task::yield_now().await;
        if let Some(metered) = metered {
            metered.read(operation, &answer.body);
        }
        let status =
            answer.status.try_into().map_err(|error| ConnectorError::other(Box::new(error), None))?;
        let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
        response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        if let Some(code) = answer.query_error {
            response.headers_mut().insert("x-amzn-query-error", code);
        }
        Ok(response)
    }
}
