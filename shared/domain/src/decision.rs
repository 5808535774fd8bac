//! Decisions: what is to be done about something that happened, by rules.
//!
//! 1. A decision is a pure function of its trigger and of what is known at that moment, and is made once: whoever brings
//!    the same trigger again gets the decision that was made.
//! 2. Its id follows from company and trigger, the ids of its actions from that and their place: an action that is
//!    carried out again can be told from one that was not.
//! 3. Who asked not to be contacted gets one confirmation, an answer when it asks for help, and nothing else by itself.
//! 4. A call, or a message that we begin, goes out inside the legal window; where that is not known, it does not. What
//!    answers a message goes out at once.
//!
//! Not here: carrying actions out. What does so asks the suppression lists and the law again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::call::Call;
use crate::contact::{Address, Contact, ContactState};
use crate::law::{self, Window};
use crate::opt_out::{self, Intent};
use crate::outcome::Outcome;
use crate::retry::DoneReason;
use crate::rules::Rules;
use crate::time::Duration;
use crate::{CompanyId, LeadId, PhoneNumber, Timestamp};

/// What goes out to a lead is stale after this, where nothing stricter holds.
const OUTWARD_FOR: Duration = Duration::from_hours(24);

/// What is written down, stopped or given to a human holds for as long as events are kept.
const INWARD_FOR: Duration = Duration::from_hours(30 * 24);

/// The one confirmation of an opt-out is covered by the former consent when it is sent within five minutes: 47 CFR
/// 64.1200(a)(12).
const CONFIRM_WITHIN: Duration = Duration::from_mins(5);

/// Names a decision: 40 hexadecimal digits that follow from company, type and id of the trigger.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct DecisionId(String);

/// The text is no id of a decision.
#[derive(Debug, thiserror::Error)]
#[error("the id of a decision is 40 hexadecimal digits")]
pub struct InvalidDecisionId;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// A lead wrote.
    MessageReceived(Box<Message>),
    /// A call is over.
    CallEnded(Box<EndedCall>),
}

/// A message of a lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The sender's id of it.
    pub id: String,
    /// Who wrote.
    pub lead: LeadId,
    /// The lead's number.
    pub phone: PhoneNumber,
    /// Over which channel.
    pub channel: Channel,
    /// What.
    pub text: String,
    /// Where the lead is.
    pub address: Address,
}

/// A call that is over, and where its contact stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedCall {
    /// The call.
    pub call: Call,
    /// The contact, where it is known.
    pub contact: Option<Contact>,
}

/// What is known beside the trigger.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The tenant.
    pub company: &'a CompanyId,
    /// Whether the lead's number is on a suppression list.
    pub suppressed: bool,
}

/// How leads write and are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Text message.
    Sms,
    /// WhatsApp.
    Whatsapp,
    /// Email.
    Email,
    /// Chat of a web page.
    Chat,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Action {
    /// Names it.
    pub id: String,
    /// What to do.
    #[serde(flatten)]
    pub kind: ActionKind,
    /// To be presented to whatever carries it out: the same action is carried out once.
    pub idempotency_key: String,
    /// Not before this moment.
    pub not_before: Timestamp,
    /// Not from this moment on.
    pub expires_at: Timestamp,
    /// A human has to agree first.
    pub needs_approval: bool,
    /// Why.
    pub reason: &'static str,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "parameters", rename_all = "snake_case")]
pub enum ActionKind {
    /// Write to the lead.
    SendMessage {
        /// To whom.
        lead: LeadId,
        /// The lead's number.
        phone: PhoneNumber,
        /// How.
        channel: Channel,
        /// What.
        template: Template,
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
        /// What.
        #[serde(flatten)]
        change: Change,
    },
    /// Have a human look.
    CreateTask {
        /// About whom.
        lead: LeadId,
        /// What to do.
        title: &'static str,
    },
    /// End what runs for the lead.
    StopCampaign {
        /// For whom.
        lead: LeadId,
    },
}

/// A text that is sent, by its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// The lead will not be contacted any more.
    OptOutConfirmation,
    /// Who we are, and how to stop it.
    Help,
    /// A draft of an answer.
    ReplyDraft,
    /// Nobody took our calls.
    WeTriedToReachYou,
}

