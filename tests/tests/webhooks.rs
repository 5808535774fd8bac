//! Who may say what of a call: a webhook is taken from those who prove that they may send it.

use dialpool_domain::event::EventData;
use dialpool_domain::time::Duration;
use dialpool_tests::{World, script, talk_of, with_numbers};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn the_secret_that_a_call_carries_opens_news_of_that_call_and_nothing_else() {
    let phones = ["+16465550100", "+16465550101"];
    let world = World::with(|settings| {
        let talk = talk_of(Duration::from_mins(4));
        let scripts = phones.map(|phone| (phone.parse().expect("a number"), script(talk)));
        settings.simulator.scripts.extend(scripts);
    })
    .await;
    with_numbers(&world, 2).await;
    world.campaign(2, &format!("phone,lead\n{},lead-1\n{},lead-2\n", phones[0], phones[1])).await;
    world.pass(Duration::from_secs(30)).await;
    let [call, other] = <[_; 2]>::try_from(world.local.simulator.ledger()).expect("two calls");
    let carried = world.local.simulator.webhook_header(&call.name, "X-Vapi-Secret").expect("a secret");
    let post = async |body: &str| {
        let headers = [("x-vapi-secret", carried.as_str())];
        let body = body.as_bytes().to_vec();
        world.send_as("", "POST", "/v1/webhooks/vapi", "application/json", body, &headers).await.status
    };
    let over = |id: &str, name: &str| {
        json!({ "message": {
            "type": "end-of-call-report",
            "endedReason": "customer-ended-call",
            "phoneNumber": { "number": "+12125550100" },
            "customer": { "number": phones[1] },
            "analysis": { "structuredData": { "opted_out": true } },
            "call": { "id": id, "name": name },
        }})
        .to_string()
    };
    let question = |kind: &str| {
        json!({ "message": {
            "type": kind,
            "phoneNumber": { "number": "+12125550100" },
            "customer": { "number": phones[1] },
            "call": { "id": call.provider_call_id, "name": call.name },
        }})
        .to_string()
    };

    let refused = [
        post(&over(&other.provider_call_id, &other.name)).await,
        post(&over(&call.provider_call_id, &other.name)).await,
        post(&over("inbound-1", "")).await,
        post(&question("assistant-request")).await,
        post(&question("campaign.predial")).await,
        post("{").await,
    ];
    let taken = post(&over(&call.provider_call_id, &call.name)).await;
    world.pass(Duration::from_secs(10)).await;

    assert!(carried.len() == 64 && !carried.contains("local-webhook-secret"), "{carried}");
    assert_eq!((refused, taken), ([401; 6], 200));
    let mut states = Vec::new();
    for name in [&call.name, &other.name] {
        states.push(world.send("GET", &format!("/v1/calls/{name}"), Value::Null).await.json["state"].clone());
    }
    assert_eq!(states, [json!("ended"), json!("in_progress")]);
    let engine = &world.local.stack.engine;
    assert_eq!((engine.queue_depth("InboxQueue").total(), engine.queue_depth("InboxDlq").total()), (0, 0));
}

/// A call that is under way, what opens everything, and the person called.
async fn talking() -> (World, dialpool::simulator::LedgerEntry) {
    let world = World::with(|settings| {
        let talk = talk_of(Duration::from_mins(4));
        settings.simulator.scripts.insert("+16465550100".parse().expect("a number"), script(talk));
    })
    .await;
    with_numbers(&world, 2).await;
    world.campaign(1, "phone,lead\n+16465550100,lead-1\n").await;
    world.pass(Duration::from_secs(30)).await;
    let call = world.local.simulator.ledger().into_iter().next().expect("a call");
    (world, call)
}

