//! Lists: the campaigns of a company, its calls, the calls of a campaign. Read from indexes that may lag by a moment.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use dialpool_domain::call::{Call, CallReport};
use dialpool_domain::campaign::Campaign;
use dialpool_domain::{CallId, CampaignId, CompanyId, Timestamp};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use crate::batch::{KEYS_AT_ONCE, REQUESTS_AT_ONCE};
use crate::campaigns::{calls_of, company_index};
use crate::items::{CallItem, CampaignItem};
use crate::transaction::{IntoAttribute, Item};
use crate::{Store, StoreError, items, query};

/// What is read of a call in a list: all of `CallItem` but what was said, which may be more than all the rest a hundred times
/// over. None of these is a reserved word.
const WITHOUT_TRANSCRIPT: &str = "pk, call_id, company, campaign_id, lead_id, to_number, from_number, \
     provider_number_id, account, assignment_id, attempt, only_number, call_state, claimed_at, start_by, \
     provider_call_id, legal_basis, on_machine, withdrawn_at, check_at, check_shard, report_due, end_unknown, company_index, \
     campaign_index, created_at, item_version, report.outcome, report.ended_reason, report.started_at, \
     report.ended_at, report.cost, report.recording_url, report.summary, report.success_evaluation, \
     report.opted_out, report.opt_out_heard, report.callback, report.appointment, report.silence_ms";

/// A part of a list, the newest first, and where the next part starts.
#[derive(Debug)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Where the next page starts: behind this moment and id; none: this was the last.
    pub next: Option<(Timestamp, String)>,
}

/// Of a call, what is told of its contact: outcome, ended reason, cost and recording, and nothing else.
#[derive(Debug, Clone, Deserialize)]
pub struct ToldOfCall {
    /// The call.
    pub call_id: CallId,
    /// What was reported of it.
    #[serde(default)]
    pub report: CallReport,
}

impl Store {
    /// The campaigns of a company, the newest first, from behind `after` on.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn campaigns(
        &self,
        company: &CompanyId,
        after: Option<(Timestamp, CampaignId)>,
        limit: u32,
    ) -> Result<Page<Campaign>, StoreError> {
        let partition = company_index("CAMP", company);
        let after = after.map(|(at, id)| (at, crate::keys::campaign(&id)));
        let (found, more) =
            self.listed("by_company", "company_index", &partition, after, limit, None).await?;
        let campaigns = found
            .into_iter()
            .map(|item| items::read::<CampaignItem>("campaign", item).map(Campaign::from))
            .collect::<Result<Vec<_>, _>>()?;
        let next = campaigns.last().filter(|_| more).map(|last| (last.created_at, last.id.to_string()));
        Ok(Page { entries: campaigns, next })
    }

    /// The calls of a company, or of one of its campaigns, the newest first, from behind `after` on, without their
    /// transcripts.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn calls(
        &self,
        company: &CompanyId,
        campaign: Option<&CampaignId>,
        after: Option<(Timestamp, CallId)>,
        limit: u32,
    ) -> Result<Page<Call>, StoreError> {
        let (index, attribute, partition) = match campaign {
            Some(campaign) => ("by_campaign", "campaign_index", calls_of(campaign)),
            None => ("by_company", "company_index", company_index("CALL", company)),
        };
        let after = after.map(|(at, id)| (at, crate::keys::call(&id)));
        let (found, more) =
            self.listed(index, attribute, &partition, after, limit, Some(WITHOUT_TRANSCRIPT)).await?;
        let calls = found
            .into_iter()
            .map(|mut item| {
                // A report of which nothing is asked for that it has is left out as a whole.
                item.entry("report".to_owned()).or_insert_with(|| AttributeValue::M(HashMap::new()));
                items::read::<CallItem>("call", item).map(Call::from)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let next = calls.last().filter(|_| more).map(|last| (last.claimed_at, last.id.to_string()));
        Ok(Page { entries: calls.into_iter().filter(|call| call.company == *company).collect(), next })
    }

    /// What was told of each of these calls that is there.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn told_of_calls(&self, ids: &[&CallId]) -> Result<BTreeMap<CallId, ToldOfCall>, StoreError> {
        // Not the transcript: it is longer than all the rest.
        const TOLD: &str = "call_id, report.outcome, report.ended_reason, report.cost, report.recording_url";
        let reads: Vec<_> = ids
            .chunks(KEYS_AT_ONCE)
            .map(|ids| ids.iter().map(|id| crate::keys::call(id)).collect())
            .map(|keys| self.get_some(&self.tables.dialing, keys, Some(TOLD)))
            .collect();
        let found: Vec<Vec<Item>> = stream::iter(reads).buffered(REQUESTS_AT_ONCE).try_collect().await?;
        let told = |item: Item| {
            let told: ToldOfCall = items::read("call", item)?;
            Ok((told.call_id.clone(), told))
        };
        found.into_iter().flatten().map(told).collect()
    }

    /// The items that an index has in a partition, the newest first, and whether there are more.
    async fn listed(
        &self,
        index: &str,
        attribute: &str,
        partition: &str,
        after: Option<(Timestamp, Item)>,
        limit: u32,
        projection: Option<&str>,
    ) -> Result<(Vec<Item>, bool), StoreError> {
        let from = after.map(|(at, mut key)| {
            key.insert(attribute.to_owned(), partition.into_attribute());
            key.insert("created_at".to_owned(), at.into_attribute());
            key
        });
        let rows = self
            .client
            .query()
            .table_name(&self.tables.dialing)
            .index_name(index)
            .key_condition_expression("#partition = :partition")
            .expression_attribute_names("#partition", attribute)
            .expression_attribute_values(":partition", partition.into_attribute())
            .set_exclusive_start_key(from)
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let page = query::page(rows).await?;
        let more = page.last_evaluated_key.is_some();
        let keys = query::keys(page);
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(100) {
            found.extend(self.get_some(&self.tables.dialing, keys.to_vec(), projection).await?);
        }
        let created = |item: &Item| item.get("created_at").and_then(|at| at.as_n().ok()).cloned();
        found.sort_by_key(|item| std::cmp::Reverse((created(item), format!("{:?}", item.get("pk")))));
        Ok((found, more))
    }
}
