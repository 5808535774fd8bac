//! The ledger of consents: what each person agreed to, under the keyed hash of the phone number.
//!
//! The person's item has what holds, or held last, and every claim is refused when that changed since it was read. Beside it
//! each change is kept, and never changed.

use dialpool_domain::consent::{Consent, ConsentKind};
use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::{CompanyId, PhoneNumber};

use crate::dialing::{ROUNDS, as_read};
use crate::suppression::PhoneHasher;
use crate::transaction::{Transacted, Write};
use crate::{Store, StoreError, items, keys};

/// The places of the writes of a change.
const PERSON: usize = 0;
const ENTRY: usize = 1;

/// What became of a change of the ledger.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consented {
    /// It is in the ledger now.
    Written,
    /// The ledger said so before, or has a later and greater consent.
    Already,
}

impl Store {
    /// What a person agreed to, as far as the ledger knows.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn consent(&self, company: &CompanyId, hash: &str) -> Result<Option<Consent>, StoreError> {
        Ok(self.person(company, hash).await?.consent)
    }

    /// Writes a consent into the ledger. A lesser one does not take the place of a greater one that holds; one that was
    /// revoked is only replaced by one captured after that.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn capture_consent(
        &self,
        cause: &Cause,
        company: &CompanyId,
        hasher: &PhoneHasher,
        phone: &PhoneNumber,
        consent: &Consent,
    ) -> Result<Consented, StoreError> {
        let told = || EventData::ConsentCaptured { phone: phone.clone(), consent: Box::new(consent.clone()) };
        self.change_consent(cause, company, &hasher.hash(phone), told, |known| {
            let stays = known.is_some_and(|known| {
                known == consent
                    || known.revoked_at.is_some_and(|revoked_at| consent.captured_at <= revoked_at)
                    || (known.holds(cause.at) && known.kind > consent.kind)
            });
            if stays { Err(Consented::Already) } else { Ok(consent.clone()) }
        })
        .await
    }

    /// Revokes what a person agreed to.
    ///
    /// # Errors
    /// When the store gives no answer; it must be repeated until it does.
    pub async fn revoke_consent(
        &self,
        cause: &Cause,
        company: &CompanyId,
        hasher: &PhoneHasher,
        phone: &PhoneNumber,
    ) -> Result<Consented, StoreError> {
        let told = || EventData::ConsentRevoked { phone: phone.clone() };
        self.change_consent(cause, company, &hasher.hash(phone), told, |known| match known {
            // What came with a contact is revoked by an entry of its own.
            None => Ok(Consent {
                kind: ConsentKind::Express,
                text_sha256: None,
                evidence: "none: revoked before it was in the ledger".to_owned(),
                captured_at: cause.at,
                expires_at: None,
                revoked_at: Some(cause.at),
            }),
            // Each revocation counts from its own moment: of a consent that came with a contact since the last, this is the first.
            Some(known) if known.revoked_at.is_some_and(|at| at >= cause.at) => Err(Consented::Already),
            Some(known) => Ok(Consent { revoked_at: Some(cause.at), ..known.clone() }),
        })
        .await
    }

    async fn change_consent(
        &self,
        cause: &Cause,
        company: &CompanyId,
        hash: &str,
        told: impl Fn() -> EventData,
        change: impl Fn(Option<&Consent>) -> Result<Consent, Consented>,
    ) -> Result<Consented, StoreError> {
        let mut taken = 0;
        for _round in 0..ROUNDS {
            let person = self.person(company, hash).await?;
            let consent = match change(person.consent.as_ref()) {
                Ok(consent) => consent,
                Err(as_it_is) => return Ok(as_it_is),
            };
            let nth = person.n_consents.max(taken) + 1;
            let now = Write::update(
                &self.tables.dialing,
                keys::person(company, hash),
                "SET consent = :consent, n_consents = :nth, item_version = :next",
            )
            .value(":consent", items::attribute("consent", &consent)?)
            .value(":nth", nth)
            .value(":next", person.item_version + 1);
            let entry = items::write("consent", keys::consent_entry(company, hash, nth), &consent)?;
            let aggregate = Aggregate::Consent(hash.to_owned());
            let writes = vec![
                as_read(now, person.item_version),
                Write::insert(&self.tables.dialing, entry),
                self.journal(cause, company, aggregate, nth, told())?,
            ];
            match self.transact(writes).await? {
                Transacted::Done => return Ok(Consented::Written),
                // Half of a transaction that a restore kept: an entry is never changed.
                Transacted::Refused(refusal) if refusal.at(ENTRY) && !refusal.at(PERSON) => taken = nth,
                Transacted::Refused(_) => {}
            }
        }
        Err(StoreError::Busy(format!("a consent changed under {ROUNDS} attempts to change it")))
    }
}
