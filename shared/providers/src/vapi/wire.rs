//! Vapi's JSON, as far as Dialpool writes or reads it. Unknown fields are passed over, and a field of another type than the
//! contract's counts as absent: the contract changes most weeks.

use dialpool_domain::assistant::{AssistantName, Configuration, MARK, Mark};
use dialpool_domain::call::CallState;
use dialpool_domain::inventory::{Kind, ProviderNumber, Status};
use dialpool_domain::outcome::Outcome;
use dialpool_domain::said_time::SaidTime;
use dialpool_domain::{CallId, PhoneNumber, Timestamp, Usd};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::json::{self, Json};

use super::opening::silence_ms;
use super::{NewCall, ProviderAssistant, ProviderCall, webhook_auth};

/// The longest name and external id of a customer, in characters.
const LONGEST_NAME: usize = 40;

/// How Vapi repeats a webhook that was not acknowledged; what we call invalid it does not repeat.
const BACKOFF: BackoffPlan = BackoffPlan {
    kind: "exponential",
    max_retries: 5,
    base_delay_seconds: 1,
    excluded_status_codes: &[400, 401, 403, 404, 413, 422],
};

/// The body of `POST /call`: `CreateCallDTO`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateCall<'a> {
    name: &'a str,
    assistant_id: &'a str,
    phone_number_id: &'a str,
    customer: NewCustomer<'a>,
    schedule_plan: SchedulePlan,
    assistant_overrides: NewOverrides<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewCustomer<'a> {
    number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    external_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SchedulePlan {
    earliest_at: Timestamp,
    latest_at: Timestamp,
}

#[derive(Serialize)]
struct NewOverrides<'a> {
    /// What is said to a machine; empty: nothing, and the call ends. Absent: what the assistant is configured with.
    #[serde(rename = "voicemailMessage", skip_serializing_if = "Option::is_none")]
    voicemail_message: Option<&'static str>,
    /// Off unless it is asked for: a machine that took the call would count as a person.
    #[serde(rename = "voicemailDetection")]
    voicemail_detection: VoicemailDetection,
    metadata: NewMetadata<'a>,
    server: Server<'a>,
    /// What the server is told of. Without it every word that is said comes as a message of its own.
    #[serde(rename = "serverMessages")]
    server_messages: &'static [&'static str],
}

#[derive(Serialize)]
struct VoicemailDetection {
    provider: &'static str,
}

#[derive(Serialize)]
struct NewMetadata<'a> {
    call_id: &'a str,
    company: &'a str,
    campaign_id: &'a str,
    lead: &'a str,
    trace_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Server<'a> {
    url: &'a str,
    timeout_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<ServerHeaders>,
    backoff_plan: BackoffPlan,
}

