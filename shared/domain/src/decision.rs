//! Decisions: what is to be done about something that happened, by rules (X1, X2).
//!
//! A decision is a pure function of its trigger and of what is known at that moment, and it is made once: whoever brings
//! the same trigger again gets the decision that was made. Ids follow from the trigger, so that what is carried out can be
//! told apart from what was carried out before.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::call::Call;
use crate::contact::{Address, ContactState};
use crate::law::{self, Rules, Window};
use crate::opt_out::{self, Intent};
use crate::outcome::Outcome;
use crate::time::Duration;
use crate::{CallId, LeadId, PhoneNumber, Timestamp};

/// An action that has not been carried out by then is not to be carried out any more, where nothing stricter holds.
const VALID_FOR: Duration = Duration::from_hours(24);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// A lead wrote.
    MessageReceived(Message),
    /// A call is over.
    CallEnded(Box<EndedCall>),
}

/// A message of a lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The sender's id of it.
    pub id: String,
    /// Who wrote.
    pub lead: LeadId,
    /// From which number.
    pub phone: PhoneNumber,
    /// Over which channel: `sms`, `whatsapp`, `email`, `chat`.
    pub channel: String,
    /// What.
    pub text: String,
    /// Where the lead is.
    pub address: Address,
}

/// A call that is over, and where that leaves its contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedCall {
    /// The call.
    pub call: Call,
    /// The contact, where it is known.
    pub contact: Option<ContactState>,
    /// Where the lead is.
    pub address: Address,
}

/// What is known beside the trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The phone number is on a suppression list.
    pub suppressed: bool,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Names it; follows from the trigger and its place.
    pub id: String,
    /// What to do.
    #[serde(flatten)]
    pub kind: ActionKind,
    /// To be presented to whatever carries it out: the same action is carried out once.
    pub idempotency_key: String,
    /// Not before this moment.
    pub not_before: Timestamp,
    /// Not after this moment.
    pub expires_at: Timestamp,
    /// A human has to agree first.
    pub needs_approval: bool,
    /// Why.
    pub reason: String,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "parameters", rename_all = "snake_case")]
pub enum ActionKind {
    /// Write to the lead.
    SendMessage {
        /// The channel.
        channel: String,
        /// To whom.
        phone: PhoneNumber,
        /// What, by the name of the template.
        template: String,
    },
    /// Hold a number for the lead.
    AssignNumber {
        /// For whom.
        lead: LeadId,
        /// Decides which number is local.
        phone: PhoneNumber,
    },
    /// Call the lead.
    PlaceCall {
        /// Whom.
        lead: LeadId,
        /// Where.
        phone: PhoneNumber,
    },
    /// Change what is known of the lead.
    UpdateContact {
        /// Whose.
        lead: LeadId,
        /// The field.
        field: String,
        /// Its value.
        value: String,
    },
    /// Have a human look.
    CreateTask {
        /// About whom.
        lead: LeadId,
        /// What to do.
        title: String,
    },
    /// End what runs for the lead.
    StopCampaign {
        /// For whom.
        lead: LeadId,
    },
}

impl ActionKind {
    /// The type as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SendMessage { .. } => "send_message",
            Self::AssignNumber { .. } => "assign_number",
            Self::PlaceCall { .. } => "place_call",
            Self::UpdateContact { .. } => "update_contact",
            Self::CreateTask { .. } => "create_task",
            Self::StopCampaign { .. } => "stop_campaign",
        }
    }
}

impl Trigger {
    /// The type as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MessageReceived(_) => "message_received",
            Self::CallEnded(_) => "call_ended",
        }
    }

    /// Names the trigger within its company: the same for the same trigger.
    pub fn key(&self) -> String {
        let id = match self {
            Self::MessageReceived(message) => message.id.as_str(),
            Self::CallEnded(ended) => ended.call.id.as_str(),
        };
        decision_key(self.name(), id)
    }

    /// What the person asked for in the message, if that is what it is.
    pub fn intent(&self) -> Option<Intent> {
        match self {
            Self::MessageReceived(message) => opt_out::intent(&message.text),
            Self::CallEnded(_) => None,
        }
    }
}

/// Names the trigger `id` of a type: 40 hexadecimal digits, whatever the sender's id looks like.
fn decision_key(trigger: &str, id: &str) -> String {
    hex::encode(&Sha256::digest(format!("{trigger}/{id}"))[..20])
}

/// The key of the decision about a call's end.
pub fn call_ended_key(call: &CallId) -> String {
    decision_key("call_ended", call.as_str())
}

/// What the actions are numbered and dated by.
struct Draft<'a> {
    key: &'a str,
    now: Timestamp,
    actions: Vec<Action>,
}

