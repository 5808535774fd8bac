//! Vapi's JSON, as far as Dialpool writes or reads it. Unknown fields are passed over.

use dialpool_domain::call::{CallReport, CallState};
use dialpool_domain::outcome::Outcome;
use dialpool_domain::{CallId, Timestamp, Usd};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// The body of `POST /call`: `CreateCallDTO`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateCall<'a> {
    pub(super) name: &'a str,
    pub(super) assistant_id: &'a str,
    pub(super) phone_number_id: &'a str,
    pub(super) customer: NewCustomer<'a>,
    pub(super) schedule_plan: SchedulePlan,
    pub(super) assistant_overrides: NewOverrides<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewCustomer<'a> {
    pub(super) number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) external_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SchedulePlan {
    pub(super) earliest_at: Timestamp,
    pub(super) latest_at: Timestamp,
}

#[derive(Serialize)]
pub(super) struct NewOverrides<'a> {
    pub(super) metadata: NewMetadata<'a>,
    pub(super) server: Server<'a>,
}

#[derive(Serialize)]
pub(super) struct NewMetadata<'a> {
    pub(super) call_id: &'a str,
    pub(super) company: &'a str,
    pub(super) campaign_id: &'a str,
    pub(super) trace_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Server<'a> {
    pub(super) url: &'a str,
    pub(super) timeout_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credential_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) headers: Option<ServerHeaders<'a>>,
    pub(super) backoff_plan: BackoffPlan,
}

#[derive(Serialize)]
pub(super) struct ServerHeaders<'a> {
    #[serde(rename = "X-Vapi-Secret")]
    pub(super) secret: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BackoffPlan {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) max_retries: u32,
    pub(super) base_delay_seconds: u32,
    pub(super) excluded_status_codes: &'static [u16],
}

/// The answer to `POST /call`: all that matters is that there is a call.
#[derive(Deserialize)]
pub(super) struct Placed {
    pub(super) id: String,
}

/// An answer that says no. The contract has no schema for it; both fields were seen as text and as a list of texts.
#[derive(Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    pub(super) message: Value,
    #[serde(default)]
    pub(super) error: Value,
}

/// Who and where of a call.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallHead {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) status: Option<String>,
    pub(super) created_at: Option<Timestamp>,
    assistant_overrides: Option<Overrides>,
}

#[derive(Debug, Clone, Deserialize)]
struct Overrides {
    #[serde(default)]
    metadata: Value,
}

impl CallHead {
    /// Our id of the call; `None`: Dialpool did not place it.
    pub(super) fn our_call_id(&self) -> Option<CallId> {
        let overrides = self.assistant_overrides.as_ref();
        let in_metadata = overrides.and_then(|overrides| overrides.metadata.get("call_id")).and_then(Value::as_str);
        let of_text = |text: &str| text.parse().ok();
        in_metadata.and_then(of_text).or_else(|| self.name.as_deref().and_then(of_text))
    }
}

/// What became of a call: the fields that a call, a status update and an end-of-call report have in common.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details {
    ended_reason: Option<String>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "exact_usd")]
    cost: Option<Usd>,
    recording_url: Option<String>,
    artifact: Option<Artifact>,
    analysis: Option<Analysis>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    transcript: Option<String>,
    recording_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Analysis {
    summary: Option<String>,
    #[serde(default)]
    success_evaluation: Value,
    #[serde(default)]
    structured_data: Value,
}

impl Details {
    pub(super) fn into_report(self) -> CallReport {
        let (transcript, recording_url) =
            self.artifact.map_or((None, None), |artifact| (artifact.transcript, artifact.recording_url));
        let (summary, success_evaluation, opted_out) = self.analysis.map_or((None, None, false), |analysis| {
            let opted_out = analysis.structured_data.get("opted_out") == Some(&Value::Bool(true));
            (analysis.summary, scalar_text(analysis.success_evaluation), opted_out)
        });
        CallReport {
            outcome: self.ended_reason.as_deref().map(Outcome::of_ended_reason),
            ended_reason: self.ended_reason,
            started_at: self.started_at,
            ended_at: self.ended_at,
            cost: self.cost,
            recording_url: recording_url.or(self.recording_url),
            transcript,
            summary,
            success_evaluation,
            opted_out,
        }
    }
}

/// The state of a call with this status and this report.
///
/// `not-found` and `deletion-failed` are answers to a deletion and say nothing of the call; they, and a status that the
/// contract does not have, count as `accepted`, which moves no call that is further.
pub(super) fn state(status: &str, report: &CallReport) -> CallState {
    match status {
        "ringing" => CallState::Ringing,
        "in-progress" | "forwarding" => CallState::InProgress,
        "ended" => state_of_end(report),
        _ => CallState::Accepted,
    }
}

/// The state of a call that is over.
pub(super) fn state_of_end(report: &CallReport) -> CallState {
    match report.outcome {
        Some(Outcome::Canceled) => CallState::Canceled,
        Some(Outcome::ProviderFailed | Outcome::CapacityLimited) if report.started_at.is_none() => CallState::Failed,
        _ => CallState::Ended,
    }
}

/// What a server message says beside the call's own fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageHead<'a> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: Option<String>,
    #[serde(default, deserialize_with = "moment")]
    pub(super) timestamp: Option<Timestamp>,
    #[serde(borrow)]
    pub(super) call: Option<&'a RawValue>,
    pub(super) phone_number: Option<Party>,
    pub(super) customer: Option<Party>,
}