/// A field of the lead's record and its new value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "field", content = "value", rename_all = "snake_case")]
pub enum Change {
    /// Whether contacting the lead is forbidden.
    DoNotContact(bool),
    /// How far the lead is.
    Stage(Stage),
    /// What was said in the last call.
    Summary(String),
    /// Whether the number does not exist.
    PhoneInvalid(bool),
}

/// How far a lead is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Called, not reached yet.
    Attempted,
    /// Spoken to.
    Contacted,
    /// Called as often as is allowed, and not reached.
    Unreachable,
}

impl DecisionId {
    fn new(company: &CompanyId, trigger: &str, id: &str) -> Self {
        Self(hex::encode(&Sha256::digest(format!("{company}/{trigger}/{id}"))[..20]))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DecisionId {
    type Err = InvalidDecisionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let valid = text.len() == 40 && text.bytes().all(digit);
        valid.then(|| Self(text.to_owned())).ok_or(InvalidDecisionId)
    }
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

    fn valid_for(&self) -> Duration {
        match self {
            Self::SendMessage { template: Template::OptOutConfirmation, .. } => CONFIRM_WITHIN,
            Self::SendMessage { .. } | Self::AssignNumber { .. } | Self::PlaceCall { .. } => OUTWARD_FOR,
            Self::UpdateContact { .. } | Self::CreateTask { .. } | Self::StopCampaign { .. } => INWARD_FOR,
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

    /// Names the decision about this trigger of a company.
    pub fn decision_id(&self, company: &CompanyId) -> DecisionId {
        let id = match self {
            Self::MessageReceived(message) => message.id.as_str(),
            Self::CallEnded(ended) => ended.call.id.as_str(),
        };
        DecisionId::new(company, self.name(), id)
    }

    /// The lead's number.
    pub fn phone(&self) -> &PhoneNumber {
        match self {
            Self::MessageReceived(message) => &message.phone,
            Self::CallEnded(ended) => &ended.call.to,
        }
    }

    /// Who asks, in a message, not to be contacted any more.
    pub fn opted_out_by_word(&self) -> Option<&LeadId> {
        match self {
            Self::MessageReceived(message) => {
                (opt_out::intent(&message.text) == Some(Intent::Stop)).then_some(&message.lead)
            }
            Self::CallEnded(_) => None,
        }
    }
}

/// What is to be done, in this order.
pub fn decide(trigger: &Trigger, context: Context<'_>, now: Timestamp, rules: &Rules) -> Vec<Action> {
    let mut draft = Draft { id: trigger.decision_id(context.company), now, rules, actions: Vec::new() };
    match trigger {
        Trigger::MessageReceived(message) => about_message(&mut draft, message, context.suppressed),
        Trigger::CallEnded(ended) => about_call(&mut draft, ended, context.suppressed),
    }
    draft.actions
}

fn about_message(draft: &mut Draft<'_>, message: &Message, suppressed: bool) {
    let lead = &message.lead;
    let send = |template| ActionKind::SendMessage {
        lead: lead.clone(),
        phone: message.phone.clone(),
        channel: message.channel,
        template,
    };
    match opt_out::intent(&message.text) {
        Some(Intent::Stop) => {
            draft.leave_alone(lead, "the lead asked not to be contacted");
            // Whose number is on the list already was told so when it was put there.
            if !suppressed {
                draft.add(send(Template::OptOutConfirmation), "an opt-out is confirmed once");
            }
        }
        Some(Intent::Help) => {
            draft.add(send(Template::Help), "the lead asked for help");
        }
        Some(Intent::Start) => {
            draft.task(lead, "renew the lead's consent", "consent is never renewed by itself");
        }
        None if suppressed => {
            draft.task(lead, "look at the message", "the lead's number is on a suppression list");
        }
        None if is_interested(&message.text) => {
            let phone = message.phone.clone();
            draft.add(ActionKind::AssignNumber { lead: lead.clone(), phone }, "the lead is interested");
            let call = ActionKind::PlaceCall { lead: lead.clone(), phone: message.phone.clone() };
            if !draft.add_in_legal_window(call, &message.phone, &message.address, "the lead is interested") {
                draft.task(lead, "find out where the lead is, and call", "where the person is, is not known");
            }
        }
        None => {
            draft.task(lead, "answer the message", "no rule answers this message");
            draft.add(send(Template::ReplyDraft), "a draft for whoever answers").needs_approval = true;
        }
    }
}

fn about_call(draft: &mut Draft<'_>, ended: &EndedCall, suppressed: bool) {
    let call = &ended.call;
    if call.report.opted_out {
        draft.leave_alone(&call.lead, "the lead asked not to be called");
        return;
    }
    match (call.report.outcome.unwrap_or(Outcome::Other), ended.standing()) {
        (Outcome::Answered, _) => {
            draft.update(&call.lead, Change::Stage(Stage::Contacted), "the lead took the call");
            if let Some(summary) = call.report.summary.clone() {
                draft.update(&call.lead, Change::Summary(summary), "what was said in the call");
            }
            if call.report.success_evaluation.as_deref() == Some("true") {
                draft.task(&call.lead, "follow up on the call", "the call did what it was for");
            }
        }
        (Outcome::InvalidNumber, _) => {
            draft.update(&call.lead, Change::PhoneInvalid(true), "there is no such number");
        }
        (Outcome::NoAnswer | Outcome::Busy | Outcome::Voicemail, Standing::GoesOn) => {
            draft.update(&call.lead, Change::Stage(Stage::Attempted), "the lead will be called again");
        }
        (Outcome::NoAnswer | Outcome::Busy | Outcome::Voicemail, Standing::Finished(reason, address)) => {
            let why = "the lead was not reached, and is not called again";
            draft.update(&call.lead, Change::Stage(Stage::Unreachable), why);
            if reason == DoneReason::AttemptsUsedUp && !suppressed {
                let message = ActionKind::SendMessage {
                    lead: call.lead.clone(),
                    phone: call.to.clone(),
                    channel: Channel::Sms,
                    template: Template::WeTriedToReachYou,
                };
                // Where the hours are not known nothing is sent: the record says that the lead was not reached.
                draft.add_in_legal_window(message, &call.to, address, why);
            }
        }
        (
            Outcome::ProviderFailed | Outcome::CapacityLimited | Outcome::NotPlaced | Outcome::Other,
            Standing::Finished(..),
        ) => {
            draft.task(
                &call.lead,
                "look at why the call failed",
                "the call failed, and the lead is not called again",
            );
        }
        (
            Outcome::NoAnswer
            | Outcome::Busy
            | Outcome::Voicemail
            | Outcome::ProviderFailed
            | Outcome::CapacityLimited
            | Outcome::NotPlaced
            | Outcome::Other
            | Outcome::Canceled,
            Standing::GoesOn | Standing::Finished(..) | Standing::Overtaken,
        ) => {}
    }
}

/// Where a call that is over leaves its contact.
enum Standing<'a> {
    /// The contact may be called again, or nothing is known of it.
    GoesOn,
    /// It was the contact's last call.
    Finished(DoneReason, &'a Address),
    /// The contact was finished by a later call: that one's end says what is to be done.
    Overtaken,
}

impl EndedCall {
    fn standing(&self) -> Standing<'_> {
        let Some(contact) = &self.contact else { return Standing::GoesOn };
        let later = contact.attempts.len() > usize::try_from(self.call.attempt).unwrap_or(usize::MAX);
        match contact.state {
            ContactState::Pending { .. } | ContactState::InFlight { .. } => Standing::GoesOn,
            ContactState::Done { .. } if later => Standing::Overtaken,
            ContactState::Done { reason } => Standing::Finished(reason, &contact.address),
        }
    }
}

/// A decision in the making.
struct Draft<'a> {
    id: DecisionId,
    now: Timestamp,
    rules: &'a Rules,
    actions: Vec<Action>,
}

impl Draft<'_> {
    fn add(&mut self, kind: ActionKind, reason: &'static str) -> &mut Action {
        let place = self.actions.len();
        let digest = hex::encode(&Sha256::digest(format!("{}/{place}", self.id))[..16]);
        self.actions.push(Action {
            id: format!("act_{digest}"),
            expires_at: self.now + kind.valid_for(),
            kind,
            idempotency_key: digest,
            not_before: self.now,
            needs_approval: false,
            reason,
        });
        &mut self.actions[place]
    }

