//! The Lambda function `webhook-ingress`: see the library.

use dialpool_runtime::Start;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let start = Start::of_process().await?;
    lambda_http::run(webhook_ingress::router(&start).await?).await
}
