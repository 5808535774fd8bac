//! Events: what Dialpool tells the outside. Each is written in the transaction that makes it true.
//!
//! An event names the thing that changed (its aggregate) and which change of that thing it is (its sequence, from 1
//! without gaps). Its id follows from both: the same change has the same id however often it is told.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::assistant::Origin;
use crate::campaign::{CampaignStatus, Cap};
use crate::consent::Consent;
use crate::law::LegalBasis;
use crate::outcome::Outcome;
use crate::place::State;
use crate::pool::{ReleaseReason, Tier};
use crate::retry::DoneReason;
use crate::task::TaskKind;
use crate::{
    AssignmentId, AssistantId, CallId, CampaignId, CompanyId, EventId, LeadId, PhoneNumber, TaskId,
    Timestamp, TraceId, Usd,
};

/// Who caused a change, when, and as part of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The moment of the change.
    pub at: Timestamp,
    /// Who or what made it: `key:<id>` for a caller of the API, else the function's name.
    pub actor: String,
    /// Ties it to the request that it came of.
    pub trace_id: TraceId,
}

/// The thing that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Aggregate {
    /// One hold of a number.
    Assignment(AssignmentId),
    /// One call.
    Call(CallId),
    /// A campaign.
    Campaign(CampaignId),
    /// A contact: the campaign's id, `:` and the phone number.
    Contact(String),
    /// An entry of a suppression list, by the keyed hash of the phone number.
    Suppression(String),
    /// A decision, by the key of its trigger.
    Decision(String),
    /// A number of a pool, whoever holds it.
    Number(PhoneNumber),
    /// The pool of a company.
    Pool(CompanyId),
    /// The lines of a company, and what stops them.
    Lines(CompanyId),
    /// What a person agreed to, by the keyed hash of the phone number.
    Consent(String),
    /// What a company knows of a number that it calls, by the keyed hash of the number.
    Person(String),
    /// What speaks to the people who are called.
    Assistant(AssistantId),
    /// Something for a person to settle.
    Task(TaskId),
}

impl Aggregate {
    /// The contact of `phone` in a campaign.
    pub fn contact(campaign: &CampaignId, phone: &PhoneNumber) -> Self {
        Self::Contact(format!("{campaign}:{phone}"))
    }

    /// The name under which the journal files its events.
    pub fn key(&self) -> String {
        match self {
            Self::Assignment(id) => id.to_string(),
            Self::Call(id) => id.to_string(),
            Self::Campaign(id) => id.to_string(),
            Self::Contact(id) => format!("con_{id}"),
            Self::Suppression(id) => format!("sup_{id}"),
            Self::Decision(id) => format!("dec_{id}"),
            Self::Number(number) => format!("num_{number}"),
            Self::Pool(company) => format!("pool_{company}"),
            Self::Lines(company) => format!("lines_{company}"),
            Self::Consent(id) => format!("cns_{id}"),
            Self::Person(id) => format!("per_{id}"),
            Self::Assistant(id) => id.to_string(),
            Self::Task(id) => id.to_string(),
        }
    }
}

/// One change of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Follows from aggregate and sequence; sorts by time.
    pub id: EventId,
    /// The version of the schema of `data`.
    pub version: u32,
    /// The tenant.
    pub company: CompanyId,
    /// What changed.
    pub aggregate: Aggregate,
    /// Which change of it this is, from 1 without gaps.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// Who or what made the change.
    pub actor: String,
    /// Ties it to the request that it came of.
    pub trace_id: TraceId,
    /// What happened.
    #[serde(flatten)]
    pub data: EventData,
}

impl Event {
    /// The event that `cause` makes the `sequence`-th of `aggregate`.
    pub fn new(
        cause: &Cause,
        company: &CompanyId,
        aggregate: Aggregate,
        sequence: u64,
        data: EventData,
    ) -> Self {
        let digest = Sha256::digest(format!("{company}/{}#{sequence}", aggregate.key()));
        let chance = digest[..16].iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
        Self {
            id: EventId::new(cause.at, chance),
            version: 1,
            company: company.clone(),
            aggregate,
            sequence,
            time: cause.at,
            actor: cause.actor.clone(),
            trace_id: cause.trace_id.clone(),
            data,
        }
    }
}

