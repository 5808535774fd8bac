//! What is told to the outside is what its schema in `events/schemas` says.

use std::collections::BTreeMap;

use dialpool_domain::time::Duration;
use dialpool_tests::World;

/// A campaign in which a bit of everything happens.
#[tokio::test(start_paused = true)]
async fn every_event_on_the_bus_is_as_its_schema_says() {
    let world = World::with(|settings| {
        settings.simulator.answer_rate = 0.5;
        settings.simulator.opt_out_rate = 0.3;
        settings.simulator.refusal_rate = 0.2;
        settings.simulator.error_after_rate = 0.3;
    })
    .await;
    let numbers: Vec<String> = (101..=112).map(|n| format!("+1415555{n:04}")).collect();
    world.add_numbers(&numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let rows: String = (110..130).map(|n| format!("+1415555{n:04},lead-{n}\n")).collect();
    let campaign = world.campaign(3, &format!("phone,lead\n{rows}")).await;
    let cap = serde_json::json!({ "cap": 5 });
    assert_eq!(world.send("PATCH", &format!("/v1/campaigns/{campaign}"), cap).await.status, 200);
    world.pass(Duration::from_hours(24)).await;

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/schemas");
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for event in world.local.stack.engine.bus_events() {
        let file = format!("{folder}/{}.json", event.detail_type);
        let schema = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let wrong: Vec<String> = jsonschema::validator_for(&schema)
            .unwrap()
            .iter_errors(&event.detail)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(wrong, Vec::<String>::new(), "{} {}", event.detail_type, event.detail);
        *seen.entry(event.detail_type).or_default() += 1;
    }
    for kind in [
        "number.assigned",
        "number.released",
        "call.claimed",
        "call.ended",
        "call.unknown",
        "contact.finished",
        "campaign.cap_changed",
    ] {
        assert!(seen.contains_key(kind), "{kind} did not happen: {seen:?}");
    }
}
