//! The template, held against the tables of `shared/dynamo/TABLES.md`, against what its functions ask AWS for, against a
//! quota of AWS and against the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::any_service;
use dialpool::engine::{Engine, Fault, Intercept, WireRequest};
use dialpool::local::{TEMPLATE, WEBHOOK_SECRET, clock_from, simulated};
use dialpool::simulator::{Config, Ending, Script, Simulator};
use dialpool::stack::{Loopback, Options, Stack};
use dialpool::template::{Template, Trigger};
use dialpool_domain::time::Duration;
use dialpool_dynamo::Company;
use dialpool_runtime::Entropy;
use dialpool_runtime::http::issue_api_key;
use serde_json::{Value, json};
use serde_norway::Value as Yaml;
use tower::ServiceExt;

const DOCUMENT: &str = include_str!("../../../shared/dynamo/TABLES.md");
const SAMCONFIG: &str = include_str!("../../../samconfig.toml");
const RUNBOOK: &str = include_str!("../../../RUNBOOK.md");

// ---- tables ----------------------------------------------------------------------------------------------------------

/// What is said of each table: its key, and each of its indexes.
type Described = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_tables_of_the_document_are_the_tables_of_the_template() {
    let (document, template) = (tables_of_document(), tables_of_template());
    let mut differences = Vec::new();
    let names: BTreeSet<&String> = document.keys().chain(template.keys()).collect();
    for table in names {
        let (Some(documented), Some(made)) = (document.get(table), template.get(table)) else {
            let place = if document.contains_key(table) { "TABLES.md" } else { "the template" };
            differences.push(format!("{table}: is in {place} only"));
            continue;
        };
        let only = |these: &BTreeSet<String>, those: &BTreeSet<String>, place: &str| {
            these.difference(those).map(|part| format!("{table}: {place} only: {part}")).collect::<Vec<_>>()
        };
        differences.extend(only(documented, made, "in TABLES.md"));
        differences.extend(only(made, documented, "in the template"));
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn every_item_of_the_document_is_in_one_of_its_tables() {
    let tables = tables_of_document();
    for row in rows("Items") {
        assert!(tables.contains_key(&format!("{}Table", row[0])), "no table {}: {row:?}", row[0]);
    }
}

fn tables_of_document() -> Described {
    let mut tables = Described::new();
    for row in rows("Tables") {
        let [table, key, _what] = row[..] else { panic!("TABLES.md, Tables: wrong columns: {row:?}") };
        tables.insert(format!("{table}Table"), BTreeSet::from([format!("key ({})", plain(key))]));
    }
    for row in rows("Indexes") {
        let [table, index, kind, key, projection, _answers] = row[..] else {
            panic!("TABLES.md, Indexes: wrong columns: {row:?}");
        };
        let table = format!("{table}Table");
        let described = tables.get_mut(&table);
        let described = described.unwrap_or_else(|| panic!("TABLES.md: index {index} of no table: {table}"));
        described.insert(index_text(
            kind,
            &plain(index),
            &plain(key),
            &sorted(plain(projection).split(", ")),
        ));
    }
    tables
}

/// The rows, without the head, of the table under a heading of the document.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section = DOCUMENT.lines().skip_while(|line| line.strip_prefix("## ") != Some(heading)).skip(1);
    let lines = section.take_while(|line| !line.starts_with('#')).filter(|line| line.starts_with('|'));
    let rows = lines.skip(2).map(|line| line.trim_matches('|').split('|').map(str::trim).collect());
    let rows: Vec<Vec<&str>> = rows.collect();
    assert!(!rows.is_empty(), "TABLES.md has no table under `## {heading}`");
    rows
}

fn plain(cell: &str) -> String {
    cell.replace('`', "")
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

fn index_text(kind: &str, index: &str, key: &str, projection: &str) -> String {
    format!("{kind} index {index}, key ({key}), projection ({projection})")
}

fn tables_of_template() -> Described {
    let template = Template::parse(TEMPLATE).expect("the template");
    let describe = |definition: &Value| {
        let mut described = BTreeSet::from([format!("key ({})", key_text(definition, definition))]);
        for (kind, list) in [("local", "LocalSecondaryIndexes"), ("global", "GlobalSecondaryIndexes")] {
            for index in definition[list].as_array().into_iter().flatten() {
                let projection = projection_text(&index["Projection"]);
                let (name, key) = (text(&index["IndexName"]), key_text(definition, index));
                described.insert(index_text(kind, name, &key, &projection));
            }
        }
        described
    };
    template.tables.iter().map(|table| (table.name.clone(), describe(&table.definition))).collect()
}

/// The key of a table or an index with its types, as the document spells it.
fn key_text(definition: &Value, keyed: &Value) -> String {
    let found = |list: &Value, field: &str, wanted: &str| {
        list.as_array().into_iter().flatten().find(|part| part[field] == wanted).cloned()
    };
    let attributes = ["HASH", "RANGE"].into_iter().filter_map(|role| {
        let part = found(&keyed["KeySchema"], "KeyType", role)?;
        let name = text(&part["AttributeName"]);
        let defined = found(&definition["AttributeDefinitions"], "AttributeName", name);
        Some(format!("{name} {}", defined.as_ref().map_or("?", |defined| text(&defined["AttributeType"]))))
    });
    attributes.collect::<Vec<_>>().join(", ")
}

fn projection_text(projection: &Value) -> String {
    match text(&projection["ProjectionType"]) {
        "KEYS_ONLY" => "keys only".to_owned(),
        "INCLUDE" => sorted(projection["NonKeyAttributes"].as_array().into_iter().flatten().map(text)),
        other => other.to_lowercase(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

// ---- quotas ----------------------------------------------------------------------------------------------------------

/// What the policy of a function, which says who may invoke it, has room for. AWS raises this for nobody.
const POLICY_BYTES: usize = 20_480;

/// What the permission for one route takes there: 370 to 410 in a stack called `dialpool-prod`, whose name is in it twice.
const STATEMENT_BYTES: usize = 420;

/// SAM permits the API each route of a function by a statement of its own; a function that has the route `$default` needs
/// one statement for all.
#[test]
fn no_function_has_more_routes_than_its_policy_has_room_for() {
    for function in Template::parse(TEMPLATE).expect("the template").functions {
        let routes = function.triggers.iter().filter(|trigger| matches!(trigger, Trigger::Http { .. }));
        let (routes, most) = (routes.count(), POLICY_BYTES / STATEMENT_BYTES);
        let one_for_all = function.triggers.contains(&Trigger::HttpDefault);
        assert!(one_for_all || routes <= most, "{}: {routes} routes, {most} fit", function.name);
    }
}

// ---- alarms ----------------------------------------------------------------------------------------------------------

#[test]
fn every_alarm_has_its_section_in_the_runbook() {
    let template: Yaml = serde_norway::from_str(TEMPLATE).expect("YAML");
    let resources = template["Resources"].as_mapping().expect("resources");
    let alarms = resources.iter().filter(|(_, it)| it["Type"].as_str() == Some("AWS::CloudWatch::Alarm"));
    let alarms: BTreeSet<&str> = alarms.filter_map(|(name, _)| name.as_str()).collect();
    let sections = RUNBOOK.lines().filter_map(|line| line.strip_prefix("## "));
    let sections: BTreeSet<&str> = sections.filter(|heading| heading.ends_with("Alarm")).collect();
    assert_eq!(alarms, sections);
}

/// An alarm on a log line that no code writes would be silent for ever.
#[test]
fn every_log_line_that_a_metric_counts_is_written_by_the_code() {
    let template: Yaml = serde_norway::from_str(TEMPLATE).expect("YAML");
    let resources = template["Resources"].as_mapping().expect("resources");
    let filters = resources.iter().filter(|(_, it)| it["Type"].as_str() == Some("AWS::Logs::MetricFilter"));
    let patterns = filters.filter_map(|(_, filter)| filter["Properties"]["FilterPattern"].as_str());
    let begins = patterns.filter_map(|pattern| {
        pattern.strip_prefix("{ $.fields.message = \"")?.strip_suffix("*\" }").map(str::to_owned)
    });
    let begins: BTreeSet<String> = begins.collect();
    assert!(begins.len() >= 5, "{begins:?}");
    let sources = sources();
    for begin in begins {
        assert!(
            sources.iter().any(|source| source.contains(&format!("\"{begin}"))),
            "nobody writes: {begin}"
        );
    }
}

/// The code of the functions, and what they share.
fn sources() -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join("functions"), root.join("shared")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(std::fs::read_to_string(path).expect("a file"));
            }
        }
    }
    sources
}

// ---- builds ----------------------------------------------------------------------------------------------------------

/// A cached build looks at the folder of a function alone: after a change in `shared/` it would ship the functions as they were.
#[test]
fn no_build_is_cached_so_that_a_changed_shared_crate_changes_each_function() {
    let lines = SAMCONFIG.lines().map(|line| line.split('#').next().unwrap_or_default().replace(' ', ""));
    let cached: Vec<String> =
        lines.filter(|line| line.starts_with("cached=") && line != "cached=false").collect();
    assert_eq!(cached, Vec::<String>::new());
}

// ---- policies --------------------------------------------------------------------------------------------------------

/// Function, action, resource: `CampaignPacer`, `dynamodb:Query`, `DialingTable/index/by_due`.
type Grant = (String, String, String);

type Used = Arc<Mutex<BTreeSet<Grant>>>;

/// What the Lambda service does with a function's role, and not the function: the destination of failed batches.
const BY_LAMBDA: [[&str; 3]; 2] =
    [["EventRelay", "sqs:SendMessage", "RelayDlq"], ["JournalWatch", "sqs:SendMessage", "RelayDlq"]];

/// Who writes events may look for the last one of an aggregate: done only after a restore, when a place is taken.
const AFTER_A_RESTORE: [&str; 8] = [
    "CallDispatcher",
    "CampaignPacer",
    "DecisionApi",
    "InboxWorker",
    "JournalWatch",
    "PoolAssign",
    "ReleaseSweeper",
    "WebhookIngress",
];

/// A Monday, five seconds past noon in New York and nine in Los Angeles: calling has begun.
const MONDAY: &str = "2026-03-02T17:00:05Z";

/// Whose calls are taken.
const LEAD: &str = "+14155550150";

/// Runs every function through what it asks of AWS, and writes each request down. A grant that this finds unused is one
/// too many, or its use has to be added here; a path that is not run here is not checked.
#[tokio::test(start_paused = true)]
async fn every_function_may_do_what_it_does_and_nothing_else() {
    let used = Used::default();
    everything_arrives(&World::start(&used, Config::default()).await).await;
    let silent = Config { webhook_loss_rate: 1.0, ..Config::default() };
    no_webhook_arrives(&World::start(&used, silent).await).await;
    let nobody_home = Config { answer_rate: 0.0, ..Config::default() };
    many_are_called(&World::start(&used, nobody_home).await).await;

    let used = used.lock().expect("the uses").clone();
    let mut granted = granted();
    for by_lambda in BY_LAMBDA {
        let by_lambda = by_lambda.map(str::to_owned).into();
        assert!(granted.remove(&by_lambda), "not granted: {by_lambda:?}");
    }
    for function in AFTER_A_RESTORE {
        let after_a_restore = [function, "dynamodb:Query", "JournalTable"].map(str::to_owned).into();
        assert!(granted.remove(&after_a_restore), "not granted: {after_a_restore:?}");
    }
    let writes_events: BTreeSet<&String> = used
        .iter()
        .filter(|(_, action, on)| action == "dynamodb:PutItem" && on == "JournalTable")
        .map(|(function, ..)| function)
        .collect();
    let may_look: Vec<&str> = AFTER_A_RESTORE.into_iter().chain(["ControlApi"]).collect();
    assert!(writes_events.iter().all(|function| may_look.contains(&function.as_str())), "{writes_events:?}");
    let lines = |what: &str, grants: Vec<&Grant>| {
        let line = |(function, action, on): &Grant| format!("{function}: {what}: {action} on {on}\n");
        grants.into_iter().map(line).collect::<String>()
    };
    let missing = lines("not granted", used.difference(&granted).collect());
    let superfluous = lines("granted, not used", granted.difference(&used).collect());
    assert!(missing.is_empty() && superfluous.is_empty(), "\n{missing}{superfluous}");
}

async fn everything_arrives(world: &World) {
    // Two campaigns: one waits for a number and gets the pacer's dial, one has nobody to dial and gets its completion.
    let campaign = world.campaign(&format!("phone,lead\n{LEAD},lead-1\n")).await;
    world.campaign("phone,lead\n+442079460123,abroad\n").await;
    pass(Duration::from_mins(2)).await;
    let numbers = "phone,vapi_id\n+14155550101,pn-1\n+14155550102,pn-2\n+14155550103,pn-3\n";
    for _new_then_known in 0..2 {
        assert_eq!(world.post("/v1/numbers/import", "text/csv", numbers).await.0, 200);
    }
    pass(Duration::from_mins(10)).await;
    let call = world.simulator.ledger().first().expect("a call").name.clone();

    let other_id =
        "phone,vapi_id,call_count\n+14155550103,pn-4,150\n+14155550104,pn-5,150\n+14155550105,pn-6,1\n";
    assert_eq!(world.post("/v1/numbers/import", "text/csv", other_id).await.0, 200);
    let company = json!({ "company": "other" }).to_string();
    for (method, path, body) in [
        ("POST", "/v1/companies", company.as_str()),
        ("GET", "/v1/companies", ""),
        ("GET", "/v1/operator/provider/numbers", ""),
    ] {
        let answer = world.send_as(&world.operator, method, path, "application/json", body).await;
        assert!(answer.0 < 300, "{answer:?}");
    }
    let consent = json!({ "phone": "+14155550181", "kind": "express", "evidence": "form 7" });
    assert_eq!(world.ask("/v1/consents", &consent).await.0, 201);
    assert_eq!(world.ask("/v1/consents/+14155550181/revoke", &Value::Null).await.0, 200);
    let stop = json!({ "state": "CA", "reason": "test" }).to_string();
    for (path, key) in [("/v1/stops", &world.key), ("/v1/operator/stops", &world.operator)] {
        for (method, path, body) in
            [("PUT", path.to_owned(), stop.as_str()), ("DELETE", format!("{path}?state=CA"), "")]
        {
            let answer = world.send_as(key, method, &path, "application/json", body).await;
            assert_eq!(answer.0, 200, "{method} {path}: {answer:?}");
        }
    }

    assistants_come_and_go(world).await;
    let settings = json!({ "limits": { "per_day": 50 } }).to_string();
    assert_eq!(world.send("PATCH", "/v1/company", "application/json", &settings).await.0, 200);
    assert_eq!(world.ask("/v1/numbers/+14155550104/drain", &Value::Null).await.0, 200);
    for path in ["/v1/health", "/v1/numbers", "/v1/pool", "/v1/pool/report", "/v1/leads/lead-1/assignment"] {
        assert_eq!(world.get(path).await, 200, "{path}");
    }
    let of_campaign = |what: &str| format!("/v1/campaigns/{campaign}/{what}");
    for path in
        [of_campaign("contacts"), of_campaign("calls"), format!("/v1/calls/{call}"), "/v1/calls".to_owned()]
    {
        assert_eq!(world.get(&path).await, 200, "{path}");
    }

    // An hour's hold for the sweeper, and one that is booked, extended and released.
    let lead = |lead: &str| json!({ "lead": lead, "phone": "+14155550160" });
    assert_eq!(world.ask("/v1/assignments", &json!({ "lead": "lead-3", "hold_hours": 1 })).await.0, 201);
    let (_, hold) = world.ask("/v1/assignments", &lead("lead-2")).await;
    let hold = format!("/v1/assignments/{}", text(&hold["assignment_id"]));
    assert_eq!(world.get(&hold).await, 200);
    let changes = [
        ("book", json!({ "appointment_at": "2026-03-03T16:00:00Z" })),
        ("extend", json!({ "until": "2026-03-03T18:00:00Z" })),
        ("release", Value::Null),
    ];
    for (change, body) in changes {
        assert_eq!(world.ask(&format!("{hold}/{change}"), &body).await.0, 200, "{change}");
    }

    assert_eq!(world.ask("/v1/assignments", &json!({ "lead": "lead-4" })).await.0, 201);

    // Each of these once taken and once refused: an idempotency record is finished or given up.
    let message = |id: &str, text: &str| {
        let (lead, phone) = ("lead-4", "+14155550170");
        json!({
            "trigger": "message_received", "id": id, "lead": lead, "phone": phone, "channel": "sms", "text": text,
        })
    };
    for (path, body) in [
        ("/v1/assignments", lead("lead-5")),
        ("/v1/suppressions", json!({ "phone": "+14155550180" })),
        ("/v1/decisions", message("m-1", "Yes, call me")),
        ("/v1/decisions", message("m-2", "STOP")),
        ("/v1/decisions", json!({ "trigger": "call_ended", "call_id": call })),
    ] {
        let (status, answer) = world.ask(path, &body).await;
        assert!(status < 300, "{path}: {answer}");
        assert_eq!(world.ask(path, &json!({})).await.0, 422, "{path}");
    }

    // Who waits is served when a number is released, or when its hold is over.
    let waits = |lead: &str| json!({ "lead": lead, "phone": "+14155550190", "wait": true });
    for (n, status) in [(6, 201), (7, 202), (8, 202)] {
        assert_eq!(world.ask("/v1/assignments", &waits(&format!("lead-{n}"))).await.0, status, "lead-{n}");
    }
    let stopped = world.send("DELETE", "/v1/waiting/lead-8", "application/json", "").await;
    assert_eq!(stopped.0, 204);
    let (_, held) = world.send("GET", "/v1/leads/lead-5/assignment", "application/json", "").await;
    let hold = format!("/v1/assignments/{}/release", text(&held["assignment_id"]));
    assert_eq!(world.ask(&hold, &Value::Null).await.0, 200);
    pass(Duration::from_mins(1)).await;

    // Of a number whose quarantine is over no event tells: the sweeper gives it to who waits.
    let number = "phone,vapi_id\n+14155550106,pn-7\n";
    assert_eq!(world.post("/v1/numbers/import", "text/csv", number).await.0, 200);
    let aside = json!({ "until": "2026-03-02T17:45:00Z", "reason": "test" });
    assert_eq!(world.ask("/v1/numbers/+14155550106/quarantine", &aside).await.0, 200);
    assert_eq!(world.ask("/v1/assignments", &waits("lead-9")).await.0, 202);

    let inbound = include_str!("../../../events/vapi/assistant-request.json");
    let inbound = inbound.replace("+14155550100", "+14155550101");
    // What nobody understands is kept as it came, and is too large for a message of a queue.
    let large =
        json!({ "message": { "type": "of-tomorrow", "padding": "x".repeat(300 * 1024) } }).to_string();
    let predial = include_str!("../../../events/vapi/campaign-predial.json");
    let agreed = json!({ "phone": "+16465550100", "kind": "express_written", "evidence": "form 8" });
    assert_eq!(world.ask("/v1/consents", &agreed).await.0, 201);
    let predial = predial.replace("+12125550100", "+14155550101");
    for body in [&inbound, &large, &predial] {
        assert_eq!(world.post("/v1/webhooks/vapi", "application/json", body).await.0, 200);
    }
    pass(Duration::from_hours(2)).await;
}

async fn assistants_come_and_go(world: &World) {
    let (status, made) = world.ask("/v1/assistants", &json!({ "template": "lead-qualifier" })).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/v1/assistants/{}", text(&made["id"]));
    let change = json!({ "name": "Anna" }).to_string();
    assert_eq!(world.send("PATCH", &path, "application/json", &change).await.0, 200);
    let inventory = "/v1/provider/numbers".to_owned();
    for path in ["/v1/assistants".to_owned(), format!("{path}/versions"), format!("{path}/drift"), inventory]
    {
        assert_eq!(world.get(&path).await, 200, "{path}");
    }
    assert_eq!(world.send("DELETE", &path, "application/json", "").await.0, 204);
}

/// The sweeper finds the call silent, and the dispatcher finds out what became of it.
async fn no_webhook_arrives(world: &World) {
    let number = "phone,vapi_id\n+14155550101,pn-1\n";
    assert_eq!(world.post("/v1/numbers/import", "text/csv", number).await.0, 200);
    world.campaign(&format!("phone,lead\n{LEAD},lead-1\n")).await;
    pass(Duration::from_hours(1)).await;
}

/// From enough calls it is known how often people answer.
async fn many_are_called(world: &World) {
    let rows = |row: fn(u32) -> String| (100..140).map(row).collect::<String>();
    let numbers = rows(|n| format!("+14155550{n},pn-{n},150\n"));
    let numbers = format!("phone,vapi_id,call_count\n{numbers}");
    assert_eq!(world.post("/v1/numbers/import", "text/csv", &numbers).await.0, 200);
    let campaign =
        world.campaign(&format!("phone,lead\n{}", rows(|n| format!("+16505550{n},lead-{n}\n")))).await;
    // An operator stops all calls while one is on its way to the provider: it is withdrawn at the second try.
    pass(Duration::from_millis(300)).await;
    let stop = json!({ "reason": "test" }).to_string();
    for (method, body) in [("PUT", stop.as_str()), ("DELETE", "")] {
        let path = "/v1/operator/stops";
        let answer = world.send_as(&world.operator, method, path, "application/json", body).await;
        assert_eq!(answer.0, 200, "{method}: {answer:?}");
        pass(Duration::from_mins(1)).await;
    }
    // Calls that have not begun are withdrawn, and made later.
    for command in ["pause", "resume", "preflight"] {
        pass(Duration::from_secs(3)).await;
        let path = format!("/v1/campaigns/{campaign}/{command}");
        assert_eq!(world.ask(&path, &Value::Null).await.0, 200, "{command}");
    }
    pass(Duration::from_hours(8)).await;
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Every function as a stack of its own, all on the same services, so that each request is known to be that function's.
struct World {
    api: Arc<Router>,
    simulator: Simulator,
    key: String,
    operator: String,
    entropy: Entropy,
    _stacks: Vec<Stack>,
}

impl World {
    async fn start(used: &Used, mut config: Config) -> Self {
        let talk = Duration::from_secs(40);
        let ending = Ending::Answered {
            talk,
            customer_hangs_up: true,
            opted_out: false,
            booked: false,
            call_again: None,
        };
        let script = Script { ring: Duration::from_secs(4), ending };
        config.scripts.insert(LEAD.parse().expect("a number"), script);
        let clock = clock_from(MONDAY.parse().expect("a moment"));
        let engine = Engine::in_memory(clock.clone()).expect("an engine");
        let (entropy, loopback) = (Entropy::seeded(1), Loopback::default());
        let simulator =
            Simulator::new(config, clock.clone(), loopback.transport(), None).expect("a simulator");
        // What is imported is confirmed.
        simulator.has_numbers_of(engine.store());

        let template = Template::parse(TEMPLATE).expect("the template");
        engine.create(&template).await.expect("tables, queues, a bus");
        let (mut api, mut stacks) = (Router::new(), Vec::new());
        for function in &template.functions {
            let alone = Template { functions: vec![function.clone()], ..Template::default() };
            // As many lines as the template says.
            let usual = simulated(engine.clone(), clock.clone(), entropy.clone(), &simulator, 10);
            let options = Options { intercept: Some(recorder(&function.name, used)), ..usual };
            let stack = Stack::start(&alone, options).await.expect("a function");
            let paths = function.triggers.iter().filter_map(|trigger| match trigger {
                Trigger::Http { path, .. } => Some(path),
                Trigger::HttpDefault
                | Trigger::Queue { .. }
                | Trigger::Stream { .. }
                | Trigger::Schedule { .. } => None,
            });
            let paths = paths.collect::<BTreeSet<_>>();
            if function.name == "PoolAssign" {
                // What its main does first: the other functions with routes connect when they prove their hash key.
                let store = engine.store_behind(Some(recorder(&function.name, used)));
                store.warm_up().await.expect("a connection");
            }
            for path in paths {
                api = api.route(path, any_service(stack.api()));
            }
            stacks.push(stack);
        }
        let api = loopback.is(api);

        let store = engine.store();
        let company = "acme".parse().expect("a company");
        let tenant = Company::new(company, "Acme");
        assert!(store.create_company(&tenant).await.expect("a company"));
        let key = issue_api_key(&store, &entropy, Some(&tenant.company)).await.expect("a key");
        let operator = issue_api_key(&store, &entropy, None).await.expect("a key");
        Self { api, simulator, key, operator, entropy, _stacks: stacks }
    }

    /// Makes and starts a campaign with these contacts.
    async fn campaign(&self, contacts: &str) -> String {
        let new =
            json!({ "name": "Test", "assistant_id": "assistant-1", "cap": 7, "consent_required": "none" });
        let (_, made) = self.ask("/v1/campaigns", &new).await;
        let id = text(&made["id"]).to_owned();
        let path = format!("/v1/campaigns/{id}");
        assert_eq!(self.post(&format!("{path}/contacts"), "text/csv", contacts).await.0, 200);
        assert_eq!(self.ask(&format!("{path}/start"), &Value::Null).await.0, 200);
        id
    }

    async fn get(&self, path: &str) -> u16 {
        self.send("GET", path, "application/json", "").await.0
    }

    async fn ask(&self, path: &str, body: &Value) -> (u16, Value) {
        self.post(path, "application/json", &body.to_string()).await
    }

    async fn post(&self, path: &str, content_type: &str, body: &str) -> (u16, Value) {
        self.send("POST", path, content_type, body).await
    }

    async fn send(&self, method: &str, path: &str, content_type: &str, body: &str) -> (u16, Value) {
        self.send_as(&self.key, method, path, content_type, body).await
    }

    async fn send_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        content_type: &str,
        body: &str,
    ) -> (u16, Value) {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"))
            .header("idempotency-key", format!("{:x}", self.entropy.next_u64()))
            .header("x-vapi-secret", WEBHOOK_SECRET)
            .header("content-type", content_type)
            .body(Body::from(body.to_owned()))
            .expect("a request");
        let response = Router::clone(&self.api).oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// Writes down what the function asks for.
fn recorder(function: &str, used: &Used) -> Intercept {
    let (function, used) = (function.to_owned(), used.clone());
    Arc::new(move |request: &WireRequest<'_>| {
        let uses = uses(request);
        let uses = uses.into_iter().map(|(action, resource)| (function.clone(), action, resource));
        used.lock().expect("the uses").extend(uses);
        Fault::None
    })
}

/// The actions, each with its resource, that a request needs.
fn uses(request: &WireRequest<'_>) -> Vec<(String, String)> {
    let body: Value = serde_json::from_slice(request.body).expect("JSON");
    let list = |list: &Value| list.as_array().cloned().unwrap_or_default();
    match (request.service, request.operation) {
        // Whoever may do each write may do them together.
        ("DynamoDB", "TransactWriteItems") => {
            let writes = list(&body["TransactItems"]);
            let writes = writes.iter().filter_map(Value::as_object).flatten();
            let needed = |(kind, write): (&String, &Value)| {
                (format!("dynamodb:{kind}Item"), text(&write["TableName"]).to_owned())
            };
            writes.map(needed).collect()
        }
        ("DynamoDB", "BatchGetItem") => {
            let tables = body["RequestItems"].as_object().into_iter().flatten();
            tables.map(|(table, _)| ("dynamodb:BatchGetItem".to_owned(), table.clone())).collect()
        }
        ("DynamoDB", operation) => {
            let table = text(&body["TableName"]);
            let index = body["IndexName"].as_str().map(|index| format!("{table}/index/{index}"));
            vec![(format!("dynamodb:{operation}"), index.unwrap_or_else(|| table.to_owned()))]
        }
        ("SQS", operation) => {
            let queue = text(&body["QueueUrl"]).rsplit('/').next().unwrap_or_default();
            vec![(format!("sqs:{operation}"), queue.to_owned())]
        }
        ("Events", operation) => {
            let buses = list(&body["Entries"]);
            let buses = buses.iter().map(|entry| text(&entry["EventBusName"]).to_owned());
            buses.map(|bus| (format!("events:{operation}"), bus)).collect()
        }
        (service, operation) => vec![(format!("{service}:{operation}"), String::new())],
    }
}

/// What the policies of the template allow. A wildcard stays one, and is nothing that a function uses.
fn granted() -> BTreeSet<Grant> {
    let template: Yaml = serde_norway::from_str(TEMPLATE).expect("YAML");
    let mut granted = BTreeSet::new();
    for (function, resource) in template["Resources"].as_mapping().expect("resources") {
        for policy in each(&resource["Properties"]["Policies"]) {
            for statement in each(&policy["Statement"]) {
                assert_eq!(statement["Effect"].as_str(), Some("Allow"), "{function:?}");
                for action in each(&statement["Action"]) {
                    let names = each(&statement["Resource"]).into_iter().map(|resource| {
                        let text = |yaml: &Yaml| yaml.as_str().unwrap_or_default().to_owned();
                        (text(function), text(action), resource_name(resource))
                    });
                    granted.extend(names);
                }
            }
        }
    }
    granted
}

/// The elements of a list, or the one value that stands for a list of one.
fn each(yaml: &Yaml) -> Vec<&Yaml> {
    match yaml {
        Yaml::Null => Vec::new(),
        Yaml::Sequence(elements) => elements.iter().collect(),
        one => vec![one],
    }
}

/// `PoolTable` of `!GetAtt PoolTable.Arn`, `PoolTable/index/by_area` of `!Sub "${PoolTable.Arn}/index/by_area"`.
fn resource_name(yaml: &Yaml) -> String {
    let text = yaml.as_str().or_else(|| match yaml {
        Yaml::Tagged(tagged) => tagged.value.as_str(),
        _ => None,
    });
    text.unwrap_or_default().replace("${", "").replace('}', "").replace(".Arn", "")
}