/// What happened. The schema of each type is in `events/schemas/<type>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum EventData {
    /// A lead got a number.
    #[serde(rename = "number.assigned")]
    NumberAssigned {
        /// Who.
        lead: LeadId,
        /// Which number.
        number: PhoneNumber,
        /// Until when, unless extended.
        release_at: Timestamp,
        /// How local it is.
        tier: Tier,
    },
    /// A hold goes on for longer, or ends earlier, than planned.
    #[serde(rename = "number.extended")]
    NumberExtended {
        /// Who.
        lead: LeadId,
        /// Which number.
        number: PhoneNumber,
        /// Until when now.
        release_at: Timestamp,
        /// The appointment that it was booked for, if it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        appointment_at: Option<Timestamp>,
    },
    /// A number is free again.
    #[serde(rename = "number.released")]
    NumberReleased {
        /// Who held it.
        lead: LeadId,
        /// Which number.
        number: PhoneNumber,
        /// Why.
        reason: ReleaseReason,
        /// When the hold was over: for an expired one earlier than it was written down.
        ended_at: Timestamp,
    },
    /// A number did badly: it rests, and is new after that.
    #[serde(rename = "number.rested")]
    NumberRested {
        /// Which number.
        number: PhoneNumber,
        /// Until when.
        until: Timestamp,
        /// Its health, from 0 to 100.
        health: u8,
    },
    /// Fewer people answered a number within two days than in the seven before: it may be flagged somewhere.
    #[serde(rename = "number.flagged")]
    NumberFlagged {
        /// Which number.
        number: PhoneNumber,
        /// Its health, from 0 to 100.
        health: u8,
    },
    /// A number is not used for a while, by an operator's decision.
    #[serde(rename = "number.quarantined")]
    NumberQuarantined {
        /// Which number.
        number: PhoneNumber,
        /// Until when.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    /// A number may be used again, by an operator's decision.
    #[serde(rename = "number.restored")]
    NumberRestored {
        /// Which number.
        number: PhoneNumber,
    },
    /// A number leaves the pool once nobody holds it.
    #[serde(rename = "number.draining")]
    NumberDraining {
        /// Which number.
        number: PhoneNumber,
    },
    /// Something was noted of a number: a label, a complaint, its registration.
    #[serde(rename = "number.noted")]
    NumberNoted {
        /// Which number.
        number: PhoneNumber,
        /// What.
        what: String,
    },
    /// So much of a pool is in use that it may run out.
    #[serde(rename = "pool.utilisation_high")]
    PoolUtilisationHigh {
        /// The level that was passed, in percent: one of the company's two.
        level: u8,
        /// Numbers that cannot be assigned now.
        in_use: u64,
        /// All numbers that are in service.
        of: u64,
    },
    /// A pool that was short of numbers is not any more.
    #[serde(rename = "pool.utilisation_normal")]
    PoolUtilisationNormal {
        /// Numbers that cannot be assigned now.
        in_use: u64,
        /// All numbers that are in service.
        of: u64,
    },
    /// A call is about to be asked of the provider.
    #[serde(rename = "call.claimed")]
    CallClaimed {
        /// The campaign.
        campaign_id: CampaignId,
        /// Who is called.
        lead: LeadId,
        /// The number called.
        to: PhoneNumber,
        /// The number it is called from.
        from: PhoneNumber,
        /// The hold under which.
        assignment_id: AssignmentId,
        /// Which attempt it is, from 1.
        attempt: u32,
        /// Why calling is lawful.
        legal_basis: Box<LegalBasis>,
    },
    /// The provider asked whether a call of a campaign of its own may be made, and was told that it may.
    #[serde(rename = "call.permitted")]
    CallPermitted {
        /// The number called.
        to: PhoneNumber,
        /// The number it is called from.
        from: PhoneNumber,
        /// Why calling is lawful.
        legal_basis: Box<LegalBasis>,
    },
    /// The provider took the call.
    #[serde(rename = "call.accepted")]
    CallAccepted {
        /// The provider's id.
        provider_call_id: String,
    },
    /// The provider gave no clear answer; the call is looked up, never asked for again.
    #[serde(rename = "call.unknown")]
    CallUnknown {
        /// What was seen instead of an answer.
        cause: String,
    },
    /// It rings.
    #[serde(rename = "call.ringing")]
    CallRinging {},
    /// Somebody, or a machine, answered.
    #[serde(rename = "call.in_progress")]
    CallInProgress {},
    /// The call took place and is over.
    #[serde(rename = "call.ended")]
    CallEnded(CallOver),
    /// The call never took place.
    #[serde(rename = "call.failed")]
    CallFailed(CallOver),
    /// The call was withdrawn before it took place.
    #[serde(rename = "call.canceled")]
    CallCanceled(CallOver),
    /// The provider lost the call.
    #[serde(rename = "call.timed_out")]
    CallTimedOut(CallOver),
    /// Details of a call came after its end.
    #[serde(rename = "call.reported")]
    CallReported {
        /// What it cost, when that is new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost: Option<Usd>,
        /// What was said in short, when that is new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
        /// The assistant's judgement, when that is new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        success_evaluation: Option<String>,
    },
    /// Nobody is called any more, or nobody in a state.
    #[serde(rename = "calling.stopped")]
    CallingStopped {
        /// Where; none: nowhere at all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<State>,
        /// Why.
        reason: String,
    },
    /// Calls go on.
    #[serde(rename = "calling.resumed")]
    CallingResumed {
        /// Where; none: wherever no other switch is on stop.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<State>,
    },
    /// A person agreed to be called.
    #[serde(rename = "consent.captured")]
    ConsentCaptured {
        /// Whose number it is.
        phone: PhoneNumber,
        /// What was agreed to.
        consent: Box<Consent>,
    },
    /// A person takes an agreement back.
    #[serde(rename = "consent.revoked")]
    ConsentRevoked {
        /// Whose number it is.
        phone: PhoneNumber,
    },
    /// A campaign was made.
    #[serde(rename = "campaign.created")]
    CampaignCreated {
        /// Its name.
        name: String,
    },
    /// A campaign that has not begun got another assistant.
    #[serde(rename = "campaign.assistant_changed")]
    CampaignAssistantChanged {
        /// The assistant's id at the provider.
        provider_id: String,
        /// The assistant, when the company has a record of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assistant_id: Option<AssistantId>,
    },
    /// A campaign got more lines, or fewer.
    #[serde(rename = "campaign.cap_changed")]
    CampaignCapChanged {
        /// How many it had.
        from: Cap,
        /// How many it has.
        to: Cap,
    },
    /// Contacts were added to a campaign.
    #[serde(rename = "campaign.contacts_added")]
    CampaignContactsAdded {
        /// How many.
        contacts: u64,
    },
    /// A campaign moved on.
    #[serde(rename = "campaign.status_changed")]
    CampaignStatusChanged {
        /// From.
        from: CampaignStatus,
        /// To.
        to: CampaignStatus,
    },
    /// A company has an assistant more.
    #[serde(rename = "assistant.created")]
    AssistantCreated {
        /// Its name.
        name: String,
        /// Its id at the provider.
        provider_id: String,
        /// What it was made from.
        origin: Origin,
        /// SHA-256 of its configuration, in hexadecimal digits.
        sha256: String,
    },
    /// An assistant has a new version of its configuration, which the provider has, too.
    #[serde(rename = "assistant.updated")]
    AssistantUpdated {
        /// Its name.
        name: String,
        /// Its id at the provider.
        provider_id: String,
        /// The version, from 1.
        version: u64,
        /// SHA-256 of its configuration, in hexadecimal digits.
        sha256: String,
    },
    /// A company has an assistant no more; the provider still does.
    #[serde(rename = "assistant.deleted")]
    AssistantDeleted {
        /// Its name.
        name: String,
        /// Its id at the provider.
        provider_id: String,
    },
    /// A contact will not be dialed again.
    #[serde(rename = "contact.finished")]
    ContactFinished {
        /// Who.
        lead: LeadId,
        /// Why.
        reason: DoneReason,
        /// After how many attempts.
        attempts: u32,
    },
    /// A person will be called at a time that was agreed on, or as soon after it as calling is lawful.
    #[serde(rename = "contact.callback_promised")]
    ContactCallbackPromised {
        /// Who.
        lead: LeadId,
        /// The number to call.
        phone: PhoneNumber,
        /// The time.
        at: Timestamp,
    },
    /// A phone number must not be contacted again.
    #[serde(rename = "lead.opted_out")]
    LeadOptedOut {
        /// Who, when that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lead: Option<LeadId>,
        /// The phone number.
        phone: PhoneNumber,
        /// How it was said: `word`, `voice`, `request`.
        channel: String,
    },
    /// A person has to look at something that Dialpool could not act on. What was said is with the task, not here.
    #[serde(rename = "task.created")]
    TaskCreated {
        /// Why.
        kind: TaskKind,
        /// The person concerned, when that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lead: Option<LeadId>,
        /// The call, when there is one of ours.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call_id: Option<CallId>,
        /// The campaign, when there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        campaign_id: Option<CampaignId>,
    },
    /// Somebody settled a task.
    #[serde(rename = "task.done")]
    TaskDone {
        /// Why there was one.
        kind: TaskKind,
    },
    /// The decision API answered a trigger.
    #[serde(rename = "decision.made")]
    DecisionMade {
        /// The trigger.
        trigger: String,
        /// The types of the actions, in order.
        actions: Vec<String>,
    },
}

