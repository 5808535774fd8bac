//! Numbers that a company brings over HTTP are its own once the provider or an operator says so.

use dialpool::audit::Stage;
use dialpool::simulator::SimulatedNumber;
use dialpool_domain::CompanyId;
use dialpool_runtime::http::issue_api_key;
use dialpool_tests::{Answer, World};
use serde_json::{Value, json};

const NUMBER: &str = "+12125550100";

fn at_provider(id: &str) -> Option<SimulatedNumber> {
    Some(SimulatedNumber { id: id.to_owned(), provider: "vapi", status: "active" })
}

fn set(world: &World, number: &str, at_provider: Option<SimulatedNumber>) {
    world.local.simulator.set_number(number.parse().expect("a number"), at_provider);
}

async fn other(world: &World) -> String {
    let other: CompanyId = "other".parse().expect("a company");
    format!("Bearer {}", world.local.company(&other, "Other").await.expect("a key"))
}

async fn import_as(world: &World, bearer: &str, rows: &str) -> Answer {
    let file = format!("phone,vapi_id\n{rows}\n").into_bytes();
    world.send_as(bearer, "POST", "/v1/numbers/import", "text/csv", file, &[]).await
}

async fn import(world: &World, rows: &str) -> Answer {
    world.send_csv("/v1/numbers/import", &format!("phone,vapi_id\n{rows}\n")).await
}

async fn confirm(world: &World, number: &str, company: &str) -> Answer {
    let key = issue_api_key(world.store(), &world.local.entropy, None).await.expect("a key");
    let (path, body) = (format!("/v1/operator/numbers/{number}/confirm"), json!({ "company": company }));
    let body = body.to_string().into_bytes();
    world.send_as(&format!("Bearer {key}"), "POST", &path, "application/json", body, &[]).await
}

async fn available(world: &World) -> Value {
    world.send("GET", "/v1/pool", Value::Null).await.json["available"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_number_that_the_provider_does_not_have_is_not_assigned_until_a_sync_finds_it_there() {
    let world = World::new().await;
    set(&world, NUMBER, None);

    let imported = import(&world, &format!("{NUMBER},pn-0")).await;
    let before = world.send("GET", "/v1/provider/numbers", Value::Null).await;
    let refused = world.send("POST", "/v1/assignments", json!({ "lead": "lead-1" })).await;
    set(&world, NUMBER, at_provider("pn-0"));
    let synced = world.send("POST", "/v1/provider/numbers/sync", Value::Null).await;
    let assigned = world.send("POST", "/v1/assignments", json!({ "lead": "lead-1" })).await;

    assert_eq!((imported.status, &imported.json["added"]), (200, &json!(0)), "{imported:?}");
    assert_eq!(imported.json["unconfirmed"][0]["line"], 2, "{imported:?}");
    assert_eq!(before.json["unconfirmed"], json!([NUMBER]));
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(synced.json["confirmed"], json!([NUMBER]), "{synced:?}");
    assert_eq!((assigned.status, &assigned.json["number"]), (201, &json!(NUMBER)), "{assigned:?}");
    assert_eq!(world.violations(Stage::UnderWay).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_id_of_another_number_and_a_number_of_another_id_are_refused_with_the_reason() {
    let world = World::new().await;
    set(&world, NUMBER, None);
    set(&world, "+12125550101", at_provider("pn-1"));
    set(&world, "+12125550102", at_provider("pn-2"));

    let imported = import(&world, "+12125550100,pn-1\n+12125550102,pn-9\n+12125550101,pn-1").await;
    let claims = world.send("GET", "/v1/provider/numbers", Value::Null).await;

    let refused = imported.json["refused"].as_array().expect("rows").iter();
    let refused: Vec<_> = refused.map(|row| (row["line"].clone(), row["reason"].clone())).collect();
    assert_eq!(
        refused,
        [
            (json!(2), json!("the provider has another number under this id")),
            (json!(3), json!("the provider has the number under another id")),
        ]
    );
    assert_eq!((&imported.json["added"], &claims.json["unconfirmed"]), (&json!(1), &json!([])));
    assert_eq!(available(&world).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_claim_keeps_no_other_company_from_its_number() {
    let world = World::new().await;
    let other = other(&world).await;
    set(&world, NUMBER, None);

    let squatted = import_as(&world, &other, &format!("{NUMBER},")).await;
    set(&world, NUMBER, at_provider("pn-0"));
    // The provider has it, and whose it is it does not say.
    let synced =
        world.send_as(&other, "POST", "/v1/provider/numbers/sync", "application/json", Vec::new(), &[]).await;
    let shown =
        world.send_as(&other, "GET", "/v1/provider/numbers", "application/json", Vec::new(), &[]).await;
    let ours = import(&world, &format!("{NUMBER},pn-0")).await;
    let late = import_as(&world, &other, &format!("{NUMBER},pn-0")).await;

    assert_eq!(squatted.json["unconfirmed"].as_array().map(Vec::len), Some(1), "{squatted:?}");
    assert_eq!((&synced.json["confirmed"], &synced.json["unconfirmed"]), (&json!([]), &json!([NUMBER])));
    assert!(!shown.text.contains("pn-0"), "the id would prove the claim: {}", shown.text);
    assert_eq!(ours.json["added"], 1, "{ours:?}");
    assert_eq!(late.json["refused"][0]["reason"], "is in another company's pool", "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn an_operator_confirms_a_claim_and_moves_a_number_once_it_is_retired() {
    let world = World::new().await;
    let other = other(&world).await;
    set(&world, NUMBER, None);
    import_as(&world, &other, &format!("{NUMBER},")).await;
    import(&world, &format!("{NUMBER},")).await;

    let unknown = confirm(&world, "+12125550199", "acme").await;
    let confirmed = confirm(&world, NUMBER, "other").await;
    let again = confirm(&world, NUMBER, "other").await;
    let taken = confirm(&world, NUMBER, "acme").await;
    let path = format!("/v1/numbers/{NUMBER}/retire");
    let retired = world.send_as(&other, "POST", &path, "application/json", Vec::new(), &[]).await;
    let moved = confirm(&world, NUMBER, "acme").await;

    assert_eq!((unknown.status, confirmed.status, again.status), (404, 200, 200), "{confirmed:?}");
    assert_eq!((taken.status, retired.status, moved.status), (409, 200, 200), "{taken:?} {moved:?}");
    assert_eq!(available(&world).await, 1);
    let path = format!("/v1/numbers/{NUMBER}");
    let gone = world.send_as(&other, "GET", &path, "application/json", Vec::new(), &[]).await;
    assert_eq!(gone.status, 404);
    let path = format!("/v1/operator/numbers/{NUMBER}/confirm");
    let refused = world.send("POST", &path, json!({ "company": "acme" })).await;
    assert_eq!(refused.status, 403, "a company confirms nothing");
}