    fn task(&mut self, lead: &LeadId, title: &'static str, reason: &'static str) {
        self.add(ActionKind::CreateTask { lead: lead.clone(), title }, reason);
    }

    fn update(&mut self, lead: &LeadId, change: Change, reason: &'static str) {
        self.add(ActionKind::UpdateContact { lead: lead.clone(), change }, reason);
    }

    fn leave_alone(&mut self, lead: &LeadId, reason: &'static str) {
        self.add(ActionKind::StopCampaign { lead: lead.clone() }, reason);
        self.update(lead, Change::DoNotContact(true), reason);
    }

    /// Adds what may only happen inside the legal window at `phone`. Returns whether that window is known.
    fn add_in_legal_window(
        &mut self,
        kind: ActionKind,
        phone: &PhoneNumber,
        address: &Address,
        reason: &'static str,
    ) -> bool {
        let window = legal_window(phone, address, self.now, self.rules);
        if let Some((opens_at, closes_at)) = window {
            let action = self.add(kind, reason);
            (action.not_before, action.expires_at) = (opens_at, closes_at);
        }
        window.is_some()
    }
}

/// The legal window in progress at `now`, else the next one; `None` when the law cannot be known.
fn legal_window(
    phone: &PhoneNumber,
    address: &Address,
    now: Timestamp,
    rules: &Rules,
) -> Option<(Timestamp, Timestamp)> {
    let zones = law::candidate_zones(&address.whereabouts(phone)).ok()?;
    let opens_at = match law::window(rules, &zones, now) {
        Window::Open(open) => return Some((now, open.closes_at)),
        Window::Closed { opens_at } => opens_at,
        Window::Never => return None,
    };
    match law::window(rules, &zones, opens_at) {
        Window::Open(open) => Some((opens_at, open.closes_at)),
        Window::Closed { .. } | Window::Never => None,
    }
}

