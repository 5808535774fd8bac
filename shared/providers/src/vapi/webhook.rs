//! What Vapi posts to us: the messages of `ServerMessage`, in the domain's words.
//!
//! A body is read once, in whatever state it is ([`Received`]). An opt-out is heard before the message has to make sense: in one of a type
//! that nobody knows, of two calls at once, or of which half is missing.

use dialpool_domain::call::{CallReport, CallState};
use dialpool_domain::{CallId, PhoneNumber, Timestamp};
use sha2::{Digest, Sha256};

use super::{ProviderCall, heard, kept, wire};
use crate::json::{self, Json};

/// The types of message that the contract has, and two that it had. Any other may be one that must be acted on.
const TYPES: &[&str] = &[
    "assistant-request",
    "assistant.speechStarted",
    "assistant.started",
    "call.artifact.upload",
    "call.delete.failed",
    "call.deleted",
    "call.endpointing.request",
    "chat.created",
    "chat.deleted",
    "conversation-update",
    "end-of-call-report",
    "function-call",
    "handoff-destination-request",
    "hang",
    "knowledge-base-request",
    "language-change-detected",
    "model-output",
    "phone-call-control",
    "session.created",
    "session.deleted",
    "session.updated",
    "speech-update",
    "status-update",
    "tool-calls",
    "transcript",
    "transcript[transcriptType=\"final\"]",
    "transfer-destination-request",
    "transfer-update",
    "user-interrupted",
    "voice-input",
    "voice-request",
];

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// What it says.
    pub kind: Kind,
    /// When it was sent, by the provider's clock.
    pub timestamp: Option<Timestamp>,
    /// The provider's id of the call that it is about.
    pub provider_call_id: Option<String>,
    /// Our id of that call; none when Dialpool did not place it.
    pub call_id: Option<CallId>,
    /// The number of ours that the call is from or to, when the message says so.
    pub our_number: Option<PhoneNumber>,
    /// The number of the person on the call, when the message says so.
    pub their_number: Option<PhoneNumber>,
    /// Whether nothing of the body is missing or damaged.
    pub whole: bool,
    dedupe_key: String,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The call moved on.
    StatusUpdate {
        /// Where it stands now.
        state: CallState,
        /// How it ended, if it did: the reason and what follows from it.
        report: CallReport,
    },
    /// The call is over; this is all about it.
    EndOfCallReport {
        /// How it is over.
        state: CallState,
        /// What became of it.
        report: CallReport,
    },
    /// A campaign of the provider's own asks whether it may call `their_number` from `our_number`.
    Predial,
    /// Somebody calls one of our numbers, and the provider waits 7.5 s to be told which assistant speaks.
    AssistantRequest {
        /// Our number.
        called: Option<PhoneNumber>,
        /// Who calls.
        caller: Option<PhoneNumber>,
    },
    /// A message that nothing follows from (speech, transcript, hang, ...).
    Other {
        /// Its type.
        message_type: String,
    },
}

/// The message cannot be understood; it is to be kept for a human.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableWebhook {
    /// Without `message.type`.
    #[error("not a message: it has no message.type")]
    NotAMessage,
    /// A type that the contract does not have.
    #[error("message.type: {0:?} is not known")]
    UnknownType(String),
    /// A report about no call.
    #[error("message.call: a {0} is about a call")]
    NoCall(String),
    /// A message that bears our ids of several calls.
    #[error("message.call: a {0} is about one call")]
    SeveralCalls(String),
}

/// A body, as far as it can be read.
#[derive(Debug)]
pub struct Received<'a> {
    /// Whom it is about, also when it cannot be understood.
    pub about: About,
    /// What it says. An opt-out is not in it yet: see [`Self::into_webhook`].
    pub webhook: Result<Webhook, UnreadableWebhook>,
    body: &'a [u8],
    reading: json::Reading,
}

/// Whom a body is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Our ids of calls that it bears.
    pub calls: Vec<CallId>,
    /// The provider's id of the number of ours.
    pub our_number_id: Option<String>,
    /// The number of ours that the call is from or to.
    pub our_number: Option<PhoneNumber>,
    /// The number of the person on the call.
    pub their_number: Option<PhoneNumber>,
}

