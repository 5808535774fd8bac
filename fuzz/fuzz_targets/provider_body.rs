//! No bytes make the reader of a provider's body panic, and no opt-out in them is lost.
//!
//! The wish is put into the bytes at a place that they choose. It must be heard, unless it is understood as something else: a part of
//! a text, or of the configuration of the call.

#![no_main]

use dialpool_providers::json::{self, Json};
use dialpool_providers::vapi::kept;
use dialpool_providers::vapi::webhook::Received;
use libfuzzer_sys::fuzz_target;

const WISH: &[u8] = br#""structuredData":{"opted_out":true}"#;

fuzz_target!(|bytes: &[u8]| {
    let reading = json::read(bytes);
    let written = reading.value.to_string();
    let again = json::read(written.as_bytes());
    assert!(again.whole && again.value.to_string() == written, "it is written as it was read");

    let received = Received::read(bytes);
    let heard = received.opt_out();
    if let Some(kept) = received.kept() {
        assert!(kept.len() <= kept::KEPT_BYTES);
        let again = Received::read(kept.as_bytes());
        assert_eq!(again.about.calls, received.about.calls, "what is kept is about the same call");
        assert!(again.opt_out().is_none() || heard.is_some(), "and says no more");
    }

    let Some((place, around)) = bytes.split_first() else { return };
    let (before, after) = around.split_at(around.len() * usize::from(*place) / 256);
    let body = [before, WISH, after].concat();
    let understood = is_in(&json::read(&body).value);
    assert!(understood || Received::read(&body).opt_out().is_some(), "an opt-out is lost");
});

/// Whether the wish is in the value, if only as a part of a text.
fn is_in(value: &Json) -> bool {
    match value {
        Json::Object(members) => {
            members.iter().any(|(name, value)| name.contains("opted_out") || is_in(value))
        }
        Json::Array(elements) => elements.iter().any(is_in),
        Json::Text(text) => text.contains("opted_out"),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}