/// What says yes to a call. A phrase stands before those that it begins with.
const INTEREST: [&[&str]; 19] = [
    &["yes"],
    &["yeah"],
    &["yep"],
    &["yup"],
    &["sure"],
    &["absolutely"],
    &["definitely"],
    &["i", "am", "very", "interested"],
    &["i", "am", "interested"],
    &["im", "very", "interested"],
    &["im", "interested"],
    &["very", "interested"],
    &["interested"],
    &["call", "me", "back"],
    &["call", "me", "now"],
    &["call", "me", "anytime"],
    &["call", "me"],
    &["give", "me", "a", "call"],
    &["lets", "talk"],
];

/// What changes nothing about the rest of a message.
const COURTESIES: [&[&str]; 9] = [
    &["you", "can"],
    &["please"],
    &["pls"],
    &["thank", "you"],
    &["thanks"],
    &["ok"],
    &["okay"],
    &["hi"],
    &["hello"],
];

/// Whether a message says yes to a call and nothing else: any other word may be a condition, and is for a human.
fn is_interested(text: &str) -> bool {
    let plain: String = text
        .chars()
        .filter(|letter| !matches!(letter, '\'' | '\u{2018}' | '\u{2019}'))
        .map(|letter| if letter.is_alphanumeric() { letter } else { ' ' })
        .collect();
    let plain = plain.to_lowercase();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let (mut rest, mut interested) = (words.as_slice(), false);
    while !rest.is_empty() {
        let phrase = INTEREST.into_iter().find_map(|phrase| rest.strip_prefix(phrase));
        interested |= phrase.is_some();
        let courtesy = || COURTESIES.into_iter().find_map(|courtesy| rest.strip_prefix(courtesy));
        match phrase.or_else(courtesy) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    interested
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::call::{CallReport, CallState};
    use crate::law::{LegalBasis, OpenWindow, Zones};
    use crate::time::Duration;

    const CALIFORNIA: &str = "+14155550123";
    const LONDON: &str = "+442079460123";
    /// 09:00 in California: calling hours begin.
    const MORNING: &str = "2026-03-02T17:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn message(text: &str, phone: &str) -> Trigger {
        Trigger::MessageReceived(Box::new(Message {
            id: "msg-1".to_owned(),
            lead: "lead-1".parse().unwrap(),
            phone: phone.parse().unwrap(),
            channel: Channel::Sms,
            text: text.to_owned(),
            address: Address::default(),
        }))
    }

    fn call(attempt: u32, report: CallReport, contact: ContactState, attempts: usize) -> Trigger {
        let phone: PhoneNumber = CALIFORNIA.parse().unwrap();
        let claimed_at = at(MORNING);
        let call = Call {
            id: "call_01K5S3Z8Q0M4T6V8X0Z2B4D6F8".parse().unwrap(),
            company: "acme".parse().unwrap(),
            campaign_id: "cmp_01K5S3Z8Q0M4T6V8X0Z2B4D6F8".parse().unwrap(),
            lead: "lead-1".parse().unwrap(),
            to: phone.clone(),
            from: "+14155550101".parse().unwrap(),
            provider_number_id: "number-1".to_owned(),
            assignment_id: "asg_01K5S3Z8Q0M4T6V8X0Z2B4D6F8".parse().unwrap(),
            attempt,
            state: CallState::Ended,
            claimed_at,
            start_by: claimed_at + Duration::from_mins(4),
            on_machine: None,
            provider_call_id: None,
            legal_basis: LegalBasis::of_hours(
                Rules::united_states(),
                &Zones { zones: Vec::new(), sources: Vec::new(), states: Vec::new() },
                OpenWindow { opened_at: claimed_at, closes_at: claimed_at },
                claimed_at,
            ),
            report,
            report_due: false,
            withdrawn: false,
            version: 2,
        };
        let contact = Contact {
            phone,
            lead: call.lead.clone(),
            name: None,
            address: Address::default(),
            consent: None,
            state: contact,
            attempts: vec![claimed_at; attempts],
            calls: Vec::new(),
            provider_failures: 0,
            promised_for: None,
            goes_ahead: false,
            events: 0,
            version: 3,
        };
        Trigger::CallEnded(Box::new(EndedCall { call, contact: Some(contact) }))
    }

    fn ended(outcome: Outcome) -> CallReport {
        CallReport { outcome: Some(outcome), ..CallReport::default() }
    }

    fn done(reason: DoneReason) -> ContactState {
        ContactState::Done { reason }
    }

    fn decided(trigger: &Trigger, suppressed: bool, now: &str) -> Vec<Action> {
        let company = "acme".parse().unwrap();
        decide(trigger, Context { company: &company, suppressed }, at(now), Rules::united_states())
    }

    /// Each action in short: its type, and the parameter that tells it from others of the type.
    fn in_short(actions: &[Action]) -> Vec<String> {
        let short = |action: &Action| match &action.kind {
            ActionKind::SendMessage { template, .. } => json!({ "send": template }),
            ActionKind::UpdateContact { change, .. } => {
                let change = serde_json::to_value(change).unwrap();
                json!({ change["field"].as_str().unwrap(): change["value"] })
            }
            ActionKind::CreateTask { title, .. } => json!({ "task": title }),
            ActionKind::AssignNumber { .. }
            | ActionKind::PlaceCall { .. }
            | ActionKind::StopCampaign { .. } => Value::from(action.kind.name()),
        };
        actions.iter().map(|action| short(action).to_string().replace(['"', '{', '}'], "")).collect()
    }

    #[test]
    fn a_message_is_answered_by_its_rule() {
        let cases: [(&str, &str, bool, &[&str]); 12] = [
            (
                "STOP",
                CALIFORNIA,
                false,
                &["stop_campaign", "do_not_contact:true", "send:opt_out_confirmation"],
            ),
            ("STOP", CALIFORNIA, true, &["stop_campaign", "do_not_contact:true"]),
            ("HELP", CALIFORNIA, false, &["send:help"]),
            ("HELP", CALIFORNIA, true, &["send:help"]),
            ("START", CALIFORNIA, false, &["task:renew the lead's consent"]),
            ("START", CALIFORNIA, true, &["task:renew the lead's consent"]),
            ("Yes, call me", CALIFORNIA, false, &["assign_number", "place_call"]),
            ("Yes, call me", CALIFORNIA, true, &["task:look at the message"]),
            ("Yes, call me", LONDON, false, &["assign_number", "task:find out where the lead is, and call"]),
            ("How much is it?", CALIFORNIA, false, &["task:answer the message", "send:reply_draft"]),
            ("How much is it?", CALIFORNIA, true, &["task:look at the message"]),
            ("", CALIFORNIA, false, &["task:answer the message", "send:reply_draft"]),
        ];
        for (text, phone, suppressed, expected) in cases {
            let actions = decided(&message(text, phone), suppressed, MORNING);
            assert_eq!(in_short(&actions), expected, "{text} from {phone}, suppressed: {suppressed}");
            for action in &actions {
                let draft =
                    matches!(action.kind, ActionKind::SendMessage { template: Template::ReplyDraft, .. });
                assert_eq!(action.needs_approval, draft, "{action:?}");
            }
        }
    }

    #[test]
    fn the_end_of_a_call_is_answered_by_its_rule() {
        let (pending, in_flight) = (
            ContactState::Pending { due_at: at(MORNING) },
            ContactState::InFlight { call_id: "call_01K5S3Z8Q0M4T6V8X0Z2B4D6F9".parse().unwrap() },
        );
        let spoken = CallReport { summary: Some("likes it".to_owned()), ..ended(Outcome::Answered) };
        let won = CallReport { success_evaluation: Some("true".to_owned()), ..spoken.clone() };
        let lost = CallReport { success_evaluation: Some("false".to_owned()), ..spoken.clone() };
        let opted_out = CallReport { opted_out: true, ..won.clone() };
        let (reached, used_up) = (done(DoneReason::Reached), done(DoneReason::AttemptsUsedUp));
        let (failed, silent) = (ended(Outcome::ProviderFailed), ended(Outcome::NoAnswer));
        let sent: &[&str] = &["stage:unreachable", "send:we_tried_to_reach_you"];
        let cases: [(CallReport, &ContactState, bool, &[&str]); 20] = [
            (opted_out, &done(DoneReason::OptedOut), true, &["stop_campaign", "do_not_contact:true"]),
            (ended(Outcome::Answered), &reached, false, &["stage:contacted"]),
            (lost, &reached, false, &["stage:contacted", "summary:likes it"]),
            (won, &reached, false, &["stage:contacted", "summary:likes it", "task:follow up on the call"]),
            (silent.clone(), &pending, false, &["stage:attempted"]),
            (ended(Outcome::Busy), &pending, false, &["stage:attempted"]),
            (ended(Outcome::Voicemail), &in_flight, false, &["stage:attempted"]),
            (silent.clone(), &used_up, false, sent),
            (ended(Outcome::Busy), &used_up, false, sent),
            (ended(Outcome::Voicemail), &used_up, false, sent),
            (silent.clone(), &used_up, true, &["stage:unreachable"]),
            (silent, &done(DoneReason::Canceled), false, &["stage:unreachable"]),
            (ended(Outcome::InvalidNumber), &done(DoneReason::InvalidNumber), false, &["phone_invalid:true"]),
            (failed.clone(), &pending, false, &[]),
            (failed, &done(DoneReason::ProviderFailed), false, &["task:look at why the call failed"]),
            (ended(Outcome::CapacityLimited), &pending, false, &[]),
            (ended(Outcome::NotPlaced), &pending, false, &[]),
            (ended(Outcome::Canceled), &done(DoneReason::Canceled), false, &[]),
            (ended(Outcome::Other), &used_up, false, &["task:look at why the call failed"]),
            (CallReport::default(), &pending, false, &[]),
        ];
        for (report, contact, suppressed, expected) in cases {
            let trigger = call(5, report, contact.clone(), 5);
            let actions = decided(&trigger, suppressed, MORNING);
            assert_eq!(in_short(&actions), expected, "{trigger:?}");
        }
    }

    /// The trigger of an early call may come after the last call ended: only the last one may lead to a message.
    #[test]
    fn a_call_that_a_later_one_overtook_leads_to_nothing() {
        for reason in [DoneReason::Reached, DoneReason::AttemptsUsedUp, DoneReason::ProviderFailed] {
            for outcome in [Outcome::NoAnswer, Outcome::ProviderFailed] {
                let actions = decided(&call(4, ended(outcome), done(reason), 5), false, MORNING);
                assert_eq!(in_short(&actions), [""; 0], "{outcome} before {reason:?}");
            }
        }
    }

    #[test]
    fn nothing_goes_out_before_the_legal_hours_or_after_them() {
        let unreached = call(5, ended(Outcome::NoAnswer), done(DoneReason::AttemptsUsedUp), 5);
        let cases = [
            ("2026-03-02T16:59:59.999Z", "2026-03-02T17:00:00Z", "2026-03-03T05:00:00Z"),
            ("2026-03-02T17:00:00Z", "2026-03-02T17:00:00Z", "2026-03-03T05:00:00Z"),
            ("2026-03-03T05:00:00Z", "2026-03-03T17:00:00Z", "2026-03-04T05:00:00Z"),
        ];
        for trigger in [message("yes", CALIFORNIA), unreached] {
            for (now, not_before, expires_at) in cases {
                let actions = decided(&trigger, false, now);
                let last = &actions[1];
                assert_eq!(
                    (last.not_before, last.expires_at),
                    (at(not_before), at(expires_at)),
                    "{last:?} at {now}"
                );
            }
        }
    }

    #[test]
    fn an_opt_out_is_confirmed_within_five_minutes_or_not_at_all() {
        let confirmation = &decided(&message("STOP", CALIFORNIA), false, MORNING)[2];
        assert_eq!(confirmation.expires_at.since(confirmation.not_before), Duration::from_mins(5));
    }

    #[test]
    fn a_yes_and_nothing_else_is_interest() {
        let yes = "
            yes | YES! | Yes please | yeah | yep | sure | Sure, thanks | ok yes | interested | I'm interested
            I\u{2019}m very interested. Call me! | I am interested, please call me back | call me | Call me now, please
            please call me | Hi, yes, give me a call | absolutely | definitely | You can call me anytime | Let's talk
        ";
        let no = "
            ok | thanks | 👍 | hello | ... | maybe | no | not interested | I'm not interested | yes but not today
            call me tomorrow | call me at 3 | don't call me | call me never | yes stop | yesterday | is that a yes
            who is interested | call | me | sure thing is expensive | I am | yes? how much
        ";
        for (messages, interested) in [(yes, true), (no, false)] {
            for message in messages.split(['|', '\n']).map(str::trim).filter(|message| !message.is_empty()) {
                assert_eq!(is_interested(message), interested, "{message}");
            }
        }
    }

    #[test]
    fn ids_follow_from_company_trigger_and_place() {
        let trigger = message("yes", CALIFORNIA);
        let of = |company: &str| {
            let company = company.parse().unwrap();
            decide(
                &trigger,
                Context { company: &company, suppressed: false },
                at(MORNING),
                Rules::united_states(),
            )
        };
        let (ours, theirs) = (of("acme"), of("other"));
        assert_eq!(ours, of("acme"));
        let ids =
            [&ours[0], &ours[1], &theirs[0], &theirs[1]].map(|action| (&action.id, &action.idempotency_key));
        let distinct: std::collections::BTreeSet<_> = ids.into_iter().collect();
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn the_id_of_a_decision_reads_back_and_nothing_else_does() {
        let id = message("yes", CALIFORNIA).decision_id(&"acme".parse().unwrap());
        assert_eq!(id.as_str().parse::<DecisionId>().unwrap(), id);
        for text in ["", "dec_1", &id.as_str()[1..], &id.as_str().to_uppercase()] {
            assert!(text.parse::<DecisionId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_action_is_written_with_its_parameters_apart() {
        let actions = decided(&message("STOP", CALIFORNIA), false, MORNING);
        let written = serde_json::to_value(&actions[1..]).unwrap();
        let key = |index: usize| actions[index].idempotency_key.as_str();
        assert_eq!(
            written,
            json!([
                {
                    "id": format!("act_{}", key(1)),
                    "type": "update_contact",
                    "parameters": { "lead": "lead-1", "field": "do_not_contact", "value": true },
                    "idempotency_key": key(1),
                    "not_before": "2026-03-02T17:00:00.000Z",
                    "expires_at": "2026-04-01T17:00:00.000Z",
                    "needs_approval": false,
                    "reason": "the lead asked not to be contacted",
                },
                {
                    "id": format!("act_{}", key(2)),
                    "type": "send_message",
                    "parameters": {
                        "lead": "lead-1",
                        "phone": CALIFORNIA,
                        "channel": "sms",
                        "template": "opt_out_confirmation",
                    },
                    "idempotency_key": key(2),
                    "not_before": "2026-03-02T17:00:00.000Z",
                    "expires_at": "2026-03-02T17:05:00.000Z",
                    "needs_approval": false,
                    "reason": "an opt-out is confirmed once",
                },
            ])
        );
    }
}
