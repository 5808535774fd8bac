//! `campaign-pacer`: keeps the lines of running campaigns full, and completes campaigns whose contacts are done.
//!
//! Lines are kept full by the calls themselves: whatever ends a call asks for the next dial. The pacer begins again when no
//! call is under way: retries that are due, contacts put off for the night; and it makes up for what was lost on the way.
//! It takes no input, any number of pacers may run at once, and the next run is the retry.

use dialpool_domain::CampaignId;
use dialpool_domain::event::Cause;
use dialpool_domain::time::Duration;
use dialpool_dynamo::{Store, StoreError};
use dialpool_runtime::jobs::DialJob;
use dialpool_runtime::{Queue, QueueError, Start, StartError};
use futures::{StreamExt, stream};
use tracing::{info, warn};

/// From one run to the next.
const PERIOD: Duration = Duration::from_mins(1);

/// Campaigns looked after at once: so a run with thousands ends well before the next begins.
const CAMPAIGNS_AT_ONCE: usize = 16;

/// The state of the function.
#[derive(Debug)]
pub struct CampaignPacer {
    start: Start,
    store: Store,
    dial_queue: Queue,
}

/// A run broke off; the next one does what is left.
#[derive(Debug, thiserror::Error)]
pub enum PaceError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl CampaignPacer {
    /// The state that the start provides.
    ///
    /// # Errors
    /// When the environment is incomplete.
    pub fn new(start: &Start) -> Result<Self, StartError> {
        Ok(Self { store: start.store()?, dial_queue: start.queue("DIAL_QUEUE_URL")?, start: start.clone() })
    }

    /// One run.
    ///
    /// # Errors
    /// The last that there was, when the store or the queue gave no answer; what could be done is done.
    pub async fn pace(&self) -> Result<(), PaceError> {
        let cause = self.start.cause("campaign-pacer");
        let campaigns = self.store.running_campaigns().await?;
        let mut filled = stream::iter(campaigns)
            .map(async |campaign_id| (campaign_id.clone(), self.fill(&cause, campaign_id).await))
            .buffer_unordered(CAMPAIGNS_AT_ONCE);
        let mut failed = Ok(());
        while let Some((campaign_id, done)) = filled.next().await {
            // One that cannot be looked after does not keep the others waiting.
            if let Err(error) = done {
                warn!(campaign.id = %campaign_id, "failed to pace campaign {campaign_id}: {error}");
                failed = Err(error);
            }
        }
        failed
    }

    /// Asks for a dial when the campaign has a free line and a contact is or falls due; that dial asks for the next.
    async fn fill(&self, cause: &Cause, campaign_id: CampaignId) -> Result<(), PaceError> {
        if self.store.complete_campaign(cause, &campaign_id).await? {
            info!(campaign.id = %campaign_id, "campaign {campaign_id} is completed");
            return Ok(());
        }
        let Some(campaign) = self.store.campaign_of_job(&campaign_id).await? else {
            return Ok(());
        };
        if !campaign.has_free_line() {
            return Ok(());
        }
        // What falls due before the next run is dialed when it does, not a minute late.
        let Some(due_at) = self.store.first_due(cause.at + PERIOD, &campaign_id).await? else {
            return Ok(());
        };
        let job = DialJob::Dial { campaign_id, trace_id: cause.trace_id.clone() };
        self.dial_queue.send(&job, due_at.since(cause.at)).await?;
        Ok(())
    }
}
