//! The Lambda function `control-api`: see the library.

use dialpool_providers::http::{Roots, Transport};
use dialpool_runtime::Start;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let provider = Transport::network(Roots::OfMozilla)?;
    let start = Start::of_process().await?;
    lambda_http::run(control_api::router(&start, provider).await?).await
}
