//! The numbers of the pools beside those of the provider: what drifted is told, mended where it can be, and looked for
//! without anybody asking.

use dialpool::audit::Stage;
use dialpool::simulator::SimulatedNumber;
use dialpool_domain::PhoneNumber;
use dialpool_domain::time::Duration;
use dialpool_runtime::http::issue_api_key;
use dialpool_tests::{Answer, World};
use serde_json::{Value, json};

const NUMBERS: &str = "phone,vapi_id,signalwire_id\n\
    +12125550100,pn-0,\n+12125550101,pn-1,\n+12125550102,,sw-2\n+12125550103,pn-3,\n+12125550104,pn-4,\n";

fn number(text: &str) -> PhoneNumber {
    text.parse().expect("a number")
}

fn at_provider(id: &str, status: &'static str) -> Option<SimulatedNumber> {
    Some(SimulatedNumber { id: id.to_owned(), provider: "vapi", status })
}

/// A pool of which one number is missing at the provider, one is there by a trunk, one under another id, and one is blocked; and a number of
/// no pool.
async fn drifted() -> World {
    let world = World::new().await;
    let imported = world.send_csv("/v1/numbers/import", NUMBERS).await;
    assert_eq!((imported.status, &imported.json["added"]), (200, &json!(5)), "{imported:?}");
    let simulator = &world.local.simulator;
    simulator.set_number(number("+12125550101"), None);
    simulator.set_number(number("+12125550103"), at_provider("pn-33", "active"));
    simulator.set_number(number("+12125550104"), at_provider("pn-4", "blocked"));
    simulator.set_number(number("+12125550150"), at_provider("pn-50", "active"));
    world
}

fn found(report: &Value) -> Vec<(String, Value)> {
    let lines = report["lines"].as_array().expect("lines").iter();
    let of = |line: &Value| (line["number"].as_str().expect("a number").to_owned(), line["findings"].clone());
    lines.map(of).collect()
}

async fn as_operator(world: &World, path: &str) -> Answer {
    let key = issue_api_key(world.store(), &world.local.entropy, None).await.expect("a key");
    world.send_as(&format!("Bearer {key}"), "GET", path, "application/json", Vec::new(), &[]).await
}

#[tokio::test(start_paused = true)]
async fn what_is_imported_into_the_local_stack_is_healthy() {
    let world = World::new().await;
    world.add_numbers(&["+12125550100", "+12125550101"]).await;

    let report = world.send("GET", "/v1/provider/numbers", Value::Null).await;

    assert_eq!(report.status, 200, "{report:?}");
    assert_eq!((&report.json["healthy"], &report.json["unhealthy"]), (&json!(2), &json!(0)));
    assert_eq!(report.json["lines"][0]["kind"], "vapi");
}

#[tokio::test(start_paused = true)]
async fn each_number_is_told_with_what_is_wrong_with_it_and_a_sync_mends_what_can_be_mended() {
    let world = drifted().await;

    let before = world.send("GET", "/v1/provider/numbers", Value::Null).await;
    let synced = world.send("POST", "/v1/provider/numbers/sync", Value::Null).await;
    let again = world.send("POST", "/v1/provider/numbers/sync", Value::Null).await;
    let trunk = world.send("GET", "/v1/numbers/+12125550102", Value::Null).await;

    let trunk_id = &trunk.json["vapi_id"];
    assert_eq!(
        found(&before.json),
        [
            ("+12125550100".to_owned(), json!([])),
            ("+12125550101".to_owned(), json!([{ "finding": "missing" }])),
            ("+12125550102".to_owned(), json!([{ "finding": "no_provider_id", "found": trunk_id }])),
            ("+12125550103".to_owned(), json!([{ "finding": "other_provider_id", "found": "pn-33" }])),
            ("+12125550104".to_owned(), json!([{ "finding": "not_active", "status": "blocked" }])),
        ]
    );
    assert_eq!(before.json["lines"][2]["kind"], "own_trunk");
    assert_eq!(
        synced.json["changed"],
        json!([
            { "number": "+12125550102", "provider_id": trunk_id },
            { "number": "+12125550103", "provider_id": "pn-33", "former": "pn-3" },
        ])
    );
    assert_eq!((&synced.json["healthy"], &synced.json["refused"]), (&json!(3), &json!([])));
    assert_eq!((again.status, &again.json["changed"]), (200, &json!([])));
    assert_eq!(trunk.json["signalwire_id"], "sw-2", "nothing else of a number changes");
}