impl Draft<'_> {
    fn add(&mut self, kind: ActionKind, reason: &str) -> &mut Action {
        let place = self.actions.len();
        let digest = hex::encode(&Sha256::digest(format!("{}/{place}", self.key))[..16]);
        self.actions.push(Action {
            id: format!("act_{digest}"),
            kind,
            idempotency_key: digest,
            not_before: self.now,
            expires_at: self.now + VALID_FOR,
            needs_approval: false,
            reason: reason.to_owned(),
        });
        &mut self.actions[place]
    }
}

/// What is to be done, in this order.
pub fn decide(trigger: &Trigger, known: Known, rules: &Rules, now: Timestamp) -> Vec<Action> {
    let key = trigger.key();
    let mut draft = Draft { key: &key, now, actions: Vec::new() };
    match trigger {
        Trigger::MessageReceived(message) => about_message(&mut draft, message, known, rules),
        Trigger::CallEnded(ended) => about_call(&mut draft, ended, known, rules),
    }
    draft.actions
}

fn about_message(draft: &mut Draft<'_>, message: &Message, known: Known, rules: &Rules) {
    let lead = || message.lead.clone();
    let send = |template: &str| ActionKind::SendMessage {
        channel: message.channel.clone(),
        phone: message.phone.clone(),
        template: template.to_owned(),
    };
    match opt_out::intent(&message.text) {
        Some(Intent::Stop) => {
            draft.add(ActionKind::StopCampaign { lead: lead() }, "the lead asked not to be contacted");
            draft.add(do_not_contact(&message.lead), "the lead asked not to be contacted");
            if !known.suppressed {
                draft.add(send("opt_out_confirmation"), "an opt-out is confirmed once");
            }
        }
        Some(Intent::Help) => {
            draft.add(send("help"), "the lead asked for help");
        }
        Some(Intent::Start) => {
            let title = "The lead asks to be contacted again: renew the consent".to_owned();
            draft.add(ActionKind::CreateTask { lead: lead(), title }, "consent is never renewed by itself");
        }
        None if known.suppressed => {
            let title = "Answer a lead who must not be contacted".to_owned();
            draft.add(
                ActionKind::CreateTask { lead: lead(), title },
                "the phone number is on a suppression list",
            );
        }
        None if is_interested(&message.text) => {
            let assign = ActionKind::AssignNumber { lead: lead(), phone: message.phone.clone() };
            draft.add(assign, "the lead is interested");
            call_when_lawful(draft, &message.lead, &message.phone, &message.address, rules);
        }
        None => {
            let title = "Answer the message".to_owned();
            draft.add(ActionKind::CreateTask { lead: lead(), title }, "no rule answers this message");
            draft.add(send("reply_draft"), "a draft for the human who answers").needs_approval = true;
        }
    }
}

fn about_call(draft: &mut Draft<'_>, ended: &EndedCall, known: Known, rules: &Rules) {
    let call = &ended.call;
    let update = |field: &str, value: &str| ActionKind::UpdateContact {
        lead: call.lead.clone(),
        field: field.to_owned(),
        value: value.to_owned(),
    };
    let task = |title: &str| ActionKind::CreateTask { lead: call.lead.clone(), title: title.to_owned() };
    if call.report.opted_out {
        draft.add(ActionKind::StopCampaign { lead: call.lead.clone() }, "the lead asked not to be called");
        draft.add(do_not_contact(&call.lead), "the lead asked not to be called");
        return;
    }
    let done = matches!(ended.contact, Some(ContactState::Done { .. }) | None);
    match call.report.outcome.unwrap_or(Outcome::Other) {
        Outcome::Answered => {
            draft.add(update("stage", "contacted"), "the lead took the call");
            if call.report.success_evaluation.as_deref() == Some("true") {
                draft.add(task("Follow up on a call that went well"), "the assistant reached its goal");
            }
        }
        Outcome::InvalidNumber => {
            draft.add(update("phone_valid", "false"), "the number does not exist");
        }
        Outcome::NoAnswer | Outcome::Busy | Outcome::Voicemail if done => {
            draft.add(update("stage", "unreachable"), "every attempt is used up");
            if !known.suppressed {
                let message = ActionKind::SendMessage {
                    channel: "sms".to_owned(),
                    phone: call.to.clone(),
                    template: "we_tried_to_reach_you".to_owned(),
                };
                if let Some((opens, closes)) = lawful(&call.to, &ended.address, rules, draft.now) {
                    let action = draft.add(message, "the lead was not reached by phone");
                    (action.not_before, action.expires_at) = (opens, closes);
                }
            }
        }
        Outcome::NoAnswer | Outcome::Busy | Outcome::Voicemail => {
            draft.add(update("stage", "attempted"), "the lead is called again");
        }
        Outcome::ProviderFailed
        | Outcome::CapacityLimited
        | Outcome::NotPlaced
        | Outcome::Canceled
        | Outcome::Other => {
            if done {
                draft.add(task("Look at a lead who could not be called"), "no further attempt is made");
            }
        }
    }
}

