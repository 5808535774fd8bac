//! The stack and the provider simulator, put together: what `serve`, the demo and the tests run.

use std::collections::BTreeMap;
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
            account_lines: 100,
            intercept: None,
            sdk_retries: true,
            clock_skew_ms: |_| 0,
            schedule_stretch: 1,
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
        let api_key = settings.simulator.api_key.clone();
        let simulator =
            Simulator::new(settings.simulator, settings.clock.clone(), loopback.transport(), settings.calls)?;
        simulator.has_numbers_of(settings.engine.store());
        let variables = BTreeMap::from([
            ("VAPI_BASE_URL".to_owned(), "http://simulator.invalid".to_owned()),
            ("VAPI_ACCOUNT_CONCURRENCY".to_owned(), settings.account_lines.to_string()),
            ("WEBHOOK_URL".to_owned(), "http://dialpool.invalid/v1/webhooks/vapi".to_owned()),
            ("vapi_api_key".to_owned(), api_key),
            ("vapi_webhook_secret".to_owned(), "local-webhook-secret".to_owned()),
            ("phone_hash_key".to_owned(), "local-phone-hash-key".to_owned()),
        ]);
        let stack = Stack::start(
            template,
            Options {
                engine: settings.engine,
                clock: settings.clock.clone(),
                entropy: entropy.clone(),
                variables,
                provider: transport_to(simulator.router()),
                intercept: settings.intercept,
                sdk_retries: settings.sdk_retries,
                clock_skew_ms: settings.clock_skew_ms,
                schedule_stretch: settings.schedule_stretch,
            },
        )
        .await?;
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
