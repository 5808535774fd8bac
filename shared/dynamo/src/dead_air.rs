//! Dead air of campaigns: counted per campaign and day, in the transaction in which a call's silence becomes known, and looked at after it.
//!
//! What follows from the figures is one transaction, too: a pause with its event, or a warning with its event. If the function stops between
//! the two, the report comes again, and the figures are looked at then.

use dialpool_domain::call::{Call, CallReport};
use dialpool_domain::campaign::CampaignStatus;
use dialpool_domain::dead_air::{DAYS, DeadAir, Level, Told, is_silent};
use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::outcome::Outcome;
use dialpool_domain::time::Duration;
use dialpool_domain::{CampaignId, Timestamp};
use serde::Deserialize;
use tracing::{error, warn};

use crate::dialing::ROUNDS;
use crate::items::CampaignItem;
use crate::transaction::{IntoAttribute, Transacted, Write};
use crate::{Store, StoreError, items, keys, query};

/// The answered calls of a campaign that ended on a day of UTC.
#[derive(Deserialize)]
struct DayItem {
    n_measured: u64,
    n_silent: u64,
}

/// How long the person on an answered call heard nobody of ours, when that is known.
fn measured(report: &CallReport) -> Option<u64> {
    report.silence_ms.filter(|_| report.outcome == Some(Outcome::Answered))
}

impl Store {
    /// The write that counts a call whose silence becomes known with `after`; none, when it was known or is not.
    pub(crate) fn silence_counted(
        &self,
        campaign: &CampaignId,
        before: &CallReport,
        after: &CallReport,
        ended_at: Timestamp,
    ) -> Option<Write> {
        let silence = measured(after).filter(|_| measured(before).is_none())?;
        let key = keys::dead_air_of_day(campaign, ended_at);
        Some(
            Write::update(&self.tables.dialing, key, "ADD n_measured :one, n_silent :silent")
                .value(":one", 1u64)
                .value(":silent", u64::from(is_silent(silence))),
        )
    }

    /// The dead air of a campaign in the 30 days before `now`, the present one included.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn dead_air(&self, now: Timestamp, campaign: &CampaignId) -> Result<DeadAir, StoreError> {
        let first = now - Duration::from_hours(24 * (DAYS - 1));
        let days = self
            .client
            .query()
            .table_name(&self.tables.dialing)
            .consistent_read(true)
            .key_condition_expression("pk = :campaign AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":campaign", keys::campaign_partition(campaign).into_attribute())
            .expression_attribute_values(":first", keys::dead_air_day(first).into_attribute())
            .expression_attribute_values(":last", keys::dead_air_day(now).into_attribute());
        let mut found = DeadAir::default();
        for item in query::swept(days, usize::MAX).await? {
            let day: DayItem = items::read("dead air", item)?;
            found.measured += day.n_measured;
            found.silent += day.n_silent;
        }
        Ok(found)
    }

    /// Looks at the dead air of a call's campaign, now that the call is counted: warns, or pauses the campaign.
    ///
    /// # Errors
    /// When the store gives no answer; it must be repeated until it does.
    pub async fn watch_dead_air(&self, cause: &Cause, call: &Call) -> Result<(), StoreError> {
        let Some((silence, ended_at)) = measured(&call.report).zip(call.report.ended_at) else {
            return Ok(());
        };
        let id = &call.campaign_id;
        for _round in 0..ROUNDS {
            let (campaign, figures) = tokio::try_join!(self.campaign_item(id), self.dead_air(cause.at, id))?;
            let Some(campaign) = campaign else { return Ok(()) };
            let running = campaign.campaign_status == CampaignStatus::Running;
            let level = figures.follows(campaign.dead_air, running, is_silent(silence), ended_at);
            let DeadAir { measured, silent } = figures;
            let company = &campaign.company;
            let done = match level {
                Level::Normal => return Ok(()),
                Level::Warn => self.warn_of_dead_air(cause, &campaign, figures, ended_at).await?,
                Level::Pause => {
                    let dead_air = Some(Told { level, ended_at });
                    let moved = CampaignItem {
                        campaign_status: CampaignStatus::Paused,
                        dead_air,
                        ..campaign.clone()
                    };
                    self.move_campaign(cause, &campaign, &moved, None, None, Some(figures)).await?
                }
            };
            if done {
                if level == Level::Pause {
                    error!(company = %company, campaign.id = %id,
                        "dead air: campaign {id} of {company} is paused, {silent} of {measured} answered calls were silent for two seconds");
                } else {
                    warn!(company = %company, campaign.id = %id,
                        "dead air: {silent} of {measured} answered calls of campaign {id} of {company} were silent for two seconds");
                }
                return Ok(());
            }
        }
        Err(StoreError::Busy(format!(
            "campaign {id} changed under {ROUNDS} attempts to look at its dead air"
        )))
    }

    async fn warn_of_dead_air(
        &self,
        cause: &Cause,
        campaign: &CampaignItem,
        figures: DeadAir,
        ended_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let id = &campaign.campaign_id;
        let next = campaign.item_version + 1;
        // That it was paused before is not forgotten: a good call does not pause it again.
        let level = campaign.dead_air.map_or(Level::Warn, |told| told.level.max(Level::Warn));
        let told = Told { level, ended_at };
        let write = Write::update(
            &self.tables.dialing,
            keys::campaign(id),
            "SET dead_air = :told, item_version = :next",
        )
        .when("item_version = :version")
        .value(":told", items::attribute("campaign", &told)?)
        .value(":version", campaign.item_version)
        .value(":next", next);
        let data = EventData::CampaignDeadAirHigh(figures);
        let event = self.journal(cause, &campaign.company, Aggregate::Campaign(id.clone()), next, data)?;
        Ok(matches!(self.transact(vec![write, event]).await?, Transacted::Done))
    }
}
