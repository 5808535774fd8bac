//! Files of contacts: taken whole, in whatever way they are sent, or refused before anything of them is written.

use std::io::Write;

use axum::body::Body;
use bytes::Bytes;
use dialpool_domain::time::Duration;
use dialpool_tests::World;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

const GZIP: [(&str, &str); 1] = [("content-encoding", "gzip")];

async fn campaign(world: &World) -> String {
    let request = json!({ "name": "Test", "assistant_id": "a-1", "consent_required": "none" });
    let made = world.send("POST", "/v1/campaigns", request).await;
    format!("/v1/campaigns/{}", made.json["id"].as_str().expect("an id"))
}

async fn contacts(world: &World, campaign: &str) -> u64 {
    world.send("GET", campaign, Value::Null).await.json["contacts"].as_u64().expect("a count")
}

fn zipped(file: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(file).expect("memory");
    gzip.finish().expect("memory")
}

/// A file with so many people, some of whom are in it twice.
fn file(rows: u32) -> String {
    let row = |n: u32| format!("+1{}555{:04},lead-{n}\n", 201 + n % 90, 100 + n / 90 % 100);
    std::iter::once("phone,lead\n".to_owned()).chain((0..rows).map(row)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_compressed_file_is_taken_as_the_file_itself() {
    let world = World::new().await;
    let campaign = campaign(&world).await;
    let path = format!("{campaign}/contacts");
    let csv = "phone,lead\n+14155550101,a\nnonsense,b\n+14155550103,c\n";

    let dry = world.send_file(&format!("{path}?dry_run=true"), zipped(csv.as_bytes()), &GZIP).await;
    let before = contacts(&world, &campaign).await;
    let taken = world.send_file(&path, zipped(csv.as_bytes()), &GZIP).await;

    assert_eq!((dry.status, &dry.json["added"], before), (200, &json!(2), 0), "{dry:?}");
    assert_eq!((taken.status, &taken.json["added"]), (200, &json!(2)), "{taken:?}");
    assert_eq!(
        taken.json["refused"],
        json!([{ "line": 3, "field": "phone", "reason": dry.json["refused"][0]["reason"] }])
    );
    assert_eq!(contacts(&world, &campaign).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_too_large_unpacked_or_not_is_refused_before_anything_is_written() {
    let world = World::new().await;
    let campaign = campaign(&world).await;
    let path = format!("{campaign}/contacts");
    let mut large = b"phone,lead,notes\n+14155550101,a,\n".to_vec();
    large.resize(10 * 1024 * 1024 + 1, b'\n');
    let bomb = zipped(&large);

    let plain = world.send_file(&path, large, &[]).await;
    let packed = world.send_file(&path, bomb, &GZIP).await;
    let rows = world.send_csv(&path, &file(10_001)).await;

    let too_large = json!("urn:dialpool:problem:too-large");
    assert_eq!((plain.status, &plain.json["type"]), (413, &too_large), "{plain:?}");
    assert_eq!((packed.status, &packed.json["type"]), (413, &too_large), "{packed:?}");
    assert_eq!((rows.status, rows.wrong_fields()), (422, vec!["body"]), "{rows:?}");
    assert_eq!(contacts(&world, &campaign).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_or_is_not_what_it_says_leaves_nothing_behind() {
    let world = World::new().await;
    let campaign = campaign(&world).await;
    let path = format!("{campaign}/contacts");
    let packed = zipped(file(500).as_bytes());
    let pieces = [Ok(Bytes::from("phone,lead\n+14155550101,a\n")), Err(std::io::Error::other("cut"))];

    let cut = world.send_body(&path, Body::from_stream(futures::stream::iter(pieces)), &[]).await;
    let half = world.send_file(&path, packed[..packed.len() / 2].to_vec(), &GZIP).await;
    let none = world.send_file(&path, file(5).into_bytes(), &GZIP).await;
    let other = world.send_file(&path, file(5).into_bytes(), &[("content-encoding", "br")]).await;

    assert_eq!([cut.status, half.status, none.status, other.status], [400, 400, 400, 415]);
    assert_eq!(half.headers["content-type"], "application/problem+json");
    assert_eq!(other.json["type"], "urn:dialpool:problem:unknown-encoding");
    assert_eq!(contacts(&world, &campaign).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_sent_again_adds_what_is_missing_and_counts_what_is_known() {
    let world = World::new().await;
    let campaign = campaign(&world).await;
    let path = format!("{campaign}/contacts");
    let count = |answer: &Value| [&answer["added"], &answer["known"], &answer["rows"]].map(Value::as_u64);

    let part = world.send_csv(&path, &file(150)).await;
    let dry = world.send_csv(&format!("{path}?dry_run=true"), &file(450)).await;
    let whole = world.send_csv(&path, &file(450)).await;
    let again = world.send_csv(&path, &file(450)).await;

    assert_eq!(count(&part.json), [Some(150), Some(0), Some(150)], "{part:?}");
    assert_eq!((count(&dry.json), count(&whole.json)), ([Some(300), Some(150), Some(450)], count(&dry.json)));
    assert_eq!(count(&again.json), [Some(0), Some(450), Some(450)]);
    assert_eq!(contacts(&world, &campaign).await, 450);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_is_verified_and_kept_as_it_was_sent() {
    let world = World::new().await;
    let body = zipped(br#"{"message":{"type":"hang"}}"#);
    let headers = [GZIP[0], ("x-vapi-secret", "local-webhook-secret")];

    let answer = world.send_as("", "POST", "/v1/webhooks/vapi", "application/json", body, &headers).await;
    world.pass(Duration::from_hours(1)).await;

    // It is no JSON as it was sent, and nobody unpacks it.
    assert_eq!((answer.status, world.local.stack.engine.queue_depth("InboxDlq").total()), (200, 1));
}

#[tokio::test(start_paused = true)]
async fn a_small_file_of_millions_of_cells_costs_the_row_that_has_them_and_no_other() {
    let world = World::new().await;
    let bearer = format!("Bearer {}", world.local.company(&"rival".parse().unwrap(), "Rival").await.unwrap());
    let path = "/v1/numbers/import";
    let mut csv = b"phone,label\n+14155550101,a\n".to_vec();
    csv.resize(10_000_000, b',');
    csv.extend(b"\n+14155550102,b\n");
    let zeros = vec!["0"; 4_900_000].join(",");
    let json =
        format!(r#"[{{"phone":"+14155550103","label":[{zeros}]}},{{"phone":"+14155550104","label":"d"}}]"#);
    let send =
        async |kind, file: &[u8]| world.send_as(&bearer, "POST", path, kind, zipped(file), &GZIP).await;

    let rows = send("text/csv", &csv).await;
    let values = send("application/json", json.as_bytes()).await;

    assert!(zipped(&csv).len() + zipped(json.as_bytes()).len() < 200_000);
    let refused = json!([{ "line": 3, "field": "row", "reason": "has more than 200 columns" }]);
    assert_eq!((rows.status, &rows.json["added"], &rows.json["refused"]), (200, &json!(2), &refused));
    let refused = json!([
        { "line": 1, "field": "label", "reason": "is a list or an object: a text or a number is taken" },
    ]);
    assert_eq!((values.status, &values.json["added"], &values.json["refused"]), (200, &json!(1), &refused));
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_file_of_refused_rows_fits_into_what_a_function_may_answer() {
    let world = World::new().await;
    let row = format!(",{}\n", "\u{1}".repeat(950));
    let file = format!("phone,status\n{}", row.repeat(10_000));

    let answer = world.send_csv("/v1/numbers/import", &file).await;

    assert_eq!((answer.status, answer.json["refused"].as_array().map(Vec::len)), (200, Some(10_000)));
    let payload = json!({ "body": answer.text }).to_string().len();
    assert!(payload < 5_000_000, "{payload} bytes");
}
