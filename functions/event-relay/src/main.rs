//! The Lambda function `event-relay`: see the library.

use aws_lambda_events::dynamodb::Event;
use dialpool_runtime::Start;
use event_relay::EventRelay;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let relay = &EventRelay::new(&Start::of_process().await?)?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| async {
        Ok::<_, Error>(relay.relay(event.payload).await)
    }))
    .await
}
