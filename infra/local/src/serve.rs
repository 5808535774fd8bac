//! The stack on this machine, over HTTP, kept in a folder: for development, and for a first look.
//!
//! Everything listens on loopback only, behind the [`Entrance`](crate::entrance). With `VAPI_API_KEY` set the calls are real: the provider is Vapi, time is real,
//! and webhooks come to `DIALPOOL_PUBLIC_URL`. Without it the provider is the simulator, whose calls and assistants survive a restart.
//! With `AWS_ENDPOINT_URL` set the imports and keys go to that endpoint instead of the folder, by the system's clock and with
//! the `PHONE_HASH_KEY` of the deployment.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use clap::Args;
use control_api::{Ahead, Plan, export_calls, export_contacts, look_ahead};
use dialpool_domain::campaign::{Cap, NewCampaign, Policy};
use dialpool_domain::consent::ConsentRequired;
use dialpool_domain::contact::NewContact;
use dialpool_domain::event::Cause;
use dialpool_domain::time::Duration;
use dialpool_domain::{CampaignId, CompanyId, Timestamp, TraceId};
use dialpool_dynamo::{CampaignMade, Company, HashKey, PhoneHasher, Proof, Store, Tables};
use dialpool_providers::http::{Roots, Transport};
use dialpool_runtime::http::issue_api_key;
use dialpool_runtime::{Clock, Entropy};
use tokio::net::TcpListener;

use crate::engine::Engine;
use crate::entrance::{ACCESS_KEY, Entrance, Signatures};
use crate::listen::listen;
use crate::local::{ACCOUNT_LINES, TEMPLATE, simulated};
use crate::simulator::{CallJournal, Config, Simulator};
use crate::stack::{Loopback, Options, Stack};
use crate::template::Template;
use crate::{campaign_view, import, pool_view};

/// Where the stack is kept and what it is made of.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The folder that keeps everything.
    #[arg(long, global = true, default_value = ".dialpool", env = "DIALPOOL_FOLDER")]
    pub folder: PathBuf,
    /// The SAM template to run, instead of the one that was built in.
    #[arg(long, global = true)]
    pub template: Option<PathBuf>,
}

/// How `serve` runs.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeOptions {
    /// The port of the API on 127.0.0.1.
    #[arg(long, env = "DIALPOOL_PORT")]
    pub port: Option<u16>,
    /// Begins at this moment instead of now, with the simulated provider only: 2026-03-02T17:00:00Z is a Monday
    /// noon in New York, 9 in the morning in Los Angeles.
    #[arg(long)]
    pub at: Option<Timestamp>,
    /// The mean length of a simulated call, in seconds.
    #[arg(long)]
    pub call_seconds: Option<u64>,
    /// How many of 100 simulated people take the call.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub answer_percent: Option<u8>,
    /// Where the simulation's chance starts.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Origins whose web pages may call the API, parted by commas, such as http://localhost:5173; `*` for any.
    #[arg(long, value_name = "ORIGINS", env = "DIALPOOL_CORS_ORIGINS")]
    pub cors_origins: Option<String>,
}

/// The campaign that leads go into.
#[derive(Debug, Clone, Args)]
pub struct CampaignOptions {
    /// The campaign; without it a new one is made.
    #[arg(long)]
    pub campaign: Option<CampaignId>,
    /// The assistant of a new campaign, by its id at the provider.
    #[arg(long, default_value = "assistant-demo")]
    pub assistant: String,
    /// Calls at once of a new campaign: 1 to 50, 8 unless given.
    #[arg(long, value_parser = cap_of, conflicts_with = "campaign")]
    pub cap: Option<Cap>,
    /// What a new campaign needs of the people it calls: `express_written`, which it is unless given, `express` or `none`.
    #[arg(long, value_name = "KIND", value_parser = consent_required_of, conflicts_with = "campaign")]
    pub consent_required: Option<ConsentRequired>,
}

fn cap_of(text: &str) -> anyhow::Result<Cap> {
    Ok(text.parse::<u32>()?.try_into()?)
}

fn consent_required_of(text: &str) -> serde_json::Result<ConsentRequired> {
    serde_json::from_value(text.into())
}

const PORT: u16 = 7700;

/// Where the folder keeps the key of the suppression lists.
const PHONE_HASH_SECRET: &str = "secret/phone-hash";