#[tokio::test(start_paused = true)]
async fn an_id_that_another_number_has_is_not_taken() {
    let world = World::new().await;
    world.send_csv("/v1/numbers/import", "phone,vapi_id\n+12125550100,pn-0\n+12125550101,\n").await;
    world.local.simulator.set_number(number("+12125550101"), at_provider("pn-0", "active"));

    let synced = world.send("POST", "/v1/provider/numbers/sync", Value::Null).await;

    assert_eq!((synced.status, &synced.json["changed"]), (200, &json!([])), "{synced:?}");
    assert_eq!(synced.json["refused"][0]["reason"], "the provider's id belongs to another number");
}

#[tokio::test(start_paused = true)]
async fn a_number_out_of_service_is_not_looked_for() {
    let world = World::new().await;
    world.add_numbers(&["+12125550100", "+12125550101"]).await;
    world.local.simulator.set_number(number("+12125550101"), None);
    let retired = world.send("POST", "/v1/numbers/+12125550101/retire", Value::Null).await;

    let report = world.send("GET", "/v1/provider/numbers", Value::Null).await;

    assert_eq!(retired.status, 200, "{retired:?}");
    assert_eq!(found(&report.json), [("+12125550100".to_owned(), json!([]))]);
}

#[tokio::test(start_paused = true)]
async fn the_provider_is_asked_once_an_hour_without_anybody_asking_for_it() {
    let world = World::new().await;
    world.pass(Duration::from_hours(3)).await;
    let without_numbers = world.local.simulator.numbers_listed();
    world.add_numbers(&["+12125550100"]).await;

    world.pass(Duration::from_hours(5)).await;

    assert_eq!((without_numbers, world.local.simulator.numbers_listed()), (0, 5));
    assert_eq!(world.violations(Stage::Finished).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_company_sees_its_own_numbers_and_an_operator_all_of_them() {
    let world = drifted().await;
    let other = "other".parse().expect("a company");
    let bearer = format!("Bearer {}", world.local.company(&other, "Other").await.expect("a key"));
    let numbers = b"phone,vapi_id\n+17185550100,pn-o-0\n".to_vec();
    world.send_as(&bearer, "POST", "/v1/numbers/import", "text/csv", numbers, &[]).await;
    let path = "/v1/provider/numbers";

    let theirs = world.send_as(&bearer, "GET", path, "application/json", Vec::new(), &[]).await;
    let ours = world.send("GET", path, Value::Null).await;
    let all = as_operator(&world, "/v1/operator/provider/numbers").await;
    let refused = world.send("GET", "/v1/operator/provider/numbers", Value::Null).await;
    let operator_refused = as_operator(&world, path).await;

    assert_eq!(found(&theirs.json), [("+17185550100".to_owned(), json!([]))]);
    let text = ours.json.to_string();
    assert!(!text.contains("+17185550100") && !text.contains("+12125550150") && !text.contains("pn-50"));
    assert_eq!((all.status, refused.status, operator_refused.status), (200, 403, 403));
    assert_eq!((&all.json["healthy"], &all.json["unhealthy"]), (&json!(2), &json!(4)));
    assert_eq!(all.json["lines"][5]["company"], "other");
    let unpooled =
        json!([{ "provider_id": "pn-50", "number": "+12125550150", "kind": "vapi", "status": "active" }]);
    assert_eq!(all.json["unpooled"], unpooled);
}
