//! A voice provider for the local demo and for tests: it speaks Vapi's HTTP API and webhooks, and makes the mistakes that
//! a provider makes.
//!
//! 1. What happens on a call, and what goes wrong with it, follows from the seed and the call's name alone: the same calls
//!    have the same fate in whatever order and at whatever time they are made.
//! 2. A call's timeline is settled when it is made; where it stands at a moment is read from it.
//! 3. Nothing waits for anything but tokio's time, so a paused runtime plays hours in an instant.
//! 4. Every call that was made is in the [ledger](Simulator::ledger), also one whose making the caller never learned of.
//!
//! It neither hears nor speaks: transcripts are fixed sentences. A call that is scheduled for later takes a line at once.
//! Making a call has faults by chance, looking one up has none; those of assistants are scripted.

mod call;
mod numbers;
mod script;
mod server;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use dialpool_domain::{PhoneNumber, Timestamp, Usd};
use dialpool_dynamo::Store;
use dialpool_providers::http::Transport;
use dialpool_runtime::Clock;
use serde_json::{Value, json};

use call::{Call, Delivery, Order, Server};
pub use numbers::SimulatedNumber;
pub use script::{Ending, Script};

/// How webhooks leave the simulator.
pub type WebhookTransport = Transport;

/// Waits before a webhook is sent again, once for each.
const BACKOFF: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];

/// Answers after which a webhook is not sent again.
const FINAL: [u16; 6] = [400, 401, 403, 404, 413, 422];

/// How the simulated world is. Rates are shares of 1; those of one group add up to 1 at most.
#[derive(Clone)]
pub struct Config {
    /// Decides every draw.
    pub seed: u64,
    /// What the bearer token must be.
    pub api_key: String,

    /// Calls that a person takes. The endings of a call are one group; what is left rings out.
    pub answer_rate: f64,
    /// Calls that a machine takes.
    pub voicemail_rate: f64,
    /// Calls to an engaged line.
    pub busy_rate: f64,
    /// Calls to a number that does not exist.
    pub invalid_rate: f64,
    /// Calls that fail at the provider's carrier.
    pub provider_fault_rate: f64,
    /// How long people talk on average; the shortest talk is a twentieth, the longest four times as long.
    pub mean_call: Duration,
    /// How long it rings on average before an answer, within half of it around; three times as long without an answer.
    pub ring: Duration,
    /// How long an accepted call waits before it is dialed.
    pub queue_time: Duration,
    /// How long a call that was made is not to be seen: asked for, listed or deleted, it is not there.
    pub lag: Duration,
    /// How long a request to make a call takes on average, within half of it around.
    pub latency: Duration,
    /// Talks in which the person asks not to be called again.
    pub opt_out_rate: f64,
    /// Of those who take a call and neither opt out nor book, so many want to be called again later.
    pub callback_rate: f64,
    /// Calls that a person takes and in which the assistant says nothing for two to eight seconds.
    pub dead_air_rate: f64,
    /// Talks without that, in which an appointment is made.
    pub booking_rate: f64,
    /// The price of a minute from answer to end; a part of a ten-thousandth of a dollar counts as a whole one.
    pub cost_per_minute: Usd,
    /// Calls that may be under way at once.
    pub concurrency_limit: usize,
    /// Numbers whose calls follow a script instead of the rates.
    pub scripts: BTreeMap<PhoneNumber, Script>,

    /// Requests refused as invalid (400). The faults of a request are one group.
    pub refusal_rate: f64,
    /// Requests refused for their number (429).
    pub rate_limit_rate: f64,
    /// Requests that fail (500), no call made.
    pub error_before_rate: f64,
    /// Requests that fail (500) although the call was made.
    pub error_after_rate: f64,
    /// Requests whose call is made and whose answer does not come for 60 seconds.
    pub accept_then_timeout_rate: f64,
    /// Webhooks that are never delivered.
    pub webhook_loss_rate: f64,
    /// Webhooks that are delivered again within 20 seconds.
    pub webhook_duplicate_rate: f64,
    /// Webhooks that are delivered up to 3 minutes late, and so out of order.
    pub webhook_delay_rate: f64,
}

impl Default for Config {
    /// A world without faults.
    fn default() -> Self {
        Self {
            seed: 1,
            api_key: "local".to_owned(),
            answer_rate: 0.35,
            voicemail_rate: 0.2,
            busy_rate: 0.1,
            invalid_rate: 0.0,
            provider_fault_rate: 0.0,
            mean_call: Duration::from_secs(45),
            ring: Duration::from_secs(8),
            queue_time: Duration::ZERO,
            lag: Duration::ZERO,
            latency: Duration::from_millis(120),
            opt_out_rate: 0.04,
            callback_rate: 0.0,
            dead_air_rate: 0.0,
            booking_rate: 0.2,
            cost_per_minute: Usd::from_ten_thousandths(900),
            concurrency_limit: 10,
            scripts: BTreeMap::new(),
            refusal_rate: 0.0,
            rate_limit_rate: 0.0,
            error_before_rate: 0.0,
            error_after_rate: 0.0,
            accept_then_timeout_rate: 0.0,
            webhook_loss_rate: 0.0,
            webhook_duplicate_rate: 0.0,
            webhook_delay_rate: 0.0,
        }
    }
}