/// How a call was over, and what comes next for its contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallOver {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// Who was called.
    pub lead: LeadId,
    /// In our words.
    pub outcome: Outcome,
    /// In the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_reason: Option<String>,
    /// When.
    pub ended_at: Timestamp,
    /// What it cost, when that is known already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
    /// When the contact is tried again, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

impl EventData {
    /// How a call was over, if this is the end of one.
    pub fn call_over(&self) -> Option<&CallOver> {
        if let Self::CallEnded(over)
        | Self::CallFailed(over)
        | Self::CallCanceled(over)
        | Self::CallTimedOut(over) = self
        {
            Some(over)
        } else {
            None
        }
    }

    /// The type as it is written: `number.assigned`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NumberAssigned { .. } => "number.assigned",
            Self::NumberExtended { .. } => "number.extended",
            Self::NumberReleased { .. } => "number.released",
            Self::NumberRested { .. } => "number.rested",
            Self::NumberFlagged { .. } => "number.flagged",
            Self::NumberQuarantined { .. } => "number.quarantined",
            Self::NumberRestored { .. } => "number.restored",
            Self::NumberDraining { .. } => "number.draining",
            Self::NumberNoted { .. } => "number.noted",
            Self::PoolUtilisationHigh { .. } => "pool.utilisation_high",
            Self::PoolUtilisationNormal { .. } => "pool.utilisation_normal",
            Self::CallClaimed { .. } => "call.claimed",
            Self::CallPermitted { .. } => "call.permitted",
            Self::CallAccepted { .. } => "call.accepted",
            Self::CallUnknown { .. } => "call.unknown",
            Self::CallRinging {} => "call.ringing",
            Self::CallInProgress {} => "call.in_progress",
            Self::CallEnded(_) => "call.ended",
            Self::CallFailed(_) => "call.failed",
            Self::CallCanceled(_) => "call.canceled",
            Self::CallTimedOut(_) => "call.timed_out",
            Self::CallReported { .. } => "call.reported",
            Self::CampaignCreated { .. } => "campaign.created",
            Self::CampaignAssistantChanged { .. } => "campaign.assistant_changed",
            Self::CampaignCapChanged { .. } => "campaign.cap_changed",
            Self::CampaignContactsAdded { .. } => "campaign.contacts_added",
            Self::CampaignStatusChanged { .. } => "campaign.status_changed",
            Self::AssistantCreated { .. } => "assistant.created",
            Self::AssistantUpdated { .. } => "assistant.updated",
            Self::AssistantDeleted { .. } => "assistant.deleted",
            Self::ContactFinished { .. } => "contact.finished",
            Self::ContactCallbackPromised { .. } => "contact.callback_promised",
            Self::LeadOptedOut { .. } => "lead.opted_out",
            Self::TaskCreated { .. } => "task.created",
            Self::TaskDone { .. } => "task.done",
            Self::DecisionMade { .. } => "decision.made",
            Self::CallingStopped { .. } => "calling.stopped",
            Self::CallingResumed { .. } => "calling.resumed",
            Self::ConsentCaptured { .. } => "consent.captured",
            Self::ConsentRevoked { .. } => "consent.revoked",
        }
    }
}