impl Place {
    fn template(&self) -> anyhow::Result<Template> {
        match &self.template {
            Some(file) => Template::read(file),
            None => Ok(Template::parse(TEMPLATE)?),
        }
    }

    fn engine(&self, clock: Clock) -> anyhow::Result<Engine> {
        let opened = Engine::in_folder(&self.folder, clock);
        opened.with_context(|| format!("failed to open the local stack in {}", self.folder.display()))
    }

    /// What names numbers on suppression lists: `PHONE_HASH_KEY` when that is set, else the folder's, for its own tables only. Not
    /// proven to be the key that people are filed under.
    fn hasher(&self) -> anyhow::Result<PhoneHasher> {
        let key = match std::env::var("PHONE_HASH_KEY") {
            Ok(key) if !key.is_empty() => key,
            _ if is_elsewhere() => anyhow::bail!(
                "AWS_ENDPOINT_URL is set, so PHONE_HASH_KEY must be the `phone_hash_key` of the deployment"
            ),
            _ => remembered_secret(&self.engine(Clock::system())?, PHONE_HASH_SECRET, &entropy()?)?,
        };
        Ok(PhoneHasher::new(key.into()))
    }

    /// The tables: at `AWS_ENDPOINT_URL` when that is set, else in the folder.
    async fn store(&self) -> anyhow::Result<Store> {
        if is_elsewhere() {
            let tables = Tables {
                pool: table_name("POOL_TABLE", "PoolTable"),
                dialing: table_name("DIALING_TABLE", "DialingTable"),
                people: table_name("PEOPLE_TABLE", "PeopleTable"),
                journal: table_name("JOURNAL_TABLE", "JournalTable"),
            };
            let sdk = dialpool_runtime::aws::sdk_of_process().await?;
            return Ok(Store::new(aws_sdk_dynamodb::Client::new(&sdk), tables));
        }
        let engine = self.engine(Clock::system())?;
        engine.create(&self.template()?).await?;
        Ok(engine.store())
    }

    /// The clock of the stack whose tables these are.
    fn clock(&self) -> anyhow::Result<Clock> {
        if is_elsewhere() { Ok(Clock::system()) } else { Ok(moved_clock(None, &self.folder)?.0) }
    }
}

/// Whether the tables are at `AWS_ENDPOINT_URL` and not in the folder.
fn is_elsewhere() -> bool {
    std::env::var_os("AWS_ENDPOINT_URL").is_some()
}

fn entropy() -> anyhow::Result<Entropy> {
    Entropy::system().map_err(|error| anyhow::anyhow!("no randomness: {error}"))
}

fn table_name(variable: &str, default: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| default.to_owned())
}

/// Runs the stack until it is interrupted.
///
/// # Errors
/// When the template cannot be run, or the port is taken.
pub async fn serve(place: &Place, options: &ServeOptions) -> anyhow::Result<()> {
    let template = place.template()?;
    let real_key = std::env::var("VAPI_API_KEY").ok().filter(|key| !key.is_empty());
    anyhow::ensure!(
        real_key.is_none() || options.at.is_none(),
        "--at: the calls are real (VAPI_API_KEY is set), so time is, too"
    );
    anyhow::ensure!(
        real_key.is_none() || !place.folder.join(BEGAN_AT).exists(),
        "{} has a simulated past: real calls (VAPI_API_KEY is set) need a folder of their own, see --folder",
        place.folder.display()
    );
    let public_host = public_host()?;
    let _alone = alone(&place.folder)?;
    let (clock, moved) = moved_clock(options.at, &place.folder)?;
    let engine = place.engine(clock.clone())?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port.unwrap_or(PORT)));
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}"))?;
    let address = listener.local_addr()?;

    let entropy = entropy()?;
    let secret = remembered_secret(&engine, "secret/webhook", &entropy)?;
    let hash_key = remembered_secret(&engine, PHONE_HASH_SECRET, &entropy)?;
    let loopback = Loopback::default();
    let mut made_of = match &real_key {
        Some(key) => {
            let (provider, variables) = real_provider(key)?;
            Options::new(engine.clone(), clock.clone(), entropy.clone(), provider, variables)
        }
        None => {
            let simulator = simulator(&engine, &clock, options, &loopback)?;
            simulator.has_numbers_of(engine.store());
            simulated(engine.clone(), clock.clone(), entropy.clone(), &simulator, ACCOUNT_LINES)
        }
    };
    made_of.variables.insert("vapi_webhook_secret".to_owned(), secret);
    let hasher = PhoneHasher::new(hash_key.clone().into());
    made_of.variables.insert("phone_hash_key".to_owned(), hash_key);
    if let Some(origins) = &options.cors_origins {
        made_of.variables.insert("CORS_ALLOW_ORIGINS".to_owned(), origins.clone());
    }
    // A folder from before there was a canary gets one.
    engine.create(&template).await?;
    proven(&engine.store(), clock.now(), &hasher).await?;
    let stack = Stack::start(&template, made_of).await?;
    // From here on the start has succeeded: one that fails leaves the clock where it was.
    if let Some(offset_ms) = moved {
        std::fs::write(place.folder.join(BEGAN_AT), offset_ms.to_string())?;
    }
    let told_to_stop = told_to_stop().context("failed to wait for Ctrl-C")?;
    let is_simulated = real_key.is_none();
    let api = loopback.is(stack.api());
    // The clock went on while the stack was down: what was due then is due now.
    for schedule in ["ReleaseSweeper", "CampaignPacer"] {
        stack.tick(schedule).await;
    }
    let key = first_key(&engine, &stack.store, &entropy).await?;
    // What is not a route of the API is for the AWS tools of this machine: not where Vapi, and so anybody, reaches it.
    let aws_secret = match is_simulated {
        true => Some(remembered_secret(&engine, "secret/aws", &entropy)?),
        false => None,
    };
    welcome(&address, &key, aws_secret.as_deref(), &place.folder, clock.now());
    let signatures = |secret| (engine.endpoint(), Signatures::by(secret, Clock::system()));
    let entrance = Entrance::new(Router::clone(&api), public_host, aws_secret.map(signatures));
    listen(listener, entrance.router(), told_to_stop).await;
    println!("\nstopped; everything is kept in {}", place.folder.display());
    Ok(())
}

