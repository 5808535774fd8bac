//! Who calls: API keys.
//!
//! A key is `dp_<key id>_<secret>`: the id finds the record, the secret's hash is compared in constant time. A key opens
//! one company, or is an operator's and opens none. A key that was found is remembered for [`REMEMBERED`]: a revocation is in force at most that much later.

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
use dialpool_dynamo::{ApiKey, Company, KeyFound, NewApiKey, Store, StoreError};
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

/// Who looks after the companies of a deployment: the holder of a key that opens none of them.
#[derive(Debug, Clone)]
pub struct Operator(Cause);

impl Operator {
    /// The cause of what the request changes.
    pub fn cause(&self) -> Cause {
        self.0.clone()
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Api: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let (company, Cause { at, actor, trace_id }) = presented(&Api::from_ref(state), parts).await?;
        let company =
            company.ok_or_else(|| Problem::forbidden("the key is an operator's: it opens no company"))?;
        Ok(Self { company, actor, at, trace_id })
    }
}

impl<S> FromRequestParts<S> for Operator
where
    S: Send + Sync,
    Api: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match presented(&Api::from_ref(state), parts).await? {
            (None, cause) => Ok(Self(cause)),
            (Some(company), _) => {
                Err(Problem::forbidden(format!("the key opens {company} alone: an operator's is needed")))
            }
        }
    }
}

/// The company that the presented key opens, if it opens one, and what the request is the cause of.
async fn presented(api: &Api, parts: &Parts) -> Result<(Option<CompanyId>, Cause), Problem> {
    let at = api.clock.now();
    let key = presented_key(api, at, parts).await?;
    let trace_id = parts.extensions.get::<TraceId>().cloned();
    let trace_id = trace_id.unwrap_or_else(|| TraceId::new(api.entropy.next_u128()));
    Ok((key.company, Cause { at, actor: format!("key:{}", key.key_id), trace_id }))
}

/// The key that a request presents, known to be right.
async fn presented_key(api: &Api, now: Timestamp, parts: &Parts) -> Result<ApiKey, Problem> {
    let unknown = || Problem::unauthenticated("Authorization: no valid API key; send `Bearer dp_...`");
    let presented =
        parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(unknown)?;
    let (key_id, secret) = presented
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
        .and_then(|(_, key)| key.trim().strip_prefix("dp_")?.split_once('_'))
        .filter(|(key_id, _)| key_id.len() <= 64)
        .ok_or_else(unknown)?;
    let key = api.key(now, key_id).await?;
    let hash = hex::encode(Sha256::digest(secret));
    // An unknown key is compared, too: with a hash that nothing has.
    let stored = key.as_ref().map_or("", |key| key.secret_sha256.as_str());
    let right = bool::from(hash.as_bytes().ct_eq(stored.as_bytes()));
    key.filter(|_| right).ok_or_else(unknown)
}

/// Makes a key, to a company or an operator's, and answers its text, which is kept nowhere.
///
/// # Errors
/// When the store gives no answer.
pub async fn issue_api_key(
    store: &Store,
    entropy: &Entropy,
    company: Option<&CompanyId>,
) -> Result<String, StoreError> {
    let key_id = format!("{:016x}", entropy.next_u64());
    let secret = format!("{:032x}{:032x}", entropy.next_u128(), entropy.next_u128());
    let new = NewApiKey { key_id: &key_id, secret: &secret, company, valid_until: None };
    if store.put_api_key(&new).await? {
        Ok(format!("dp_{key_id}_{secret}"))
    } else {
        Err(StoreError::Busy(format!("the key id {key_id} is taken")))
    }
}