async fn post(world: &World, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> u16 {
    let answer =
        world.send_as("", "POST", "/v1/webhooks/vapi", "application/json", body.into(), headers).await;
    answer.status
}

async fn opted_out(world: &World) -> Vec<String> {
    let books = world.books().await;
    let out = books.events().iter().filter_map(|event| match &event.data {
        EventData::LeadOptedOut { phone, .. } => Some(phone.to_string()),
        _ => None,
    });
    out.collect()
}

const OF_SERVER: [(&str, &str); 1] = [("x-vapi-secret", "local-webhook-secret")];
const WISH: &str = r#""analysis":{"structuredData":{"opted_out":true}}"#;

#[tokio::test(start_paused = true)]
async fn an_opt_out_is_settled_whatever_state_its_report_is_in() {
    for number in 0..5 {
        let (world, call) = talking().await;
        let report = |more: &str| {
            let (id, name) = (&call.provider_call_id, &call.name);
            format!(
                r#"{{"message":{{"type":"end-of-call-report","call":{{"id":"{id}","name":"{name}"}},{more}{WISH},"endedReason":"customer-ended-call"}}}}"#
            )
        };
        let body = match number {
            0 => report(r#""summary":"bye \ud83d","#).into_bytes(),
            1 => report("\"summary\":\"bye \u{1}\",")
                .bytes()
                .map(|byte| if byte == 1 { 0xff } else { byte })
                .collect(),
            2 => report(&format!(r#""news":{}7{},"#, "[".repeat(500), "]".repeat(500))).into_bytes(),
            3 => report("\"summary\":\"\u{ffff}\",").into_bytes(),
            _ => {
                let whole = report("").into_bytes();
                whole[..whole.len() - 40].to_vec()
            }
        };
        let secret = world.local.simulator.webhook_header(&call.name, "X-Vapi-Secret").expect("a secret");

        let status = post(&world, &[("x-vapi-secret", &secret)], body).await;
        world.pass(Duration::from_secs(10)).await;

        assert_eq!((status, opted_out(&world).await), (200, vec!["+16465550100".to_owned()]), "{number}");
        let shown = world.send("GET", &format!("/v1/calls/{}", call.name), Value::Null).await.json;
        assert_eq!(shown["state"], "ended", "{number}: {shown}");
        assert_eq!(shown["opt_out_heard"], "opted_out: true");
        let engine = &world.local.stack.engine;
        assert_eq!(
            engine.queue_depth("InboxDlq").total() + engine.queue_depth("InboxQueue").total(),
            0,
            "{number}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_opt_out_in_a_report_that_is_for_a_human_is_settled_first() {
    let unknown = "call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y";
    for number in 0..5 {
        let (world, call) = talking().await;
        let (id, name) = (&call.provider_call_id, &call.name);
        let numbers = r#""phoneNumber":{"number":"+12125550100"},"customer":{"number":"+16465550100"}"#;
        let message = match number {
            0 => format!(
                r#""type":"end-of-call-report","endedReason":"customer-ended-call","call":{{"id":"second","name":"{name}"}}"#
            ),
            1 => format!(r#""type":"end-of-call-report","call":{{"id":"p7","name":"{unknown}"}},{numbers}"#),
            2 => format!(r#""type":"teleport","call":{{"id":"{id}","name":"{name}"}}"#),
            3 => format!(r#""type":"teleport",{numbers}"#),
            _ => format!(r#""call":{{"id":"{id}","name":"{name}"}}"#),
        };

        let status = post(&world, &OF_SERVER, format!(r#"{{"message":{{{message},{WISH}}}}}"#)).await;
        world.pass(Duration::from_secs(5)).await;

        assert_eq!((status, opted_out(&world).await), (200, vec!["+16465550100".to_owned()]), "{number}");
        world.pass(Duration::from_hours(1)).await;
        assert_eq!(
            world.local.stack.engine.queue_depth("InboxDlq").total(),
            1,
            "{number}: and a human sees it"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_opt_out_on_a_call_that_dialpool_did_not_place_is_settled_by_the_numbers() {
    let (world, _) = talking().await;
    for (number, ours) in [
        (101, r#""phoneNumber":{"number":"+12125550100"}"#),
        (102, r#""call":{"id":"in-1","phoneNumber":{"number":"+12125550100"}}"#),
        (103, r#""call":{"id":"in-1","phoneNumberId":"pn-12125550100"}"#),
    ] {
        let theirs = format!(r#""customer":{{"number":"+16465550{number}"}}"#);
        let said = r#""artifact":{"messages":[{"role":"user","message":"Take me off your list."}]}"#;
        let id = r#""call":{"id":"in-1"}"#;
        let call = if ours.contains("call") { String::new() } else { format!("{id},") };
        let body = format!(r#"{{"message":{{"type":"end-of-call-report",{call}{ours},{theirs},{said}}}}}"#);

        assert_eq!(post(&world, &OF_SERVER, body).await, 200);
        world.pass(Duration::from_secs(5)).await;

        assert_eq!(opted_out(&world).await.last(), Some(&format!("+16465550{number}")), "{ours}");
    }
    assert_eq!(world.local.stack.engine.queue_depth("InboxDlq").total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_can_read_is_kept_when_its_sender_is_known() {
    let (world, call) = talking().await;
    let secret = world.local.simulator.webhook_header(&call.name, "X-Vapi-Secret").expect("a secret");
    let of_call = [("x-vapi-secret", secret.as_str()), ("x-dialpool-call", call.name.as_str())];

    let taken = [
        post(&world, &OF_SERVER, "{").await,
        post(&world, &OF_SERVER, vec![0xff; 10]).await,
        post(&world, &of_call, r#"{"message":{"analysis":{"structuredData":{"dnc":"Yes"#).await,
    ];
    let refused = [
        post(&world, &of_call[..1], "{").await,
        post(&world, &[("x-vapi-secret", "another")], "{").await,
        post(&world, &[("x-dialpool-call", call.name.as_str())], "{").await,
    ];
    world.pass(Duration::from_secs(5)).await;

    assert_eq!((taken, refused), ([200; 3], [401; 3]));
    assert_eq!(opted_out(&world).await, ["+16465550100"]);
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.local.stack.engine.queue_depth("InboxDlq").total(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_secret_of_a_call_ends_a_day_after_the_claim() {
    let (world, call) = talking().await;
    let secret = world.local.simulator.webhook_header(&call.name, "X-Vapi-Secret").expect("a secret");
    let hang = format!(
        r#"{{"message":{{"type":"hang","call":{{"id":"{}","name":"{}"}}}}}}"#,
        call.provider_call_id, call.name
    );
    let headers = [("x-vapi-secret", secret.as_str())];

    world.pass(Duration::from_hours(23)).await;
    let before = post(&world, &headers, hang.clone()).await;
    world.pass(Duration::from_hours(2)).await;

    assert_eq!((before, post(&world, &headers, hang.clone()).await), (200, 401));
    assert_eq!(post(&world, &OF_SERVER, hang).await, 200, "that of the server does not end");
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_call_is_bounded_and_an_opt_out_is_heard_when_it_is_full() {
    let (world, call) = talking().await;
    let secret = world.local.simulator.webhook_header(&call.name, "X-Vapi-Secret").expect("a secret");
    let headers = [("x-vapi-secret", secret.as_str())];
    let of_call = format!(r#""call":{{"id":"{}","name":"{}"}}"#, call.provider_call_id, call.name);
    let long = "x".repeat(150 * 1024);
    for number in 0..10 {
        let message = format!(
            r#"{{"message":{{"type":"speech-update","timestamp":{number},"transcript":"{long}",{of_call}}}}}"#
        );
        assert_eq!(post(&world, &headers, message).await, 200);
    }
    for number in 0..250 {
        let message = format!(r#"{{"message":{{"type":"hang","timestamp":{number},{of_call}}}}}"#);
        assert_eq!(post(&world, &headers, message).await, 200);
    }
    world.pass(Duration::from_mins(1)).await;
    let shown = world.send("GET", &format!("/v1/calls/{}", call.name), Value::Null).await;

    let report = format!(
        r#"{{"message":{{"type":"end-of-call-report",{of_call},"endedReason":"customer-ended-call",{WISH}}}}}"#
    );
    assert_eq!(post(&world, &headers, report).await, 200);
    world.pass(Duration::from_secs(10)).await;

    assert!(shown.text.len() < 2 * 1024 * 1024, "{}", shown.text.len());
    assert!(shown.json["provider_log"].as_array().expect("a log").len() <= 200);
    assert_eq!(opted_out(&world).await, ["+16465550100"]);
    let ended = world.send("GET", &format!("/v1/calls/{}", call.name), Value::Null).await.json;
    assert_eq!((&ended["state"], &ended["opted_out"]), (&json!("ended"), &json!(true)));
    assert_eq!(world.local.stack.engine.queue_depth("InboxDlq").total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_shows_no_secret_of_the_provider() {
    let (world, call) = talking().await;
    let message = json!({ "message": {
        "type": "status-update",
        "status": "in-progress",
        "phoneNumber": { "number": "+12125550100", "twilioAuthToken": "hidden-1", "credential": { "password": "hidden-2" } },
        "assistant": { "model": { "apiKey": "hidden-3" }, "server": { "headers": { "X-Key": "hidden-4" } } },
        "call": { "id": call.provider_call_id, "name": call.name, "transport": { "callToken": "hidden-5" } },
    }});
    assert_eq!(post(&world, &OF_SERVER, message.to_string()).await, 200);
    world.pass(Duration::from_secs(5)).await;

    let shown = world.send("GET", &format!("/v1/calls/{}", call.name), Value::Null).await;

    assert!(shown.text.contains("in-progress") && !shown.text.contains("hidden-"), "{}", shown.text);
    assert!(!shown.text.contains("X-Vapi-Secret"), "{}", shown.text);
}
