//! Campaigns as CSV: what became of each contact, and why each call was lawful.

use std::collections::BTreeMap;

use axum::body::Body;
use dialpool::simulator::Ending;
use dialpool_domain::time::Duration;
use dialpool_domain::{CallId, Usd};
use dialpool_tests::{Answer, World, script};
use serde_json::{Value, json};
use tower::ServiceExt;

async fn make(world: &World, contacts: &Value) -> String {
    let request = json!({ "name": "Test", "assistant_id": "a-1", "consent_required": "none" });
    let made = world.send("POST", "/v1/campaigns", request).await;
    let campaign = format!("/v1/campaigns/{}", made.json["id"].as_str().expect("an id"));
    let added = world.send("POST", &format!("{campaign}/contacts"), contacts.clone()).await;
    assert_eq!((added.status, &added.json["refused"]), (200, &json!([])), "{added:?}");
    campaign
}

/// The rows of a file, each by the names of its columns.
fn rows(file: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(file.as_bytes());
    let rows = reader.deserialize().map(|row| row.expect("a row"));
    rows.collect()
}

async fn export(world: &World, path: &str) -> Answer {
    let answer = world.send("GET", path, Value::Null).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// The rows of all pages of an export, page by page.
async fn pages(world: &World, path: &str) -> Vec<String> {
    let (mut pages, mut path) = (Vec::new(), path.to_owned());
    loop {
        let page = export(world, &path).await;
        pages.push(page.text);
        let Some(link) = page.headers.get("link") else { return pages };
        let link =
            link.to_str().ok().and_then(|link| link.strip_prefix('<')?.strip_suffix(">; rel=\"next\""));
        path = link.expect("a link to the next page").to_owned();
    }
}

/// Changes an item behind everybody's back.
async fn set(world: &World, key: Value, attribute: &str, value: Value) {
    let update = json!({
        "TableName": "DialingTable",
        "Key": key,
        "UpdateExpression": "SET #attribute = :value",
        "ExpressionAttributeNames": { "#attribute": attribute },
        "ExpressionAttributeValues": { ":value": value },
    });
    let request = http::Request::post("/")
        .header("x-amz-target", "DynamoDB_20120810.UpdateItem")
        .body(Body::from(update.to_string()))
        .expect("a request");
    let answer = world.local.stack.engine.endpoint().oneshot(request).await.expect("an answer");
    assert_eq!(answer.status(), 200, "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn an_export_is_safe_in_a_spreadsheet_and_can_be_imported() {
    let world = World::new().await;
    let names = [
        "=HYPERLINK(\"http://x.invalid\")",
        "+1",
        "-1",
        "@SUM(A1)",
        "'=1",
        "O'Hara, \"Ann\"",
        "two\nlines",
        "\u{ff1d}1",
        "Zoë",
        "'tis",
    ];
    let contacts: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            json!({
                "phone": format!("+1415555{:04}", 100 + n), "lead": format!("lead-{n}"), "name": name, "zip": "94105",
                "consent": "express_written", "consent_at": "2026-01-01", "consent_evidence": "=form",
            })
        })
        .collect();
    let first = make(&world, &json!(contacts)).await;

    let exported = export(&world, &format!("{first}/export")).await;
    let second = make(&world, &json!([])).await;
    let imported = world.send_csv(&format!("{second}/contacts"), &exported.text).await;
    let again = export(&world, &format!("{second}/export")).await;

    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(exported.text.as_bytes());
    for cell in
        reader.records().flat_map(|row| row.expect("a row").iter().map(str::to_owned).collect::<Vec<_>>())
    {
        assert!(!cell.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}']), "{cell:?}");
    }
    assert_eq!((imported.status, &imported.json["refused"]), (200, &json!([])), "{imported:?}");
    let untimed = |answer: &Answer| {
        let mut rows = rows(&answer.text);
        rows.iter_mut().for_each(|row| drop(row.remove("next_due_at")));
        rows
    };
    assert_eq!(untimed(&again), untimed(&exported));
    let listed = world.send("GET", &format!("{second}/contacts"), Value::Null).await;
    let listed: Vec<_> =
        listed.json["contacts"].as_array().unwrap().iter().map(|contact| contact["name"].clone()).collect();
    assert_eq!(json!(listed), json!(names));
}

