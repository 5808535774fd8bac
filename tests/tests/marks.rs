//! What a list says of its people is obeyed: who must not be called, and where everybody is.

use dialpool_domain::time::Duration;
use dialpool_tests::{World, with_numbers};
use serde_json::{Value, json};

/// A running campaign without contacts.
async fn campaign(world: &World) -> String {
    with_numbers(world, 5).await;
    let request = json!({ "name": "Test", "assistant_id": "assistant-1", "consent_required": "none" });
    let made = world.send("POST", "/v1/campaigns", request).await;
    format!("/v1/campaigns/{}", made.json["id"].as_str().expect("an id"))
}

/// The numbers that the provider was asked to call within a day.
async fn called(world: &World, campaign: &str) -> Vec<String> {
    world.send("POST", &format!("{campaign}/start"), Value::Null).await;
    world.pass(Duration::from_hours(24)).await;
    let mut called: Vec<String> =
        world.local.simulator.ledger().into_iter().map(|call| call.customer).collect();
    called.sort();
    called.dedup();
    called
}

#[tokio::test(start_paused = true)]
async fn nobody_is_called_whom_a_list_marks_and_the_report_names_each_mark() {
    for (header, yes) in [
        ("do_not_call", "TRUE"),
        ("DNC", "Y"),
        ("Opted Out", "yes"),
        ("Litigator", "1"),
        ("Do Not Contact", "2026-01-05"),
        ("DND", "on"),
        ("Unsubscribed", "x"),
        ("Status", "DNC"),
        ("Phone DNC", "t"),
    ] {
        let world = World::new().await;
        let campaign = campaign(&world).await;
        let file = format!("phone,lead,{header}\n+12125550151,a,{yes}\n+12125550152,b,\n+12125550153,c,no\n");

        let report = world.send_csv(&format!("{campaign}/contacts"), &file).await;

        assert_eq!(report.status, 200, "{header}: {report:?}");
        let marked = &report.json["suppressed"];
        assert_eq!((&marked[0]["line"], &marked[1]), (&json!(2), &Value::Null), "{header}: {marked}");
        assert_eq!(called(&world, &campaign).await, ["+12125550152", "+12125550153"], "{header}");
        // The mark holds for every campaign of the company.
        let again = world.send_csv(&format!("{campaign}/contacts"), "phone,lead\n+12125550151,a\n").await;
        assert_eq!(again.status, 200, "{again:?}");
        world.pass(Duration::from_hours(24)).await;
        assert!(
            world.local.simulator.ledger().iter().all(|call| call.customer != "+12125550151"),
            "{header}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_mark_in_json_is_obeyed_and_a_dry_run_suppresses_nobody() {
    let world = World::new().await;
    let campaign = campaign(&world).await;
    let rows = json!([
        { "phone": "+12125550151", "lead": "a", "dnd": true },
        { "phone": "+12125550152", "lead": "b", "dnd": false },
        { "phone": "+12125550153", "lead": "c", "dnd": null },
    ]);

    let dry = world.send("POST", &format!("{campaign}/contacts?dry_run=true"), rows.clone()).await;
    let report = world.send("POST", &format!("{campaign}/contacts"), rows).await;

    assert_eq!(dry.json["suppressed"][0]["line"], 1, "{dry:?}");
    assert_eq!(report.json["suppressed"], dry.json["suppressed"]);
    assert_eq!((&dry.json["added"], &report.json["added"]), (&json!(2), &json!(2)));
    assert_eq!(called(&world, &campaign).await, ["+12125550152", "+12125550153"]);
}

#[tokio::test(start_paused = true)]
async fn a_person_in_boston_with_a_number_of_california_is_not_called_in_the_boston_night() {
    for (header, place) in
        [("Zipcode", "02139"), ("State/Region", "Massachusetts"), ("tz", "America/New_York")]
    {
        // 21:30 in Boston, 18:30 in San Francisco.
        let world = World::starting("2026-03-03T02:30:00Z", |_| {}).await;
        let campaign = campaign(&world).await;
        let file = format!("phone,lead,{header}\n+14155550151,a,{place}\n");
        assert_eq!(world.send_csv(&format!("{campaign}/contacts"), &file).await.status, 200, "{header}");
        world.send("POST", &format!("{campaign}/start"), Value::Null).await;

        world.pass(Duration::from_hours(8)).await;

        assert_eq!(world.local.simulator.ledger().len(), 0, "{header}");
        world.pass(Duration::from_hours(12)).await;
        assert_eq!(world.local.simulator.ledger().len(), 1, "{header}: by day the person is called");
    }
}

#[tokio::test(start_paused = true)]
async fn a_column_that_must_be_read_and_is_not_understood_is_asked_for_and_others_are_named() {
    let world = World::new().await;
    let campaign = campaign(&world).await;
    let file = "phone,lead,UTC offset,Favourite color\n+12125550151,a,-5,blue\n";

    let asked = world.send_csv(&format!("{campaign}/contacts"), file).await;
    let mapped = world.send_csv(&format!("{campaign}/contacts?map=UTC%20offset=ignore"), file).await;

    assert_eq!(asked.status, 422, "{asked:?}");
    assert!(asked.text.contains("UTC offset") && asked.text.contains("map"), "{asked:?}");
    assert_eq!(mapped.status, 200, "{mapped:?}");
    // A mapping switches no mark off.
    for field in ["ignore", "may_call", "name", "state"] {
        let marked = "phone,lead,DNC\n+12125550152,b,yes\n";
        let kept = world.send_csv(&format!("{campaign}/contacts?map=DNC={field}&dry_run=true"), marked).await;
        assert_eq!(kept.json["suppressed"][0]["line"], 2, "{field}: {kept:?}");
    }
    assert_eq!(mapped.json["not_read"], json!(["UTC offset", "Favourite color"]));
}
