//! Calls that are taken back while they wait at the provider: what is not to be seen there may ring all the same.

use dialpool::audit::Stage;
use dialpool_domain::time::Duration;
use dialpool_tests::{World, with_numbers};
use serde_json::{Value, json};

const PERSON: &str = "phone,lead\n+16465550100,lead-0\n";

/// A provider at which a call waits for so long before it rings, and is not to be seen for so long; everybody answers.
async fn provider(queue: Duration, lag: Duration) -> World {
    let world = World::with(|settings| {
        settings.simulator.queue_time = queue;
        settings.simulator.lag = lag;
        settings.simulator.answer_rate = 1.0;
        settings.simulator.opt_out_rate = 0.0;
    })
    .await;
    with_numbers(&world, 2).await;
    world
}

/// How many calls a person took.
fn answered(world: &World) -> usize {
    world.local.simulator.ledger().iter().filter(|call| call.answered_at.is_some()).count()
}

/// Pauses the campaign and stops the company at once, so that the call is withdrawn twice, and lets both go on.
async fn withdraw_twice(world: &World, campaign: &str) {
    let pause = format!("/v1/campaigns/{campaign}/pause");
    let stop = json!({ "reason": "a complaint" });
    let (paused, stopped) =
        tokio::join!(world.send("POST", &pause, Value::Null), world.send("PUT", "/v1/stops", stop));
    assert_eq!((paused.status, stopped.status), (200, 200));
    world.pass(Duration::from_secs(5)).await;
    let resume = format!("/v1/campaigns/{campaign}/resume");
    let resumed = world.send("POST", &resume, Value::Null).await;
    let again = world.send("DELETE", "/v1/stops", Value::Null).await;
    assert_eq!((resumed.status, again.status), (200, 200));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_two_withdrawals_do_not_find_is_not_dialed_again_while_it_may_ring() {
    let world = provider(Duration::from_secs(100), Duration::from_secs(150)).await;
    let campaign = world.campaign(1, PERSON).await;
    world.pass(Duration::from_secs(2)).await;

    withdraw_twice(&world, campaign.as_str()).await;
    world.pass(Duration::from_hours(2)).await;

    assert_eq!((world.local.simulator.ledger().len(), answered(&world)), (1, 1), "one call, and it rang");
    assert!(world.is_over().await);
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_seen_late_is_taken_back_as_soon_as_it_is_seen() {
    let world = provider(Duration::from_secs(200), Duration::from_secs(60)).await;
    let campaign = world.campaign(1, PERSON).await;
    world.pass(Duration::from_secs(2)).await;
    let pause = format!("/v1/campaigns/{campaign}/pause");
    assert_eq!(world.send("POST", &pause, Value::Null).await.status, 200);

    world.pass(Duration::from_mins(10)).await;

    assert_eq!((world.local.simulator.ledger().len(), answered(&world)), (1, 0), "it never rang");
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_taken_back_twice_is_dialed_again_once() {
    let world = provider(Duration::from_secs(60), Duration::ZERO).await;
    let campaign = world.campaign(1, PERSON).await;
    world.pass(Duration::from_secs(2)).await;

    withdraw_twice(&world, campaign.as_str()).await;
    world.pass(Duration::from_hours(2)).await;

    assert_eq!((world.local.simulator.ledger().len(), answered(&world)), (2, 1));
    assert!(world.is_over().await);
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

/// The answer to the request never comes, and the list shows the call only after it rang.
#[tokio::test(start_paused = true)]
async fn a_call_of_unknown_fate_that_no_list_shows_is_not_dialed_again_before_its_last_moment() {
    let world = World::with(|settings| {
        settings.simulator.queue_time = Duration::from_secs(30);
        settings.simulator.lag = Duration::from_secs(120);
        settings.simulator.error_after_rate = 1.0;
        settings.simulator.webhook_loss_rate = 1.0;
        settings.simulator.answer_rate = 1.0;
        settings.simulator.opt_out_rate = 0.0;
    })
    .await;
    with_numbers(&world, 2).await;
    world.campaign(1, PERSON).await;

    world.pass(Duration::from_hours(3)).await;

    assert_eq!((world.local.simulator.ledger().len(), answered(&world)), (1, 1));
    assert!(world.is_over().await);
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}