/// What every server message of the call repeats, to servers of the assistant's own, too: a secret of this call only.
#[derive(Serialize)]
struct ServerHeaders {
    #[serde(rename = "X-Vapi-Secret")]
    secret: String,
    /// Says whose secret it is when the body of a report cannot be read.
    #[serde(rename = "X-Dialpool-Call")]
    call_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BackoffPlan {
    #[serde(rename = "type")]
    kind: &'static str,
    max_retries: u32,
    base_delay_seconds: u32,
    excluded_status_codes: &'static [u16],
}

impl<'a> CreateCall<'a> {
    pub(super) fn of(call: &NewCall<'a>) -> Self {
        let webhook = call.webhook;
        let credential_id = webhook.credential_id.as_deref();
        let headers = credential_id.is_none().then(|| ServerHeaders {
            secret: webhook_auth::call_secret(&webhook.secret, call.call_id).expose_secret().to_owned(),
            call_id: call.call_id.to_string(),
        });
        Self {
            name: call.call_id.as_str(),
            assistant_id: call.assistant_id,
            phone_number_id: call.phone_number_id,
            customer: NewCustomer {
                number: call.customer.as_str(),
                name: call.customer_name.map(cut),
                external_id: cut(call.lead.as_str()),
            },
            schedule_plan: SchedulePlan { earliest_at: call.earliest_at, latest_at: call.latest_at },
            assistant_overrides: NewOverrides {
                voicemail_message: (!call.leave_voicemail).then_some(""),
                voicemail_detection: VoicemailDetection { provider: "vapi" },
                metadata: NewMetadata {
                    call_id: call.call_id.as_str(),
                    company: call.company.as_str(),
                    campaign_id: call.campaign_id.as_str(),
                    lead: call.lead.as_str(),
                    trace_id: call.trace_id.as_str(),
                },
                server: Server {
                    url: &webhook.url,
                    timeout_seconds: 20,
                    credential_id,
                    headers,
                    backoff_plan: BACKOFF,
                },
                server_messages: &["status-update", "end-of-call-report"],
            },
        }
    }
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(LONGEST_NAME).map_or(text, |(end, _)| &text[..end])
}

/// The id in the answer to `POST /call`: all that matters is that there is a call.
pub(super) fn created(body: &[u8]) -> Option<String> {
    id(&json::read(body).value)
}

/// The words of an answer that says no. The contract has no schema for it; both fields were seen as text and as a list of texts.
pub(super) fn problem(body: &[u8]) -> Option<String> {
    let problem = json::read(body).value;
    let words = |name: &str| {
        let value = problem.get(name)?;
        let texts = value.text().into_iter().chain(value.elements().iter().filter_map(Json::text));
        let words = texts.collect::<Vec<_>>().join("; ");
        (!words.is_empty()).then_some(words)
    };
    match problem {
        Json::Object(_) => Some(words("message").or_else(|| words("error")).unwrap_or_default()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Array(_) => None,
    }
}

/// The body of `POST /assistant` and `PATCH /assistant/{id}`: `CreateAssistantDTO`, `UpdateAssistantDTO`.
pub(super) fn assistant(
    name: &AssistantName,
    configuration: &Configuration,
    mark: &Mark,
) -> serde_json::Result<Map<String, Value>> {
    let mut fields = configuration.fields().clone();
    fields.insert("name".to_owned(), name.as_str().into());
    let mark = serde_json::to_value(mark)?;
    match fields.get_mut("metadata") {
        Some(Value::Object(metadata)) => {
            metadata.insert(MARK.to_owned(), mark);
        }
        // Metadata that is no object is the provider's to refuse, unless it says nothing.
        Some(metadata) if !metadata.is_null() => {}
        _ => {
            let metadata = Map::from_iter([(MARK.to_owned(), mark)]);
            fields.insert("metadata".to_owned(), metadata.into());
        }
    }
    Ok(fields)
}

pub(super) fn read_assistant(body: &[u8]) -> Result<ProviderAssistant, String> {
    let reading = json::read(body);
    match reading.value.to_value() {
        // Half a configuration is none.
        Value::Object(fields) if reading.whole => assistant_of(fields),
        _ => Err("no JSON object, or not all of it".to_owned()),
    }
}

/// An assistant, as `GET /assistant` has it.
pub(super) fn assistant_of(fields: Map<String, Value>) -> Result<ProviderAssistant, String> {
    let text = |name: &str| Some(fields.get(name)?.as_str()?.to_owned());
    let mark = fields.get("metadata").and_then(|metadata| metadata.get(MARK));
    Ok(ProviderAssistant {
        id: id_of(&fields).ok_or("an assistant without an id")?,
        name: text("name"),
        created_at: text("createdAt").and_then(|at| at.parse().ok()),
        mark: mark.and_then(|mark| serde_json::from_value(mark.clone()).ok()),
        configuration: Configuration::of_provider(fields),
    })
}

/// A phone number, as `GET /phone-number` has it. Whatever the provider says of it in other words is kept as unknown.
pub(super) fn number_of(fields: &Map<String, Value>) -> Result<ProviderNumber, String> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    Ok(ProviderNumber {
        id: id_of(fields).ok_or("a phone number without an id")?,
        number: text("number").and_then(|number| number.parse().ok()),
        name: text("name").map(str::to_owned),
        kind: match text("provider") {
            Some("vapi") => Kind::Vapi,
            Some("twilio") => Kind::Twilio,
            Some("vonage") => Kind::Vonage,
            Some("telnyx") => Kind::Telnyx,
            Some("byo-phone-number") => Kind::OwnTrunk,
            _ => Kind::Other,
        },
        status: match text("status") {
            // Numbers of before there was a status have none.
            Some("active") | None => Status::Active,
            Some("activating") => Status::Activating,
            Some("blocked") => Status::Blocked,
            Some(_) => Status::Other,
        },
    })
}

/// The provider's id of a thing.
pub(super) fn id_of(fields: &Map<String, Value>) -> Option<String> {
    fields.get("id")?.as_str().filter(|id| !id.is_empty()).map(str::to_owned)
}

/// A call, as `GET /call` has it.
pub(super) fn call(call: &Json) -> Result<ProviderCall, String> {
    id(call).map(|id| provider_call(id, call, call)).ok_or_else(|| "a call without an id".to_owned())
}

/// The provider's id of a thing.
pub(super) fn id(thing: &Json) -> Option<String> {
    thing.get("id").and_then(Json::text).filter(|id| !id.is_empty()).map(str::to_owned)
}

/// What became of a call. `end` has what a call, a status update and an end-of-call report have in common.
pub(super) fn provider_call(id: String, call: &Json, end: &Json) -> ProviderCall {
    let analysis = end.get("analysis").unwrap_or(&Json::Null);
    let artifact = end.get("artifact").unwrap_or(&Json::Null);
    let (started_at, ended_at) = (moment(end, "startedAt"), moment(end, "endedAt"));
    // Before there were artifacts the messages stood beside them.
    let messages = [artifact, end].into_iter().filter_map(|of| of.get("messages"));
    let messages = messages.map(Json::to_value).find(Value::is_array).unwrap_or_default();
    ProviderCall {
        id,
        our_call_ids: our_call_ids(call),
        status: text(call, "status"),
        ended_reason: text(end, "endedReason"),
        created_at: moment(call, "createdAt"),
        started_at,
        ended_at,
        cost: end.get("cost").and_then(exact_usd),
        transcript: text(artifact, "transcript").filter(|text| !text.is_empty()),
        recording_url: text(artifact, "recordingUrl").or_else(|| text(end, "recordingUrl")),
        summary: text(analysis, "summary"),
        success_evaluation: analysis.get("successEvaluation").and_then(scalar_text),
        found_out: found_out(analysis.get("structuredData"), artifact.get("structuredOutputs")),
        opt_out: None,
        silence_ms: silence_ms(&messages, started_at, ended_at),
    }
}

/// Whether the person placed the call: a call of which it is not said who did is the person's.
pub(super) fn is_inbound(call: &Json) -> bool {
    text(call, "type").is_none_or(|kind| kind == "inboundPhoneCall")
}

/// Our ids of a call of the provider's: that in its metadata, else its name. They are read nowhere else, so that whoever proves to
/// speak of a call and whoever acts on what is said mean the same call. A call has one; more are somebody's try to speak of another.
pub(super) fn our_call_ids(call: &Json) -> Vec<CallId> {
    let overrides = call.all("assistantOverrides");
    let metadata = overrides.flat_map(|overrides| overrides.all("metadata"));
    let named = metadata.flat_map(|metadata| metadata.all("call_id")).filter_map(our_call_id);
    let mut ids: Vec<CallId> = named.collect();
    if ids.is_empty() {
        ids = call.all("name").filter_map(our_call_id).collect();
    }
    ids.sort();
    ids.dedup();
    ids
}

fn our_call_id(value: &Json) -> Option<CallId> {
    value.text()?.parse().ok()
}

/// What the assistant was told to find out, by the analysis plan or as structured outputs: those of one value are a field by their
/// name.
fn found_out(structured_data: Option<&Json>, structured_outputs: Option<&Json>) -> Vec<Map<String, Value>> {
    let fields = |value: &Json| match value.to_value() {
        Value::Object(fields) => Some(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    };
    let outputs =
        structured_outputs.map(Json::members).unwrap_or_default().iter().filter_map(|(_, output)| {
            let result = output.get("result")?;
            fields(result).or_else(|| {
                Some(Map::from_iter([(output.get("name")?.text()?.to_owned(), result.to_value())]))
            })
        });
    structured_data.and_then(fields).into_iter().chain(outputs).collect()
}

/// An amount from the text of the JSON number: four decimals survive that, arithmetic with floats would not keep them.
fn exact_usd(cost: &Json) -> Option<Usd> {
    match cost.to_value() {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn scalar_text(value: &Json) -> Option<String> {
    match value {
        Json::Text(text) => Some(text.clone()),
        Json::Bool(_) | Json::Number(_) => Some(value.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// When the person asked to be called again, as the assistant wrote it down.
pub(super) fn said_callback(found_out: &[Map<String, Value>]) -> Option<SaidTime> {
    const WHOLE: [&str; 8] = [
        "callbackat",
        "callbackdatetime",
        "callagainat",
        "callback",
        "callbackwhen",
        "followupat",
        "callbackrequestedat",
        "callbackrequested",
    ];
    said_time(found_out, &WHOLE, ["callbackdate", "callbacktime"])
}

/// When an appointment was made for, as the assistant wrote it down; none when it says that none was made.
pub(super) fn said_appointment(found_out: &[Map<String, Value>]) -> Option<SaidTime> {
    const WHOLE: [&str; 7] = [
        "appointmentat",
        "appointmentdatetime",
        "appointment",
        "appointmentwhen",
        "bookedfor",
        "meetingat",
        "appointmentstart",
    ];
    const MADE: [&str; 4] = ["appointmentmade", "appointmentbooked", "booked", "appointmentset"];
    let said = |value: &Value, text: &str| match value {
        Value::Bool(made) => *made == (text == "true"),
        Value::String(made) => made.trim().eq_ignore_ascii_case(text),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    };
    if named(found_out, &MADE).any(|value| said(value, "false") || said(value, "no")) {
        return None;
    }
    said_time(found_out, &WHOLE, ["appointmentdate", "appointmenttime"])
}

/// The first of these fields that has the form of a time, else the first that says anything; day and hour may stand apart, and so
/// may the zone.
fn said_time(found_out: &[Map<String, Value>], whole: &[&str], [date, time]: [&str; 2]) -> Option<SaidTime> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(true) | Value::Number(_) => Some(value.to_string()),
        Value::Bool(false) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let all = |names: &[&str]| -> Vec<String> { named(found_out, names).filter_map(text).collect() };
    let (date, time) = (all(&[date]).into_iter().next(), all(&[time]).into_iter().next());
    let apart = match (date, time) {
        (Some(date), Some(time)) => Some(format!("{date} {time}")),
        (date, time) => date.or(time),
    };
    let said: Vec<SaidTime> =
        all(whole).into_iter().chain(apart).filter_map(|text| SaidTime::new(&text)).collect();
    let said = said.iter().find(|said| said.is_a_time()).or_else(|| said.first())?.clone();
    let zone = all(&["timezone", "zone"]).into_iter().next().unwrap_or_default();
    Some(said.in_zone_named(&zone))
}

/// The values of fields with one of these names, however they are spelled.
fn named<'a>(found_out: &'a [Map<String, Value>], names: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    found_out.iter().flatten().filter_map(|(name, value)| {
        let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
        names.contains(&letters.to_ascii_lowercase().as_str()).then_some(value)
    })
}

/// The state of a call with this status. `not-found` and `deletion-failed` are answers to a deletion and say nothing of the
/// call; they, and a status that the contract does not have, count as accepted, which moves no call that is further.
pub(super) fn state(status: Option<&str>, ended_reason: Option<&str>) -> CallState {
    match status {
        Some("ringing") => CallState::Ringing,
        Some("in-progress" | "forwarding") => CallState::InProgress,
        Some("ended") => ended(ended_reason),
        _ => CallState::Accepted,
    }
}

/// The state of a call that is over.
pub(super) fn ended(reason: Option<&str>) -> CallState {
    match reason.map(Outcome::of_ended_reason) {
        Some(Outcome::Canceled) => CallState::Canceled,
        Some(Outcome::CapacityLimited) => CallState::Failed,
        Some(Outcome::ProviderFailed) if reason.is_some_and(|reason| reason.starts_with("call.start.")) => {
            CallState::Failed
        }
        _ => CallState::Ended,
    }
}

/// The text of this name; none when it is something else.
pub(super) fn text(of: &Json, name: &str) -> Option<String> {
    of.get(name).and_then(Json::text).map(str::to_owned)
}

/// The number of one end of a call.
pub(super) fn number(of: &Json, party: &str) -> Option<PhoneNumber> {
    of.get(party)?.get("number")?.text()?.parse().ok()
}

/// A moment as milliseconds since 1970 (as documented) or in RFC 3339 (as recorded).
pub(super) fn moment(of: &Json, name: &str) -> Option<Timestamp> {
    match of.get(name)? {
        Json::Text(text) => text.parse().ok(),
        // Some messages write whole milliseconds as a float: 1.722115418016999E12.
        Json::Number(number) => {
            let millis = number.parse::<i64>().ok();
            let millis = millis.or_else(|| format!("{:.0}", number.parse::<f64>().ok()?).parse().ok());
            millis.map(Timestamp::from_millis)
        }
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod said_tests {
    use serde_json::json;

    use super::*;

    fn fields(value: &Value) -> Vec<Map<String, Value>> {
        vec![value.as_object().cloned().unwrap_or_default()]
    }

    #[test]
    fn a_callback_is_heard_in_the_words_in_which_it_was_written_down() {
        for (data, said) in [
            (json!({ "callback_at": "tomorrow at 3pm" }), Some("tomorrow at 3pm")),
            (json!({ "callbackTime": "3:00 PM", "callbackDate": "March 4" }), Some("March 4 3:00 PM")),
            (json!({ "callback": true, "callback_at": "3pm" }), Some("3pm")),
            (json!({ "callback": true }), Some("true")),
            (json!({ "callback_at": 1_772_568_000 }), Some("1772568000")),
            (json!({ "callback_at": "3pm", "time_zone": "Pacific" }), Some("3pm Pacific")),
            (json!({ "callback_at": "after the harvest" }), Some("after the harvest")),
            (json!({ "callback_at": null, "callback": false }), None),
            (json!({ "callback_at": "N/A" }), None),
        ] {
            let heard = said_callback(&fields(&data));
            assert_eq!(heard.as_ref().map(SaidTime::as_str), said, "{data}");
        }
    }

    #[test]
    fn an_appointment_is_heard_unless_none_was_made() {
        for (data, said) in [
            (
                json!({ "appointment_made": true, "appointment_at": "2026-03-04T15:00" }),
                Some("2026-03-04T15:00"),
            ),
            (json!({ "appointmentAt": "March 4 at 3pm" }), Some("March 4 at 3pm")),
            (
                json!({ "appointment_date": "3/4/2026", "appointment_time": "3:00 PM" }),
                Some("3/4/2026 3:00 PM"),
            ),
            (json!({ "appointment_made": false, "appointment_at": "2026-03-04T15:00" }), None),
            (json!({ "appointment_made": "No", "appointment_at": "March 4" }), None),
            (json!({ "appointment_at": "" }), None),
        ] {
            let heard = said_appointment(&fields(&data));
            assert_eq!(heard.as_ref().map(SaidTime::as_str), said, "{data}");
        }
    }
}
