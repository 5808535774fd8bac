//! The Lambda function `inbox-worker`: see the library.

use aws_lambda_events::sqs::SqsEvent;
use dialpool_runtime::Start;
use inbox_worker::InboxWorker;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let worker = &InboxWorker::new(&Start::of_process().await?).await?;
    let handler = |event: LambdaEvent<SqsEvent>| async { Ok::<_, Error>(worker.handle(event.payload).await) };
    lambda_runtime::run(service_fn(handler)).await
}
