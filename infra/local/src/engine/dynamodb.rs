//! DynamoDB: dynoxide in this process, or another engine behind an endpoint.

use std::sync::atomic::{AtomicU32, Ordering};

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Answer;

/// Where DynamoDB requests are answered.
#[derive(Clone)]
pub(super) enum DynamoDb {
    /// In this process.
    Embedded(Box<Database>),
    /// By another process, for conformance.
    Remote(Remote),
}

impl DynamoDb {
    pub(super) async fn answer(&self, target: &str, operation: &str, body: &[u8]) -> Answer {
        match self {
            Self::Embedded(database) => embedded(database, operation, body),
            Self::Remote(remote) => remote.clone().answer(target.to_owned(), body.to_vec()).await,
        }
    }
}

fn embedded(database: &Database, operation: &str, body: &[u8]) -> Answer {
    let answered = match operation {
        "BatchGetItem" => run(body, |request| database.batch_get_item(request)),
        "CreateTable" => run(body, |request| database.create_table(request)),
        "DeleteItem" => run(body, |request| database.delete_item(request)),
        "DescribeStream" => run(body, |request| database.describe_stream(request)),
        "DescribeTable" => run(body, |request| database.describe_table(request)),
        "GetItem" => run(body, |request| database.get_item(request)),
        "GetRecords" => run(body, |request| database.get_records(request)),
        "GetShardIterator" => run(body, |request| database.get_shard_iterator(request)),
        "ListStreams" => run(body, |request| database.list_streams(request)),
        "ListTables" => run(body, |request| database.list_tables(request)),
        "PutItem" => run(body, |request| database.put_item(request)),
        "Query" => run(body, |request| database.query(request)),
        "Scan" => run(body, |request| database.scan(request)),
        "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
        "UpdateItem" => run(body, |request| database.update_item(request)),
        _ => {
            return Answer::error(
                400,
                "UnknownOperationException",
                "the local stack does not know this operation",
            );
        }
    };
    match answered {
        Ok(json) => Answer::new(200, json),
        Err(error) => Answer::new(error.status_code(), error.to_json()),
    }
}

fn run<Q: DeserializeOwned, R: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Q) -> Result<R, DynoxideError>,
) -> Result<String, DynoxideError> {
    let request = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    let response = operation(request)?;
    serde_json::to_string(&response).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// What is wrong with a request. dynoxide begins the text with the kind of error.
fn unreadable(error: &serde_json::Error) -> DynoxideError {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let invalid = text.strip_prefix("VALIDATION:").or_else(|| text.strip_prefix("VALIDATION_REQUEST:"));
    match invalid {
        Some(text) => DynoxideError::ValidationException(text.to_owned()),
        None => {
            let text = text.strip_prefix("SERIALIZATION:").unwrap_or(text);
            DynoxideError::SerializationException(text.to_owned())
        }
    }
}

/// An emulator behind an endpoint. It keeps the tables of each access key apart, and each engine has its own.
#[derive(Clone)]
pub(super) struct Remote {
    /// `http://host:port`.
    endpoint: String,
    /// Emulators read the access key and the region out of the signature, which they do not check.
    authorization: String,
}

impl Remote {
    pub(super) fn new(endpoint: &str) -> Self {
        static ENGINES: AtomicU32 = AtomicU32::new(0);
        let key = format!("local{}x{}", std::process::id(), ENGINES.fetch_add(1, Ordering::Relaxed));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
        );
        Self { endpoint: endpoint.to_owned(), authorization }
    }

    /// The exchange runs on a thread of its own: while it does, virtual time stands still.
    async fn answer(self, target: String, body: Vec<u8>) -> Answer {
        let exchange = tokio::task::spawn_blocking(move || {
            let mut response = ureq::post(&self.endpoint)
                .config()
                .http_status_as_error(false)
                .build()
                .header("x-amz-target", &target)
                .header("content-type", "application/x-amz-json-1.0")
                .header("authorization", &self.authorization)
                .send(&body)?;
            let status = response.status().as_u16();
            let body = response.body_mut().with_config().limit(64 * 1024 * 1024).read_to_vec()?;
            Ok::<_, ureq::Error>(Answer::new(status, body))
        });
        match exchange.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::error(500, "InternalServerError", &error.to_string()),
            Err(error) => Answer::error(500, "InternalServerError", &error.to_string()),
        }
    }
}
