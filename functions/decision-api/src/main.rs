//! The Lambda function `decision-api`: see the library.

use dialpool_runtime::Start;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let start = Start::of_process().await?;
    lambda_http::run(decision_api::router(&start).await?).await
}
