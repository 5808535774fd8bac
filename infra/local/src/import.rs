//! Files into a stack: numbers into a company's pool, leads into a campaign.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use control_api::{Accepted, Mapping, Report};
use dialpool_domain::contact::NewContact;
use dialpool_domain::event::Cause;
use dialpool_domain::pool::NewNumber;
use dialpool_domain::{CampaignId, CompanyId, PhoneNumber};
use dialpool_dynamo::{Added, PhoneHasher, Store};
use indicatif::{ProgressBar, ProgressStyle};

/// How many contacts go into the store between two steps of the progress bar.
const CONTACTS_AT_ONCE: usize = 500;

/// Reads the numbers of a CSV or JSON file.
///
/// # Errors
/// When the file cannot be read at all; rows that cannot are in the result.
pub fn numbers_of(file: &Path, company: &CompanyId) -> anyhow::Result<Accepted<NewNumber>> {
    read(file, |body, json| control_api::read_numbers(body, json, company))
}

/// Reads the contacts of a CSV or JSON file.
///
/// # Errors
/// When the file cannot be read at all; rows that cannot are in the result.
pub fn contacts_of(file: &Path, map: &[String]) -> anyhow::Result<Accepted<NewContact>> {
    let mapping = Mapping::parse(map.iter().map(String::as_str));
    let mapping = mapping.map_err(|reason| anyhow::anyhow!("--map: {reason}"))?;
    read(file, |body, json| control_api::read_mapped_contacts(body, json, mapping.clone()))
}

fn read<T>(
    file: &Path,
    parse: impl Fn(&[u8], bool) -> Result<Accepted<T>, dialpool_runtime::http::Problem>,
) -> anyhow::Result<Accepted<T>> {
    let bytes = std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    let json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    parse(&bytes, json).map_err(|problem| anyhow::anyhow!("{}: {problem}", file.display()))
}

/// Brings numbers into the pool of a company.
///
/// # Errors
/// When the store gives no answer; the import can be repeated.
pub async fn import_numbers(
    store: &Store,
    cause: &Cause,
    company: &CompanyId,
    accepted: Accepted<NewNumber>,
    dry_run: bool,
) -> anyhow::Result<Report> {
    let bar = bar(accepted.rows.len());
    let report = control_api::bring_numbers(store, cause, company, accepted, dry_run, || bar.inc(1)).await?;
    bar.finish_and_clear();
    Ok(report)
}

/// Adds contacts to a campaign of a company; without a campaign, says what adding them to a new one would do.
///
/// # Errors
/// When there is no such campaign, it is over, or the store gives no answer; the import can be repeated.
pub async fn import_contacts(
    store: &Store,
    cause: &Cause,
    company: &CompanyId,
    campaign: Option<&CampaignId>,
    hasher: &PhoneHasher,
    accepted: Accepted<NewContact>,
    dry_run: bool,
) -> anyhow::Result<Report> {
    if !dry_run {
        // Before the first contact is there: whoever must not be called is called by no other campaign either.
        control_api::suppress_marked(store, cause, company, hasher, &accepted.suppressed).await?;
    }
    let (rows, not_read) = (accepted.read, accepted.not_read);
    let suppressed = accepted.suppressed.into_iter().map(|marked| marked.row).collect();
    let (lines, contacts): (Vec<u64>, Vec<NewContact>) = accepted.rows.into_iter().unzip();
    let (mut all_added, mut all_known) = (0, Vec::new());
    let report = |added, known| {
        let skipped = control_api::skipped(&lines, &contacts, known);
        let (known, refused) = (skipped.len() as u64, accepted.refused);
        Report { rows, added, known, skipped, refused, suppressed, not_read, dry_run }
    };
    let Some(campaign) = campaign else {
        let mut seen = BTreeSet::new();
        let again = contacts.iter().map(|contact| &contact.phone).filter(|phone| !seen.insert(*phone));
        let again: Vec<PhoneNumber> = again.cloned().collect();
        return Ok(report((contacts.len() - again.len()) as u64, again));
    };
    let bar = bar(contacts.len());
    for chunk in contacts.chunks(CONTACTS_AT_ONCE) {
        let added = if dry_run {
            store.would_add_contacts(company, campaign, chunk).await?
        } else {
            store.add_contacts(cause, company, campaign, chunk).await?
        };
        match added {
            Added::Done { added, known } => {
                all_added += added;
                all_known.extend(known);
            }
            Added::Over(status) => anyhow::bail!("campaign {campaign} is {status}: it takes no contacts"),
            Added::NotFound => anyhow::bail!("company {company} has no campaign {campaign}"),
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    Ok(report(all_added, all_known))
}

fn bar(rows: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(rows as u64).with_style(style)
}

/// The report of an import, for people.
pub fn print(report: &Report, kind: &str) {
    let would = if report.dry_run { " (dry run: nothing was changed)" } else { "" };
    println!(
        "{} rows: {} {kind} new, {} known, {} not to be called, {} refused{would}",
        report.rows,
        report.added,
        report.known,
        report.suppressed.len(),
        report.refused.len(),
    );
    if !report.not_read.is_empty() {
        println!("  columns not read: {}", report.not_read.join(", "));
    }
    for row in report.refused.iter().chain(&report.suppressed).chain(&report.skipped) {
        println!("  line {}: {}: {}", row.line, row.field, row.reason);
    }
}
