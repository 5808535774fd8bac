//! Vapi's JSON, as far as Dialpool writes or reads it. Unknown fields are passed over, and a field of another type than the
//! contract's counts as absent: the contract changes most weeks.

use dialpool_domain::assistant::{AssistantName, Configuration, MARK, Mark};
use dialpool_domain::call::CallState;
use dialpool_domain::callback::PromisedTime;
use dialpool_domain::inventory::{Kind, ProviderNumber, Status};
use dialpool_domain::outcome::Outcome;
use dialpool_domain::{CallId, PhoneNumber, Timestamp, Usd};
use secrecy::ExposeSecret;
use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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

/// The answer to `POST /call`: all that matters is that there is a call.
#[derive(Deserialize)]
pub(super) struct Created {
    pub(super) id: String,
}

/// An answer that says no. The contract has no schema for it; both fields were seen as text and as a list of texts.
#[derive(Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    message: Value,
    #[serde(default)]
    error: Value,
}

impl Problem {
    pub(super) fn text(&self) -> String {
        let words = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
        };
        let (message, error) = (words(&self.message), words(&self.error));
        if message.is_empty() { error } else { message }
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
    serde_json::from_slice(body).map_err(|error| error.to_string()).and_then(assistant_of)
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
#[derive(Deserialize)]
pub(super) struct Call {
    #[serde(flatten)]
    head: CallHead,
    #[serde(flatten)]
    end: End,
}

/// Which call it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallHead {
    pub(super) id: String,
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient")]
    assistant_overrides: Option<Overrides>,
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Overrides {
    #[serde(default)]
    metadata: Value,
}

impl CallHead {
    fn metadata_call_id(&self) -> Option<&str> {
        self.assistant_overrides.as_ref()?.metadata.get("call_id")?.as_str()
    }

    pub(super) fn is_inbound(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == "inboundPhoneCall")
    }

    pub(super) fn our_call_id(&self) -> Option<CallId> {
        our_call_id(self.metadata_call_id(), self.name.as_deref())
    }
}

/// Our id of a call of the provider's: that in its metadata, else its name. It is read nowhere else, so that whoever proves to
/// speak of a call and whoever acts on what is said mean the same call.
pub(super) fn our_call_id(metadata_call_id: Option<&str>, name: Option<&str>) -> Option<CallId> {
    [metadata_call_id, name].into_iter().flatten().find_map(|text| text.parse().ok())
}

/// What became of a call: the fields that a call, a status update and an end-of-call report have in common.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct End {
    #[serde(default, deserialize_with = "lenient")]
    ended_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient")]
    ended_at: Option<Timestamp>,
    #[serde(default)]
    cost: Value,
    #[serde(default, deserialize_with = "lenient")]
    recording_url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    artifact: Option<Artifact>,
    /// Where the provider had them before there were artifacts.
    #[serde(default)]
    messages: Value,
    #[serde(default, deserialize_with = "lenient")]
    analysis: Option<Analysis>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    #[serde(default, deserialize_with = "lenient")]
    transcript: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    recording_url: Option<String>,
    #[serde(default)]
    messages: Value,
    /// By the id of the output: its name, and what it resulted in.
    #[serde(default)]
    structured_outputs: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Analysis {
    #[serde(default, deserialize_with = "lenient")]
    summary: Option<String>,
    #[serde(default)]
    success_evaluation: Value,
    #[serde(default)]
    structured_data: Value,
}

pub(super) fn provider_call(head: CallHead, end: End) -> ProviderCall {
    let mut artifact = end.artifact.unwrap_or_default();
    let analysis = end.analysis.unwrap_or_default();
    let messages = if artifact.messages.is_array() { &artifact.messages } else { &end.messages };
    let silence_ms = silence_ms(messages, end.started_at, end.ended_at);
    ProviderCall {
        metadata_call_id: head.metadata_call_id().map(str::to_owned),
        id: head.id,
        name: head.name,
        status: head.status,
        ended_reason: end.ended_reason,
        created_at: head.created_at,
        started_at: end.started_at,
        ended_at: end.ended_at,
        cost: exact_usd(&end.cost),
        transcript: artifact.transcript.take().filter(|text| !text.is_empty()),
        recording_url: artifact.recording_url.take().or(end.recording_url),
        summary: analysis.summary,
        success_evaluation: scalar_text(&analysis.success_evaluation),
        found_out: found_out(analysis.structured_data, &artifact.structured_outputs),
        silence_ms,
    }
}

/// What the assistant was told to find out, by the analysis plan or as structured outputs: those of one value are a field by their
/// name.
fn found_out(structured_data: Value, structured_outputs: &Value) -> Vec<Map<String, Value>> {
    let outputs = structured_outputs.as_object().into_iter().flat_map(Map::values).filter_map(|output| {
        Some(match output.get("result")? {
            Value::Object(fields) => fields.clone(),
            value => Map::from_iter([(output.get("name")?.as_str()?.to_owned(), value.clone())]),
        })
    });
    let data = match structured_data {
        Value::Object(fields) => Some(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    };
    data.into_iter().chain(outputs).collect()
}

impl From<Call> for ProviderCall {
    fn from(call: Call) -> Self {
        provider_call(call.head, call.end)
    }
}

/// An amount from the shortest decimal text of the JSON number: four decimals survive that, arithmetic with floats would
/// not keep them.
fn exact_usd(cost: &Value) -> Option<Usd> {
    match cost {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether the assistant found that the person does not want to be called again. The names are those that assistants are
/// told to use: one that is spelled a little differently counts, too.
pub(super) fn says_opted_out(found_out: &[Map<String, Value>]) -> bool {
    named(found_out, &["optedout", "optout", "donotcall", "dnc"]).any(|value| match value {
        Value::Bool(said) => *said,
        Value::String(text) => ["true", "yes"].contains(&text.trim().to_ascii_lowercase().as_str()),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    })
}

/// When the assistant promised to call again. A text that is no time promises nothing.
pub(super) fn promised_callback(found_out: &[Map<String, Value>]) -> Option<PromisedTime> {
    named(found_out, &["callbackat", "callbacktime", "callback", "callagainat"])
        .find_map(|value| value.as_str()?.parse().ok())
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

/// The body of a webhook.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    pub(super) message: T,
}

/// What a webhook is about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) timestamp: Option<Moment>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) call: Option<CallHead>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) phone_number: Option<Party>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) customer: Option<Party>,
}

/// One end of a call.
#[derive(Deserialize)]
pub(super) struct Party {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) number: Option<PhoneNumber>,
}

/// A moment as milliseconds since 1970 (as documented) or in RFC 3339 (as recorded).
pub(super) struct Moment(pub(super) Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let moment = match Value::deserialize(deserializer)? {
            Value::String(text) => text.parse().ok(),
            // Some messages write whole milliseconds as a float: 1.722115418016999E12.
            Value::Number(number) => {
                let millis = number.as_i64().or_else(|| format!("{:.0}", number.as_f64()?).parse().ok());
                millis.map(Timestamp::from_millis)
            }
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        moment.map(Self).ok_or_else(|| serde::de::Error::custom("not a moment"))
    }
}

/// A field that is absent when it is not what the contract says.
fn lenient<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}
