//! What Vapi posts to us: the messages of `ServerMessage`, in the domain's words.

use dialpool_domain::call::{CallReport, CallState};
use dialpool_domain::{CallId, PhoneNumber, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{ProviderCall, wire};

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
    /// Whether the person calls us, as far as the message says: a call of which it does not say who placed it is the person's.
    pub inbound: bool,
    /// The number of ours that the call is from or to, when the message says so.
    pub our_number: Option<PhoneNumber>,
    /// The number of the person on the call, when the message says so.
    pub their_number: Option<PhoneNumber>,
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
#[derive(Debug, thiserror::Error)]
pub enum UnreadableWebhook {
    /// Not JSON, or without `message.type`.
    #[error("not a message: {0}")]
    NotAMessage(#[from] serde_json::Error),
    /// A type that the contract does not have.
    #[error("message.type: {0:?} is not known")]
    UnknownType(String),
    /// A report about no call.
    #[error("message.call: a {0} is about a call")]
    NoCall(String),
}

impl Webhook {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is not JSON, has no type or one that is not known, or reports on a call without saying on which.
    pub fn parse(body: &[u8]) -> Result<Self, UnreadableWebhook> {
        let message = serde_json::from_slice::<wire::Envelope<wire::Message>>(body)?.message;
        let call = message.call.as_ref();
        let provider_call_id = call.map(|call| call.id.clone());
        let inbound = call.is_some_and(wire::CallHead::is_inbound);
        let object = provider_call_id.as_deref().unwrap_or("-");
        let reports = matches!(message.kind.as_str(), "status-update" | "end-of-call-report");
        // Vapi sends no event id. A call has each status once and one report; of other messages there may be many.
        let dedupe_key = match (&message.status, message.timestamp.as_ref()) {
            (status, _) if reports => {
                format!("vapi:{object}:{}:{}", message.kind, status.as_deref().unwrap_or("-"))
            }
            (_, Some(moment)) => format!("vapi:{object}:{}:{}", message.kind, moment.0.as_millis()),
            (_, None) => format!("vapi:{object}:{}:{}", message.kind, hex::encode(Sha256::digest(body))),
        };
        let timestamp = message.timestamp.as_ref().map(|moment| moment.0);
        let number = |party: &Option<wire::Party>| party.as_ref().and_then(|party| party.number.clone());
        let (our_number, their_number) = (number(&message.phone_number), number(&message.customer));
        let (call_id, kind) = match message.kind.as_str() {
            "status-update" | "end-of-call-report" => {
                let Some(call) = message.call else {
                    return Err(UnreadableWebhook::NoCall(message.kind));
                };
                let end = serde_json::from_slice::<wire::Envelope<wire::End>>(body)?.message;
                let call = wire::provider_call(call, end);
                (call.our_call_id(), reported(&message.kind, message.status.as_deref(), &call))
            }
            "assistant-request" => {
                let (called, caller) = (our_number.clone(), their_number.clone());
                (None, Kind::AssistantRequest { called, caller })
            }
            "campaign.predial" => (None, Kind::Predial),
            known if TYPES.contains(&known) => {
                let call_id = call.and_then(wire::CallHead::our_call_id);
                (call_id, Kind::Other { message_type: message.kind })
            }
            _ => return Err(UnreadableWebhook::UnknownType(message.kind)),
        };
        Ok(Self { kind, timestamp, provider_call_id, call_id, inbound, our_number, their_number, dedupe_key })
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

/// The text of a message without the secrets that the provider repeats in it: those of our own requests.
///
/// # Errors
/// When it is not JSON.
pub fn without_secrets(body: &[u8]) -> Result<String, UnreadableWebhook> {
    fn redact(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    let name = name.to_ascii_lowercase();
                    if name == "authorization" || name.ends_with("secret") || name.ends_with("apikey") {
                        *value = Value::from("[redacted]");
                    } else {
                        redact(value);
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(redact),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut message: Value = serde_json::from_slice(body)?;
    redact(&mut message);
    Ok(message.to_string())
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

    #[test]
    fn our_own_secret_is_not_kept_when_the_provider_repeats_it() {
        let body = br#"{"message":{"call":{"assistantOverrides":{"server":{"url":"u","headers":{"X-Vapi-Secret":"s3"}}}}}}"#;

        let kept = without_secrets(body).unwrap();

        assert!(kept.contains(r#""X-Vapi-Secret":"[redacted]""#) && !kept.contains("s3"), "{kept}");
    }

    #[test]
    fn what_cannot_be_understood_says_what_is_wrong() {
        for (body, error) in [
            ("{", "not a message: EOF while parsing an object at line 1 column 1"),
            (r#"{"message":{}}"#, "not a message: missing field `type` at line 1 column 13"),
            (r#"{"message":{"type":"teleport"}}"#, r#"message.type: "teleport" is not known"#),
            (r#"{"message":{"type":"status-update"}}"#, "message.call: a status-update is about a call"),
        ] {
            assert_eq!(Webhook::parse(body.as_bytes()).unwrap_err().to_string(), error);
        }
    }
}
