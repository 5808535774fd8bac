//! What is kept of a message of the provider's: fields that are on a list, and nothing else.
//!
//! A message repeats the call as it was made, with its assistant, its phone number and their secrets: passwords of trunks, tokens of
//! carriers, keys of models, headers of servers. New ones come with most versions of the contract, so no list of secrets would be
//! complete. What is kept is stored with the call and shown to the company; it also is what the inbox worker reads.
//!
//! A body that is longer than [`KEPT_BYTES`] then loses its single turns first, which the transcript has, too.

use crate::json::Json;

/// The most that is kept of one body, in bytes.
pub const KEPT_BYTES: usize = 400 * 1024;

/// How much of one text is kept, in bytes.
const TEXT_BYTES: usize = 200 * 1024;

/// The fields that are kept, wherever they are.
pub(super) const FIELDS: &[&str] = &[
    "analysis",
    "arguments",
    "artifact",
    "assistantId",
    "assistantName",
    "assistantOverrides",
    "assistantVersion",
    "call",
    "call_id",
    "campaign_id",
    "company",
    "content",
    "cost",
    "costBreakdown",
    "createdAt",
    "customer",
    "duration",
    "endTime",
    "endedAt",
    "endedMessage",
    "endedReason",
    "externalId",
    "function",
    "id",
    "lead",
    "message",
    "messages",
    "metadata",
    "name",
    "number",
    "phoneCallProvider",
    "phoneCallTransport",
    "phoneNumber",
    "phoneNumberId",
    "recordingUrl",
    "result",
    "role",
    "secondsFromStart",
    "speakerLabel",
    "startedAt",
    "status",
    "stereoRecordingUrl",
    "structuredData",
    "structuredDataMulti",
    "structuredOutputs",
    "successEvaluation",
    "summary",
    "time",
    "timestamp",
    "toolCall",
    "toolCallId",
    "toolCallList",
    "toolCalls",
    "total",
    "trace_id",
    "transcript",
    "transcriptType",
    "type",
    "updatedAt",
];

/// Fields whose content has names of the company's own: what its assistant found out, and what its tools were told.
const OF_THE_COMPANY: &[&str] = &["arguments", "structuredData", "structuredDataMulti", "structuredOutputs"];

/// Fields that a body without them still says enough with.
const SINGLE_TURNS: &[&str] = &["messages", "toolCallList", "toolCalls"];

/// Parts of names that are not kept even among those of a company's own.
const SECRETS: &[&str] =
    &["apikey", "authorization", "credential", "password", "passphrase", "privatekey", "secret", "token"];

/// What is kept of a body; none when even the little that must be is longer than [`KEPT_BYTES`].
pub(super) fn kept(body: &Json) -> Option<Json> {
    let whole = part(body, &|name| FIELDS.contains(&name));
    if whole.to_string().len() <= KEPT_BYTES {
        return Some(whole);
    }
    let short = part(body, &|name| FIELDS.contains(&name) && !SINGLE_TURNS.contains(&name));
    if short.to_string().len() <= KEPT_BYTES {
        return Some(short);
    }
    let least = part(body, &|name| {
        FIELDS.contains(&name) && !SINGLE_TURNS.contains(&name) && !OF_THE_COMPANY.contains(&name)
    });
    (least.to_string().len() <= KEPT_BYTES).then_some(least)
}

/// What may be shown of a body that was stored before only this was stored.
pub fn shown(body: &str) -> String {
    let reading = crate::json::read(body.as_bytes());
    kept(&reading.value).map_or_else(|| "{}".to_owned(), |kept| kept.to_string())
}

fn part(value: &Json, keeps: &impl Fn(&str) -> bool) -> Json {
    match value {
        Json::Object(members) => Json::Object(
            members
                .iter()
                .filter(|(name, value)| keeps(name) && !is_prompt(value))
                .map(|(name, value)| {
                    let own = OF_THE_COMPANY.contains(&name.as_str());
                    (name.clone(), if own { without_secrets(value) } else { part(value, keeps) })
                })
                .collect(),
        ),
        Json::Array(elements) => Json::Array(
            elements.iter().filter(|element| !is_prompt(element)).map(|e| part(e, keeps)).collect(),
        ),
        other => leaf(other),
    }
}

/// The instructions of an assistant are among the messages of its calls, and are no part of what was said.
fn is_prompt(value: &Json) -> bool {
    value.get("role").and_then(Json::text).is_some_and(|role| ["developer", "system"].contains(&role))
}

fn without_secrets(value: &Json) -> Json {
    match value {
        Json::Object(members) => Json::Object(
            members
                .iter()
                .filter(|(name, _)| {
                    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
                    let name = name.to_ascii_lowercase();
                    !SECRETS.iter().any(|secret| name.contains(secret))
                })
                .map(|(name, value)| (name.clone(), without_secrets(value)))
                .collect(),
        ),
        Json::Array(elements) => Json::Array(elements.iter().map(without_secrets).collect()),
        other => leaf(other),
    }
}

fn leaf(value: &Json) -> Json {
    match value {
        Json::Text(text) => Json::Text(text[..text.floor_char_boundary(TEXT_BYTES)].to_owned()),
        other => other.clone(),
    }
}