fn do_not_contact(lead: &LeadId) -> ActionKind {
    ActionKind::UpdateContact {
        lead: lead.clone(),
        field: "do_not_contact".to_owned(),
        value: "true".to_owned(),
    }
}

fn call_when_lawful(
    draft: &mut Draft<'_>,
    lead: &LeadId,
    phone: &PhoneNumber,
    address: &Address,
    rules: &Rules,
) {
    match lawful(phone, address, rules, draft.now) {
        Some((opens, closes)) => {
            let call = ActionKind::PlaceCall { lead: lead.clone(), phone: phone.clone() };
            let action = draft.add(call, "the lead is interested");
            (action.not_before, action.expires_at) = (opens, closes);
        }
        None => {
            let title = "Find out where the lead is, and call".to_owned();
            let why = "when calling is lawful there is not known";
            draft.add(ActionKind::CreateTask { lead: lead.clone(), title }, why);
        }
    }
}

/// The window in which the person may be called next; `None`: it is not known.
fn lawful(
    phone: &PhoneNumber,
    address: &Address,
    rules: &Rules,
    now: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let zones = law::candidate_zones(&address.whereabouts(phone)).ok()?;
    let opens_at = match law::window(rules, &zones, now) {
        Window::Open { closes_at } => return Some((now, closes_at)),
        Window::Closed { opens_at } => opens_at,
        Window::Never => return None,
    };
    match law::window(rules, &zones, opens_at) {
        Window::Open { closes_at } => Some((opens_at, closes_at)),
        Window::Closed { .. } | Window::Never => None,
    }
}

/// Whether the message says yes to a call and little else.
fn is_interested(text: &str) -> bool {
    const PHRASES: [&str; 12] = [
        "yes",
        "yes please",
        "yeah",
        "sure",
        "ok call me",
        "interested",
        "im interested",
        "i am interested",
        "call me",
        "please call me",
        "call me back",
        "yes call me",
    ];
    let words: String = text
        .to_lowercase()
        .chars()
        .filter(|letter| letter.is_alphanumeric() || letter.is_whitespace())
        .collect();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    PHRASES.contains(&words.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, phone: &str) -> Trigger {
        Trigger::MessageReceived(Message {
            id: "m-1".to_owned(),
            lead: "lead-1".parse().unwrap(),
            phone: phone.parse().unwrap(),
            channel: "sms".to_owned(),
            text: text.to_owned(),
            address: Address::default(),
        })
    }

    fn decided(text: &str, phone: &str, suppressed: bool) -> Vec<&'static str> {
        let now = "2026-03-02T16:00:00Z".parse().unwrap();
        let actions = decide(&message(text, phone), Known { suppressed }, &Rules::federal(), now);
        actions.iter().map(|action| action.kind.name()).collect()
    }

    const HERE: &str = "+14155550123";

    #[test]
    fn a_message_is_answered_by_its_rule() {
        assert_eq!(decided("STOP", HERE, false), ["stop_campaign", "update_contact", "send_message"]);
        assert_eq!(decided("stop", HERE, true), ["stop_campaign", "update_contact"], "confirmed before");
        assert_eq!(decided("help", HERE, false), ["send_message"]);
        assert_eq!(decided("start", HERE, false), ["create_task"]);
        assert_eq!(decided("Yes, call me!", HERE, false), ["assign_number", "place_call"]);
        assert_eq!(decided("Yes", HERE, true), ["create_task"]);
        assert_eq!(decided("Yes", "+442079460123", false), ["assign_number", "create_task"]);
        assert_eq!(decided("How much is it?", HERE, false), ["create_task", "send_message"]);
    }

    #[test]
    fn a_call_is_never_before_the_legal_hours_and_never_after_them() {
        let night = "2026-03-02T12:00:00Z".parse().unwrap();
        let actions = decide(&message("yes", HERE), Known { suppressed: false }, &Rules::federal(), night);
        let call = &actions[1];
        assert_eq!(call.not_before.to_string(), "2026-03-02T16:00:00.000Z");
        assert_eq!(call.expires_at.to_string(), "2026-03-03T05:00:00.000Z");
    }

    #[test]
    fn the_same_trigger_gets_the_same_ids() {
        let now = "2026-03-02T16:00:00Z".parse().unwrap();
        let decide = || decide(&message("yes", HERE), Known { suppressed: false }, &Rules::federal(), now);
        assert_eq!(decide(), decide());
        assert_ne!(decide()[0].id, decide()[1].id);
    }
}
