//! Decisions, each made once (X2): the first one stored is the one that everybody gets.

use dialpool_domain::CompanyId;
use dialpool_domain::event::{Aggregate, Cause, EventData};
use serde::{Deserialize, Serialize};

use crate::transaction::{Transacted, Write};
use crate::{Store, StoreError, items, keys};

/// A decision as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDecision {
    /// The hash of the trigger that it answers.
    pub trigger_sha256: String,
    /// The answer, as it was given.
    pub answer: String,
}

/// What became of a decision.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// It is the decision now.
    First,
    /// The trigger was answered before: this is the decision.
    Before(StoredDecision),
}

impl Store {
    /// Makes a decision known, unless its trigger has one.
    ///
    /// # Errors
    /// When the store gives no answer; asking again tells.
    pub async fn decide(
        &self,
        cause: &Cause,
        company: &CompanyId,
        key: &str,
        decision: &StoredDecision,
        trigger: &str,
        actions: Vec<String>,
    ) -> Result<Decided, StoreError> {
        let item = items::write("decision", keys::decision(company, key), decision)?;
        let data = EventData::DecisionMade { trigger: trigger.to_owned(), actions };
        let event = self.journal(cause, company, Aggregate::Decision(key.to_owned()), 1, data)?;
        match self.transact(vec![Write::insert(&self.tables.journal, item), event]).await? {
            Transacted::Done => Ok(Decided::First),
            Transacted::Refused(_) => match self.decision(company, key).await? {
                Some(before) => Ok(Decided::Before(before)),
                None => Err(StoreError::Busy("the decision was removed while it was made".to_owned())),
            },
        }
    }

    /// The decision of a company under a key.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn decision(
        &self,
        company: &CompanyId,
        key: &str,
    ) -> Result<Option<StoredDecision>, StoreError> {
        self.get("decision", &self.tables.journal, keys::decision(company, key)).await
    }
}
