//! Decisions, each made once: the first one stored is the one that everybody gets.
//!
//! One transaction: the decision, which must not exist yet; its event; and what it supposes of the company's suppression
//! list. A decision that lets something go out is refused when the number was put on the list meanwhile. One that
//! answers an opt-out puts the number there itself: of several opt-outs at once only one finds it absent, so that only
//! one decision confirms, and a crash leaves either both or neither.

use dialpool_domain::decision::DecisionId;
use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::{CompanyId, LeadId, PhoneNumber};
use serde::{Deserialize, Serialize};

use crate::suppression::PhoneHasher;
use crate::transaction::{Transacted, Write};
use crate::{Store, StoreError, items, keys};

/// A decision as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDecision {
    /// The hash of what the trigger said.
    pub trigger_sha256: String,
    /// The answer, as it was given.
    pub answer: String,
}

/// What a decision supposes of the suppression list of its company.
#[derive(Debug, Clone, Copy)]
pub enum Supposed<'a> {
    /// The number is on it.
    Suppressed,
    /// The number is not on it.
    Free,
    /// The number is not on it, and is put on it because this lead asked for that by a word.
    OptsOut(&'a LeadId),
}

/// A decision that may become the one.
#[derive(Debug)]
pub struct NewDecision<'a> {
    /// The tenant.
    pub company: &'a CompanyId,
    /// Its id.
    pub id: &'a DecisionId,
    /// The type of the trigger.
    pub trigger: &'a str,
    /// The types of the actions, in order.
    pub actions: Vec<String>,
    /// What is kept.
    pub decision: &'a StoredDecision,
    /// The lead's number.
    pub phone: &'a PhoneNumber,
    /// Names that number on the suppression lists.
    pub hasher: &'a PhoneHasher,
    /// What it supposes.
    pub supposed: Supposed<'a>,
}

/// What became of a decision. None of these is an error.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// It is the decision now, and what it does to the suppression list is in force.
    First,
    /// The trigger was answered before: this is the decision.
    Before(StoredDecision),
    /// The number is on the suppression list: decide again, knowing that.
    Suppressed,
}

impl Store {
    /// Makes a decision the one about its trigger, unless there is one.
    ///
    /// # Errors
    /// When the store gives no answer; asking again tells.
    pub async fn decide(&self, cause: &Cause, new: NewDecision<'_>) -> Result<Decided, StoreError> {
        let company = new.company;
        let item = items::write("decision", keys::decision(company, new.id.as_str()), new.decision)?;
        let made = EventData::DecisionMade { trigger: new.trigger.to_owned(), actions: new.actions };
        let mut writes = vec![
            Write::insert(&self.tables.journal, item),
            self.journal(cause, company, Aggregate::Decision(new.id.to_string()), 1, made)?,
        ];
        let hash = new.hasher.hash(new.phone);
        match new.supposed {
            Supposed::Suppressed => {}
            Supposed::Free => {
                writes.push(self.not_suppressed(company, &hash));
            }
            Supposed::OptsOut(lead) => {
                writes.extend(self.suppression(cause, company, &hash, new.phone, Some(lead), "word")?);
            }
        }
        let refusal = match self.transact(writes).await? {
            Transacted::Done => {
                if let Supposed::OptsOut(lead) = new.supposed {
                    self.release_opted_out(cause, company, lead).await?;
                }
                return Ok(Decided::First);
            }
            Transacted::Refused(refusal) => refusal,
        };
        // Which of the two is seen first does not matter: a decision that was made stands, whatever came after it.
        match self.decision(company, new.id).await? {
            Some(before) => Ok(Decided::Before(before)),
            None if refusal.at(2) => Ok(Decided::Suppressed),
            None => {
                Err(StoreError::unreadable("decision", format!("{} has an event and no decision", new.id)))
            }
        }
    }

    /// A decision of a company.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn decision(
        &self,
        company: &CompanyId,
        id: &DecisionId,
    ) -> Result<Option<StoredDecision>, StoreError> {
        self.get("decision", &self.tables.journal, keys::decision(company, id.as_str())).await
    }
}