impl<'a> Received<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Self {
        let reading = json::read(body);
        let mut about = About::of(&reading.value);
        if about.calls.is_empty() {
            about.calls = reading.lost.iter().flat_map(|part| calls_in(&body[part.clone()])).collect();
            about.calls.sort();
            about.calls.dedup();
        }
        let webhook = message(body, &reading, &about);
        Self { about, webhook, body, reading }
    }

    /// How it was heard that the person does not want to be called again, if so. Costs a look at all of the body.
    pub fn opt_out(&self) -> Option<String> {
        let lost = || self.reading.lost.iter().find_map(|part| heard::opt_out_in(&self.body[part.clone()]));
        heard::opt_out(&self.reading.value).or_else(lost)
    }

    /// What of the body may be stored and shown, as a body of the same message; none when it is not understood, or is too long.
    pub fn kept(&self) -> Option<String> {
        self.webhook.as_ref().ok()?;
        kept::kept(&self.reading.value).map(|kept| kept.to_string())
    }

    /// What it says, an opt-out included.
    ///
    /// # Errors
    /// When it has no type or one that is not known, or reports on a call without saying on which.
    pub fn into_webhook(self) -> Result<Webhook, UnreadableWebhook> {
        let heard = self.opt_out();
        self.webhook.map(|webhook| webhook.with_opt_out(heard))
    }
}

impl About {
    fn of(body: &Json) -> Self {
        let mut about = Self::default();
        for message in body.all("message") {
            for call in message.all("call") {
                about.calls.extend(wire::our_call_ids(call));
            }
            let call = message.get("call").unwrap_or(&Json::Null);
            let number = |party: &str| wire::number(message, party).or_else(|| wire::number(call, party));
            about.our_number_id = about.our_number_id.or_else(|| wire::text(call, "phoneNumberId"));
            about.our_number = about.our_number.or_else(|| number("phoneNumber"));
            about.their_number = about.their_number.or_else(|| number("customer"));
        }
        about.calls.sort();
        about.calls.dedup();
        about
    }
}

/// Our ids of calls in bytes that could not be understood.
fn calls_in(bytes: &[u8]) -> impl Iterator<Item = CallId> {
    const LENGTH: usize = "call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y".len();

    let starts = bytes.windows(LENGTH).filter(|text| text.starts_with(b"call_"));
    starts.filter_map(|text| str::from_utf8(text).ok()?.parse().ok())
}

/// The message in a body, in our words.
fn message(body: &[u8], reading: &json::Reading, about: &About) -> Result<Webhook, UnreadableWebhook> {
    let message = reading.value.get("message").unwrap_or(&Json::Null);
    let kind = wire::text(message, "type").ok_or(UnreadableWebhook::NotAMessage)?;
    let status = wire::text(message, "status");
    let call_id = match about.calls.as_slice() {
        [] => None,
        [id] => Some(id.clone()),
        _ => return Err(UnreadableWebhook::SeveralCalls(kind)),
    };
    let call = message.get("call").unwrap_or(&Json::Null);
    let provider_call_id = wire::id(call);
    let timestamp = wire::moment(message, "timestamp");
    let dedupe_key = dedupe_key(&kind, provider_call_id.as_deref(), status.as_deref(), timestamp, body);
    let dedupe_key = if reading.whole { dedupe_key } else { format!("{dedupe_key}:damaged") };
    let (our_number, their_number) = (about.our_number.clone(), about.their_number.clone());
    let (call_id, kind) = match kind.as_str() {
        "status-update" | "end-of-call-report" => {
            if provider_call_id.is_none() && call_id.is_none() {
                return Err(UnreadableWebhook::NoCall(kind));
            }
            let id = provider_call_id.clone().unwrap_or_default();
            let call = wire::provider_call(id, call, message);
            (call_id, reported(&kind, status.as_deref(), &call))
        }
        "assistant-request" => {
            let (called, caller) = (our_number.clone(), their_number.clone());
            (None, Kind::AssistantRequest { called, caller })
        }
        "campaign.predial" => (None, Kind::Predial),
        known if TYPES.contains(&known) => (call_id, Kind::Other { message_type: kind }),
        _ => return Err(UnreadableWebhook::UnknownType(kind)),
    };
    let whole = reading.whole;
    Ok(Webhook { kind, timestamp, provider_call_id, call_id, our_number, their_number, whole, dedupe_key })
}

