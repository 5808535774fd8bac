//! Tasks over HTTP: what a person has to settle.

use axum::Json;
use axum::extract::State;
use dialpool_domain::TaskId;
use dialpool_domain::task::Task;
use dialpool_dynamo::TaskSettled;
use dialpool_runtime::http::{Api, Caller, IdIn, Parameters, Problem};

use crate::wire::{Since, listed};

pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Parameters(which): Parameters<Since>,
) -> Result<Json<serde_json::Value>, Problem> {
    let page = api.store.open_tasks(&caller.company, which.after()?, which.limit()?).await?;
    Ok(Json(listed("tasks", page)))
}

pub(crate) async fn show(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<TaskId>,
) -> Result<Json<Task>, Problem> {
    api.store.task(&caller.company, &id).await?.map(Json).ok_or_else(|| Problem::not_found("task"))
}

pub(crate) async fn settle(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<TaskId>,
) -> Result<Json<Task>, Problem> {
    match api.store.settle_task(&caller.cause(), &caller.company, &id).await? {
        TaskSettled::Done(task) => Ok(Json(*task)),
        TaskSettled::NotFound => Err(Problem::not_found("task")),
    }
}
