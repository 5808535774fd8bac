//! The stack and the provider simulator, put together: what `serve`, the demo and the tests run.

use std::sync::Arc;

use axum::Router;
use dialpool_domain::time::Duration;
use dialpool_domain::{CompanyId, Timestamp};
use dialpool_dynamo::Company;
use dialpool_runtime::http::issue_api_key;
use dialpool_runtime::{Clock, Entropy};

use crate::engine::{Engine, Intercept};
use crate::simulator::{self, Simulator};
use crate::stack::{Loopback, Options, Stack, transport_to};
use crate::template::Template;

/// The template that this program was built with; `--template` reads another.
pub const TEMPLATE: &str = include_str!("../../template.yaml");

/// Lines of the simulated provider's account.
pub const ACCOUNT_LINES: u32 = 100;

/// What the simulated provider presents with a webhook, unless `serve` remembers another secret.
pub const WEBHOOK_SECRET: &str = "local-webhook-secret";

/// Under which people are filed, unless `serve` remembers another.
const PHONE_HASH_KEY: &str = "local-phone-hash-key";

/// What a stack with the simulated provider is made of.
pub fn simulated(
    engine: Engine,
    clock: Clock,
    entropy: Entropy,
    simulator: &Simulator,
    account_lines: u32,
) -> Options {
    let variables = [
        ("VAPI_BASE_URL", "http://simulator.invalid"),
        ("VAPI_ACCOUNT_CONCURRENCY", &account_lines.to_string()),
        ("WEBHOOK_URL", "http://dialpool.invalid/v1/webhooks/vapi"),
        ("vapi_api_key", simulator.api_key()),
        ("vapi_webhook_secret", WEBHOOK_SECRET),
        ("phone_hash_key", PHONE_HASH_KEY),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Options::new(engine, clock, entropy, transport_to(simulator.router()), variables)
}

/// How a local stack differs from the usual.
pub struct Settings {
    /// The services.
    pub engine: Engine,
    /// Time.
    pub clock: Clock,
    /// Where chance starts.
    pub seed: u64,
    /// How the people that are called behave, and the provider.
    pub simulator: simulator::Config,
    /// Calls that the simulator had before a restart, and where it keeps them.
    pub calls: Option<simulator::CallJournal>,
    /// Lines of the provider account.
    pub account_lines: u32,
    /// What goes wrong between the functions and the services.
    pub intercept: Option<Intercept>,
    /// Whether the SDK tries again by itself.
    pub sdk_retries: bool,
    /// By how many milliseconds the clock of a function, by its name, differs.
    pub clock_skew_ms: fn(&str) -> i64,
    /// Schedules tick this many times slower than the template says.
    pub schedule_stretch: u32,
    /// Origins whose web pages may call the API, parted by commas.
    pub cors_origins: String,
    /// Under which people are filed.
    pub phone_hash_key: String,
}

impl Settings {
    /// The usual: nothing goes wrong.
    pub fn new(engine: Engine, clock: Clock, seed: u64) -> Self {
        Self {
            engine,
            clock,
            seed,
            simulator: simulator::Config { seed, ..simulator::Config::default() },
            calls: None,
            account_lines: ACCOUNT_LINES,
            intercept: None,
            sdk_retries: true,
            clock_skew_ms: |_| 0,
            schedule_stretch: 1,
            cors_origins: String::new(),
            phone_hash_key: PHONE_HASH_KEY.to_owned(),
        }
    }
}

/// A stack with its simulated provider.
pub struct Local {
    /// The stack.
    pub stack: Stack,
    /// The provider.
    pub simulator: Simulator,
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub entropy: Entropy,
    /// The way back for the simulator.
    _api: Arc<Router>,
}

impl Local {
    /// Starts both.
    ///
    /// # Errors
    /// When the template cannot be run.
    pub async fn start(template: &Template, settings: Settings) -> anyhow::Result<Self> {
        let loopback = Loopback::default();
        let entropy = Entropy::seeded(settings.seed);
        let simulator =
            Simulator::new(settings.simulator, settings.clock.clone(), loopback.transport(), settings.calls)?;
        simulator.has_numbers_of(settings.engine.store());
        let (clock, lines) = (settings.clock.clone(), settings.account_lines);
        let usual = simulated(settings.engine, clock, entropy.clone(), &simulator, lines);
        let mut variables = usual.variables;
        variables.insert("phone_hash_key".to_owned(), settings.phone_hash_key);
        variables.insert("CORS_ALLOW_ORIGINS".to_owned(), settings.cors_origins);
        let options = Options {
            variables,
            intercept: settings.intercept,
            sdk_retries: settings.sdk_retries,
            clock_skew_ms: settings.clock_skew_ms,
            schedule_stretch: settings.schedule_stretch,
            ..usual
        };
        let stack = Stack::start(template, options).await?;
        let api = loopback.is(stack.api());
        Ok(Self { stack, simulator, clock: settings.clock, entropy, _api: api })
    }

    /// Waits until nothing was written for a while: what is told of a change has arrived by then.
    pub async fn quiet(&self) {
        const WHILE: Duration = Duration::from_secs(5);
        let mut writes = self.stack.engine.writes();
        while tokio::time::timeout(WHILE, writes.changed()).await.is_ok() {}
    }

    /// Makes a company and a key to it; returns the key as its holder presents it.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn company(&self, company: &CompanyId, name: &str) -> anyhow::Result<String> {
        let tenant = Company::new(company.clone(), name);
        let store = &self.stack.store;
        let _is_new = store.create_company(&tenant).await?;
        Ok(issue_api_key(store, &self.entropy, Some(company)).await?)
    }
}

/// A clock that shows `start` now and goes on as tokio's does: on a paused runtime, in virtual time.
pub fn clock_from(start: Timestamp) -> Clock {
    let began = tokio::time::Instant::now();
    Clock::from_fn(move || {
        start + Duration::from_millis(u64::try_from(began.elapsed().as_millis()).unwrap_or(0))
    })
}
