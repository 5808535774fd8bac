//! What Dialpool cannot act on is a task for a person: once, listed while it is open, settled by hand.

use dialpool_domain::CompanyId;
use dialpool_domain::event::Aggregate;
use dialpool_domain::task::{Task, TaskKind};
use dialpool_domain::time::Duration;
use dialpool_dynamo::TaskAdded;
use dialpool_tests::World;
use serde_json::Value;

fn task(world: &World, about: &str) -> Task {
    Task::new(&world.company, TaskKind::CallbackUnclear, about, world.now()).saying("after the harvest")
}

#[tokio::test(start_paused = true)]
async fn a_thing_that_is_reported_twice_makes_one_task() {
    let world = World::new().await;
    let first = task(&world, "call_1");
    assert_eq!(world.store().add_task(&world.cause(), &first).await.unwrap(), TaskAdded::Added);
    world.pass(Duration::from_secs(5)).await;

    let again = world.store().add_task(&world.cause(), &task(&world, "call_1")).await.unwrap();

    assert_eq!(again, TaskAdded::Already);
    let listed = world.send("GET", "/v1/tasks", Value::Null).await;
    assert_eq!(listed.json["tasks"].as_array().unwrap().len(), 1, "{listed:?}");
    assert_eq!(listed.json["tasks"][0]["said"], "after the harvest");
    assert_eq!(listed.json["tasks"][0]["created_at"], first.created_at.to_string());
}

#[tokio::test(start_paused = true)]
async fn open_tasks_are_listed_page_by_page_the_oldest_first() {
    let world = World::new().await;
    for n in 0..5 {
        let _: TaskAdded =
            world.store().add_task(&world.cause(), &task(&world, &format!("call_{n}"))).await.unwrap();
        world.pass(Duration::from_secs(1)).await;
    }

    let mut about = Vec::new();
    let mut path = "/v1/tasks?limit=2".to_owned();
    loop {
        let page = world.send("GET", &path, Value::Null).await;
        for task in page.json["tasks"].as_array().unwrap() {
            about.push(task["about"].as_str().unwrap().to_owned());
        }
        let Some(next) = page.json["next"].as_str() else { break };
        path = format!("/v1/tasks?limit=2&after={next}");
    }

    assert_eq!(about, ["call_0", "call_1", "call_2", "call_3", "call_4"]);
}

#[tokio::test(start_paused = true)]
async fn a_settled_task_leaves_the_list_and_stays_settled() {
    let world = World::new().await;
    let task = task(&world, "call_1");
    let _: TaskAdded = world.store().add_task(&world.cause(), &task).await.unwrap();

    let settled = world.send("POST", &format!("/v1/tasks/{}/done", task.id), Value::Null).await;
    world.pass(Duration::from_secs(5)).await;
    let again = world.send("POST", &format!("/v1/tasks/{}/done", task.id), Value::Null).await;
    let reported_again = world.store().add_task(&world.cause(), &task).await.unwrap();

    assert_eq!((settled.status, again.status), (200, 200));
    assert_eq!(settled.json["done_at"], again.json["done_at"]);
    assert_eq!(reported_again, TaskAdded::Already);
    assert_eq!(world.send("GET", "/v1/tasks", Value::Null).await.json["tasks"], serde_json::json!([]));
    let events = world.store().events_of(&world.company, &Aggregate::Task(task.id)).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.data.kind()).collect();
    assert_eq!(kinds, ["task.created", "task.done"]);
}

#[tokio::test(start_paused = true)]
async fn the_tasks_of_another_company_are_not_found() {
    let world = World::new().await;
    let other: CompanyId = "other".parse().unwrap();
    let theirs = Task::new(&other, TaskKind::CallEndUnknown, "call_1", world.now());
    let _: TaskAdded = world.store().add_task(&world.cause(), &theirs).await.unwrap();

    for (method, path) in
        [("GET", format!("/v1/tasks/{}", theirs.id)), ("POST", format!("/v1/tasks/{}/done", theirs.id))]
    {
        assert_eq!(world.send(method, &path, Value::Null).await.status, 404, "{method} {path}");
    }
    assert_eq!(world.send("GET", "/v1/tasks", Value::Null).await.json["tasks"], serde_json::json!([]));
}
