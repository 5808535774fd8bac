//! What the tables hold, item by item. `TABLES.md` shows what matters of it.
//!
//! An attribute that has no value is left out: `NULL` would break every `attribute_not_exists`.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use dialpool_domain::assistant::{AssistantName, AssistantUse, Origin};
use dialpool_domain::call::{CallReport, CallState};
use dialpool_domain::campaign::{CampaignStatus, Cap, Policy, Voicemail};
use dialpool_domain::consent::Consent;
use dialpool_domain::contact::Address;
use dialpool_domain::dead_air::Told;
use dialpool_domain::dialable::Person;
use dialpool_domain::law::LegalBasis;
use dialpool_domain::place::{AreaCode, State};
use dialpool_domain::pool::{HoldHours, Registration, ReleaseReason, Tier};
use dialpool_domain::retry::DoneReason;
use dialpool_domain::time::millis;
use dialpool_domain::usage::{Label, Usage};
use dialpool_domain::{
    AssignmentId, AssistantId, CallId, CampaignId, CompanyId, LeadId, PhoneNumber, Timestamp, Usd,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::transaction::Item;

/// Reads an item.
pub(crate) fn read<T: DeserializeOwned>(entity: &'static str, item: Item) -> Result<T, StoreError> {
    serde_dynamo::from_item(item).map_err(|error| StoreError::unreadable(entity, error))
}

/// Writes an item: `key`, and the attributes of `body`.
pub(crate) fn write<T: Serialize>(entity: &'static str, key: Item, body: &T) -> Result<Item, StoreError> {
    let mut item: Item =
        serde_dynamo::to_item(body).map_err(|error| StoreError::unreadable(entity, error))?;
    item.extend(key);
    Ok(item)
}

/// Writes a value that is part of an item.
pub(crate) fn attribute<T: Serialize>(entity: &'static str, value: &T) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(value).map_err(|error| StoreError::unreadable(entity, error))
}

/// A number of a company's pool: `CO#<company>` / `NUM#<e164>`.
///
/// Assignable when neither `available_at` nor `not_before` is in the future: the one is when it came free or its hold ends,
/// none at all means retired; the other is when its rest, its limit, its ill health or its quarantine ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NumberItem {
    pub(crate) e164: PhoneNumber,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) area: Option<AreaCode>,
    /// The state it is local to (`state` would suggest a condition; it is a place).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<State>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vapi_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signalwire_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) available_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) area_available: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state_available: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assignment_id: Option<AssignmentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) held_by: Option<LeadId>,
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) release_at: Option<Timestamp>,
    /// Changes of the present hold: the sequence of its last event.
    #[serde(default)]
    pub(crate) hold_version: u64,
    /// What it was used for lately; `usage_version` counts the changes.
    #[serde(default, rename = "usage_of")]
    pub(crate) usage: Usage,
    #[serde(default)]
    pub(crate) usage_version: u64,
    /// No call and no hold before: its rest, a limit, its health, a quarantine.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) not_before: Option<Timestamp>,
    /// Why and until when an operator put it aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quarantine: Option<String>,
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) quarantined_until: Option<Timestamp>,
    #[serde(default)]
    pub(crate) external_label: Label,
    #[serde(default)]
    pub(crate) registration: Registration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) notes: Option<String>,
    /// Events of the number itself, so far.
    #[serde(default)]
    pub(crate) n_events: u64,
    /// When a fall of its answer rate was told last.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) flagged_at: Option<Timestamp>,
    /// Once its present hold is over it is retired.
    #[serde(default)]
    pub(crate) draining: bool,
    /// Who held it last, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_held_by: Option<LeadId>,
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) last_ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) active_call: Option<CallId>,
    #[serde(default)]
    pub(crate) calls: u64,
    #[serde(default)]
    pub(crate) answered: u64,
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) last_used_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_assistant: Option<String>,
}

/// What a local index of the pool shows of a number: enough to pick it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CandidateItem {
    #[serde(rename = "sk")]
    pub(crate) sort_key: String,
    #[serde(with = "millis")]
    pub(crate) available_at: Timestamp,
    #[serde(default)]
    pub(crate) area: Option<AreaCode>,
    #[serde(default)]
    pub(crate) region: Option<State>,
    #[serde(default)]
    pub(crate) assignment_id: Option<AssignmentId>,
    #[serde(default)]
    pub(crate) held_by: Option<LeadId>,
    #[serde(default)]
    pub(crate) hold_version: u64,
    #[serde(default)]
    pub(crate) active_call: Option<CallId>,
    #[serde(default, with = "millis::option")]
    pub(crate) not_before: Option<Timestamp>,
    #[serde(default)]
    pub(crate) vapi_id: Option<String>,
    #[serde(default)]
    pub(crate) draining: bool,
}