/// Vapi sends no event id. A call has each status once and one report; of other messages there may be many.
fn dedupe_key(
    kind: &str,
    provider_call_id: Option<&str>,
    status: Option<&str>,
    timestamp: Option<Timestamp>,
    body: &[u8],
) -> String {
    // What is in a key is the provider's, or of whoever knows the secret of a call: it must fit into one.
    let short = |text: &str| text.chars().take(64).collect::<String>();
    let (kind, object) = (short(kind), short(provider_call_id.unwrap_or("-")));
    match timestamp {
        _ if ["status-update", "end-of-call-report"].contains(&kind.as_str()) => {
            format!("vapi:{object}:{kind}:{}", short(status.unwrap_or("-")))
        }
        Some(moment) => format!("vapi:{object}:{kind}:{}", moment.as_millis()),
        None => format!("vapi:{object}:{kind}:{}", hex::encode(Sha256::digest(body))),
    }
}

impl Webhook {
    /// Reads a message.
    ///
    /// # Errors
    /// When it has no type or one that is not known, or reports on a call without saying on which.
    pub fn parse(body: &[u8]) -> Result<Self, UnreadableWebhook> {
        Received::read(body).into_webhook()
    }

    /// This message, when that was heard in it.
    #[must_use]
    pub fn with_opt_out(mut self, heard: Option<String>) -> Self {
        match &mut self.kind {
            Kind::StatusUpdate { report, .. } | Kind::EndOfCallReport { report, .. } => {
                report.opted_out |= heard.is_some();
                report.opt_out_heard = report.opt_out_heard.take().or(heard);
            }
            Kind::Predial | Kind::AssistantRequest { .. } | Kind::Other { .. } => {}
        }
        self
    }

    /// Our id of the call that this is news of; none for a question, and for news of a call that Dialpool did not place.
    pub fn news_of(&self) -> Option<&CallId> {
        match self.kind {
            Kind::StatusUpdate { .. } | Kind::EndOfCallReport { .. } | Kind::Other { .. } => {
                self.call_id.as_ref()
            }
            Kind::Predial | Kind::AssistantRequest { .. } => None,
        }
    }

    /// The same for the same event however often it is sent, and for no other event: provider, call, type and status; for
    /// messages that have no status, the time instead.
    pub fn dedupe_key(&self) -> &str {
        &self.dedupe_key
    }
}

