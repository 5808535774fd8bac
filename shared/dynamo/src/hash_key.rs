//! The canary of the hash key: functions start only with the key under which people are filed.
//!
//! Suppressions and consents are filed under keyed hashes of phone numbers. With another key none of them is found, and
//! everybody may be called. So the table that has them has the hash of a fixed text, too, and each start compares it.
//!
//! 1. The first start on empty tables writes the canary. Of several first starts one writes it, and all compare.
//! 2. Tables that are in use and have no canary, as after a restore, prove no key. Nothing starts on them before
//!    [`Store::prove_hash_key`] found the key proven by the journal: its opt-outs and consents have the number and the hash.

use dialpool_domain::event::{Aggregate, Event, EventData};
use dialpool_domain::{PhoneNumber, Timestamp};
use serde::Deserialize;

use crate::lines::Lines;
use crate::suppression::PhoneHasher;
use crate::transaction::{Transacted, Write};
use crate::{Store, StoreError, items, keys};

/// The account whose lines the dispatcher opens once it has its key: where they are, the tables are in use.
const FIRST_ACCOUNT: &str = "vapi";

/// Whether a key is the one under which people are filed.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashKey {
    /// It is.
    Same,
    /// People are filed under another one.
    Other,
    /// The tables are in use, and nothing in them says which key they were filled with.
    Unproven,
}

/// What the journal says of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proof {
    /// Events whose hash is that of their number under this key.
    pub same: u64,
    /// Events whose hash is another.
    pub other: u64,
}

impl Proof {
    /// Takes an event into account, if it has a number and its hash.
    pub(crate) fn add(&mut self, hasher: &PhoneHasher, event: &Event) {
        if let Some((phone, hash)) = hashed_phone(event) {
            let counted = if hasher.hash(phone) == hash { &mut self.same } else { &mut self.other };
            *counted += 1;
        }
    }
}

/// The number that an event names, and the hash that it is filed under.
pub(crate) fn hashed_phone(event: &Event) -> Option<(&PhoneNumber, &str)> {
    let (Aggregate::Suppression(hash) | Aggregate::Consent(hash) | Aggregate::Person(hash)) =
        &event.aggregate
    else {
        return None;
    };
    match &event.data {
        EventData::LeadOptedOut { phone, .. }
        | EventData::ConsentCaptured { phone, .. }
        | EventData::ConsentRevoked { phone }
        | EventData::CallPermitted { to: phone, .. } => Some((phone, hash)),
        _ => None,
    }
}

impl Store {
    /// Compares a key with the canary, and writes the canary on empty tables. Costs one read when the canary is there.
    ///
    /// # Errors
    /// When the store gives no answer: then the key must not be used.
    pub async fn check_hash_key(&self, now: Timestamp, hasher: &PhoneHasher) -> Result<HashKey, StoreError> {
        if let Some(found) = self.canary(hasher).await? {
            return Ok(found);
        }
        if self.lines(&Lines::Account(FIRST_ACCOUNT.to_owned())).await?.is_some() {
            // Another first start may have written both since.
            return Ok(self.canary(hasher).await?.unwrap_or(HashKey::Unproven));
        }
        self.write_canary(now, hasher).await
    }

    /// Finds out from the journal whether the tables were filled with this key, and writes the canary if they were, or if
    /// nobody is filed yet. Reads the whole journal when there is no canary.
    ///
    /// # Errors
    /// When the store gives no answer; it can be repeated.
    pub async fn prove_hash_key(
        &self,
        now: Timestamp,
        hasher: &PhoneHasher,
    ) -> Result<(HashKey, Proof), StoreError> {
        if let Some(found) = self.canary(hasher).await? {
            return Ok((found, Proof::default()));
        }
        let proof = self.proof(hasher).await?;
        if proof.other > 0 {
            return Ok((HashKey::Other, proof));
        }
        Ok((self.write_canary(now, hasher).await?, proof))
    }

    /// What the whole journal says of a key.
    async fn proof(&self, hasher: &PhoneHasher) -> Result<Proof, StoreError> {
        let mut proof = Proof::default();
        let mut pages = self
            .client
            .scan()
            .table_name(&self.tables.journal)
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        while let Some(item) = pages.next().await {
            let item = item?;
            let sort_key = item.get("sk").and_then(|sk| sk.as_s().ok());
            if sort_key.is_some_and(|sk| sk.starts_with(keys::EVENT_PREFIX)) {
                proof.add(hasher, &items::read("event", item)?);
            }
        }
        Ok(proof)
    }

    /// Whether the canary is the key's; nothing when there is no canary.
    pub(crate) async fn canary(&self, hasher: &PhoneHasher) -> Result<Option<HashKey>, StoreError> {
        #[derive(Deserialize)]
        struct Canary {
            hash: String,
        }
        let canary: Option<Canary> = self.get("canary", &self.tables.dialing, keys::canary()).await?;
        Ok(canary.map(|canary| match canary.hash == hasher.canary() {
            true => HashKey::Same,
            false => HashKey::Other,
        }))
    }

    async fn write_canary(&self, now: Timestamp, hasher: &PhoneHasher) -> Result<HashKey, StoreError> {
        let write =
            Write::update(&self.tables.dialing, keys::canary(), "SET #hash = :hash, written_at = :now")
                .when("attribute_not_exists(pk)")
                .name("#hash", "hash")
                .value(":hash", hasher.canary())
                .value(":now", now);
        match self.transact(vec![write]).await? {
            Transacted::Done => Ok(HashKey::Same),
            Transacted::Refused(_) => Ok(self.canary(hasher).await?.unwrap_or(HashKey::Unproven)),
        }
    }
}
