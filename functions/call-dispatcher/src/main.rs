//! The Lambda function `call-dispatcher`: see the library.

use aws_lambda_events::sqs::SqsEvent;
use call_dispatcher::CallDispatcher;
use dialpool_providers::http::Transport;
use dialpool_runtime::Start;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let dispatcher = &CallDispatcher::new(&Start::of_process().await?, Transport::network()?).await?;
    let handler =
        |event: LambdaEvent<SqsEvent>| async { Ok::<_, Error>(dispatcher.handle(event.payload).await) };
    lambda_runtime::run(service_fn(handler)).await
}