/// Keeps one call, or one assistant: its id and its form to keep.
pub type Save = Arc<dyn Fn(&str, Value) + Send + Sync>;

/// Keeps calls and assistants over a restart of the simulator.
#[derive(Clone)]
pub struct CallJournal {
    /// Keeps a call under its id in place of what was kept before. It is called in the order of the changes, before their
    /// consequences are seen, and must not call the simulator.
    pub save: Save,
    /// What was kept before.
    pub saved: Vec<Value>,
}

/// A kept call is not in the form in which calls are kept.
#[derive(Debug, thiserror::Error)]
#[error("a saved call cannot be read")]
pub struct UnreadableCall(#[from] serde_json::Error);

/// What goes wrong with a request for an assistant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssistantFault {
    /// It is refused as invalid (400).
    Refused,
    /// It fails (500), and is not acted on.
    ErrorBefore,
    /// It fails (500) although it was acted on.
    ErrorAfter,
    /// It is acted on, and its answer does not come for 60 seconds.
    AnswerLost,
    /// It is acted on this much later, and answered then.
    Late(Duration),
}

/// What tells a kept assistant from a kept call.
const KEPT_ASSISTANT: &str = "kept_assistant";

/// A call in the provider's own books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The provider's id.
    pub provider_call_id: String,
    /// The name that the caller gave it; empty when it gave none.
    pub name: String,
    /// The number called.
    pub customer: String,
    /// The provider's id of the number called from.
    pub phone_number_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it began to ring, if that has happened.
    pub ringing_at: Option<Timestamp>,
    /// When a person or a machine answered, if that has happened.
    pub answered_at: Option<Timestamp>,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
    /// Why it ended, if it has.
    pub ended_reason: Option<String>,
    /// What it cost, once it has ended.
    pub cost: Option<Usd>,
    /// Whether a machine took it and the assistant's message was left there.
    pub left_message: bool,
    /// How long the person who took the call heard nobody, once it has ended.
    pub silence: Option<Duration>,
}

/// The simulated provider. Clones share its state; with the last clone and the last router the simulator is gone, and
/// webhooks that are under way with it.
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

struct Inner {
    config: Config,
    clock: Clock,
    webhooks: Transport,
    save: Option<Save>,
    /// Whose numbers it has.
    pools: OnceLock<Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were made.
    calls: Vec<Call>,
    places: BTreeMap<String, usize>,
    /// The end and the place of each call that may not be over yet.
    ends: BTreeSet<(Timestamp, usize)>,
    most_at_once: usize,
    /// Requests so far for each name.
    requests: BTreeMap<String, u64>,
    /// Calls so far of each name.
    named: BTreeMap<String, u64>,
    assistants: Vec<Value>,
    assistants_made: u64,
    /// What goes wrong with the next requests for assistants, one after the other.
    assistant_faults: VecDeque<Option<AssistantFault>>,
    /// Numbers that are otherwise than the pools have them; `None`: missing.
    numbers: BTreeMap<PhoneNumber, Option<SimulatedNumber>>,
    numbers_listed: u64,
    faults_off: bool,
}

impl Simulator {
    /// Starts the provider; the calls that `journal` kept go on, and webhooks of theirs that nobody acknowledged are sent
    /// again. Needs a tokio runtime to be running.
    ///
    /// # Errors
    /// When a kept call cannot be read.
    pub fn new(
        config: Config,
        clock: Clock,
        webhooks: WebhookTransport,
        journal: Option<CallJournal>,
    ) -> Result<Self, UnreadableCall> {
        let (save, saved) = match journal {
            Some(journal) => (Some(journal.save), journal.saved),
            None => (None, Vec::new()),
        };
        let (assistants, calls): (Vec<Value>, Vec<Value>) =
            saved.into_iter().partition(|kept| kept.get(KEPT_ASSISTANT).is_some());
        let mut assistants: Vec<Value> =
            assistants.into_iter().map(|mut kept| kept[KEPT_ASSISTANT].take()).collect();
        assistants.sort_by_key(|assistant| assistant["createdAt"].as_str().map(str::to_owned));
        let mut calls = calls.into_iter().map(serde_json::from_value).collect::<Result<Vec<Call>, _>>()?;
        calls.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        let (pools, state) = (OnceLock::new(), Mutex::default());
        let simulator = Self(Arc::new(Inner { config, clock, webhooks, save, pools, state }));
        {
            let mut state = simulator.0.state();
            state.assistants_made = assistants.len() as u64;
            state.assistants = assistants.into_iter().filter(|kept| !kept["deleted"].is_boolean()).collect();
            for call in calls {
                *state.named.entry(call_key(&call)).or_default() += 1;
                let now = call.created_at;
                simulator.0.add(&mut state, call, now);
            }
        }
        Ok(simulator)
    }

