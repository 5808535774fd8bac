//! The Lambda function `pool-watch`: see the library.

use aws_lambda_events::dynamodb::Event;
use dialpool_runtime::Start;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use pool_watch::PoolWatch;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let watch = &PoolWatch::new(&Start::of_process().await?)?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| async {
        Ok::<_, Error>(watch.watch(event.payload).await)
    }))
    .await
}
