//! The sweeper closes the books of holds that are over.

use std::collections::BTreeMap;

use dialpool::audit::Stage;
use dialpool::engine::{Cost, metered};
use dialpool_domain::event::EventData;
use dialpool_domain::pool::{CLOCK_SKEW, HoldHours, ReleaseReason};
use dialpool_dynamo::Assigned;
use dialpool_tests::World;

/// A pool in which so many numbers were held, and are no longer.
async fn expired(holds: usize) -> World {
    let world = World::with(|settings| settings.schedule_stretch = 1_000_000).await;
    let numbers: Vec<String> =
        (0..holds + 15).map(|n| format!("+1{}555{:04}", 201 + n / 100, n % 100 + 100)).collect();
    world.add_numbers(&numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for n in 0..holds {
        assert!(matches!(world.assign(&format!("lead-{n}")).await, Assigned::Granted(..)));
    }
    // What the grants left to look at is looked at before.
    let _: Cost = sweep(&world).await;
    world.pass(HoldHours::default().duration() + CLOCK_SKEW).await;
    world
}

async fn sweep(world: &World) -> Cost {
    metered(world.local.stack.tick("ReleaseSweeper")).await.1
}

#[tokio::test(start_paused = true)]
async fn two_sweepers_at_once_close_each_of_1485_expired_holds_once() {
    let world = expired(1_485).await;

    tokio::join!(sweep(&world), sweep(&world));

    let books = world.books().await;
    let mut ends = BTreeMap::<_, usize>::new();
    for event in books.events() {
        if let EventData::NumberReleased { reason, .. } = &event.data {
            assert_eq!(*reason, ReleaseReason::Expired);
            *ends.entry(event.aggregate.key()).or_default() += 1;
        }
    }
    assert_eq!((ends.len(), ends.values().sum::<usize>()), (1_485, 1_485));
    assert_eq!(books.violations(Stage::UnderWay), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_pays_for_what_expired_and_not_for_the_pool() {
    let (few, many) = (expired(20).await, expired(200).await);
    let (of_20, of_200, of_none) = (sweep(&few).await, sweep(&many).await, sweep(&many).await);

    assert!(of_none.requests < 20, "{of_none:?}");
    // Two reads and a transaction for each hold; a pool that changed meanwhile may be looked through once.
    let per_hold = f64::from(of_200.requests - of_20.requests) / 180.0;
    assert!((3.0..3.1).contains(&per_hold), "{of_20:?}, {of_200:?}");
    let written = (of_200.write_units - of_20.write_units) / 180.0;
    assert!((12.0..12.1).contains(&written), "{of_20:?}, {of_200:?}");
}
