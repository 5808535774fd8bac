//! `dialpool pool`: the pool of a company, drawn for a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use dialpool_domain::{CompanyId, Timestamp};
use dialpool_dynamo::{Company, NumberState, PoolSummary, Standing, Store};
use dialpool_runtime::Clock;

const WIDTH: u64 = 50;

/// Health in bands, from well to ill.
const BANDS: [(&str, std::ops::RangeInclusive<u8>); 5] =
    [("90-100", 90..=100), ("70-89", 70..=89), ("50-69", 50..=69), ("40-49", 40..=49), (" 0-39", 0..=39)];

/// How many of the next releases are shown.
const RELEASES: usize = 5;

/// Prints the pool; with `watch` again every two seconds, until the program is interrupted.
///
/// # Errors
/// When there is no such company, or the store gives no answer.
pub(crate) async fn show(
    store: &Store,
    clock: &Clock,
    company: &CompanyId,
    watch: bool,
) -> anyhow::Result<()> {
    loop {
        let tenant = store.company(company).await?;
        let tenant = tenant.ok_or_else(|| anyhow::anyhow!("there is no company {company}"))?;
        let picture = draw(&store.all_numbers(company).await?, &tenant, clock.now());
        if !watch {
            print!("{picture}");
            return Ok(());
        }
        // The screen from its top, without what stood there.
        print!("\x1b[H\x1b[2J{picture}");
        std::io::Write::flush(&mut std::io::stdout())?;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
        }
    }
}

fn draw(numbers: &[NumberState], company: &Company, now: Timestamp) -> String {
    let summary = PoolSummary::of(numbers, now);
    let mut picture = String::new();
    let mut line = |text: String| {
        // Writing to a string does not fail.
        let _written = writeln!(picture, "{text}");
    };
    line(format!("{} at {now}", company.label));
    line(String::new());
    line(format!(
        "{} {} % of {} numbers in use",
        bar(&summary),
        summary.utilisation_percent(),
        summary.in_service()
    ));
    line(format!(
        "available {}   assigned {}   resting {}   quarantined {}   retired {}",
        summary.available, summary.assigned, summary.resting, summary.quarantined, summary.retired
    ));
    line(String::new());
    line("health".to_owned());
    let scores: Vec<u8> = numbers
        .iter()
        .filter(|number| number.standing(now) != Standing::Retired)
        .map(|number| number.health(now, company).score)
        .collect();
    for (name, band) in BANDS {
        let count = scores.iter().filter(|score| band.contains(score)).count() as u64;
        line(format!("  {name:>6} {count:>5} {}", blocks('#', share(count, scores.len() as u64))));
    }
    line(String::new());
    line("soonest releases".to_owned());
    let mut held: Vec<_> = numbers
        .iter()
        .filter(|number| number.standing(now) == Standing::Assigned)
        .filter_map(|number| Some((number.release_at?, number)))
        .collect();
    held.sort_by_key(|(release_at, _)| *release_at);
    for (release_at, number) in held.iter().take(RELEASES) {
        let minutes = release_at.since(now).as_secs() / 60;
        let lead = number.held_by.as_ref().map(ToString::to_string).unwrap_or_default();
        line(format!("  {} in {:>3} h {:>2} min, {lead}", number.number, minutes / 60, minutes % 60));
    }
    if held.is_empty() {
        line("  nobody holds a number".to_owned());
    }
    picture
}

/// `#` assigned, `~` resting, `!` quarantined, `.` available.
fn bar(summary: &PoolSummary) -> String {
    let of = summary.in_service();
    let parts = [('#', summary.assigned), ('~', summary.resting), ('!', summary.quarantined)];
    let mut drawn = String::new();
    let mut counted = 0;
    for (sign, count) in parts {
        counted += count;
        let upto = usize::try_from(share(counted, of)).unwrap_or(0);
        let missing = upto.saturating_sub(drawn.len());
        drawn.extend(std::iter::repeat_n(sign, missing));
    }
    let rest = usize::try_from(WIDTH).unwrap_or(0).saturating_sub(drawn.len());
    format!("[{drawn}{}]", ".".repeat(rest))
}

fn share(count: u64, of: u64) -> u64 {
    (count * WIDTH).checked_div(of).unwrap_or(0)
}

fn blocks(sign: char, count: u64) -> String {
    std::iter::repeat_n(sign, usize::try_from(count).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_shows_the_shares_of_the_pool() {
        let summary = PoolSummary {
            available: 25,
            assigned: 50,
            resting: 20,
            quarantined: 5,
            ..PoolSummary::default()
        };
        assert_eq!(
            bar(&summary),
            format!("[{}{}{}{}]", "#".repeat(25), "~".repeat(10), "!!", ".".repeat(13))
        );
        assert_eq!(bar(&PoolSummary::default()), format!("[{}]", ".".repeat(50)));
    }
}
