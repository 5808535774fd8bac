//! The Lambda function `release-sweeper`: see the library.

use dialpool_runtime::Start;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use release_sweeper::ReleaseSweeper;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let sweeper = &ReleaseSweeper::new(&Start::of_process().await?)?;
    lambda_runtime::run(service_fn(|_: LambdaEvent<Value>| async {
        sweeper.sweep().await.map_err(Error::from)
    }))
    .await
}