/// The hold of a lead: `LEAD#<company>#<lead>` / `HOLD`. Its `assignment_id` is there exactly while the number's is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct HoldItem {
    #[serde(default)]
    pub(crate) assignment_id: Option<AssignmentId>,
    #[serde(default)]
    pub(crate) e164: Option<PhoneNumber>,
    #[serde(default, with = "millis::option")]
    pub(crate) held_since: Option<Timestamp>,
    #[serde(default, with = "millis::option")]
    pub(crate) release_at: Option<Timestamp>,
    /// The number of the hold before, and when that was over.
    #[serde(default)]
    pub(crate) last_e164: Option<PhoneNumber>,
    #[serde(default, with = "millis::option")]
    pub(crate) last_ended_at: Option<Timestamp>,
}

/// One hold from grant to end: `ASG#<company>#<id>` / `ASSIGNMENT`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AssignmentItem {
    pub(crate) assignment_id: AssignmentId,
    pub(crate) company: CompanyId,
    pub(crate) held_by: LeadId,
    pub(crate) e164: PhoneNumber,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) area: Option<AreaCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<State>,
    pub(crate) tier: Tier,
    #[serde(with = "millis")]
    pub(crate) held_since: Timestamp,
    #[serde(with = "millis")]
    pub(crate) release_at: Timestamp,
    /// What a cancelled appointment falls back to.
    #[serde(with = "millis")]
    pub(crate) default_release_at: Timestamp,
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) appointment_at: Option<Timestamp>,
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end_reason: Option<ReleaseReason>,
    pub(crate) hold_version: u64,
    /// Files it among those granted on the same day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) granted_on: Option<String>,
}

/// A campaign: `CAMP#<id>` / `CAMPAIGN`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CampaignItem {
    pub(crate) campaign_id: CampaignId,
    pub(crate) company: CompanyId,
    pub(crate) label: String,
    /// The provider's id of it.
    pub(crate) assistant_id: String,
    /// The company's record of it, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assistant_use: Option<AssistantUse>,
    pub(crate) campaign_status: CampaignStatus,
    pub(crate) cap: Cap,
    pub(crate) hold_hours: HoldHours,
    /// The one number that it calls from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from_number: Option<PhoneNumber>,
    #[serde(default)]
    pub(crate) policy: Policy,
    /// Calls of the present batch that are still to begin.
    #[serde(default)]
    pub(crate) batch_left: u32,
    #[serde(with = "millis")]
    pub(crate) created_at: Timestamp,
    /// Present while running: files the campaign in the index of running ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) running_shard: Option<String>,
    /// Files the campaign among those of its company.
    pub(crate) company_index: String,
    /// Calls under way, each with the moment at which it is looked up if it stays silent.
    pub(crate) slots: BTreeMap<CallId, i64>,
    pub(crate) item_version: u64,
    #[serde(default)]
    pub(crate) n_contacts: u64,
    #[serde(default)]
    pub(crate) n_open: u64,
    #[serde(default)]
    pub(crate) n_calls: u64,
    #[serde(default)]
    pub(crate) n_answered: u64,
    #[serde(default)]
    pub(crate) n_no_answer: u64,
    #[serde(default)]
    pub(crate) n_busy: u64,
    #[serde(default)]
    pub(crate) n_voicemail: u64,
    #[serde(default)]
    pub(crate) n_failed: u64,
    #[serde(default)]
    pub(crate) refused_in_a_row: u64,
    /// US dollars, in ten-thousandths.
    #[serde(default)]
    pub(crate) cost_e4: i64,
    /// What was last told of its dead air.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dead_air: Option<Told>,
}