    /// The HTTP API.
    pub fn router(&self) -> axum::Router {
        server::router(self)
    }

    /// What the bearer token must be.
    pub(crate) fn api_key(&self) -> &str {
        &self.0.config.api_key
    }

    /// Every call that was made, in the order of making.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        let now = self.0.clock.now();
        self.0.state().calls.iter().map(|call| call.entry(now)).collect()
    }

    /// What webhooks about the call of this name say in a header; it is seen by every server that hears of the call.
    pub fn webhook_header(&self, name: &str, header: &str) -> Option<String> {
        let state = self.0.state();
        let call = state.calls.iter().find(|call| call.name.as_deref() == Some(name))?;
        let mut headers = call.server.as_ref()?.headers.iter();
        headers.find(|(found, _)| found.eq_ignore_ascii_case(header)).map(|(_, value)| value.clone())
    }

    /// Calls under way.
    pub fn active(&self) -> usize {
        let now = self.0.clock.now();
        self.0.state().active(now)
    }

    /// The most calls that were under way at once.
    pub fn most_at_once(&self) -> usize {
        self.0.state().most_at_once
    }

    /// The provider has the numbers of these pools.
    pub fn has_numbers_of(&self, pools: Store) {
        self.0.pools.get_or_init(|| pools);
    }

    /// The provider has a number otherwise than the pools do, or a number of no pool; `None`: it does not have it.
    pub fn set_number(&self, number: PhoneNumber, at_provider: Option<SimulatedNumber>) {
        self.0.state().numbers.insert(number, at_provider);
    }

    /// How often its numbers were asked for.
    pub fn numbers_listed(&self) -> u64 {
        self.0.state().numbers_listed
    }

    /// What goes wrong with the next requests for assistants, one after the other, reading included; `None`: nothing.
    pub fn script_assistants(&self, faults: impl IntoIterator<Item = Option<AssistantFault>>) {
        self.0.state().assistant_faults = faults.into_iter().collect();
    }

    /// Turns the faults of requests and of webhooks off or on again; webhooks that are still to come obey, also those of
    /// calls already made. How calls end is no fault and stays.
    pub fn set_faults(&self, on: bool) {
        self.0.state().faults_off = !on;
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("calls", &self.0.state().calls.len()).finish_non_exhaustive()
    }
}

/// What the fate of a request hangs on: the name given to the call, or else the number to call.
fn order_key(order: &Order) -> String {
    order.name.clone().unwrap_or_else(|| order.customer.clone())
}

fn call_key(call: &Call) -> String {
    call.name.clone().unwrap_or_else(|| call.customer().to_owned())
}

impl State {
    fn active(&mut self, now: Timestamp) -> usize {
        while self.ends.first().is_some_and(|(end, _)| *end <= now) {
            self.ends.pop_first();
        }
        self.ends.len()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, call: &Call) {
        if let Some(save) = &self.save {
            match serde_json::to_value(call) {
                Ok(value) => save(&call.id, value),
                Err(error) => tracing::error!(call.id = %call.id, %error, "call {} was not saved", call.id),
            }
        }
    }

    fn save_assistant(&self, assistant: &Value) {
        if let (Some(save), Some(id)) = (&self.save, assistant["id"].as_str()) {
            save(id, json!({ KEPT_ASSISTANT: assistant }));
        }
    }

