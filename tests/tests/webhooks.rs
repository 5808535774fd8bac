//! Who may say what of a call: a webhook is taken from those who prove that they may send it.

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
