//! The Lambda function `journal-watch`: see the library.

use aws_lambda_events::dynamodb::Event;
use dialpool_runtime::Start;
use journal_watch::JournalWatch;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let watch = &JournalWatch::new(&Start::of_process().await?)?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| async {
        Ok::<_, Error>(watch.watch(event.payload).await)
    }))
    .await
}
