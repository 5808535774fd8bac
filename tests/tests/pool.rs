//! The pool over a real engine: one number for one lead, whoever asks, however often, whatever gets lost.

use std::collections::BTreeSet;

use dialpool::audit::Stage;
use dialpool::engine::metered;
use dialpool_domain::event::{Aggregate, EventData};
use dialpool_domain::place::Place;
use dialpool_domain::pool::{CLOCK_SKEW, Hold, HoldHours, NewNumber, ReleaseReason, Tier};
use dialpool_domain::time::Duration;
use dialpool_dynamo::{Assigned, Changed, Imported};
use dialpool_tests::chaos::conflicts;
use dialpool_tests::{World, lead};

const NUMBERS: [&str; 3] = ["+14155550101", "+12125550102", "+13055550103"];

fn granted(assigned: Assigned) -> Hold {
    match assigned {
        Assigned::Granted(hold, _) => hold,
        other => panic!("expected a number, got {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_assign_takes_two_round_trips_and_a_repeated_one_takes_one() {
    let world = World::new().await;
    world.add_numbers(&NUMBERS).await;

    let (_, first) = metered(world.assign("lead-7")).await;
    let (_, second) = metered(world.assign("lead-7")).await;

    assert_eq!((first.round_trips, second.round_trips), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_gets_the_number_it_got_before() {
    let world = World::new().await;
    world.add_numbers(&NUMBERS).await;

    let first = granted(world.assign("lead-7").await);
    let second = world.assign("lead-7").await;

    assert_eq!(second, Assigned::AlreadyHeld(first.clone()));
    let events =
        world.store().events_of(&world.company, &Aggregate::Assignment(first.assignment_id)).await.unwrap();
    assert_eq!(events.iter().map(|event| event.data.kind()).collect::<Vec<_>>(), ["number.assigned"]);
}

#[tokio::test(start_paused = true)]
async fn the_number_that_has_been_free_longest_is_next() {
    let world = World::new().await;
    for number in NUMBERS {
        world.add_numbers(&[number]).await;
        world.pass(Duration::from_secs(1)).await;
    }

    let first = granted(world.assign("lead-1").await);
    let second = granted(world.assign("lead-2").await);
    let _: Changed = world.release(&first.assignment_id).await;
    let third = granted(world.assign("lead-3").await);
    let fourth = granted(world.assign("lead-4").await);

    let order = [first, second, third, fourth].map(|hold| hold.number.to_string());
    assert_eq!(order, [NUMBERS[0], NUMBERS[1], NUMBERS[2], NUMBERS[0]]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_pool_says_when_the_next_number_comes_free() {
    let world = World::new().await;
    world.add_numbers(&NUMBERS[..1]).await;
    let hold = granted(world.assign("lead-1").await);

    let refused = world.assign("lead-2").await;

    assert_eq!(refused, Assigned::Exhausted { next_at: Some(hold.release_at + CLOCK_SKEW) });
}

#[tokio::test(start_paused = true)]
async fn an_expired_hold_is_taken_over_without_the_sweeper_and_ends_once() {
    let world = World::with(|settings| settings.schedule_stretch = 1_000_000).await;
    world.add_numbers(&NUMBERS[..1]).await;
    let first = granted(world.assign("lead-1").await);
    world.pass(HoldHours::default().duration() + CLOCK_SKEW).await;

    let second = granted(world.assign("lead-2").await);

    assert_eq!(second.number, first.number);
    let ended = world.store().assignment(&world.company, &first.assignment_id).await.unwrap().unwrap();
    assert_eq!(ended.ended, Some((first.release_at, ReleaseReason::Expired)));
    assert_eq!(world.store().hold_of(world.now(), &world.company, &lead("lead-1")).await.unwrap(), None);
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_late_release_does_not_end_a_newer_hold() {
    let world = World::with(|settings| settings.schedule_stretch = 1_000_000).await;
    world.add_numbers(&NUMBERS[..1]).await;
    let first = granted(world.assign("lead-1").await);
    world.pass(HoldHours::default().duration() + CLOCK_SKEW).await;
    let second = granted(world.assign("lead-2").await);

    let late = world.release(&first.assignment_id).await;

    assert!(matches!(late, Changed::AlreadyOver(_)), "{late:?}");
    assert_eq!(world.assign("lead-2").await, Assigned::AlreadyHeld(second));
}

#[tokio::test(start_paused = true)]
async fn a_booked_number_is_kept_until_a_day_after_the_appointment_and_a_cancelled_one_as_before() {
    let world = World::new().await;
    world.add_numbers(&NUMBERS[..1]).await;
    let hold = granted(world.assign("lead-1").await);
    let appointment = world.now() + Duration::from_hours(72);

    let booked = world
        .store()
        .book(&world.cause(), &world.company, &hold.assignment_id, Some(appointment))
        .await
        .unwrap();
    let Changed::Done(booked) = booked else { panic!("{booked:?}") };
    let cancelled =
        world.store().book(&world.cause(), &world.company, &hold.assignment_id, None).await.unwrap();
    let Changed::Done(cancelled) = cancelled else { panic!("{cancelled:?}") };

    assert_eq!(booked.hold.release_at, appointment + Duration::from_hours(24));
    assert_eq!((cancelled.hold.release_at, cancelled.appointment_at), (hold.release_at, None));
}

#[tokio::test(start_paused = true)]
async fn a_number_of_the_leads_area_is_preferred_then_of_its_state_then_any() {
    let world = World::new().await;
    world.add_numbers(&["+12125550101", "+13105550102", "+14155550103"]).await;
    let mut tiers = Vec::new();
    for name in ["lead-1", "lead-2", "lead-3"] {
        let mut request = world.request(name);
        request.place = Place::of_phone(&"+14155550199".parse().unwrap());
        match world.store().assign(&world.cause(), &request).await.unwrap() {
            Assigned::Granted(hold, tier) => tiers.push((hold.number.to_string(), tier)),
            other => panic!("{other:?}"),
        }
    }

    let expected = [("+14155550103", Tier::Area), ("+13105550102", Tier::State), ("+12125550101", Tier::Any)];
    assert_eq!(tiers, expected.map(|(number, tier)| (number.to_owned(), tier)));
}

#[tokio::test(start_paused = true)]
async fn a_number_belongs_to_one_company() {
    let world = World::new().await;
    world.add_numbers(&NUMBERS[..1]).await;
    let number =
        NewNumber { vapi_id: Some("pn-1".to_owned()), ..NewNumber::bare(NUMBERS[0].parse().unwrap()) };
    let cause = world.cause();
    let again = world.store().import_number(&cause, &world.company, &number).await.unwrap();
    let other = world.store().import_number(&cause, &"other".parse().unwrap(), &number).await.unwrap();

    assert_eq!((again, other), (Imported::Updated, Imported::OthersNumber));
}

/// 64 leads ask at once, each in a process of its own, with every fifth transaction in conflict: no number with two holds, no lead with two numbers, one
/// event per grant, and whoever goes without is told when the next number comes free.
async fn race(numbers: usize, occupied_percent: usize) {
    let world = World::with(|settings| {
        settings.intercept = Some(conflicts(numbers as u64 + 1, 5));
        settings.schedule_stretch = 1_000_000;
    })
    .await;
    let names: Vec<String> =
        (0..numbers).map(|n| format!("+1{}555{:04}", 201 + n / 100, n % 100 + 100)).collect();
    world.add_numbers(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let occupied = numbers * occupied_percent / 100;
    for n in 0..occupied {
        granted(world.assign(&format!("early-{n}")).await);
    }

    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..64 {
        let store = world.local.stack.engine.store_behind(Some(conflicts(n, 5)));
        let (cause, request) = (world.cause(), world.request(&format!("lead-{n}")));
        tasks.spawn(async move { store.assign(&cause, &request).await.expect("an answer") });
    }
    let answers = tasks.join_all().await;

    let free = numbers - occupied;
    let holds: Vec<Hold> = answers
        .iter()
        .filter_map(|answer| match answer {
            Assigned::Granted(hold, _) => Some(hold.clone()),
            Assigned::AlreadyHeld(_) | Assigned::AtLimit { .. } => panic!("{answer:?}"),
            Assigned::Exhausted { next_at } => {
                assert!(next_at.is_some());
                None
            }
        })
        .collect();
    let distinct: BTreeSet<_> = holds.iter().map(|hold| hold.number.clone()).collect();
    assert_eq!((holds.len(), distinct.len()), (free.min(64), free.min(64)), "{numbers} numbers, {free} free");
    let books = world.books().await;
    let grants =
        books.events().iter().filter(|event| matches!(event.data, EventData::NumberAssigned { .. })).count();
    assert_eq!(grants, occupied + free.min(64));
    assert_eq!(books.violations(Stage::UnderWay), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn sixty_four_leads_at_once_on_5_numbers() {
    for occupied in [10, 90, 99] {
        race(5, occupied).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sixty_four_leads_at_once_on_25_numbers() {
    for occupied in [10, 90, 99] {
        race(25, occupied).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sixty_four_leads_at_once_on_1500_numbers() {
    for occupied in [10, 90, 99] {
        race(1_500, occupied).await;
    }
}
