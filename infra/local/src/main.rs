//! The command `dialpool`: the stack on this machine, imports, the demo.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dialpool::{demo, serve};
use dialpool_domain::{CampaignId, CompanyId};

/// One phone number for one lead, one lawful call placed exactly once, its outcome taken in, the number free again.
#[derive(Debug, Parser)]
#[command(name = "dialpool", version)]
struct Command {
    #[command(flatten)]
    place: serve::Place,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Runs the stack until it is stopped; what you get without a command, too.
    Serve(serve::ServeOptions),
    /// Brings numbers or leads from a CSV or JSON file.
    #[command(subcommand)]
    Import(Import),
    /// Draws the pool of a company: how much of it is in use, how well its numbers do, what comes free next.
    Pool {
        /// Whose pool.
        #[arg(long, default_value = "demo")]
        company: CompanyId,
        /// Draws it again every two seconds.
        #[arg(long)]
        watch: bool,
    },
    /// Looks at a campaign.
    #[command(subcommand)]
    Campaign(CampaignAction),
    /// Says who of a file of leads may be called now, later, or never, and what calling them takes. Changes nothing.
    Preflight {
        /// CSV with a header line, or a JSON array of objects, as for `import leads`.
        file: PathBuf,
        /// Who would call them.
        #[arg(long, default_value = "demo")]
        company: CompanyId,
        /// Calls at once.
        #[arg(long, default_value_t = 8)]
        cap: u32,
        /// The people need not have agreed to be called.
        #[arg(long)]
        without_consent: bool,
        /// What a column of the file is, as `Header=field`; `ignore` is a field, too.
        #[arg(long, value_name = "HEADER=FIELD")]
        map: Vec<String>,
    },
    /// Makes a company, or another key to one; prints the key, which is shown only once.
    Key {
        /// The company: 1 to 40 of a-z, 0-9, - and _.
        #[arg(required_unless_present_any = ["operator", "revoke"], conflicts_with_all = ["operator", "revoke"])]
        company: Option<CompanyId>,
        /// Makes an operator's key: it makes and lists companies, and opens none.
        #[arg(long, conflicts_with = "revoke")]
        operator: bool,
        /// Withdraws a key: the digits between the first `_` and the second. In force within half a minute.
        #[arg(long, value_name = "KEY_ID")]
        revoke: Option<String>,
    },
    /// Compares `PHONE_HASH_KEY` with the key that people are filed under; writes the canary that functions compare at their start.
    HashKey,
    /// Runs a whole campaign against the simulated provider, in virtual time, and checks the invariants.
    Demo {
        /// The same seed gives the same demo.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

#[derive(Debug, Subcommand)]
enum CampaignAction {
    /// Draws it every two seconds: lines busy, outcomes, cost, when it ends.
    Watch {
        /// The campaign.
        id: CampaignId,
    },
    /// Writes its contacts with what became of them into a CSV file, or its calls with why each was lawful.
    Export {
        /// The campaign.
        id: CampaignId,
        /// The file; what it has is replaced.
        file: PathBuf,
        /// One row per call, with the record of why it was lawful.
        #[arg(long)]
        calls: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Import {
    /// Numbers into the pool of a company.
    Numbers {
        /// CSV with a header line, or a JSON array of objects.
        file: PathBuf,
        /// Whose pool.
        #[arg(long, default_value = "demo")]
        company: CompanyId,
        /// Says what would be done and changes nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Leads into a campaign, as its contacts.
    Leads {
        /// CSV with a header line, or a JSON array of objects.
        file: PathBuf,
        /// Whose campaign.
        #[arg(long, default_value = "demo")]
        company: CompanyId,
        #[command(flatten)]
        options: serve::CampaignOptions,
        /// What a column of the file is, as `Header=field`; `ignore` is a field, too.
        #[arg(long, value_name = "HEADER=FIELD")]
        map: Vec<String>,
        /// Says what would be done and changes nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

fn main() -> ExitCode {
    let command = Command::parse();
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dialpool: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error")),
        )
        .with_writer(std::io::stderr)
        .init();
    let place = command.place;
    let action = command.action.unwrap_or_else(|| Action::Serve(serve::ServeOptions::default()));
    match action {
        Action::Demo { seed } => {
            // Nothing is waited for but the clock, and the clock jumps: days of calling take seconds.
            let virtual_time =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
            let violations = virtual_time.block_on(demo::run(seed))?;
            Ok(if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Action::Serve(options) => {
            real_time()?.block_on(serve::serve(&place, &options)).map(|()| ExitCode::SUCCESS)
        }
        Action::Pool { company, watch } => {
            real_time()?.block_on(serve::show_pool(&place, &company, watch)).map(|()| ExitCode::SUCCESS)
        }
        Action::Campaign(CampaignAction::Watch { id }) => {
            real_time()?.block_on(serve::watch_campaign(&place, &id)).map(|()| ExitCode::SUCCESS)
        }
        Action::Campaign(CampaignAction::Export { id, file, calls }) => {
            real_time()?.block_on(serve::export(&place, &id, &file, calls)).map(|()| ExitCode::SUCCESS)
        }
        Action::Preflight { file, company, cap, without_consent, map } => {
            let looked = serve::preflight(&place, &file, &company, cap, without_consent, &map);
            real_time()?.block_on(looked).map(|()| ExitCode::SUCCESS)
        }
        Action::Key { revoke: Some(key_id), .. } => {
            real_time()?.block_on(serve::revoke_key(&place, &key_id)).map(|()| ExitCode::SUCCESS)
        }
        Action::Key { company, .. } => {
            real_time()?.block_on(serve::make_key(&place, company.as_ref())).map(|()| ExitCode::SUCCESS)
        }
        Action::HashKey => real_time()?.block_on(serve::check_hash_key(&place)).map(|()| ExitCode::SUCCESS),
        Action::Import(Import::Numbers { file, company, dry_run }) => {
            real_time()?.block_on(serve::import_numbers(&place, &file, &company, dry_run))
        }
        Action::Import(Import::Leads { file, company, options, map, dry_run }) => {
            real_time()?.block_on(serve::import_leads(&place, &file, &company, options, &map, dry_run))
        }
    }
}

fn real_time() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
