//! The Lambda function `call-dispatcher`: see the library.

use aws_lambda_events::sqs::SqsEvent;
use call_dispatcher::CallDispatcher;
use dialpool_providers::http::{Roots, Transport};
use dialpool_runtime::Start;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let provider = Transport::network(Roots::OfMozilla)?;
    let dispatcher = &CallDispatcher::new(&Start::of_process().await?, provider).await?;
    let handler =
        |event: LambdaEvent<SqsEvent>| async { Ok::<_, Error>(dispatcher.handle(event.payload).await) };
    lambda_runtime::run(service_fn(handler)).await
}
