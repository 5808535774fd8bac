//! `GET /v1/health`: whether what the deployment depends on answers, and how fast.
//!
//! Anybody may ask, so asking must cost next to nothing: each dependency is asked once in [`REMEMBERED`] at most, and who
//! asks meanwhile gets the answer that there is, or waits for the one that is on its way. Why a dependency fails is for the
//! log alone.

use std::future::Future;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dialpool_domain::Timestamp;
use dialpool_domain::time::Duration;
use dialpool_dynamo::Table;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::error;

use crate::ControlApi;

/// For so long an answer is given again.
const REMEMBERED: Duration = Duration::from_secs(10);

/// A dependency that takes longer fails: a caller that watches does not wait for ever.
const LONGEST: Duration = Duration::from_secs(3);

/// The last answer. Whoever asks while it is being found waits for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health(Arc<Mutex<Option<Report>>>);

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    status: Condition,
    /// When the dependencies were asked.
    checked_at: Timestamp,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Clone, Serialize)]
struct Dependency {
    name: &'static str,
    status: Condition,
    ms: u64,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Condition {
    Ok,
    Failing,
}

/// 200: every dependency answers. 503: one does not, and the report says which.
pub(crate) async fn health(State(state): State<ControlApi>) -> (StatusCode, Json<Report>) {
    let mut last = state.health.0.lock().await;
    let now = state.api.clock.now();
    let fresh = last.take().filter(|report| now.since(report.checked_at) < REMEMBERED);
    let report = match fresh {
        Some(report) => report,
        None => state.checked(now).await,
    };
    *last = Some(report.clone());
    let status = match report.status {
        Condition::Ok => StatusCode::OK,
        Condition::Failing => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(report))
}

impl ControlApi {
    async fn checked(&self, now: Timestamp) -> Report {
        let (store, queue) = (&self.api.store, &self.dial_queue);
        let (pool, dialing, people, journal, dial_queue, voice_provider) = tokio::join!(
            asked("pool_table", store.reach(Table::Pool)),
            asked("dialing_table", store.reach(Table::Dialing)),
            asked("people_table", store.reach(Table::People)),
            asked("journal_table", store.reach(Table::Journal)),
            asked("dial_queue", queue.reach()),
            asked("voice_provider", self.vapi.reach()),
        );
        let dependencies = vec![pool, dialing, people, journal, dial_queue, voice_provider];
        let well = dependencies.iter().all(|dependency| dependency.status == Condition::Ok);
        let status = if well { Condition::Ok } else { Condition::Failing };
        Report { status, checked_at: now, dependencies }
    }
}

async fn asked<E: std::fmt::Display>(
    name: &'static str,
    question: impl Future<Output = Result<(), E>>,
) -> Dependency {
    let begun = Instant::now();
    let problem = match timeout(LONGEST, question).await {
        Ok(Ok(())) => None,
        Ok(Err(cause)) => {
            error!("dependency {name} fails: {cause}");
            Some("does not do what it is asked: the log says why")
        }
        Err(_) => {
            error!("dependency {name} fails: no answer within {} s", LONGEST.as_secs());
            Some("gives no answer within 3 s")
        }
    };
    let status = if problem.is_none() { Condition::Ok } else { Condition::Failing };
    Dependency { name, status, ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), problem }
}
