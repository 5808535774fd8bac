//! Suppression lists: numbers that must not be contacted. In force with the write: every claim checks both lists.
//!
//! A list holds keyed hashes: who reads the table cannot tell whose numbers are on it, and an entry outlives the person's
//! data. The key never changes: with another key the lists would be empty (`hash_key` sees to that).

use std::fmt;

use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::pool::ReleaseReason;
use dialpool_domain::{CompanyId, LeadId, PhoneNumber};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::de::IgnoredAny;
use sha2::Sha256;

use crate::pool::Changed;
use crate::transaction::{IntoAttribute, Transacted, Write};
use crate::{Store, StoreError, keys};

/// Turns phone numbers into the names under which suppression lists file them.
#[derive(Clone)]
pub struct PhoneHasher(SecretString);

impl PhoneHasher {
    /// A hasher with the deployment's key.
    pub fn new(key: SecretString) -> Self {
        Self(key)
    }

    /// HMAC-SHA256 of the number, in hexadecimal digits.
    pub fn hash(&self, phone: &PhoneNumber) -> String {
        self.hash_text(phone.as_str())
    }

    /// By which the key is known again.
    pub(crate) fn canary(&self) -> String {
        self.hash_text("dialpool canary")
    }

    fn hash_text(&self, text: &str) -> String {
        let key = self.0.expose_secret().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(key)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for PhoneHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneHasher")
    }
}

/// The place of the write of [`Store::suppression`] that says that the number is on the list: the other is its event.
const ON_THE_LIST: usize = 0;

/// What became of a request not to contact a number.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suppressed {
    /// It is on the company's list now.
    Added,
    /// It was on it.
    Already,
}

impl Store {
    /// Puts a number on the company's list, for good. In force when this returns.
    ///
    /// # Errors
    /// When the store gives no answer; it must be repeated until it does.
    pub async fn suppress(
        &self,
        cause: &Cause,
        company: &CompanyId,
        hasher: &PhoneHasher,
        phone: &PhoneNumber,
        lead: Option<&LeadId>,
        channel: &str,
    ) -> Result<Suppressed, StoreError> {
        let writes = self.suppression(cause, company, &hasher.hash(phone), phone, lead, channel)?;
        let suppressed = match self.transact(writes).await? {
            Transacted::Done => Suppressed::Added,
            Transacted::Refused(refusal) if refusal.at(ON_THE_LIST) => Suppressed::Already,
            Transacted::Refused(_) => {
                return Err(StoreError::Busy("a suppression was refused by its event alone".to_owned()));
            }
        };
        if let Some(lead) = lead {
            self.release_opted_out(cause, company, lead).await?;
        }
        Ok(suppressed)
    }

    /// Puts a number on the list of all companies, for good. In force when this returns.
    ///
    /// # Errors
    /// When the store gives no answer; it must be repeated until it does.
    pub async fn suppress_everywhere(&self, cause: &Cause, hash: &str) -> Result<Suppressed, StoreError> {
        let mut item = keys::suppressed_everywhere(hash);
        item.insert("suppressed_at".to_owned(), cause.at.into_attribute());
        item.insert("actor".to_owned(), cause.actor.as_str().into_attribute());
        // The journal has a copy for the recovery of the other table. It has no event, which is always a company's.
        let copy = Write::put(&self.tables.journal, item.clone());
        Ok(match self.transact(vec![Write::insert(&self.tables.dialing, item), copy]).await? {
            Transacted::Done => Suppressed::Added,
            Transacted::Refused(_) => Suppressed::Already,
        })
    }

    /// Frees the number of a lead that opted out. One that is on a call is freed when the call is over.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn release_opted_out(
        &self,
        cause: &Cause,
        company: &CompanyId,
        lead: &LeadId,
    ) -> Result<(), StoreError> {
        if let Some(hold) = self.hold_of(cause.at, company, lead).await? {
            let number = self.number_item(company, &hold.number).await?;
            if number.is_some_and(|number| number.active_call.is_none()) {
                let reason = ReleaseReason::OptedOut;
                let _: Changed = self.release(cause, company, &hold.assignment_id, reason).await?;
            }
        }
        Ok(())
    }

    /// The writes that put a number on the company's list; refused when it is there.
    pub(crate) fn suppression(
        &self,
        cause: &Cause,
        company: &CompanyId,
        hash: &str,
        phone: &PhoneNumber,
        lead: Option<&LeadId>,
        channel: &str,
    ) -> Result<Vec<Write>, StoreError> {
        let event = EventData::LeadOptedOut {
            lead: lead.cloned(),
            phone: phone.clone(),
            channel: channel.to_owned(),
        };
        Ok(vec![
            Write::update(
                &self.tables.dialing,
                keys::person(company, hash),
                "SET suppressed_at = :now, channel = :channel ADD item_version :one",
            )
            .when("attribute_not_exists(suppressed_at)")
            .value(":now", cause.at)
            .value(":channel", channel)
            .value(":one", 1u64),
            self.journal(cause, company, Aggregate::Suppression(hash.to_owned()), 1, event)?,
        ])
    }

    /// The check that a number is not on the company's list.
    pub(crate) fn not_suppressed(&self, company: &CompanyId, hash: &str) -> Write {
        let person = keys::person(company, hash);
        Write::check(&self.tables.dialing, person, "attribute_not_exists(suppressed_at)")
    }

    /// Whether a number is on the company's list, or on that of everybody.
    ///
    /// # Errors
    /// When the store gives no answer: then the number must be taken as suppressed.
    pub async fn is_suppressed(&self, company: &CompanyId, hash: &str) -> Result<bool, StoreError> {
        let (person, everywhere) =
            tokio::try_join!(self.person(company, hash), self.is_suppressed_everywhere(hash))?;
        Ok(everywhere || person.suppressed_at.is_some())
    }

    /// Whether a number is on the list of all companies.
    pub(crate) async fn is_suppressed_everywhere(&self, hash: &str) -> Result<bool, StoreError> {
        let key = keys::suppressed_everywhere(hash);
        let found: Option<IgnoredAny> = self.get("suppression", &self.tables.dialing, key).await?;
        Ok(found.is_some())
    }
}
