//! Who calls: API keys.
//!
//! A key is `dp_<key id>_<secret>`: the id finds the record, the secret's hash is compared in constant time. A key opens
//! one company. A key that was found is remembered for [`REMEMBERED`]: a revocation is in force at most that much later.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use dialpool_domain::event::Cause;
use dialpool_domain::time::Duration;
use dialpool_domain::{CompanyId, Timestamp, TraceId};
use dialpool_dynamo::{ApiKey, Company, KeyFound, Store};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::problem::Problem;
use crate::{Clock, Entropy, Start, StartError};

/// How long a key and a company's settings are taken as they were read.
const REMEMBERED: Duration = Duration::from_secs(30);

/// When more than this is remembered, all of it is forgotten.
const MOST_REMEMBERED: usize = 1_000;

/// What every HTTP function needs.
#[derive(Debug, Clone)]
pub struct Api {
    /// The tables.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub entropy: Entropy,
    keys: Arc<Mutex<HashMap<String, (ApiKey, Timestamp)>>>,
    companies: Arc<Mutex<HashMap<CompanyId, (Company, Timestamp)>>>,
}

impl Api {
    /// What the start provides.
    ///
    /// # Errors
    /// When the environment does not name the tables.
    pub fn new(start: &Start) -> Result<Self, StartError> {
        Ok(Self {
            store: start.store()?,
            clock: start.clock.clone(),
            entropy: start.entropy.clone(),
            keys: Arc::default(),
            companies: Arc::default(),
        })
    }

    async fn key(&self, now: Timestamp, key_id: &str) -> Result<Option<ApiKey>, Problem> {
        let remembered = remembered(&self.keys, now, key_id);
        if let Some(key) = remembered.filter(|key| key.valid_until.is_none_or(|end| now < end)) {
            return Ok(Some(key));
        }
        match self.store.api_key(now, key_id).await? {
            KeyFound::Valid(key) => {
                remember(&self.keys, now, key_id.to_owned(), &key);
                Ok(Some(key))
            }
            KeyFound::Over | KeyFound::Unknown => Ok(None),
        }
    }

    /// The settings of a company, at most 30 s old.
    ///
    /// # Errors
    /// When the store gives no answer, or the company is not there.
    pub async fn company(&self, now: Timestamp, company: &CompanyId) -> Result<Company, Problem> {
        if let Some(company) = remembered(&self.companies, now, company) {
            return Ok(company);
        }
        let found = self.store.company(company).await?.ok_or_else(|| Problem::not_found("company"))?;
        remember(&self.companies, now, company.clone(), &found);
        Ok(found)
    }
}

type Memory<K, V> = Mutex<HashMap<K, (V, Timestamp)>>;

fn remembered<K, V, Q>(memory: &Memory<K, V>, now: Timestamp, key: &Q) -> Option<V>
where
    K: Borrow<Q> + Eq + Hash,
    V: Clone,
    Q: Eq + Hash + ?Sized,
{
    let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    memory.get(key).filter(|(_, at)| now.since(*at) < REMEMBERED).map(|(value, _)| value.clone())
}

fn remember<K: Eq + Hash, V: Clone>(memory: &Memory<K, V>, now: Timestamp, key: K, value: &V) {
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    if memory.len() >= MOST_REMEMBERED {
        memory.clear();
    }
    memory.insert(key, (value.clone(), now));
}

/// Who makes a request, and when.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The one company that the caller acts for.
    pub company: CompanyId,
    /// The caller, as the journal names it.
    pub actor: String,
    /// When the request came in.
    pub at: Timestamp,
    /// Ties everything that comes of the request together.
    pub trace_id: TraceId,
}

impl Caller {
    /// The cause of what the request changes.
    pub fn cause(&self) -> Cause {
        Cause { at: self.at, actor: self.actor.clone(), trace_id: self.trace_id.clone() }
    }

    /// Refuses a request that names another company than the caller's.
    ///
    /// # Errors
    /// 403 when it does.
    pub fn must_be(&self, company: Option<&CompanyId>) -> Result<(), Problem> {
        match company {
            Some(company) if *company != self.company => {
                Err(Problem::forbidden(format!("company: the key opens another company than {company}")))
            }
            _ => Ok(()),
        }
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Api: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let api = Api::from_ref(state);
        let now = api.clock.now();
        let unknown = || Problem::unauthenticated("Authorization: no valid API key; send `Bearer dp_...`");
        let presented =
            parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(unknown)?;
        let (key_id, secret) = presented
            .strip_prefix("Bearer dp_")
            .and_then(|key| key.split_once('_'))
            .filter(|(key_id, _)| key_id.len() <= 64)
            .ok_or_else(unknown)?;
        let key = api.key(now, key_id).await?;
        let hash = hex::encode(Sha256::digest(secret));
        // An unknown key is compared, too: with a hash that nothing has.
        let stored = key.as_ref().map_or("", |key| key.secret_sha256.as_str());
        let right = bool::from(hash.as_bytes().ct_eq(stored.as_bytes()));
        let key = key.filter(|_| right).ok_or_else(unknown)?;
        let trace_id = parts.extensions.get::<TraceId>().cloned();
        Ok(Self {
            company: key.company,
            actor: format!("key:{key_id}"),
            at: now,
            trace_id: trace_id.unwrap_or_else(|| TraceId::new(api.entropy.next_u128())),
        })
    }
}

/// The text of a key, as its holder presents it.
pub fn api_key_text(key_id: &str, secret: &str) -> String {
    format!("dp_{key_id}_{secret}")
}