/// An assistant of a company: `CO#<company>` / `AST#<id>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AssistantItem {
    pub(crate) assistant_id: AssistantId,
    pub(crate) company: CompanyId,
    pub(crate) label: AssistantName,
    pub(crate) provider_id: String,
    /// Versions so far: the present one, and the sequence of its last event.
    pub(crate) n_versions: u64,
    pub(crate) sha256: String,
    pub(crate) origin: Origin,
    #[serde(with = "millis")]
    pub(crate) made_at: Timestamp,
    #[serde(with = "millis")]
    pub(crate) updated_at: Timestamp,
    /// Campaigns, with their names, that have not begun.
    pub(crate) planned_by: BTreeMap<CampaignId, String>,
    /// Campaigns, with their names, that run or are paused.
    pub(crate) pinned_by: BTreeMap<CampaignId, String>,
    /// The request whose change is under way; there exactly while `updating` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) update_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) updating: Option<UpdatingItem>,
}

/// What an assistant becomes if the provider takes the change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UpdatingItem {
    pub(crate) label: AssistantName,
    /// JSON.
    pub(crate) configuration: String,
    #[serde(with = "millis")]
    pub(crate) until: Timestamp,
}

/// A version of an assistant: `AST#<id>` / `VER#<n>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct VersionItem {
    pub(crate) nth: u64,
    pub(crate) label: AssistantName,
    /// JSON: numbers of a table are not those of JSON.
    pub(crate) configuration: String,
    pub(crate) sha256: String,
    #[serde(with = "millis")]
    pub(crate) made_at: Timestamp,
    pub(crate) actor: String,
}

/// Whose an assistant at Vapi is: `VAPIAST#<id>` / `OWNER`. Without a record of it, a campaign of the company began with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AssistantOwnerItem {
    pub(crate) company: CompanyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assistant_id: Option<AssistantId>,
}

/// A contact: `CAMP#<id>` / `CON#<e164>`. `due_at` is there while it may still be dialed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ContactItem {
    pub(crate) e164: PhoneNumber,
    pub(crate) lead_id: LeadId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    #[serde(flatten)]
    pub(crate) address: Address,
    /// What the person agreed to, as whoever brought the contact said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) consent: Option<Consent>,
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) due_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) call_id: Option<CallId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) done: Option<DoneReason>,
    /// When each attempt that counts was made, in milliseconds since 1970, ascending.
    #[serde(default)]
    pub(crate) attempts: Vec<i64>,
    /// Every call that was claimed for it, the first one first.
    #[serde(default)]
    pub(crate) calls: Vec<CallId>,
    /// How many of them the provider failed.
    #[serde(default)]
    pub(crate) provider_failures: u32,
    /// When a callback was promised that has not been made.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) promised_for: Option<Timestamp>,
    /// The same as `due_at` while a contact waits to whom a callback was promised, or whose lead keeps its number for it: files it
    /// before the others.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) ahead_due: Option<Timestamp>,
    /// Events so far.
    #[serde(default)]
    pub(crate) n_events: u64,
    pub(crate) item_version: u64,
}

/// A call: `CALL#<id>` / `CALL`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CallItem {
    pub(crate) call_id: CallId,
    pub(crate) company: CompanyId,
    pub(crate) campaign_id: CampaignId,
    pub(crate) lead_id: LeadId,
    pub(crate) to_number: PhoneNumber,
    pub(crate) from_number: PhoneNumber,
    pub(crate) provider_number_id: String,
    pub(crate) account: String,
    pub(crate) assignment_id: AssignmentId,
    pub(crate) attempt: u32,
    /// Whether its campaign calls from this number only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) only_number: bool,
    pub(crate) call_state: CallState,
    #[serde(with = "millis")]
    pub(crate) claimed_at: Timestamp,
    #[serde(with = "millis")]
    pub(crate) start_by: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider_call_id: Option<String>,
    pub(crate) legal_basis: LegalBasis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_machine: Option<Voicemail>,
    pub(crate) report: CallReport,
    /// Since when somebody, or a machine, is on the line, as far as that was told before the end.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) answered_at: Option<Timestamp>,
    /// Since when it is being taken back: if it ends without having begun, nobody was called.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) withdrawn_at: Option<Timestamp>,
    /// When to look the call up: while it is not over, or its report has not come.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) check_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) check_shard: Option<String>,
    /// The call is over, and the provider has more to say of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) report_due: bool,
    /// It was in progress, and how it ended was not learned: a report that tells it is the last word.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) end_unknown: bool,
    /// Files the call among those of its company, and of its campaign.
    pub(crate) company_index: String,
    pub(crate) campaign_index: String,
    #[serde(with = "millis")]
    pub(crate) created_at: Timestamp,
    pub(crate) item_version: u64,
}

