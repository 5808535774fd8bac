//! What callers send and what they get.

use dialpool_domain::contact::Address;
use dialpool_domain::decision::{Action, Message};
use dialpool_domain::place::State;
use dialpool_domain::{CallId, CompanyId, LeadId, PhoneNumber, Timestamp};
use dialpool_runtime::http::Problem;
use serde::{Deserialize, Serialize};

/// One body for every trigger: a wrong field is named by its own name.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionRequest {
    pub(crate) trigger: TriggerName,
    pub(crate) company: Option<CompanyId>,
    pub(crate) id: Option<String>,
    pub(crate) lead: Option<LeadId>,
    pub(crate) phone: Option<PhoneNumber>,
    pub(crate) channel: Option<Channel>,
    pub(crate) text: Option<String>,
    pub(crate) state: Option<State>,
    pub(crate) zip: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) call_id: Option<CallId>,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TriggerName {
    MessageReceived,
    CallEnded,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Channel {
    Sms,
    Whatsapp,
    Email,
    Chat,
}

impl Channel {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Whatsapp => "whatsapp",
            Self::Email => "email",
            Self::Chat => "chat",
        }
    }
}

impl DecisionRequest {
    pub(crate) fn message(self) -> Result<Message, Problem> {
        let id = required("id", self.id)?;
        if !(1..=200).contains(&id.len()) {
            return Err(Problem::field("id", "is 1 to 200 characters"));
        }
        Ok(Message {
            id,
            lead: required("lead", self.lead)?,
            phone: required("phone", self.phone)?,
            channel: required("channel", self.channel)?.as_str().to_owned(),
            text: required("text", self.text)?,
            address: Address { zone: self.zone, zip: self.zip, state: self.state },
        })
    }

    pub(crate) fn call(self) -> Result<CallId, Problem> {
        required("call_id", self.call_id)
    }
}

fn required<T>(field: &str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::field(field, "is missing for this trigger"))
}

#[derive(Debug, Serialize)]
pub(crate) struct Decision<'a> {
    pub(crate) decision_id: &'a str,
    pub(crate) trigger: &'a str,
    pub(crate) decided_at: Timestamp,
    pub(crate) actions: &'a [Action],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_can_be_read() {
        for sample in [
            include_str!("../../../events/decision-api/message-received.json"),
            include_str!("../../../events/decision-api/message-stop.json"),
        ] {
            serde_json::from_str::<DecisionRequest>(sample).unwrap().message().unwrap();
        }
        let sample = include_str!("../../../events/decision-api/call-ended.json");
        serde_json::from_str::<DecisionRequest>(sample).unwrap().call().unwrap();
    }
}
