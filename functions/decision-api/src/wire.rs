//! What callers send and what they get.

use dialpool_domain::contact::Address;
use dialpool_domain::decision::{Action, Channel, DecisionId, Message, Trigger};
use dialpool_domain::place::State;
use dialpool_domain::{CallId, CompanyId, LeadId, PhoneNumber, Timestamp};
use dialpool_runtime::http::Problem;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The body of every trigger. One flat struct: of a tagged enum, serde could not say which field is wrong.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionRequest {
    trigger: TriggerName,
    pub(crate) company: Option<CompanyId>,
    id: Option<String>,
    lead: Option<LeadId>,
    phone: Option<PhoneNumber>,
    channel: Option<Channel>,
    text: Option<String>,
    state: Option<State>,
    zip: Option<String>,
    zone: Option<String>,
    call_id: Option<CallId>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TriggerName {
    MessageReceived,
    CallEnded,
}

/// What a decision is asked about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A message of a lead.
    Message(Message),
    /// The end of a call.
    Call(CallId),
}

impl DecisionRequest {
    /// What the request is about: every field that its trigger has, and no other.
    pub(crate) fn asked(self) -> Result<Asked, Problem> {
        match self.trigger {
            TriggerName::MessageReceived => {
                absent("call_id", self.call_id.as_ref())?;
                let id = required("id", self.id)?;
                if !(1..=200).contains(&id.chars().count()) {
                    return Err(Problem::field("id", "is not 1 to 200 characters"));
                }
                Ok(Asked::Message(Message {
                    id,
                    lead: required("lead", self.lead)?,
                    phone: required("phone", self.phone)?,
                    channel: required("channel", self.channel)?,
                    text: required("text", self.text)?,
                    address: Address {
                        zone: self.zone,
                        zip: self.zip,
                        state: self.state,
                        ..Address::default()
                    },
                }))
            }
            TriggerName::CallEnded => {
                absent("id", self.id.as_ref())?;
                absent("lead", self.lead.as_ref())?;
                absent("phone", self.phone.as_ref())?;
                absent("channel", self.channel.as_ref())?;
                absent("text", self.text.as_ref())?;
                absent("state", self.state.as_ref())?;
                absent("zip", self.zip.as_ref())?;
                absent("zone", self.zone.as_ref())?;
                Ok(Asked::Call(required("call_id", self.call_id)?))
            }
        }
    }
}

fn required<T>(field: &str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::field(field, "is missing"))
}

fn absent<T>(field: &str, value: Option<&T>) -> Result<(), Problem> {
    match value {
        None => Ok(()),
        Some(_) => Err(Problem::field(field, "is not known for this trigger")),
    }
}

/// The hash of what a trigger says, to tell it from another one under the same id. A call is what its id says.
pub(crate) fn trigger_sha256(trigger: &Trigger) -> Result<String, serde_json::Error> {
    let content = match trigger {
        Trigger::MessageReceived(message) => serde_json::to_vec(message)?,
        Trigger::CallEnded(ended) => ended.call.id.as_str().as_bytes().to_vec(),
    };
    Ok(hex::encode(Sha256::digest(content)))
}

/// A decision, as callers see it.
#[derive(Debug, Serialize)]
pub(crate) struct DecisionView<'a> {
    pub(crate) decision_id: &'a DecisionId,
    pub(crate) trigger: &'a str,
    pub(crate) decided_at: Timestamp,
    pub(crate) actions: &'a [Action],
}

#[cfg(test)]
mod tests {
    use axum::extract::{FromRequest, Request};
    use dialpool_runtime::http::Body;
    use serde_json::{Value, json};

    use super::*;

    const MESSAGE: &str = include_str!("../../../events/decision-api/message-received.json");
    const STOP: &str = include_str!("../../../events/decision-api/message-stop.json");
    const CALL: &str = include_str!("../../../events/decision-api/call-ended.json");

    /// What a body asks about, read as the route reads it.
    async fn asked(body: String) -> Result<Asked, Problem> {
        let Body(request) = Body::<DecisionRequest>::from_request(Request::new(body.into()), &()).await?;
        request.asked()
    }