/// Lines of a provider account: `ACCOUNT#<account>` / `LINE`; of a company: `CO#<company>` / `LINE`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct LineItem {
    /// Calls under way, each with its company.
    pub(crate) slots: BTreeMap<CallId, CompanyId>,
    /// Why nobody is called.
    #[serde(default)]
    pub(crate) stopped: Option<String>,
    /// Where nobody is called.
    #[serde(default)]
    pub(crate) stopped_states: BTreeSet<State>,
    /// How often its switches were thrown.
    #[serde(default)]
    pub(crate) n_events: u64,
    /// Campaigns that found all lines taken, and since when they wait for one.
    #[serde(default)]
    pub(crate) waiting: BTreeMap<CampaignId, WaitingItem>,
}

/// A campaign that waits for a line.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct WaitingItem {
    pub(crate) company: CompanyId,
    #[serde(with = "millis")]
    pub(crate) since: Timestamp,
    /// When it said so last.
    #[serde(with = "millis")]
    pub(crate) heard_at: Timestamp,
}

/// What a company knows of a number that it calls: `PERSON#<company>#<hash>` / `PERSON`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct PersonItem {
    /// Since when it is on the company's suppression list: for good.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) suppressed_at: Option<Timestamp>,
    /// What the person agreed to, or took back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) consent: Option<Consent>,
    /// How often that changed.
    #[serde(default)]
    pub(crate) n_consents: u64,
    /// Events so far: calls of the provider's own campaigns that were permitted, and calls that the person made to us.
    #[serde(default)]
    pub(crate) n_permitted: u64,
    /// When each call of the last 30 days began, in milliseconds since 1970, ascending.
    #[serde(default)]
    pub(crate) begun: Vec<i64>,
    /// The campaigns that called the person within 30 days, and from which numbers, ascending; the last call whenever it was.
    #[serde(default)]
    pub(crate) recent_calls: Vec<RecentCall>,
    /// What the person said on a call to us while on a call of ours; the end of that call acts on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) inbound: Option<HeardInbound>,
    /// When a call found last that there is no such number.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) invalid_at: Option<Timestamp>,
    /// When a message was left last with a machine that took the call.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) message_left_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) active_call: Option<CallId>,
    /// Changes so far; 0: nothing is known.
    #[serde(default)]
    pub(crate) item_version: u64,
}

/// A call to a person: enough to know who is meant when the person calls back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RecentCall {
    pub(crate) campaign_id: CampaignId,
    pub(crate) from: PhoneNumber,
    #[serde(with = "millis")]
    pub(crate) at: Timestamp,
}

/// What a person said on an inbound call that was settled during a call of ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HeardInbound {
    /// The call of ours.
    pub(crate) during: CallId,
    #[serde(with = "millis")]
    pub(crate) ended_at: Timestamp,
    /// When the person wants to be called again; none: the person was reached.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub(crate) callback: Option<Timestamp>,
}

impl PersonItem {
    /// The last call to the person from a number, else the last from any.
    pub(crate) fn called_from(&self, number: &PhoneNumber) -> Option<&RecentCall> {
        let from_it = self.recent_calls.iter().rfind(|call| call.from == *number);
        from_it.or(self.recent_calls.last())
    }

    /// What is known of the person; `everywhere`: whether the number is on the list of all companies.
    pub(crate) fn known(self, everywhere: bool) -> Person {
        let calls = self.calls();
        Person {
            suppressed: everywhere || self.suppressed_at.is_some(),
            consent: self.consent,
            calls,
            invalid_at: self.invalid_at,
        }
    }

    pub(crate) fn calls(&self) -> Vec<Timestamp> {
        self.begun.iter().map(|at| Timestamp::from_millis(*at)).collect()
    }
}

impl CampaignItem {
    /// The assistant that it names: of the company's record, or the provider's.
    pub(crate) fn assistant_named(&self) -> &str {
        self.assistant_use.as_ref().map_or(&*self.assistant_id, |used| used.id.as_str())
    }

    pub(crate) fn cost(&self) -> Usd {
        Usd::from_ten_thousandths(self.cost_e4)
    }
}