fn reported(message_type: &str, status: Option<&str>, call: &ProviderCall) -> Kind {
    let report = call.report();
    let ended_reason = call.ended_reason.as_deref();
    if message_type == "end-of-call-report" {
        Kind::EndOfCallReport { state: wire::ended(ended_reason), report }
    } else {
        // `message.call` is as it was when the call was made: its status is not the news.
        Kind::StatusUpdate { state: wire::state(status, ended_reason), report }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use dialpool_domain::Usd;
    use dialpool_domain::outcome::Outcome;
    use proptest::prelude::*;

    use super::*;

    fn sample(name: &str) -> Webhook {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/vapi").join(name);
        Webhook::parse(&std::fs::read(file).unwrap()).unwrap()
    }

    #[test]
    fn a_status_update_says_where_the_call_stands() {
        let states = [
            ("queued", CallState::Accepted),
            ("ringing", CallState::Ringing),
            ("in-progress", CallState::InProgress),
            ("ended", CallState::Ended),
        ];
        for (status, expected) in states {
            let webhook = sample(&format!("status-update-{status}.json"));
            let Kind::StatusUpdate { state, report } = webhook.kind else { panic!("{status}") };
            assert_eq!(state, expected);
            assert_eq!(report.outcome, (status == "ended").then_some(Outcome::NoAnswer));
            assert_eq!(webhook.call_id.unwrap().as_str(), "call_01K5S3Z8Q0M4T6V8X0Z2B4D6F8");
        }
    }

    #[test]
    fn an_end_of_call_report_says_everything_about_the_end() {
        let Kind::EndOfCallReport { state, report } = sample("end-of-call-report-answered.json").kind else {
            panic!()
        };

        assert_eq!(state, CallState::Ended);
        assert_eq!(report.outcome, Some(Outcome::Answered));
        assert_eq!(report.cost, Some(Usd::from_ten_thousandths(1_432)));
        assert_eq!(report.started_at.unwrap().to_string(), "2026-03-02T15:00:12.410Z");
        assert_eq!(report.ended_at.unwrap().to_string(), "2026-03-02T15:02:03.902Z");
        assert_eq!(report.summary.as_deref(), Some("Example Lead 7 booked an appointment."));
        assert_eq!(report.success_evaluation.as_deref(), Some("true"));
        assert!(report.transcript.unwrap().starts_with("AI: Hi, this is"));
        assert!(report.recording_url.is_some());
        assert!(!report.opted_out);
    }

    #[test]
    fn a_report_of_a_call_that_nobody_took_has_no_start_and_costs_nothing() {
        let Kind::EndOfCallReport { report, .. } = sample("end-of-call-report-no-answer.json").kind else {
            panic!()
        };

        assert_eq!((report.outcome, report.started_at), (Some(Outcome::NoAnswer), None));
        assert_eq!((report.cost, report.transcript), (Some(Usd::ZERO), None));
    }

    #[test]
    fn an_assistant_request_names_the_number_called() {
        let Kind::AssistantRequest { called, caller } = sample("assistant-request.json").kind else {
            panic!()
        };

        assert_eq!(called.unwrap().as_str(), "+14155550100");
        assert_eq!(caller.unwrap().as_str(), "+14155550107");
    }

    #[test]
    fn a_repeated_message_has_the_same_dedupe_key_and_another_message_another() {
        let body = |kind: &str, status: &str, timestamp: i64| {
            format!(
                r#"{{"message":{{"type":"{kind}","status":"{status}","timestamp":{timestamp},"call":{{"id":"c1"}}}}}}"#
            )
        };
        let key = |body: String| Webhook::parse(body.as_bytes()).unwrap().dedupe_key().to_owned();

        let ringing = key(body("status-update", "ringing", 1));

        assert_eq!(ringing, "vapi:c1:status-update:ringing");
        assert_eq!(ringing, key(body("status-update", "ringing", 2)), "sent again later");
        assert_ne!(ringing, key(body("status-update", "ended", 1)));
        assert_ne!(key(body("speech-update", "started", 1)), key(body("speech-update", "started", 2)));
    }

    #[test]
    fn fields_of_another_type_are_absent_and_not_an_error() {
        let body = br#"{"message":{"type":"end-of-call-report","timestamp":"soon","endedReason":7,"cost":"free","analysis":[],
            "artifact":null,"endedAt":"2026-03-02T15:02:03.902Z","news":{"of":"tomorrow"},"call":{"id":"c1","name":7}}}"#;

        let webhook = Webhook::parse(body).unwrap();

        let Kind::EndOfCallReport { state, report } = webhook.kind else { panic!() };
        assert_eq!((state, report.cost, report.outcome), (CallState::Ended, None, None));
        assert!(report.ended_at.is_some());
        assert_eq!(webhook.call_id, None);
    }

    #[test]
    fn a_new_status_says_only_that_the_provider_has_the_call() {
        let body = br#"{"message":{"type":"status-update","status":"teleporting","call":{"id":"c1"}}}"#;
        let Kind::StatusUpdate { state, .. } = Webhook::parse(body).unwrap().kind else { panic!() };
        assert_eq!(state, CallState::Accepted);
    }

    #[test]
    fn an_opt_out_is_found_in_the_structured_data_and_in_structured_outputs() {
        let structured = |data: &str| format!(r#""analysis":{{"structuredData":{data}}}"#);
        let outputs = |data: &str| format!(r#""artifact":{{"structuredOutputs":{data}}}"#);
        for (data, opted_out) in [
            (structured(r#"{"opted_out":true}"#), true),
            (structured(r#"{"doNotCall":"Yes"}"#), true),
            (structured(r#"{"opted_out":false}"#), false),
            (structured(r#"["opted_out"]"#), false),
            (outputs(r#"{"u-1":{"name":"After the call","result":{"opted_out":true}}}"#), true),
            (
                outputs(
                    r#"{"u-1":{"name":"Lead","result":{"fit":1}},"u-2":{"name":"Opted out","result":true}}"#,
                ),
                true,
            ),
            (outputs(r#"{"u-1":{"name":"Opted out","result":false}}"#), false),
            (outputs(r#"{"u-1":{"name":"Opted out","result":null},"u-2":7}"#), false),
            (outputs(r#"["opted_out"]"#), false),
        ] {
            let body =
                format!(r#"{{"message":{{"type":"end-of-call-report",{data},"call":{{"id":"c1"}}}}}}"#);
            let Kind::EndOfCallReport { report, .. } = Webhook::parse(body.as_bytes()).unwrap().kind else {
                panic!()
            };
            assert_eq!(report.opted_out, opted_out, "{data}");
        }
    }

    #[test]
    fn more_text_than_can_be_kept_is_cut_and_an_opt_out_counts_all_the_same() {
        use dialpool_domain::call;

        let body = serde_json::json!({ "message": {
            "type": "end-of-call-report",
            "endedReason": format!("customer-busy{}", "\u{e9}".repeat(1_000)),
            "call": { "id": "c1" },
            // Three bytes each, and no limit is a multiple of three.
            "artifact": { "transcript": "\u{20ac}".repeat(300_000), "recordingUrl": format!("https://r/{}", "x".repeat(3_000)) },
            "analysis": {
                "summary": "\u{20ac}".repeat(300_000),
                "successEvaluation": "\u{20ac}".repeat(3_000),
                "structuredData": { "opted_out": true },
            },
        }});

        let Kind::EndOfCallReport { report, .. } = Webhook::parse(body.to_string().as_bytes()).unwrap().kind
        else {
            panic!()
        };

        let length = |text: &Option<String>| text.as_ref().map(String::len);
        assert_eq!(length(&report.transcript), Some(call::TRANSCRIPT_BYTES - call::TRANSCRIPT_BYTES % 3));
        assert_eq!(length(&report.summary), Some(call::SUMMARY_BYTES - call::SUMMARY_BYTES % 3));
        assert_eq!(
            length(&report.success_evaluation),
            Some(call::SUCCESS_EVALUATION_BYTES - call::SUCCESS_EVALUATION_BYTES % 3)
        );
        assert_eq!(length(&report.ended_reason), Some(call::ENDED_REASON_BYTES - 1));
        assert_eq!(report.recording_url, None, "half an address leads nowhere");
        assert!(report.opted_out);
        assert!(serde_json::to_vec(&report).unwrap().len() < 300 * 1024);
        assert_eq!(report.clone().within_limits(), report);
    }

    /// A report of a call of ours that holds this beside type and call.
    fn report(fields: &str) -> String {
        format!(
            r#"{{"message":{{"type":"end-of-call-report","endedReason":"customer-ended-call",{fields},"call":{{"id":"c1","name":"{OURS}"}}}}}}"#
        )
    }

    const OURS: &str = "call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y";
    const OPTED_OUT: &str = r#""analysis":{"structuredData":{"opted_out":true}}"#;

    fn heard(body: impl AsRef<[u8]>) -> Option<String> {
        Received::read(body.as_ref()).opt_out()
    }

    #[test]
    fn an_opt_out_is_heard_in_a_report_that_is_not_perfect_json() {
        let cut_emoji = report(&format!(r#""artifact":{{"transcript":"User: bye \ud83d"}},{OPTED_OUT}"#));
        let mut bytes =
            report(&format!(r#""artifact":{{"transcript":"User: b{}e"}},{OPTED_OUT}"#, "\u{1}")).into_bytes();
        let place = bytes.iter().position(|byte| *byte == 1).unwrap();
        bytes[place] = 0xff;
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        let levels = |inner: &str| format!("{}{inner}{}", r#"{"a":"#.repeat(300), "}".repeat(300));
        let whole = report(OPTED_OUT);
        let bodies: [Vec<u8>; 12] = [
            cut_emoji.into_bytes(),
            bytes,
            report(&format!(r#""customer":{{"name":"\udfff"}},{OPTED_OUT}"#)).into_bytes(),
            report(&format!(r#""news":{deep},{OPTED_OUT}"#)).into_bytes(),
            report(&format!(r#""analysis":{{"structuredData":{}}}"#, levels(r#"{"opted_out":true}"#)))
                .into_bytes(),
            report(&format!(r#""cost":NaN,"costs":[Infinity],{OPTED_OUT}"#)).into_bytes(),
            report(&format!(r#"{OPTED_OUT},"analysis":{{"structuredData":{{"opted_out":false}}}}"#))
                .into_bytes(),
            report(r#""analysis":{"structuredData":{"opted_out":false,"opted_out":true}}"#).into_bytes(),
            format!("\u{feff}{whole}").into_bytes(),
            format!("{whole}}}\n--boundary").into_bytes(),
            whole.replace("\"c1\"", "\"c1").into_bytes(),
            whole.replace("\"endedReason\":", "\"endedReason\" ").into_bytes(),
        ];
        for body in bodies {
            let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
            let received = Received::read(&body);
            assert!(received.opt_out().is_some(), "{shown}");
            assert_eq!(received.about.calls.first().map(CallId::as_str), Some(OURS), "{shown}");
        }
        let without = report(
            r#""analysis":{"structuredData":{"opted_out":false}},"artifact":{"transcript":"User: bye \ud83d"}"#,
        );
        assert_eq!(heard(&without), None);
    }

    proptest! {
        /// Whatever happens to the bytes around it, a field that says so is heard.
        #[test]
        fn an_opt_out_is_heard_in_a_body_whose_other_bytes_are_changed(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..6),
            pretty in any::<bool>(),
        ) {
            const WISH: &[u8] = br#""structuredData":{"opted_out":true}"#;
            let body = serde_json::json!({ "message": {
                "type": "end-of-call-report",
                "endedReason": "customer-ended-call",
                "customer": { "number": "+14155550107", "name": "Example \\ \"Lead\" 7" },
                "call": { "id": "c1", "name": OURS, "assistantOverrides": { "metadata": { "call_id": OURS } } },
                "artifact": { "transcript": "AI: Hello.\nUser: \u{e9}\u{1f600} bye.\n", "messages": [{ "role": "user", "message": "bye" }] },
                "analysis": { "structuredData": "HERE", "summary": "short", "successEvaluation": null },
                "cost": 0.1432,
            }});
            let text = if pretty { serde_json::to_string_pretty(&body).unwrap() } else { body.to_string() };
            let here = if pretty { r#""structuredData": "HERE""# } else { r#""structuredData":"HERE""# };
            let (before, after) = text.split_once(here).unwrap();
            let mut around = [before.as_bytes().to_vec(), after.as_bytes().to_vec()];
            for (place, what, byte) in changes {
                let place = place.index(around[0].len() + around[1].len());
                let (part, place) = match place.checked_sub(around[0].len()) {
                    None => (0, place),
                    Some(place) => (1, place),
                };
                let bytes = &mut around[part];
                match what {
                    0 => bytes[place] = byte,
                    1 => bytes.insert(place, byte),
                    2 => { bytes.remove(place); }
                    // All that follows is missing.
                    _ if part == 1 => bytes.truncate(place),
                    _ => bytes[place] = b"\"{}[]:,\\"[usize::from(byte) % 8],
                }
                if around.iter().any(Vec::is_empty) {
                    break;
                }
            }
            let body = [&around[0], WISH, &around[1]].concat();
            let received = Received::read(&body);
            let hidden = received.reading.lost.is_empty() && !serde_json::from_slice::<serde_json::Value>(&body).is_err();
            prop_assert!(received.opt_out().is_some() || hidden, "{}", String::from_utf8_lossy(&body));
            let _: Option<String> = received.kept();
        }

        #[test]
        fn any_bytes_are_received(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let received = Received::read(&bytes);
            let _: (Option<String>, Option<String>) = (received.opt_out(), received.kept());
        }
    }

    #[test]
    fn a_report_that_breaks_off_is_read_up_to_there() {
        let whole = format!(
            r#"{{"message":{{"type":"end-of-call-report","call":{{"id":"c1","name":"{OURS}"}},{OPTED_OUT},"endedReason":"customer-busy"}}}}"#
        );
        let end_of_wish = whole.find("true").unwrap() + 1;
        for length in end_of_wish..whole.len() {
            let webhook = Webhook::parse(&whole.as_bytes()[..length]).unwrap();
            assert!(!webhook.whole);
            assert_eq!(webhook.call_id.as_ref().map(CallId::as_str), Some(OURS));
            let Kind::EndOfCallReport { report, .. } = webhook.kind else { panic!() };
            assert!(report.opted_out, "{}", &whole[..length]);
        }
        for length in 0..end_of_wish {
            let _: Option<String> = heard(&whole.as_bytes()[..length]);
        }
    }

    #[test]
    fn an_opt_out_is_heard_in_a_message_that_makes_no_sense() {
        for body in [
            format!(r#"{{"message":{{"type":"teleport",{OPTED_OUT}}}}}"#),
            format!(r#"{{"message":{{{OPTED_OUT}}}}}"#),
            format!("[{{{OPTED_OUT}}}]"),
            format!(r#"{{"message":{{"type":"end-of-call-report",{OPTED_OUT}}}}}"#),
        ] {
            let received = Received::read(body.as_bytes());
            assert!(received.webhook.is_err() && received.opt_out().is_some(), "{body}");
        }
    }

    /// Everything that an answer of the provider's has, after the contract, with a secret at each end.
    #[test]
    fn what_is_kept_has_no_secret_of_the_provider_in_it() {
        let body = serde_json::json!({ "message": {
            "type": "end-of-call-report",
            "phoneNumber": { "number": "+14155550100", "twilioAuthToken": "s1", "authentication": { "password": "s2" }, "sipUri": "s3" },
            "assistant": { "name": "Anna", "model": { "apiKey": "s4" }, "server": { "headers": { "X-Key": "s5" } } },
            "call": {
                "id": "c1",
                "name": OURS,
                "transport": { "callToken": "s6" },
                "monitor": { "controlUrl": "s7" },
                "phoneNumber": { "sipTrunkCredential": { "password": "s8" } },
                "assistantOverrides": {
                    "metadata": { "call_id": OURS, "lead": "lead-7", "note": "s9" },
                    "server": { "headers": { "X-Vapi-Secret": "s10" } },
                    "credentials": [{ "apiKey": "s11" }],
                    "variableValues": { "crm_token": "s12" },
                },
            },
            "artifact": {
                "transcript": "User: Bye.",
                "presignedMonoUrl": "https://s13",
                "messages": [{ "role": "system", "message": "s14" }, { "role": "user", "message": "Bye." }],
            },
            "analysis": { "structuredData": { "opted_out": false, "favourite": "blue", "api_key": "s15" } },
            "newThing": { "secret": "s16" },
        }})
        .to_string();

        let received = Received::read(body.as_bytes());
        let kept = received.kept().unwrap();

        assert!((1..=16).all(|n| !kept.contains(&format!("\"s{n}\"")) && !kept.contains("s13")), "{kept}");
        for there in [OURS, "User: Bye.", "favourite", "+14155550100", "lead-7"] {
            assert!(kept.contains(there), "{there} in {kept}");
        }
        assert_eq!(
            Webhook::parse(kept.as_bytes()).unwrap(),
            received.into_webhook().unwrap(),
            "it says the same"
        );
    }

    #[test]
    fn what_is_kept_of_a_long_body_is_bounded_and_is_still_the_message() {
        let turns = vec![serde_json::json!({ "role": "user", "message": "x".repeat(1_000) }); 3_000];
        let body = serde_json::json!({ "message": {
            "type": "end-of-call-report",
            "call": { "id": "c1", "name": OURS },
            "artifact": { "messages": turns, "transcript": "\u{20ac}".repeat(500_000) },
            "analysis": { "structuredData": { "opted_out": true } },
        }})
        .to_string();

        let received = Received::read(body.as_bytes());
        let kept = received.kept().unwrap();

        assert!(kept.len() <= kept::KEPT_BYTES, "{}", kept.len());
        assert_eq!(Webhook::parse(kept.as_bytes()).unwrap(), received.into_webhook().unwrap());
        let many =
            report(&format!(r#""summary":"{}","#, "x".repeat(1_000)).repeat(1_000).trim_end_matches(','));
        assert_eq!(Received::read(many.as_bytes()).kept(), None, "it is kept as it came, for a human");
    }

    #[test]
    fn what_cannot_be_understood_says_what_is_wrong() {
        for (body, error) in [
            ("", "not a message: it has no message.type"),
            ("{", "not a message: it has no message.type"),
            (r#"{"message":{}}"#, "not a message: it has no message.type"),
            (r#"{"message":{"type":"teleport"}}"#, r#"message.type: "teleport" is not known"#),
            (r#"{"message":{"type":"status-update"}}"#, "message.call: a status-update is about a call"),
            (
                r#"{"message":{"type":"hang","call":{"id":"c1","name":"call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y"},"call":{"id":"c1","name":"call_01K5S3Z8Q0M4T6V8X0Z2B4D6F8"}}}"#,
                "message.call: a hang is about one call",
            ),
        ] {
            assert_eq!(Webhook::parse(body.as_bytes()).unwrap_err().to_string(), error);
        }
    }
}