/// One end of a call.
#[derive(Deserialize)]
pub(super) struct Party {
    pub(super) number: Option<String>,
}

/// The body of a webhook.
#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) message: &'a RawValue,
}

/// A field is not what the contract says.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Its path in the text that was read; `.` for the whole.
    pub(super) field: String,
    pub(super) cause: String,
}

/// Reads JSON, and names the field that cannot be read.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Unreadable> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| Unreadable {
        field: error.path().to_string(),
        cause: error.inner().to_string(),
    })?;
    let whole = |error: serde_json::Error| Unreadable { field: ".".to_owned(), cause: error.to_string() };
    deserializer.end().map_err(whole)?;
    Ok(value)
}

/// An amount from the text of the JSON number: a float would not keep it.
fn exact_usd<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Usd>, D::Error> {
    let number = Option::<Box<RawValue>>::deserialize(deserializer)?;
    number.map(|number| number.get().parse().map_err(D::Error::custom)).transpose()
}

/// A moment as milliseconds since 1970 (as documented) or in RFC 3339 (as recorded in 2024).
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(D::Error::custom),
        Value::Number(number) => {
            // Some messages write whole milliseconds as a float: 1.722115418016999E12.
            let millis = number.as_i64().or_else(|| format!("{:.0}", number.as_f64()?).parse().ok());
            millis.map(Timestamp::from_millis).map(Some).ok_or_else(|| D::Error::custom("not milliseconds since 1970"))
        }
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(D::Error::custom("not a time")),
    }
}

/// Text, a truth value or a number as text.
fn scalar_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(json: &str) -> CallReport {
        read::<Details>(json.as_bytes()).unwrap().into_report()
    }

    #[test]
    fn a_cost_is_read_digit_by_digit() {
        for (json, cost) in [("0.1432", 1432), ("0.00015", 2), ("0.00025", 2), ("1e-3", 10), ("0", 0)] {
            let report = report(&format!(r#"{{"cost":{json}}}"#));
            assert_eq!(report.cost, Some(Usd::from_ten_thousandths(cost)), "{json}");
        }
        assert_eq!(report(r#"{"cost":null}"#).cost, None);
    }

    #[test]
    fn a_field_that_cannot_be_read_is_named() {
        for (json, field) in [
            (r#"{"cost":"free"}"#, "cost"),
            (r#"{"startedAt":"yesterday"}"#, "startedAt"),
            (r#"{"artifact":{"transcript":7}}"#, "artifact.transcript"),
            (r#"{} {}"#, "."),
        ] {
            assert_eq!(read::<Details>(json.as_bytes()).err().unwrap().field, field, "{json}");
        }
    }

    #[test]
    fn a_success_evaluation_is_text_whatever_its_type() {
        for (json, text) in [(r#""true""#, Some("true")), ("true", Some("true")), ("8", Some("8")), ("null", None)] {
            let report = report(&format!(r#"{{"analysis":{{"successEvaluation":{json}}}}}"#));
            assert_eq!(report.success_evaluation.as_deref(), text);
        }
    }

    #[test]
    fn only_true_is_an_opt_out() {
        for (json, opted_out) in [("true", true), ("false", false), (r#""true""#, false), ("null", false)] {
            let report = report(&format!(r#"{{"analysis":{{"structuredData":{{"opted_out":{json}}}}}}}"#));
            assert_eq!(report.opted_out, opted_out, "{json}");
        }
    }

    #[test]
    fn a_status_is_a_state() {
        let none = CallReport::default();
        for (status, expected) in [
            ("scheduled", CallState::Accepted),
            ("queued", CallState::Accepted),
            ("ringing", CallState::Ringing),
            ("in-progress", CallState::InProgress),
            ("forwarding", CallState::InProgress),
            ("ended", CallState::Ended),
            ("not-found", CallState::Accepted),
            ("deletion-failed", CallState::Accepted),
            ("a-status-of-tomorrow", CallState::Accepted),
        ] {
            assert_eq!(state(status, &none), expected, "{status}");
        }
    }

    #[test]
    fn how_a_call_ended_decides_its_last_state() {
        let started = Some(Timestamp::from_millis(1));
        for (outcome, started_at, expected) in [
            (Some(Outcome::Canceled), None, CallState::Canceled),
            (Some(Outcome::ProviderFailed), None, CallState::Failed),
            (Some(Outcome::CapacityLimited), None, CallState::Failed),
            (Some(Outcome::ProviderFailed), started, CallState::Ended),
            (Some(Outcome::NoAnswer), None, CallState::Ended),
            (Some(Outcome::Other), None, CallState::Ended),
            (None, None, CallState::Ended),
        ] {
            let report = CallReport { outcome, started_at, ..CallReport::default() };
            assert_eq!(state_of_end(&report), expected, "{outcome:?}");
        }
    }

    #[test]
    fn a_moment_is_milliseconds_or_rfc_3339() {
        for json in ["1787238012410", "1.78723801241E12", r#""2026-08-20T15:00:12.410Z""#] {
            let text = format!(r#"{{"type":"hang","timestamp":{json}}}"#);
            let head: MessageHead<'_> = read(text.as_bytes()).unwrap_or_else(|error| panic!("{}", error.cause));
            assert_eq!(head.timestamp, Some(Timestamp::from_millis(1_787_238_012_410)), "{json}");
        }
    }
}