    /// Makes the call that was ordered. `None`: all lines are taken.
    fn make(self: &Arc<Self>, order: Order) -> Option<(Call, usize)> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.active(now) >= self.config.concurrency_limit {
            return None;
        }
        let key = order_key(&order);
        let count = state.named.entry(key.clone()).or_default();
        let id = script::uuid(self.config.seed, &["call", &key, &count.to_string()]);
        *count += 1;
        let fixed =
            order.customer.parse::<PhoneNumber>().ok().and_then(|number| self.config.scripts.get(&number));
        let drawn_by = order.name.as_deref().unwrap_or(&id);
        let mut script = fixed.copied().unwrap_or_else(|| Script::draw(&self.config, drawn_by));
        if !order.detects_voicemail() {
            script.ending = script.ending.undetected();
        }
        let call = Call::new(&self.config, id, order, script, now);
        self.save(&call);
        let free = self.config.concurrency_limit - state.active(now) - 1;
        self.add(&mut state, call.clone(), now);
        Some((call, free))
    }

    fn add(self: &Arc<Self>, state: &mut State, call: Call, now: Timestamp) {
        let place = state.calls.len();
        state.ends.insert((call.ended_at, place));
        let active = state.active(now);
        state.most_at_once = state.most_at_once.max(active);
        state.places.insert(call.id.clone(), place);
        for slot in (0..call.deliveries.len()).filter(|slot| !call.deliveries[*slot].done) {
            self.start_delivery(place, slot);
        }
        state.calls.push(call);
    }

    /// Ends the call, or deletes the data of a call that is over. `None`: there is no such call.
    fn delete(self: &Arc<Self>, id: &str) -> Option<Value> {
        let now = self.clock.now();
        let mut guard = self.state();
        let state = &mut *guard;
        let place = *state.places.get(id)?;
        let call = &mut state.calls[place];
        if call.erased || !call.is_seen(&self.config, now) {
            return None;
        }
        state.ends.remove(&(call.ended_at, place));
        let announced = call.deliveries.len();
        call.delete(&self.config, now);
        self.save(call);
        for slot in announced..call.deliveries.len() {
            self.start_delivery(place, slot);
        }
        Some(call.shown(now))
    }

    /// Each webhook is on its own way, as with the provider: one that is sent again does not hold up the next.
    fn start_delivery(self: &Arc<Self>, place: usize, slot: usize) {
        tokio::spawn(deliver(Arc::downgrade(self), place, slot));
    }

    /// When the webhook should be sent; `None` when it is not to be sent any more.
    fn planned(&self, place: usize, slot: usize) -> Option<Timestamp> {
        let delivery = &self.state().calls[place].deliveries[slot];
        (!delivery.done).then_some(delivery.at)
    }

    /// When the webhook is sent as faults stand at the moment for which it was planned; `None` when it is not.
    fn due(&self, place: usize, slot: usize) -> Option<Timestamp> {
        let mut state = self.state();
        let faults = !state.faults_off;
        let delivery = &state.calls[place].deliveries[slot];
        if delivery.done {
            return None;
        }
        let (dropped, late) = if faults { (delivery.lost, delivery.late) } else { (delivery.copy, None) };
        let due = late.unwrap_or(delivery.at);
        if dropped {
            self.finish(&mut state, place, slot);
        }
        (!dropped).then_some(due)
    }

    /// Where the webhook goes and what it says.
    fn parcel(&self, place: usize, slot: usize) -> Option<(Server, Bytes)> {
        let state = self.state();
        let call = &state.calls[place];
        let Delivery { event, done, .. } = call.deliveries[slot];
        call.server.clone().filter(|_| !done).map(|server| (server, call.webhook(event)))
    }

    /// The webhook needs nothing more.
    fn finish(&self, state: &mut State, place: usize, slot: usize) {
        let call = &mut state.calls[place];
        call.deliveries[slot].done = true;
        self.save(call);
    }
}

/// Sends one webhook at its moment, and again until it is acknowledged or given up. Ends with the simulator.
async fn deliver(simulator: Weak<Inner>, place: usize, slot: usize) -> Option<()> {
    let wait = {
        let inner = simulator.upgrade()?;
        inner.planned(place, slot)?.since(inner.clock.now())
    };
    tokio::time::sleep(wait).await;
    let wait = {
        let inner = simulator.upgrade()?;
        inner.due(place, slot)?.since(inner.clock.now())
    };
    tokio::time::sleep(wait).await;
    let mut waits = BACKOFF.into_iter();
    loop {
        let (webhooks, (server, body)) = {
            let inner = simulator.upgrade()?;
            (inner.webhooks.clone(), inner.parcel(place, slot)?)
        };
        if send(&webhooks, &server, body).await {
            break;
        }
        let Some(wait) = waits.next() else {
            tracing::warn!("a webhook to {} was given up", server.url);
            break;
        };
        tokio::time::sleep(wait).await;
    }
    let inner = simulator.upgrade()?;
    inner.finish(&mut inner.state(), place, slot);
    Some(())
}

/// Sends a webhook once. Returns whether that settles it: taken, or refused for good.
async fn send(webhooks: &Transport, server: &Server, body: Bytes) -> bool {
    let request = match server.request(body) {
        Ok(request) => request,
        Err(error) => {
            tracing::error!(%error, "a webhook to {} cannot be written", server.url);
            return true;
        }
    };
    let timeout = Duration::from_secs(server.timeout_seconds);
    match tokio::time::timeout(timeout, webhooks.send(request)).await {
        Ok(Ok(response)) => response.status().is_success() || FINAL.contains(&response.status().as_u16()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a webhook to {} was not delivered", server.url);
            false
        }
        Err(_elapsed) => false,
    }
}