#[tokio::test(start_paused = true)]
async fn a_contact_is_exported_with_what_became_of_its_calls() {
    let talk = Ending::Answered {
        talk: Duration::from_secs(40),
        customer_hangs_up: true,
        opted_out: false,
        booked: false,
        call_again: None,
    };
    let world = World::with(|settings| {
        let scripts = &mut settings.simulator.scripts;
        scripts.insert("+16465550100".parse().unwrap(), script(talk));
        scripts.insert("+16465550101".parse().unwrap(), script(Ending::Busy));
    })
    .await;
    world.add_numbers(&["+12125550101", "+12125550102"]).await;
    let contacts =
        json!([{ "phone": "+16465550100", "lead": "a" }, { "phone": "+16465550101", "lead": "b" }]);
    let campaign = make(&world, &contacts).await;
    assert_eq!(world.send("POST", &format!("{campaign}/start"), Value::Null).await.status, 200);
    world.pass(Duration::from_mins(5)).await;

    let exported = export(&world, &format!("{campaign}/export")).await;
    let calls = rows(&export(&world, &format!("{campaign}/calls/export")).await.text);

    assert_eq!(exported.headers["content-type"], "text/csv; charset=utf-8; header=present");
    assert!(exported.headers["content-disposition"].to_str().unwrap().starts_with("attachment; filename="));
    let found = rows(&exported.text);
    let [reached, busy] = &found[..] else { panic!("{found:?}") };
    let ledger = world.local.simulator.ledger();
    let cost = ledger.iter().find(|call| call.customer == "+16465550100").and_then(|call| call.cost).unwrap();
    let columns =
        ["phone", "status", "done_reason", "attempts", "calls", "last_outcome", "last_ended_reason", "cost"];
    assert_eq!(
        columns.map(|column| reached[column].as_str()),
        ["'+16465550100", "done", "reached", "1", "1", "answered", "customer-ended-call", &cost.to_string()]
    );
    assert_eq!(
        columns.map(|column| busy[column].as_str()),
        ["'+16465550101", "pending", "", "1", "1", "busy", "customer-busy", "0.0000"]
    );
    assert!(reached["last_recording_url"].starts_with("https://recordings.example.invalid/"), "{reached:?}");
    assert_eq!((reached["next_due_at"].as_str(), busy["next_due_at"].is_empty()), ("", false));
    assert_eq!(reached["first_attempt_at"], reached["last_attempt_at"]);
    let total: Usd = calls.iter().map(|call| call["cost"].parse::<Usd>().unwrap()).sum();
    assert_eq!(total, cost);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_exported_with_the_record_of_why_it_was_lawful() {
    let world = World::with(|settings| settings.simulator.answer_rate = 1.0).await;
    world.add_numbers(&["+12125550101"]).await;
    let contacts = json!([{ "phone": "+16465550100", "lead": "a", "zip": "94105" }]);
    let campaign = make(&world, &contacts).await;
    assert_eq!(world.send("POST", &format!("{campaign}/start"), Value::Null).await.status, 200);
    world.pass(Duration::from_mins(10)).await;

    let exported = rows(&export(&world, &format!("{campaign}/calls/export")).await.text);

    let [row] = &exported[..] else { panic!("{exported:?}") };
    let call = world.send("GET", &format!("/v1/calls/{}", row["call_id"]), Value::Null).await.json;
    let basis = &call["legal_basis"];
    let joined = |value: &Value| {
        let texts: Vec<&str> = value.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        texts.join("; ")
    };
    for (column, expected) in [
        ("rules_version", basis["rules_version"].as_str().unwrap().to_owned()),
        ("citations", joined(&basis["citations"])),
        ("zones", joined(&basis["zones"])),
        ("zone_sources", joined(&basis["zone_sources"])),
        ("law_states", joined(&basis["states"])),
        ("not_on_lists", joined(&basis["lists"])),
        ("window_opened_at", basis["opened_at"].as_str().unwrap().to_owned()),
        ("window_closes_at", basis["closes_at"].as_str().unwrap().to_owned()),
        ("evaluated_at", basis["evaluated_at"].as_str().unwrap().to_owned()),
        ("calls_before_24_h", basis["calls_before"]["in_24_h"].to_string()),
        ("attempt", "1".to_owned()),
        ("cost", call["cost"].as_str().unwrap().to_owned()),
    ] {
        assert_eq!(row[column], expected, "{column}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_pages_of_an_export_are_one_file_and_no_company_sees_anothers() {
    let world = World::new().await;
    let contacts: Vec<Value> = (0..2_100)
        .map(|n| json!({ "phone": format!("+1{}555{:04}", 201 + n / 100, 100 + n % 100), "lead": format!("l-{n}") }))
        .collect();
    let campaign = make(&world, &json!(contacts)).await;

    let pages = pages(&world, &format!("{campaign}/export")).await;
    let rival = world.local.company(&"rival".parse().unwrap(), "Rival").await.unwrap();
    let bearer = format!("Bearer {rival}");
    let mut refused = Vec::new();
    for path in [format!("{campaign}/export"), format!("{campaign}/calls/export")] {
        refused.push(world.send_as(&bearer, "GET", &path, "text/csv", Vec::new(), &[]).await.status);
    }

    let phones: Vec<String> = rows(&pages.concat()).into_iter().map(|row| row["phone"].clone()).collect();
    let expected: Vec<String> =
        contacts.iter().map(|contact| format!("'{}", contact["phone"].as_str().unwrap())).collect();
    assert_eq!((phones, pages.len()), (expected, 3));
    assert_eq!(refused, [404, 404]);
}

#[tokio::test(start_paused = true)]
async fn contacts_with_many_calls_are_fewer_to_a_page_and_each_has_the_cost_of_all_its_calls() {
    let world = World::new().await;
    let many = [1_500_u32, 400, 600, 2_500, 1, 1];
    let phone = |n: usize| format!("+1415555{:04}", 100 + n);
    let contacts: Vec<Value> =
        (0..many.len()).map(|n| json!({ "phone": phone(n), "lead": format!("l-{n}") })).collect();
    let campaign = make(&world, &json!(contacts)).await;
    let id = campaign.rsplit('/').next().unwrap();
    let mut chance = 0;
    for (n, calls) in many.into_iter().enumerate() {
        let ids: Vec<CallId> =
            (0..calls).map(|nth| CallId::new(world.now(), chance + u128::from(nth))).collect();
        chance += u128::from(calls);
        for id in [&ids[0], &ids[ids.len() - 1]] {
            let key = json!({ "pk": { "S": format!("CALL#{id}") }, "sk": { "S": "CALL" } });
            set(&world, key.clone(), "call_id", json!({ "S": id.as_str() })).await;
            set(&world, key, "report", json!({ "M": { "cost": { "S": "0.25" } } })).await;
        }
        let ids: Vec<Value> = ids.iter().map(|id| json!({ "S": id.as_str() })).collect();
        let key = json!({ "pk": { "S": format!("CAMP#{id}") }, "sk": { "S": format!("CON#{}", phone(n)) } });
        set(&world, key, "calls", json!({ "L": ids })).await;
    }

    let pages = pages(&world, &format!("{campaign}/export")).await;

    let sizes: Vec<usize> = pages.iter().map(|page| page.lines().count()).collect();
    assert_eq!(sizes, [1 + 2, 1, 1, 2], "the first has the header line");
    let told: Vec<(String, String)> =
        rows(&pages.concat()).into_iter().map(|row| (row["calls"].clone(), row["cost"].clone())).collect();
    let expected = many
        .map(|calls| (calls.to_string(), if calls == 1 { "0.2500".to_owned() } else { "0.5000".to_owned() }));
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_calls_is_read_without_the_transcripts_and_is_otherwise_whole() {
    let world = World::with(|settings| settings.simulator.answer_rate = 1.0).await;
    world.add_numbers(&["+12125550101", "+12125550102"]).await;
    let contacts =
        json!([{ "phone": "+16465550100", "lead": "a" }, { "phone": "+16465550101", "lead": "b" }]);
    let campaign = make(&world, &contacts).await;
    assert_eq!(world.send("POST", &format!("{campaign}/start"), Value::Null).await.status, 200);
    world.pass(Duration::from_mins(10)).await;
    let id = campaign.rsplit('/').next().unwrap().parse().unwrap();
    let first = world.store().calls(&world.company, Some(&id), None, 1).await.unwrap().entries.remove(0);
    let key = json!({ "pk": { "S": format!("CALL#{}", first.id) }, "sk": { "S": "CALL" } });
    set(&world, key, "report", json!({ "M": {} })).await;

    let listed = world.store().calls(&world.company, Some(&id), None, 10).await.unwrap().entries;

    let mut whole = Vec::new();
    for call in &listed {
        whole.push(world.store().call(&call.id).await.unwrap().unwrap());
    }
    let said: Vec<bool> = whole.iter().map(|call| call.report.transcript.is_some()).collect();
    whole.iter_mut().for_each(|call| call.report.transcript = None);
    assert_eq!((listed, said), (whole, vec![false, true]));
}
