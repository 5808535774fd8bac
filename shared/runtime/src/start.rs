//! The start of a function: configuration, AWS clients, time, chance.

use aws_config::SdkConfig;
use dialpool_domain::TraceId;
use dialpool_domain::event::Cause;
use dialpool_dynamo::{HashKey, PhoneHasher, Store, StoreError, Tables};

use crate::queue::Queue;
use crate::{Clock, Entropy, Environment, EnvironmentError, aws};

/// What a function's state is made from.
#[derive(Debug, Clone)]
pub struct Start {
    /// The variables that configure it.
    pub environment: Environment,
    /// Where AWS is, and who we are there.
    pub sdk: SdkConfig,
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub entropy: Entropy,
}

/// A function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its configuration is incomplete.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The operating system has no randomness to give.
    #[error("no randomness from the operating system: {0}")]
    Entropy(String),
    /// The client for connections to AWS cannot be made.
    #[error("no TLS: {0}")]
    Tls(String),
    /// The store gave no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// With this key nobody would be found on a suppression list.
    #[error(
        "PHONE_HASH_KEY is not the key that people are filed under: put the former phone_hash_key back \
         (runbook, \"A changed phone_hash_key\")"
    )]
    OtherHashKey,
    /// Nothing says whether this is the key.
    #[error(
        "the tables are in use and have no canary of PHONE_HASH_KEY: run `dialpool hash-key` \
         (runbook, \"A changed phone_hash_key\")"
    )]
    UnprovenHashKey,
}

impl Start {
    /// The start of a deployed function: the environment of the process, AWS, the system's clock. Logs go to standard
    /// output as JSON from here on.
    ///
    /// # Errors
    /// When the operating system has no randomness to give, or TLS cannot be set up.
    pub async fn of_process() -> Result<Self, StartError> {
        log_as_json();
        Ok(Self {
            environment: Environment::of_process(),
            sdk: aws::sdk_of_process().await?,
            clock: Clock::system(),
            entropy: Entropy::system().map_err(|error| StartError::Entropy(error.to_string()))?,
        })
    }

    /// The tables that the environment names.
    ///
    /// # Errors
    /// When it does not name all of them.
    pub fn store(&self) -> Result<Store, StartError> {
        let table = |name: &str| self.environment.text(name).map(str::to_owned);
        let tables = Tables {
            pool: table("POOL_TABLE")?,
            dialing: table("DIALING_TABLE")?,
            people: table("PEOPLE_TABLE")?,
            journal: table("JOURNAL_TABLE")?,
        };
        Ok(Store::new(aws_sdk_dynamodb::Client::new(&self.sdk), tables))
    }

    /// Connects to the tables, for functions whose callers wait. A failure only costs the first request time.
    ///
    /// # Errors
    /// When the environment does not name the tables.
    pub async fn warm_up(&self) -> Result<(), StartError> {
        if let Err(error) = self.store()?.warm_up().await {
            tracing::warn!("no connection to the tables yet: {error}");
        }
        Ok(())
    }

    /// The queue whose URL the variable holds.
    ///
    /// # Errors
    /// When the variable is not set.
    pub fn queue(&self, variable: &str) -> Result<Queue, StartError> {
        let url = self.environment.text(variable)?;
        Ok(Queue::new(aws_sdk_sqs::Client::new(&self.sdk), url.to_owned()))
    }

    /// The hasher of the suppression lists, once its key is known to be the one that people are filed under. Its read of the
    /// tables also connects to them.
    ///
    /// # Errors
    /// When `PHONE_HASH_KEY` is not set or is another key, or the tables do not answer.
    pub async fn phone_hasher(&self) -> Result<PhoneHasher, StartError> {
        let hasher = PhoneHasher::new(self.environment.secret("PHONE_HASH_KEY")?);
        match self.store()?.check_hash_key(self.clock.now(), &hasher).await? {
            HashKey::Same => Ok(hasher),
            HashKey::Other => Err(StartError::OtherHashKey),
            HashKey::Unproven => Err(StartError::UnprovenHashKey),
        }
    }

    /// A change that a function makes of its own accord, now.
    pub fn cause(&self, actor: &str) -> Cause {
        Cause {
            at: self.clock.now(),
            actor: actor.to_owned(),
            trace_id: TraceId::new(self.entropy.next_u128()),
        }
    }
}

fn log_as_json() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_current_span(false).without_time().init();
}
