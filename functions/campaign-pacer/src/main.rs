//! The Lambda function `campaign-pacer`: see the library.

use campaign_pacer::CampaignPacer;
use dialpool_runtime::Start;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let pacer = &CampaignPacer::new(&Start::of_process().await?)?;
    lambda_runtime::run(service_fn(|_: LambdaEvent<Value>| async { pacer.pace().await.map_err(Error::from) }))
        .await
}
