//! The keys of every item, and of every index. No key is spelled anywhere else.

use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use dialpool_domain::place::{AreaCode, State};
use dialpool_domain::{
    AssignmentId, AssistantId, CallId, CampaignId, CompanyId, LeadId, PhoneNumber, TaskId, Timestamp,
};

use tracing::error;

use crate::transaction::Item;

/// Over how many partitions the sparse time indexes are spread.
pub(crate) const SHARDS: u8 = 4;

pub(crate) const HAS_WAITING: &str = "WAITING";
pub(crate) const NUMBER_PREFIX: &str = "NUM#";
pub(crate) const CONTACT_PREFIX: &str = "CON#";
pub(crate) const EVENT_PREFIX: &str = "EVT#";
pub(crate) const LOG_PREFIX: &str = "LOG#";
pub(crate) const CONSENT_PREFIX: &str = "CONSENT#";
pub(crate) const ASSISTANT_PREFIX: &str = "AST#";
pub(crate) const VERSION_PREFIX: &str = "VER#";

const CAMPAIGN_PREFIX: &str = "CAMP#";
const CALL_PREFIX: &str = "CALL#";
const POOL_PREFIX: &str = "CO#";

/// The campaign that an entry of an index is about.
pub(crate) fn campaign_of(entry: &Item) -> Option<CampaignId> {
    named(entry, "pk", CAMPAIGN_PREFIX)
}

/// The call that an entry of an index is about.
pub(crate) fn call_of(entry: &Item) -> Option<CallId> {
    named(entry, "pk", CALL_PREFIX)
}

/// The company and the hold that an entry of an index is about.
pub(crate) fn hold_of(entry: &Item) -> Option<(CompanyId, AssignmentId)> {
    Some((named(entry, "pk", POOL_PREFIX)?, named(entry, "assignment_id", "")?))
}

/// The company that an entry of the list of companies names.
pub(crate) fn company_of(entry: &Item) -> Option<CompanyId> {
    named(entry, "sk", "")
}

/// What an attribute names. Of one that cannot be read the log tells; others do not wait for it.
fn named<T: FromStr>(entry: &Item, attribute: &str, prefix: &str) -> Option<T> {
    let text = entry.get(attribute).and_then(|value| value.as_s().ok());
    let named = text.and_then(|text| text.strip_prefix(prefix)?.parse().ok());
    if named.is_none() {
        error!("an entry has an unreadable {attribute}: {text:?}");
    }
    named
}

fn key(pk: String, sk: impl Into<String>) -> Item {
    Item::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk.into()))])
}

pub(crate) fn pool(company: &CompanyId) -> String {
    format!("{POOL_PREFIX}{company}")
}

pub(crate) fn number(company: &CompanyId, number: &PhoneNumber) -> Item {
    key(pool(company), format!("{NUMBER_PREFIX}{number}"))
}

/// Which company a number belongs to: a number is in one pool only.
pub(crate) fn owner(number: &PhoneNumber) -> Item {
    key(format!("E164#{number}"), "OWNER")
}

/// Which number an id at Vapi belongs to: two numbers with one id would be one line.
pub(crate) fn vapi_owner(vapi_id: &str) -> Item {
    key(format!("VAPI#{vapi_id}"), "OWNER")
}

pub(crate) fn hold(company: &CompanyId, lead: &LeadId) -> Item {
    key(format!("LEAD#{company}#{lead}"), "HOLD")
}

/// The leads that wait for a number of a company, the first that came first.
pub(crate) fn waiting_partition(company: &CompanyId) -> String {
    format!("WAIT#{company}")
}

pub(crate) fn waiting(company: &CompanyId, since: Timestamp, lead: &LeadId) -> Item {
    key(waiting_partition(company), format!("{:013}#{lead}", since.as_millis()))
}

pub(crate) fn waits(company: &CompanyId, lead: &LeadId) -> Item {
    key(format!("LEAD#{company}#{lead}"), "WAIT")
}

pub(crate) fn has_waiting(company: &CompanyId) -> Item {
    key(HAS_WAITING.to_owned(), company.as_str())
}

pub(crate) const WATCH_AGAIN: &str = "WATCH_AGAIN";

/// A company in whose pool something happened since it was last looked through.
pub(crate) fn watch_again(company: &CompanyId) -> Item {
    key(WATCH_AGAIN.to_owned(), company.as_str())
}

pub(crate) fn watch(company: &CompanyId) -> Item {
    key(pool(company), "WATCH")
}

/// Files an assignment under the day on which it was granted.
pub(crate) fn granted_on(company: &CompanyId, at: Timestamp) -> String {
    let day = at.to_string();
    format!("{company}#{}", day.get(..10).unwrap_or(&day))
}

pub(crate) fn assignment(company: &CompanyId, id: &AssignmentId) -> Item {
    key(format!("ASG#{company}#{id}"), "ASSIGNMENT")
}

/// The sort key of a local index: `prefix`, then the moment in 13 digits, so that text order is time order.
pub(crate) fn by_place(prefix: &str, at: Timestamp) -> String {
    format!("{prefix}#{:013}", at.as_millis())
}

pub(crate) fn area_available(area: Option<&AreaCode>, at: Timestamp) -> Option<String> {
    area.map(|area| by_place(area.as_str(), at))
}