    /// A sample with one field set, or taken away where the value is null.
    fn with(sample: &str, field: &str, value: Value) -> String {
        let mut body: Value = serde_json::from_str(sample).unwrap();
        let fields = body.as_object_mut().unwrap();
        match value {
            Value::Null => fields.remove(field),
            value => fields.insert(field.to_owned(), value),
        };
        body.to_string()
    }

    #[tokio::test]
    async fn the_samples_are_triggers() {
        let stop = asked(STOP.to_owned()).await.unwrap();
        let Asked::Message(stop) = stop else { panic!("{stop:?} is no message") };
        assert!(Trigger::MessageReceived(Box::new(stop)).opted_out_by_word().is_some());
        assert!(matches!(asked(MESSAGE.to_owned()).await, Ok(Asked::Message(_))));
        let call = "call_01K5S3Z8Q0M4T6V8X0Z2B4D6F8".parse().unwrap();
        assert_eq!(asked(CALL.to_owned()).await, Ok(Asked::Call(call)));
    }

    #[tokio::test]
    async fn a_wrong_field_is_named() {
        let cases = [
            (MESSAGE, "trigger", Value::Null),
            (MESSAGE, "trigger", json!("moon_full")),
            (MESSAGE, "company", json!("Not A Company")),
            (MESSAGE, "id", Value::Null),
            (MESSAGE, "id", json!("")),
            (MESSAGE, "id", json!("é".repeat(201))),
            (MESSAGE, "lead", Value::Null),
            (MESSAGE, "lead", json!("a b")),
            (MESSAGE, "phone", Value::Null),
            (MESSAGE, "phone", json!("12")),
            (MESSAGE, "channel", Value::Null),
            (MESSAGE, "channel", json!("fax")),
            (MESSAGE, "text", Value::Null),
            (MESSAGE, "text", json!(true)),
            (MESSAGE, "state", json!("ZZ")),
            (MESSAGE, "call_id", json!("call_01K5S3Z8Q0M4T6V8X0Z2B4D6F8")),
            (MESSAGE, "colour", json!("red")),
            (CALL, "call_id", Value::Null),
            (CALL, "call_id", json!("cmp_01K5S3Z8Q0M4T6V8X0Z2B4D6F8")),
            (CALL, "id", json!("msg-1")),
            (CALL, "lead", json!("lead-1")),
            (CALL, "phone", json!("+14155550123")),
            (CALL, "channel", json!("sms")),
            (CALL, "text", json!("yes")),
            (CALL, "state", json!("CA")),
            (CALL, "zip", json!("94105")),
            (CALL, "zone", json!("America/Los_Angeles")),
        ];
        for (sample, field, value) in cases {
            let problem = asked(with(sample, field, value.clone())).await.unwrap_err();
            assert_eq!(problem.status(), 422, "{field}: {value}");
            let named = problem.to_string();
            assert!(named.starts_with(&format!("{field}: ")), "{field}: {value} is told as {named}");
        }
    }

    #[tokio::test]
    async fn an_id_has_up_to_200_characters_however_many_bytes_they_take() {
        assert!(asked(with(MESSAGE, "id", json!("é".repeat(200)))).await.is_ok());
    }

    #[tokio::test]
    async fn another_content_has_another_hash_and_naming_the_company_changes_nothing() {
        let hash = async |body: String| match asked(body).await.unwrap() {
            Asked::Message(message) => trigger_sha256(&Trigger::MessageReceived(Box::new(message))).unwrap(),
            Asked::Call(call) => panic!("{call} is no message"),
        };
        let first = hash(MESSAGE.to_owned()).await;
        assert_eq!(hash(with(MESSAGE, "company", json!("acme"))).await, first);
        let changes = [
            ("text", "no"),
            ("lead", "lead-2"),
            ("phone", "+14155550124"),
            ("channel", "chat"),
            ("state", "CA"),
        ];
        for (field, value) in changes {
            assert_ne!(hash(with(MESSAGE, field, json!(value))).await, first, "{field}");
        }
    }
}
