//! What is sent and read, held against Vapi's OpenAPI, samples and recordings where their folder is present:
//! `DIALPOOL_CONTRACTS`, or `shared/contracts` beside the workspace.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dialpool_domain::assistant::{AssistantName, Configuration, MARK, Mark, templates};
use dialpool_domain::inventory::{Kind as Carrier, Status};
use serde_json::{Value, json};

use super::tests::with_new_call;
use super::webhook::{Kind, Webhook};
use super::{PlaceCall, RefusalKind, StatusCode, WITHDRAW, answer, kept, read_call, wire};

fn contracts() -> Option<PathBuf> {
    let folder = std::env::var_os("DIALPOOL_CONTRACTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contracts"),
        PathBuf::from,
    );
    if folder.join("vapi-openapi.json").exists() {
        return Some(folder);
    }
    eprintln!("skipped: {} has no vapi-openapi.json; DIALPOOL_CONTRACTS names the folder", folder.display());
    None
}

/// The OpenAPI writes three things that JSON Schema reads otherwise: enumerated texts, and status codes, of type `object`;
/// and beside an array what its items, not it, may be.
fn corrected(schema: &mut Value) {
    let any_text = json!({ "type": "string" });
    match schema {
        Value::Object(fields) => {
            let enumerates_texts = fields.get("enum").is_some_and(|values| values[0].is_string());
            if fields.get("type") == Some(&json!("object")) && (enumerates_texts || fields.len() == 1) {
                fields.remove("type");
            }
            if fields.get("type") == Some(&json!("array")) && enumerates_texts {
                fields.remove("enum");
            }
            if fields
                .get("oneOf")
                .is_some_and(|choices| choices.as_array().is_some_and(|c| c.contains(&any_text)))
            {
                let choices = fields.remove("oneOf").unwrap();
                fields.insert("anyOf".to_owned(), choices);
            }
            fields.values_mut().for_each(corrected);
        }
        Value::Array(items) => items.iter_mut().for_each(corrected),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn violations(folder: &Path, schema: &str, instance: &Value) -> Vec<String> {
    let mut openapi: Value =
        serde_json::from_slice(&fs::read(folder.join("vapi-openapi.json")).unwrap()).unwrap();
    let mut components = openapi["components"].take();
    corrected(&mut components);
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}"), "components": components });
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_request_for_a_call_keeps_the_contract() {
    let Some(folder) = contracts() else { return };
    for credential_id in [None, Some("6e1f8b1a-0000-4000-8000-00000000c0de")] {
        let body =
            with_new_call(credential_id, |call| serde_json::to_value(wire::CreateCall::of(call)).unwrap());
        assert_eq!(violations(&folder, "CreateCallDTO", &body), Vec::<String>::new());
    }
    let mut body = with_new_call(None, |call| serde_json::to_value(wire::CreateCall::of(call)).unwrap());
    body["name"] = json!("n".repeat(41));
    assert_eq!(violations(&folder, "CreateCallDTO", &body).len(), 1, "the contract is looked at");
}

#[test]
fn every_message_of_the_samples_and_recordings_is_read() {
    let Some(folder) = contracts() else { return };
    let files = ["vapi/samples", "vapi/recorded"].map(|name| fs::read_dir(folder.join(name)).unwrap());
    let (mut reports, mut messages) = (0, 0);
    for file in files.into_iter().flatten() {
        let path = file.unwrap().path();
        let body = fs::read(&path).unwrap();
        let json: Value = serde_json::from_slice(&body).unwrap();
        if json.get("message").is_none() {
            continue;
        }
        let webhook = Webhook::parse(&body).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        messages += 1;
        assert!(webhook.timestamp.is_some(), "{}", path.display());
        if let Kind::EndOfCallReport { report, .. } = webhook.kind {
            assert!(report.ended_reason.is_some(), "{}", path.display());
            reports += 1;
        }
    }
    assert_eq!((messages, reports), (17, 3));
}

#[test]
fn the_calls_of_the_samples_are_read() {
    let Some(folder) = contracts() else { return };
    for name in ["04-create-call.response-201.json", "06-get-call-ended.response-200.json"] {
        let body = fs::read(folder.join("vapi/samples").join(name)).unwrap();
        let call = read_call(&body).unwrap();
        assert_eq!(call.id, "019a9046-121e-766d-bd1f-84f3ccc309c1");
    }
}

#[test]
fn every_request_for_an_assistant_keeps_the_contract() {
    let Some(folder) = contracts() else { return };
    let own = json!({
        "firstMessage": "Hello, this is the AI assistant of Example Brokers.",
        "model": { "provider": "openai", "model": "gpt-4o" },
        "metadata": { "team": "north" },
    });
    let own: Configuration = serde_json::from_value(own).unwrap();
    let stock = templates().iter().map(|template| template.configuration_for("Example Brokers"));
    for configuration in stock.chain([own, Configuration::default()]) {
        let mut body = Value::Object(body_of(&configuration));
        for schema in ["CreateAssistantDTO", "UpdateAssistantDTO"] {
            assert_eq!(violations(&folder, schema, &body), Vec::<String>::new(), "{schema}: {body}");
        }
        body["name"] = json!("n".repeat(41));
        assert_eq!(violations(&folder, "CreateAssistantDTO", &body).len(), 1, "the contract is looked at");
    }
}

fn body_of(configuration: &Configuration) -> serde_json::Map<String, Value> {
    let mark = Mark {
        company: "acme".parse().unwrap(),
        assistant_id: "ast_01J8ZQ4T7M3N5P6R8S9V0W1X2Y".parse().unwrap(),
        request: "r-1".to_owned(),
    };
    let name: AssistantName = "Anna".to_owned().try_into().unwrap();
    wire::assistant(&name, configuration, &mark).unwrap()
}

#[test]
fn an_assistant_is_read_as_it_was_sent() {
    for template in templates() {
        let configuration = template.configuration_for("Example Brokers");
        let mut body = body_of(&configuration);
        body.extend(
            [("id", "a-1"), ("createdAt", "2026-03-02T15:04:05.678Z")].map(|(k, v)| (k.to_owned(), json!(v))),
        );
        let read = wire::assistant_of(body).unwrap();
        assert_eq!(read.configuration, configuration);
        assert_eq!((read.name.as_deref(), read.mark.unwrap().request.as_str()), (Some("Anna"), "r-1"));
    }
    let mut own = Configuration::default().fields().clone();
    own.insert("metadata".to_owned(), json!({ "team": "north" }));
    let own = Configuration::given(own).unwrap();
    let body = body_of(&own);
    assert_eq!(
        (&body["metadata"]["team"], &body["metadata"][MARK]["company"]),
        (&json!("north"), &json!("acme"))
    );
    let read =
        wire::assistant_of(body.into_iter().chain([("id".to_owned(), json!("a-1"))]).collect()).unwrap();
    assert_eq!(read.configuration, own);
}

/// A number of each carrier, written by the contract.
#[test]
fn the_phone_numbers_of_the_contract_are_read() {
    let Some(folder) = contracts() else { return };
    let common = json!({
        "id": "pn-1", "orgId": "org-1", "createdAt": "2026-03-02T15:04:05.678Z", "updatedAt": "2026-03-02T15:04:05.678Z",
        "number": "+14155550100",
    });
    for (schema, own, kind, status) in [
        ("VapiPhoneNumber", json!({ "provider": "vapi", "status": "active" }), Carrier::Vapi, Status::Active),
        (
            "TwilioPhoneNumber",
            json!({ "provider": "twilio", "twilioAccountSid": "AC1", "status": "blocked" }),
            Carrier::Twilio,
            Status::Blocked,
        ),
        (
            "VonagePhoneNumber",
            json!({ "provider": "vonage", "credentialId": "c-1" }),
            Carrier::Vonage,
            Status::Active,
        ),
        (
            "TelnyxPhoneNumber",
            json!({ "provider": "telnyx", "credentialId": "c-1", "status": "activating" }),
            Carrier::Telnyx,
            Status::Activating,
        ),
        (
            "ByoPhoneNumber",
            json!({ "provider": "byo-phone-number", "credentialId": "c-1", "name": "SignalWire" }),
            Carrier::OwnTrunk,
            Status::Active,
        ),
    ] {
        let mut number = common.as_object().unwrap().clone();
        number.extend(own.as_object().unwrap().clone());
        assert_eq!(violations(&folder, schema, &Value::Object(number.clone())), Vec::<String>::new());
        let read = wire::number_of(&number).unwrap();
        assert_eq!((read.kind, read.status), (kind, status), "{schema}");
        assert_eq!(read.number.unwrap().as_str(), "+14155550100");
    }
}

/// Every name of a property that the contract has, anywhere.
fn names(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let properties = fields.get("properties").and_then(Value::as_object);
            found.extend(properties.into_iter().flat_map(serde_json::Map::keys).cloned());
            fields.values().for_each(|field| names(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A body that has every property of the contract wherever a message may have one keeps those of the list, and no secret.
#[test]
fn no_property_of_the_contract_is_kept_that_may_hold_a_secret() {
    let Some(folder) = contracts() else { return };
    let openapi: Value =
        serde_json::from_slice(&fs::read(folder.join("vapi-openapi.json")).unwrap()).unwrap();
    let mut all = BTreeSet::new();
    names(&openapi["components"]["schemas"], &mut all);
    assert!(all.len() > 1_000, "{}", all.len());
    let every = |value: &str| Value::Object(all.iter().map(|name| (name.clone(), json!(value))).collect());
    let mut message = every("secret-1");
    message["type"] = json!("end-of-call-report");
    for place in [
        "call",
        "phoneNumber",
        "customer",
        "artifact",
        "analysis",
        "assistant",
        "transport",
        "monitor",
        "server",
    ] {
        let mut within = every("secret-2");
        within["assistantOverrides"] = every("secret-3");
        within["phoneNumber"] = every("secret-4");
        message[place] = within;
    }
    let body = json!({ "message": message }).to_string();
    let kept = kept::kept(&crate::json::read(body.as_bytes()).value).unwrap().to_value();

    let mut left = BTreeSet::new();
    fn walk(value: &Value, left: &mut BTreeSet<String>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            left.insert(name.clone());
            walk(value, left);
        }
    }
    walk(&kept, &mut left);
    let suspicious = [
        "auth",
        "cred",
        "header",
        "jwt",
        "key",
        "monitor",
        "pass",
        "presigned",
        "private",
        "secret",
        "server",
        "sid",
        "sip",
        "token",
        "uri",
        "user",
    ];
    for name in &left {
        assert!(kept::FIELDS.contains(&name.as_str()), "{name}");
        let small = name.to_ascii_lowercase();
        assert!(!suspicious.iter().any(|part| small.contains(part)), "{name}");
    }
    let own = ["call_id", "campaign_id", "company", "lead", "trace_id"];
    for field in kept::FIELDS {
        let known = all.contains(*field) || own.contains(field);
        assert!(known, "{field} is no property of the contract");
    }
}

#[test]
fn what_is_asked_for_is_in_the_contract_with_its_parameters() {
    let Some(folder) = contracts() else { return };
    let openapi: Value =
        serde_json::from_slice(&fs::read(folder.join("vapi-openapi.json")).unwrap()).unwrap();
    let page = ["limit", "createdAtGe", "createdAtLe"];
    let of_number = ["phoneNumberId", "limit", "createdAtGe", "createdAtLe"];
    for (method, path, parameters) in [
        ("post", "/call", &[][..]),
        ("get", "/call", &of_number[..]),
        ("get", "/call/{id}", &[]),
        ("delete", "/call/{id}", &[]),
        ("get", "/assistant", &page),
        ("post", "/assistant", &[]),
        ("get", "/assistant/{id}", &[]),
        ("patch", "/assistant/{id}", &[]),
        ("get", "/phone-number", &page),
    ] {
        let asked = &openapi["paths"][path][method];
        assert!(asked.is_object(), "{method} {path}");
        let known: Vec<&str> = asked["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        assert!(parameters.iter().all(|parameter| known.contains(parameter)), "{method} {path}: {known:?}");
    }
    let withdraw: Value = serde_json::from_slice(WITHDRAW).unwrap();
    assert_eq!(violations(&folder, "DeleteCallDTO", &withdraw), Vec::<String>::new());
}

#[test]
fn every_refusal_of_the_samples_is_read() {
    let Some(folder) = contracts() else { return };
    for (name, kind) in [
        ("400-over-concurrency.json", RefusalKind::Capacity),
        ("400-validation.json", RefusalKind::Invalid),
        ("429-rate-limit.json", RefusalKind::Capacity),
    ] {
        let file: Value =
            serde_json::from_slice(&fs::read(folder.join("vapi/errors").join(name)).unwrap()).unwrap();
        let status = StatusCode::from_u16(file["status"].as_u64().unwrap().try_into().unwrap()).unwrap();
        let bodies = file["body_variants"].as_array().cloned().unwrap_or_else(|| vec![file["body"].clone()]);
        for body in bodies {
            let read = answer(status, body.to_string().as_bytes());
            let PlaceCall::Refused { kind: found, message, .. } = &read else { panic!("{name}: {read:?}") };
            assert!(*found == kind && !message.is_empty(), "{name}: {read:?}");
        }
    }
}