/// Ends with Ctrl-C, and with the signal by which a supervisor ends a process.
#[cfg(unix)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ends with Ctrl-C.
#[cfg(not(unix))]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

/// The folder for this process alone, for as long as what this returns is kept: two stacks would each have the queues' messages
/// worked on, and move the clock.
fn alone(folder: &Path) -> anyhow::Result<std::fs::File> {
    std::fs::create_dir_all(folder)?;
    let lock = std::fs::File::create(folder.join("serving"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => {
            anyhow::bail!("another `dialpool serve` runs on {}", folder.display())
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error).context("failed to lock the folder"),
    }
}

/// Where the folder keeps by how many milliseconds its time differs from the system's.
const BEGAN_AT: &str = "began-at";

/// Real time, or time that began at `at`. Over restarts simulated time goes on from where the folder's clock got to. Besides,
/// what the folder has to keep once the stack has started with another beginning.
fn moved_clock(at: Option<Timestamp>, folder: &Path) -> anyhow::Result<(Clock, Option<i64>)> {
    let file = folder.join(BEGAN_AT);
    let system = Clock::system();
    let (offset, moved) = match (at, std::fs::read_to_string(&file)) {
        (Some(at), _) => {
            let offset = at.as_millis() - system.now().as_millis();
            (offset, Some(offset))
        }
        (None, Ok(saved)) => {
            let saved = saved.trim().parse();
            (saved.with_context(|| format!("{} is no number", file.display()))?, None)
        }
        (None, Err(_)) => return Ok((system, None)),
    };
    let clock =
        Clock::from_fn(move || Timestamp::from_millis(system.now().as_millis().saturating_add(offset)));
    Ok((clock, moved))
}

/// The host by which others than this machine reach the API, when one is named.
fn public_host() -> anyhow::Result<Option<String>> {
    let Some(url) = std::env::var("DIALPOOL_PUBLIC_URL").ok().filter(|url| !url.is_empty()) else {
        return Ok(None);
    };
    let host = url.parse::<http::Uri>().ok().and_then(|url| url.host().map(str::to_owned));
    let host = host
        .with_context(|| format!("DIALPOOL_PUBLIC_URL is {url}, which is no address such as https://..."))?;
    Ok(Some(host))
}

fn real_provider(key: &str) -> anyhow::Result<(Transport, BTreeMap<String, String>)> {
    let public = std::env::var("DIALPOOL_PUBLIC_URL").context(
        "VAPI_API_KEY is set, so DIALPOOL_PUBLIC_URL must be where Vapi reaches this stack (https://...)",
    )?;
    let url = format!("{}/v1/webhooks/vapi", public.trim_end_matches('/'));
    let transport = Transport::network(Roots::OfSystem).context("failed to set the connection to Vapi up")?;
    let variables =
        BTreeMap::from([("WEBHOOK_URL".to_owned(), url), ("vapi_api_key".to_owned(), key.to_owned())]);
    Ok((transport, variables))
}

fn simulator(
    engine: &Engine,
    clock: &Clock,
    options: &ServeOptions,
    loopback: &Loopback,
) -> anyhow::Result<Simulator> {
    let mut config = Config { seed: options.seed, ..Config::default() };
    if let Some(seconds) = options.call_seconds {
        config.mean_call = Duration::from_secs(seconds);
        config.ring = Duration::from_secs(seconds.min(8));
    }
    if let Some(percent) = options.answer_percent {
        config.answer_rate = f64::from(percent) / 100.0;
        for rate in [&mut config.voicemail_rate, &mut config.busy_rate, &mut config.invalid_rate] {
            *rate = rate.min(1.0 - config.answer_rate);
        }
    }
    let saved = engine.state().list("simulator/")?.into_iter().map(|(_, call)| call).collect();
    let state = engine.state().clone();
    let save = Arc::new(move |id: &str, call: serde_json::Value| {
        if let Err(error) = state.put(&format!("simulator/{id}"), &call) {
            tracing::error!("failed to keep what the simulator has: {error}");
        }
    });
    Ok(Simulator::new(config, clock.clone(), loopback.transport(), Some(CallJournal { save, saved }))?)
}

/// A secret that is made the first time and kept.
fn remembered_secret(engine: &Engine, key: &str, entropy: &Entropy) -> anyhow::Result<String> {
    if let Some((_, saved)) = engine.state().list(key)?.into_iter().next()
        && let Some(secret) = saved.as_str()
    {
        return Ok(secret.to_owned());
    }
    let secret = format!("{:032x}", entropy.next_u128());
    engine.state().put(key, &serde_json::json!(secret))?;
    Ok(secret)
}

/// The key of the company `demo`, made the first time.
async fn first_key(engine: &Engine, store: &Store, entropy: &Entropy) -> anyhow::Result<String> {
    let key = "secret/first-key";
    if let Some((_, saved)) = engine.state().list(key)?.into_iter().next()
        && let Some(text) = saved.as_str()
    {
        return Ok(text.to_owned());
    }
    let (text, _is_new) = new_key(store, &"demo".parse()?, entropy).await?;
    engine.state().put(key, &serde_json::json!(text))?;
    Ok(text)
}

/// A key to a company, and whether the company was made for it.
async fn new_key(store: &Store, company: &CompanyId, entropy: &Entropy) -> anyhow::Result<(String, bool)> {
    let is_new = store.create_company(&Company::new(company.clone(), company.as_str())).await?;
    Ok((issue_api_key(store, entropy, Some(company)).await?, is_new))
}

fn welcome(address: &SocketAddr, key: &str, aws_secret: Option<&str>, folder: &Path, now: Timestamp) {
    let provider = if aws_secret.is_some() { "simulated" } else { "Vapi: calls are real" };
    println!("Dialpool is up: http://{address}   provider: {provider}   kept in {}", folder.display());
    println!("time            {now}");
    println!("API key (demo)  {key}");
    println!();
    println!("Try:");
    println!("  export DIALPOOL_KEY={key}");
    println!("  curl -s http://{address}/v1/numbers:import -H \"Authorization: Bearer $DIALPOOL_KEY\" \\");
    println!("    -H 'Content-Type: text/csv' --data-binary @events/demo/numbers.csv");
    println!("  curl -s http://{address}/v1/assignments -H \"Authorization: Bearer $DIALPOOL_KEY\" \\");
    println!(
        "    -H 'Content-Type: application/json' -d '{{\"lead\":\"lead-1\",\"phone\":\"+14155550123\"}}'"
    );
    println!("  curl -s http://{address}/v1/pool -H \"Authorization: Bearer $DIALPOOL_KEY\"");
    if let Some(secret) = aws_secret {
        println!();
        println!("The AWS tools need a key, too:");
        println!(
            "  export AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={secret} AWS_REGION=us-east-1"
        );
        println!("  aws --endpoint-url http://{address} dynamodb scan --table-name JournalTable");
    }
}

/// Makes a company, or another key to it, and prints the key; without a company, an operator's.
///
/// # Errors
/// When the store gives no answer.
pub async fn make_key(place: &Place, company: Option<&CompanyId>) -> anyhow::Result<()> {
    let (entropy, store) = (entropy()?, place.store().await?);
    let key = match company {
        Some(company) => {
            let (key, is_new) = new_key(&store, company, &entropy).await?;
            if is_new {
                eprintln!("company {company} was made");
            }
            key
        }
        None => issue_api_key(&store, &entropy, None).await?,
    };
    println!("{key}");
    Ok(())
}

/// Fails unless this is the key that people are filed under; writes the canary when there is none yet.
async fn proven(store: &Store, now: Timestamp, hasher: &PhoneHasher) -> anyhow::Result<Proof> {
    let (key, proof) = store.prove_hash_key(now, hasher).await?;
    let Proof { same, other } = proof;
    match key {
        HashKey::Same => Ok(proof),
        HashKey::Other => anyhow::bail!(
            "PHONE_HASH_KEY is not the key that people are filed under ({other} events of the journal have another, {same} this \
             one): put the former phone_hash_key back (runbook, \"A changed phone_hash_key\")"
        ),
        HashKey::Unproven => anyhow::bail!("the canary of PHONE_HASH_KEY is gone again: run this once more"),
    }
}

/// Compares `PHONE_HASH_KEY` with what people are filed under, and writes the canary that functions compare at their start.
///
/// # Errors
/// When it is another key, or the store gives no answer.
pub async fn check_hash_key(place: &Place) -> anyhow::Result<()> {
    let (hasher, store) = (place.hasher()?, place.store().await?);
    let proof = proven(&store, place.clock()?.now(), &hasher).await?;
    match proof.same {
        0 => println!("PHONE_HASH_KEY is the key of these tables"),
        events => {
            println!(
                "PHONE_HASH_KEY is the key of these tables: {events} events have numbers filed under it"
            );
        }
    }
    Ok(())
}

/// Withdraws an API key.
///
/// # Errors
/// When there is no such key, or the store gives no answer.
pub async fn revoke_key(place: &Place, key_id: &str) -> anyhow::Result<()> {
    let revoked = place.store().await?.revoke_api_key(place.clock()?.now(), key_id).await?;
    anyhow::ensure!(revoked, "there is no key of the id {key_id}");
    println!("key {key_id} is withdrawn");
    Ok(())
}

/// Imports numbers and prints the report.
///
/// # Errors
/// When the file cannot be read, the company is not known, or the store gives no answer.
pub async fn import_numbers(
    place: &Place,
    file: &Path,
    company: &CompanyId,
    dry_run: bool,
) -> anyhow::Result<ExitCode> {
    let accepted = import::numbers_of(file, company)?;
    let store = place.store().await?;
    let _known = known(&store, company).await?;
    let report = import::import_numbers(&store, &cause(place)?, company, accepted, dry_run).await?;
    import::print(&report, "numbers");
    Ok(code(&report))
}

/// Imports leads into a campaign, which is made when none is named, and prints the report.
///
/// # Errors
/// When the file cannot be read, the company or the campaign is not known, or the store gives no answer.
pub async fn import_leads(
    place: &Place,
    file: &Path,
    company: &CompanyId,
    options: CampaignOptions,
    map: &[String],
    dry_run: bool,
) -> anyhow::Result<ExitCode> {
    let (accepted, hasher) = (import::contacts_of(file, map)?, place.hasher()?);
    let store = place.store().await?;
    let known = known(&store, company).await?;
    let cause = cause(place)?;
    let id = match options.campaign {
        Some(id) => Some(id),
        None if dry_run => None,
        None => {
            let name = file.file_stem().map_or_else(|| "import".into(), |stem| stem.to_string_lossy());
            let new = NewCampaign {
                id: CampaignId::new(cause.at, entropy()?.next_u128()),
                company: company.clone(),
                name: name.into_owned(),
                assistant_id: options.assistant,
                cap: options.cap.unwrap_or_default(),
                hold: known.hold_hours,
                from_number: None,
                policy: Policy {
                    consent_required: options.consent_required.unwrap_or_default(),
                    ..Policy::default()
                },
            };
            let made = store.create_campaign(&cause, &new).await?;
            anyhow::ensure!(made == CampaignMade::Done, "{company} has no assistant {}", new.assistant_id);
            println!("campaign {} was made; start it with POST /v1/campaigns/{}/start", new.id, new.id);
            Some(new.id)
        }
    };
    let report =
        import::import_contacts(&store, &cause, company, id.as_ref(), &hasher, accepted, dry_run).await?;
    import::print(&report, "leads");
    Ok(code(&report))
}

async fn known(store: &Store, company: &CompanyId) -> anyhow::Result<Company> {
    let unknown = || anyhow::anyhow!("company {company} is not known; make it with `dialpool key {company}`");
    store.company(company).await?.ok_or_else(unknown)
}

/// An import by the clock of the stack.
fn cause(place: &Place) -> anyhow::Result<Cause> {
    let at = place.clock()?.now();
    Ok(Cause { at, actor: "import".to_owned(), trace_id: TraceId::new(1) })
}

/// A report with refused rows is a failure for whoever calls this from a script.
fn code(report: &control_api::Report) -> ExitCode {
    if report.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

/// Draws the pool of a company.
///
/// # Errors
/// When there is no such company, or the store gives no answer.
pub async fn show_pool(place: &Place, company: &CompanyId, watch: bool) -> anyhow::Result<()> {
    let store = place.store().await?;
    pool_view::show(&store, &place.clock()?, company, watch).await
}

/// Draws a campaign until it is over.
///
/// # Errors
/// When there is no such campaign, or the store gives no answer.
pub async fn watch_campaign(place: &Place, id: &CampaignId) -> anyhow::Result<()> {
    let store = place.store().await?;
    campaign_view::watch(&store, &place.clock()?, id).await
}

/// Writes the contacts of a campaign, or its calls, into a CSV file.
///
/// # Errors
/// When there is no such campaign, the store gives no answer, or the file cannot be written.
pub async fn export(place: &Place, id: &CampaignId, file: &Path, calls: bool) -> anyhow::Result<()> {
    let store = place.store().await?;
    let campaign = store.campaign_of_job(id).await?;
    let company = campaign.ok_or_else(|| anyhow::anyhow!("there is no campaign {id}"))?.company;
    let unwritten = || format!("failed to write {}", file.display());
    let mut output = std::fs::File::create(file).with_context(unwritten)?;
    let (mut contact, mut call) = (None, None);
    loop {
        let (csv, more) = if calls {
            let page = export_calls(&store, &company, id, call.take()).await?;
            call = page.next.map(|(at, id)| Ok::<_, anyhow::Error>((at, id.parse()?))).transpose()?;
            (page.csv, call.is_some())
        } else {
            let page = export_contacts(&store, &company, id, contact.as_ref()).await?;
            let page = page.ok_or_else(|| anyhow::anyhow!("there is no campaign {id}"))?;
            contact = page.next;
            (page.csv, contact.is_some())
        };
        output.write_all(csv.as_bytes()).with_context(unwritten)?;
        if !more {
            return Ok(());
        }
    }
}

/// Looks ahead at a file of leads, and prints who may be called.
///
/// # Errors
/// When the file cannot be read, the company is not known, or the store gives no answer.
pub async fn preflight(
    place: &Place,
    file: &Path,
    company: &CompanyId,
    cap: u32,
    without_consent: bool,
    map: &[String],
) -> anyhow::Result<()> {
    let (accepted, hasher) = (import::contacts_of(file, map)?, place.hasher()?);
    let store = place.store().await?;
    let company = known(&store, company).await?;
    let now = place.clock()?.now();
    proven(&store, now, &hasher).await?;
    let ahead = |(_, contact): (u64, NewContact)| Ahead {
        phone: contact.phone,
        address: contact.address,
        consent: contact.consent,
        due_at: now,
    };
    let contacts: Vec<Ahead> = accepted.rows.into_iter().map(ahead).collect();
    let consent_required = if without_consent { ConsentRequired::None } else { ConsentRequired::default() };
    let hold = Some(company.hold_hours);
    let plan = Plan { company: &company, cap: cap.try_into()?, hold, consent_required };
    let looked = look_ahead(&store, &hasher, plan, &contacts, now).await?;
    campaign_view::print_ahead(&looked);
    if !accepted.not_read.is_empty() {
        println!("columns not read: {}", accepted.not_read.join(", "));
    }
    let suppressed = accepted.suppressed.iter().map(|marked| &marked.row);
    for row in accepted.refused.iter().chain(suppressed) {
        println!("line {}: {} {}", row.line, row.field, row.reason);
    }
    Ok(())
}