pub(crate) fn state_available(state: Option<&State>, at: Timestamp) -> Option<String> {
    state.map(|state| by_place(state.as_str(), at))
}

/// The partition of a sparse index that `id` is filed under.
pub(crate) fn shard(id: &str) -> String {
    let sum = id.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    shard_name(sum % SHARDS)
}

pub(crate) fn shard_name(shard: u8) -> String {
    format!("SHARD#{shard}")
}

pub(crate) fn campaign_partition(campaign: &CampaignId) -> String {
    format!("{CAMPAIGN_PREFIX}{campaign}")
}

pub(crate) fn campaign(campaign: &CampaignId) -> Item {
    key(campaign_partition(campaign), "CAMPAIGN")
}

pub(crate) fn contact(campaign: &CampaignId, phone: &PhoneNumber) -> Item {
    key(campaign_partition(campaign), format!("{CONTACT_PREFIX}{phone}"))
}

/// The assistants of a company.
pub(crate) fn assistants_partition(company: &CompanyId) -> String {
    format!("CO#{company}")
}

pub(crate) fn assistant(company: &CompanyId, id: &AssistantId) -> Item {
    key(assistants_partition(company), format!("{ASSISTANT_PREFIX}{id}"))
}

pub(crate) fn versions_partition(id: &AssistantId) -> String {
    format!("AST#{id}")
}

/// A version of an assistant: never changed.
pub(crate) fn assistant_version(id: &AssistantId, version: u64) -> Item {
    key(versions_partition(id), format!("{VERSION_PREFIX}{version:09}"))
}

/// Whose an assistant at Vapi is: one company's only.
pub(crate) fn assistant_owner(provider_id: &str) -> Item {
    key(format!("VAPIAST#{provider_id}"), "OWNER")
}

/// The tasks of a company.
pub(crate) fn tasks_partition(company: &CompanyId) -> String {
    format!("TASK#{company}")
}

pub(crate) fn task(company: &CompanyId, id: &TaskId) -> Item {
    key(tasks_partition(company), id.as_str())
}

pub(crate) fn call_partition(call: &CallId) -> String {
    format!("{CALL_PREFIX}{call}")
}

pub(crate) fn call(call: &CallId) -> Item {
    key(call_partition(call), "CALL")
}

pub(crate) fn call_log(call: &CallId, entry: &str, part: usize) -> Item {
    key(call_partition(call), format!("{LOG_PREFIX}{entry}#{part:03}"))
}

/// How much the log of a call has.
pub(crate) fn call_log_size(call: &CallId) -> Item {
    key(call_partition(call), "LOGSIZE")
}

pub(crate) fn account_line(account: &str) -> Item {
    key(format!("ACCOUNT#{account}"), "LINE")
}

pub(crate) fn breaker(account: &str) -> Item {
    key(format!("ACCOUNT#{account}"), "BREAKER")
}

/// The lines of a company, over all its campaigns.
pub(crate) fn company_line(company: &CompanyId) -> Item {
    key(format!("CO#{company}"), "LINE")
}

pub(crate) fn person_partition(company: &CompanyId, hash: &str) -> String {
    format!("PERSON#{company}#{hash}")
}

/// All that a company knows of a number that it calls, but for contacts and calls.
pub(crate) fn person(company: &CompanyId, hash: &str) -> Item {
    key(person_partition(company, hash), "PERSON")
}

/// An entry of the ledger of consents: never changed.
pub(crate) fn consent_entry(company: &CompanyId, hash: &str, version: u64) -> Item {
    key(person_partition(company, hash), format!("{CONSENT_PREFIX}{version:09}"))
}

/// An entry of the suppression list of all companies.
pub(crate) fn suppressed_everywhere(hash: &str) -> Item {
    key(everywhere_partition(hash), "SUPPRESSION")
}

pub(crate) fn everywhere_partition(hash: &str) -> String {
    format!("SUP#*#{hash}")
}

pub(crate) const COMPANIES: &str = "COMPANIES";

/// A company, for those who list companies.
pub(crate) fn listed_company(company: &CompanyId) -> Item {
    key(COMPANIES.to_owned(), company.as_str())
}

pub(crate) fn company(company: &CompanyId) -> Item {
    key(format!("CO#{company}"), "COMPANY")
}

pub(crate) fn api_key(id: &str) -> Item {
    key(format!("KEY#{id}"), "KEY")
}

/// Events are filed by company and aggregate: one company's journal cannot be read through another's ids.
pub(crate) fn journal_partition(company: &CompanyId, aggregate: &str) -> String {
    format!("CO#{company}#{aggregate}")
}

pub(crate) fn event(company: &CompanyId, aggregate: &str, sequence: u64) -> Item {
    key(journal_partition(company, aggregate), format!("{EVENT_PREFIX}{sequence:010}"))
}

pub(crate) fn idempotency(company: &CompanyId, name: &str) -> Item {
    key(format!("IDEM#{company}#{name}"), "IDEM")
}

pub(crate) fn decision(company: &CompanyId, trigger: &str) -> Item {
    key(format!("DEC#{company}#{trigger}"), "DECISION")
}

pub(crate) fn inbox_part(reference: &str, part: usize) -> Item {
    key(format!("INBOX#{reference}"), format!("PART#{part:04}"))
}
