//! The numbers of a pool: what they may do, who gets them, what an operator does to them.

use dialpool::audit::Stage;
use dialpool_domain::event::EventData;
use dialpool_domain::time::Duration;
use dialpool_domain::usage::Limits;
use dialpool_dynamo::{Assigned, Company};
use dialpool_tests::World;
use rand::rngs::ChaCha12Rng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

const NUMBERS: [&str; 3] = ["+14155550101", "+12125550102", "+13055550103"];

/// The number that a lead got, by its last digits.
fn number(assigned: &Assigned) -> &str {
    match assigned {
        Assigned::Granted(hold, _) | Assigned::AlreadyHeld(hold) => &hold.number.as_str()[8..],
        other => panic!("expected a number, got {other:?}"),
    }
}

async fn limits(world: &World, limits: Limits) {
    let company = world.store().company(&world.company).await.expect("an answer").expect("a company");
    let changed = world.store().change_company(&Company { limits, ..company }).await.expect("an answer");
    assert!(changed.is_some());
}

/// Campaigns under random limits, over nights, a month's end and a change of clocks: the audit counts each number's
/// calls by its own day and hour.
#[tokio::test(start_paused = true)]
async fn no_number_passes_a_limit_whatever_the_limits_are() {
    for seed in 0..6 {
        let mut chance = ChaCha12Rng::seed_from_u64(seed);
        let mut draw = |from: u32, to: u32| from + chance.next_u32() % (to - from + 1);
        let limit = Limits {
            per_day: draw(2, 9),
            per_hour: draw(1, 4),
            rest_minutes: draw(0, 30),
            warm_up: [draw(1, 3), draw(3, 5), draw(5, 9)],
        };
        let world = World::with(|settings| {
            settings.seed = seed;
            settings.simulator.seed = seed;
            settings.simulator.answer_rate = 0.2;
            settings.simulator.busy_rate = 0.5;
            settings.schedule_stretch = 20;
        })
        .await;
        limits(&world, limit).await;
        // The nights on which clocks change are those of 8 March and 1 November.
        world.pass(Duration::from_hours(if seed % 2 == 0 { 5 * 24 } else { 10 })).await;
        world.add_numbers(&NUMBERS).await;
        let rows: String = (100..125).map(|n| format!("+14155550{n},lead-{n}\n")).collect();
        world.quiet_campaign(6, &format!("phone,lead\n{rows}")).await;
        world.pass(Duration::from_hours(48)).await;

        let books = world.books().await;
        let calls = books.events().iter().filter(|event| matches!(event.data, EventData::CallClaimed { .. }));
        assert!(calls.count() > 8, "seed {seed}: next to nobody was called under {limit:?}");
        assert_eq!(books.violations(Stage::UnderWay), Vec::<String>::new(), "seed {seed}: {limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_at_their_limit_are_not_handed_out_and_the_answer_says_when_the_next_one_is() {
    let world = World::with(|settings| {
        settings.simulator.answer_rate = 1.0;
        settings.simulator.voicemail_rate = 0.0;
        settings.simulator.busy_rate = 0.0;
        settings.simulator.invalid_rate = 0.0;
    })
    .await;
    limits(&world, Limits { per_day: 1, ..Limits::default() }).await;
    world.add_numbers(&NUMBERS[..1]).await;
    world.campaign(1, "phone,lead\n+14155550150,a\n").await;
    world.pass(Duration::from_mins(30)).await;
    let held = world.store().number(&world.company, &NUMBERS[0].parse().unwrap()).await.unwrap().unwrap();
    world.send("POST", &format!("/v1/numbers/{}/release", NUMBERS[0]), Value::Null).await;

    let refused = world.send("POST", "/v1/assignments", json!({ "lead": "b" })).await;

    assert_eq!(held.calls, 1);
    assert_eq!(refused.status, 409);
    assert!(refused.json["type"].as_str().unwrap().ends_with("pool-at-limit"), "{refused:?}");
    // Midnight in San Francisco.
    assert_eq!(refused.json["next_available_at"], "2026-03-03T08:00:00.000Z");
    world.pass(Duration::from_hours(16)).await;
    let granted = world.send("POST", "/v1/assignments", json!({ "lead": "b" })).await;
    assert_eq!(granted.status, 201, "{granted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lead_gets_the_number_it_had_before_when_that_is_free() {
    let world = World::new().await;
    world.add_numbers(&NUMBERS).await;
    let first = world.assign("lead-1").await;
    for lead in ["lead-2", "lead-1", "lead-3"] {
        let path = format!("/v1/leads/{lead}/assignment");
        if lead != "lead-1" {
            let _: Assigned = world.assign(lead).await;
        }
        let hold = world.send("GET", &path, Value::Null).await;
        let id = hold.json["assignment_id"].as_str().unwrap().to_owned();
        world.send("POST", &format!("/v1/assignments/{id}/release"), Value::Null).await;
        world.pass(Duration::from_mins(1)).await;
    }

    // All three are free; the first has been for longer than the third, and not as long as the second.
    let again = world.assign("lead-1").await;
    assert_eq!(number(&again), number(&first));
}

#[tokio::test(start_paused = true)]
async fn an_inbound_call_is_of_the_lead_that_holds_the_number_or_held_it_within_thirty_days() {
    let world = World::with(|settings| settings.schedule_stretch = 60).await;
    world.add_numbers(&NUMBERS[..1]).await;
    let path = format!("/v1/numbers/{}/lead", NUMBERS[0]);
    assert_eq!(world.send("GET", &path, Value::Null).await.status, 404, "nobody yet");
    let _: Assigned = world.assign("lead-1").await;

    let holding = world.send("GET", &path, Value::Null).await;
    world.pass(Duration::from_hours(20)).await;
    let lately = world.send("GET", &path, Value::Null).await;
    world.pass(Duration::from_hours(31 * 24)).await;
    let long_ago = world.send("GET", &path, Value::Null).await;

    assert_eq!((&holding.json["lead"], &holding.json["holds"]), (&json!("lead-1"), &json!(true)));
    assert_eq!((&lately.json["lead"], &lately.json["holds"]), (&json!("lead-1"), &json!(false)));
    assert_eq!(long_ago.status, 404);
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_the_number_that_comes_free_the_first_that_came_first() {
    let world = World::new().await;
    world.add_numbers(&NUMBERS[..1]).await;
    let Assigned::Granted(hold, _) = world.assign("lead-1").await else { panic!() };
    for lead in ["lead-0", "lead-2", "lead-3", "lead-2"] {
        let waits = world.send("POST", "/v1/assignments", json!({ "lead": lead, "wait": true })).await;
        assert_eq!(waits.status, 202, "{waits:?}");
        world.pass(Duration::from_secs(5)).await;
    }
    let stop = json!({
        "trigger": "message_received", "id": "m-1", "lead": "lead-0", "phone": "+16465550100", "channel": "sms",
        "text": "STOP",
    });
    assert!(world.send("POST", "/v1/decisions", stop).await.status < 300);
    world.pass(Duration::from_secs(5)).await;
    let waiting = world.send("GET", "/v1/waiting", Value::Null).await;
    let leads: Vec<_> = waiting.json["waiting"].as_array().unwrap().iter().map(|row| &row["lead"]).collect();
    assert_eq!(leads, [&json!("lead-2"), &json!("lead-3")]);

    world.send("POST", &format!("/v1/assignments/{}/release", hold.assignment_id), Value::Null).await;
    world.pass(Duration::from_secs(5)).await;

    let served = world.send("GET", "/v1/leads/lead-2/assignment", Value::Null).await;
    assert_eq!(served.json["number"], NUMBERS[0], "{served:?}");
    assert_eq!(world.send("GET", "/v1/leads/lead-3/assignment", Value::Null).await.status, 404);
    assert_eq!(world.send("DELETE", "/v1/waiting/lead-3", Value::Null).await.status, 204);
    assert_eq!(world.send("DELETE", "/v1/waiting/lead-3", Value::Null).await.status, 404);
    let waiting = world.send("GET", "/v1/waiting", Value::Null).await;
    assert_eq!(waiting.json["waiting"], json!([]));
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_runs_short_is_told_once_at_80_and_at_95_percent_and_when_it_is_well_again() {
    let world = World::new().await;
    let numbers: Vec<String> = (0..20).map(|n| format!("+1415555{:04}", 100 + n)).collect();
    world.add_numbers(&numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for n in 0..19 {
        let _: Assigned = world.assign(&format!("lead-{n}")).await;
        world.pass(Duration::from_mins(6)).await;
    }
    world.pass(Duration::from_hours(24)).await;

    let told: Vec<_> = world
        .books()
        .await
        .events()
        .iter()
        .filter_map(|event| match event.data {
            EventData::PoolUtilisationHigh { level, .. } => Some(level),
            EventData::PoolUtilisationNormal { .. } => Some(0),
            _ => None,
        })
        .collect();
    assert_eq!(told, [80, 95, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_number_that_an_operator_puts_aside_is_not_assigned_until_its_time_or_until_it_is_restored() {
    let world = World::new().await;
    world.add_numbers(&NUMBERS[..1]).await;
    let path = format!("/v1/numbers/{}", NUMBERS[0]);
    let until = world.now() + Duration::from_hours(48);
    let aside = json!({ "until": until, "reason": "flagged by a carrier" });

    let quarantined = world.send("POST", &format!("{path}/quarantine"), aside).await;
    let refused = world.assign("lead-1").await;
    let restored = world.send("POST", &format!("{path}/restore"), Value::Null).await;
    let granted = world.assign("lead-1").await;

    assert_eq!(quarantined.json["standing"], "quarantined", "{quarantined:?}");
    assert!(matches!(refused, Assigned::AtLimit { next_at } if next_at == until), "{refused:?}");
    assert_eq!(restored.json["standing"], "available", "{restored:?}");
    assert_eq!(number(&granted), "0101");
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_drained_leaves_when_its_lead_is_done_and_one_that_is_retired_at_once() {
    let world = World::new().await;
    world.add_numbers(&NUMBERS[..2]).await;
    let Assigned::Granted(first, _) = world.assign("lead-1").await else { panic!() };
    let Assigned::Granted(second, _) = world.assign("lead-2").await else { panic!() };

    let drained = world.send("POST", &format!("/v1/numbers/{}/drain", first.number), Value::Null).await;
    let retired = world.send("POST", &format!("/v1/numbers/{}/retire", second.number), Value::Null).await;

    assert_eq!((&drained.json["standing"], &drained.json["draining"]), (&json!("assigned"), &json!(true)));
    assert_eq!(retired.json["standing"], "retired", "{retired:?}");
    world.send("POST", &format!("/v1/assignments/{}/release", first.assignment_id), Value::Null).await;
    assert_eq!(world.assign("lead-3").await, Assigned::Exhausted { next_at: None });
    let restored = world.send("POST", &format!("/v1/numbers/{}/restore", first.number), Value::Null).await;
    assert_eq!(restored.json["standing"], "available", "{restored:?}");
    assert_eq!(number(&world.assign("lead-3").await), &first.number.as_str()[8..]);
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn complaints_and_labels_take_a_number_out_of_service_with_the_reason_in_its_health() {
    let world = World::new().await;
    world.add_numbers(&NUMBERS[..1]).await;
    let path = format!("/v1/numbers/{}", NUMBERS[0]);

    for _complaint in 0..3 {
        world.send("POST", &format!("{path}/complaint"), Value::Null).await;
    }
    let complained = world.send("GET", &path, Value::Null).await;
    let labelled = world.send("POST", &format!("{path}/label"), json!({ "label": "spam" })).await;

    assert_eq!(complained.json["health"]["score"], 55, "{complained:?}");
    assert_eq!(labelled.json["health"]["score"], 0);
    assert_eq!(labelled.json["standing"], "resting");
    assert!(matches!(world.assign("lead-1").await, Assigned::AtLimit { .. }));
    let registered = json!({ "cnam": "EXAMPLE CO", "attestation": "A", "branded_calling": "pending" });
    let registered = world.send("PATCH", &path, registered).await;
    assert_eq!(registered.json["registration"]["attestation"], "A", "{registered:?}");
}

#[tokio::test(start_paused = true)]
async fn the_report_of_a_pool_has_its_figures_and_finds_no_double_assignment() {
    let world = World::new().await;
    world.add_numbers(&NUMBERS).await;
    let _: Assigned = world.assign("lead-1").await;

    let report = world.send("GET", "/v1/pool/report", Value::Null).await;

    assert_eq!(report.status, 200, "{report:?}");
    assert_eq!(
        (&report.json["summary"]["assigned"], &report.json["utilisation_percent"]),
        (&json!(1), &json!(33))
    );
    assert_eq!(report.json["states"], json!({ "CA": 1, "NY": 1, "FL": 1 }));
    assert_eq!(report.json["assignments_24_h"], 1);
    assert_eq!((&report.json["overdue"], &report.json["double_assignments"]), (&json!([]), &json!([])));
}

#[tokio::test(start_paused = true)]
async fn the_settings_of_a_company_are_in_force_at_once_and_wrong_ones_are_refused() {
    let world = World::new().await;

    let changed =
        world.send("PATCH", "/v1/company", json!({ "limits": { "per_day": 40 }, "hold_hours": 24 })).await;
    let wrong = world.send("PATCH", "/v1/company", json!({ "limits": { "per_hour": 0 } })).await;

    assert_eq!(
        (&changed.json["limits"]["per_day"], &changed.json["limits"]["per_hour"]),
        (&json!(40), &json!(12))
    );
    assert_eq!((wrong.status, wrong.wrong_fields()), (422, vec!["limits.per_hour"]));
    assert_eq!(world.send("GET", "/v1/company", Value::Null).await.json["hold_hours"], 24);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_parameter_is_told_by_its_name() {
    let world = World::new().await;
    for (path, field) in [
        ("/v1/numbers?limit=abc", "limit"),
        ("/v1/numbers?limit=1&limit=2", "limit"),
        ("/v1/numbers?health_under=300", "health_under"),
        ("/v1/numbers?standing=asleep", "standing"),
        ("/v1/numbers?after=nobody", "after"),
        ("/v1/numbers?colour=red", "colour"),
        ("/v1/numbers/nobody", "number"),
        ("/v1/leads/a%23b/assignment", "lead"),
        ("/v1/campaigns/spring", "id"),
    ] {
        let refused = world.send("GET", path, Value::Null).await;
        assert_eq!((refused.status, refused.wrong_fields()), (422, vec![field]), "{path}: {refused:?}");
    }
}

/// Each old table, from its export to the first assignment.
#[tokio::test(start_paused = true)]
async fn the_old_tables_are_taken_over_with_their_holds() {
    let world = World::new().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/migration");
    let file =
        |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).unwrap().replace("demo", "acme");

    let pool = world.send_csv("/v1/numbers:import", &file("n8n-phone_pool.csv")).await;
    let holds = world.send_csv("/v1/numbers/import", &file("n8n-phone_assignments.csv")).await;
    let supabase = serde_json::from_str(&file("supabase-phone_numbers.json")).unwrap();
    let supabase = world.send("POST", "/v1/numbers/import", supabase).await;
    let signalwire = world.send_csv("/v1/numbers/import", &file("signalwire_phone_numbers.csv")).await;

    let figures = |answer: &dialpool_tests::Answer| {
        let refused: Vec<_> =
            answer.json["refused"].as_array().unwrap().iter().map(|row| row["field"].clone()).collect();
        (answer.json["added"].as_u64().unwrap(), answer.json["known"].as_u64().unwrap(), json!(refused))
    };
    assert_eq!(figures(&pool), (4, 0, json!(["status"])));
    assert_eq!(figures(&holds), (0, 2, json!([])));
    assert_eq!(figures(&supabase), (1, 0, json!(["is_active"])));
    assert_eq!(figures(&signalwire), (2, 0, json!([])));
    for (lead, number, until) in [
        ("crm-4711", "+12125550131", "2026-03-03T08:00:00.000Z"),
        ("crm-4713", "+16025550135", "2026-03-02T22:00:00.000Z"),
    ] {
        let hold = world.send("GET", &format!("/v1/leads/{lead}/assignment"), Value::Null).await;
        assert_eq!((&hold.json["number"], &hold.json["release_at"]), (&json!(number), &json!(until)));
    }
    let unwell = world.send("GET", "/v1/numbers/+13055550132", Value::Null).await;
    assert_eq!(unwell.json["standing"], "resting", "its health was 35: {unwell:?}");
    // The one that was used longest ago is next.
    let first = world.send("POST", "/v1/assignments", json!({ "lead": "new-1" })).await;
    assert_eq!(first.json["number"], "+17025550137", "{first:?}");
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_labelled_calls_nobody_and_is_nobodys_until_the_label_is_gone() {
    let world = World::with(|settings| settings.schedule_stretch = 100).await;
    world.add_numbers(&NUMBERS[..2]).await;
    let held = world.assign("lead-1").await;
    let labelled = NUMBERS.iter().find(|known| known.ends_with(number(&held))).expect("one of them");
    let label = |label: &str| json!({ "label": label });
    world.send("POST", &format!("/v1/numbers/{labelled}/label"), label("spam")).await;

    // Its holder is called from another number.
    world.campaign(1, "phone,lead\n+14155550150,lead-1\n").await;
    world.pass(Duration::from_hours(6)).await;
    let called_from = world.local.simulator.ledger().first().map(|call| call.phone_number_id.clone());
    world.pass(Duration::from_hours(40 * 24)).await;
    let mut got = Vec::new();
    for n in 2..5 {
        got.push(world.assign(&format!("lead-{n}")).await);
    }
    world.send("POST", &format!("/v1/numbers/{labelled}/label"), label("none")).await;
    let after = world.assign("lead-9").await;

    assert!(called_from.is_some_and(|from| !from.ends_with(&labelled[1..])));
    let given = got.iter().filter(|assigned| matches!(assigned, Assigned::Granted(..))).count();
    assert_eq!(given, 1, "{got:?}");
    assert_eq!(number(&after), &labelled[8..]);
}

#[tokio::test(start_paused = true)]
async fn faults_of_an_assistant_are_not_held_against_the_numbers() {
    let world = World::with(|settings| settings.simulator.refusal_rate = 1.0).await;
    world.add_numbers(&NUMBERS).await;
    let rows: String = (100..130).map(|n| format!("+14155550{n},lead-{n}\n")).collect();
    world.campaign(3, &format!("phone,lead\n{rows}")).await;
    world.pass(Duration::from_hours(24)).await;

    for number in world.store().all_numbers(&world.company).await.unwrap() {
        let company = world.store().company(&world.company).await.unwrap().unwrap();
        assert_eq!(number.health(world.now(), &company).score, 100, "{number:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_fills_within_a_minute_is_told_to_be_full() {
    let world = World::new().await;
    let numbers: Vec<String> = (0..20).map(|n| format!("+1415555{:04}", 100 + n)).collect();
    world.add_numbers(&numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for n in 0..20 {
        assert!(matches!(world.assign(&format!("lead-{n}")).await, Assigned::Granted(..)));
        world.pass(Duration::from_secs(2)).await;
    }
    world.pass(Duration::from_mins(10)).await;

    assert!(world.event_types().await.contains(&"pool.utilisation_high"));
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_and_gets_a_number_waits_no_longer() {
    let world = World::with(|settings| settings.schedule_stretch = 1_000_000).await;
    world.add_numbers(&NUMBERS[..1]).await;
    let ask = json!({ "lead": "lead-1", "wait": true });
    let aside = json!({ "until": world.now() + Duration::from_mins(5), "reason": "test" });
    world.send("POST", &format!("/v1/numbers/{}/quarantine", NUMBERS[0]), aside).await;

    let waits = world.send("POST", "/v1/assignments", ask.clone()).await;
    world.pass(Duration::from_mins(6)).await;
    let granted = world.send("POST", "/v1/assignments", ask).await;
    let waiting = world.send("GET", "/v1/waiting", Value::Null).await;

    assert_eq!((waits.status, granted.status), (202, 201), "{granted:?}");
    assert_eq!(waiting.json["waiting"], json!([]));
}
