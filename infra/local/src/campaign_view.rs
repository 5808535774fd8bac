//! `dialpool campaign watch` and `dialpool preflight`: a campaign, drawn for a terminal.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use control_api::LookedAhead;
use dialpool_domain::campaign::{Campaign, CampaignStatus};
use dialpool_domain::{CampaignId, Timestamp};
use dialpool_dynamo::Store;
use dialpool_runtime::Clock;

const WIDTH: u64 = 50;

/// The end is estimated from what was done in the latest of these looks.
const LOOKS: usize = 150;

/// Draws the campaign every two seconds until it is over or the program is interrupted.
///
/// # Errors
/// When there is no such campaign, or the store gives no answer.
pub(crate) async fn watch(store: &Store, clock: &Clock, id: &CampaignId) -> anyhow::Result<()> {
    let mut looks: VecDeque<(Timestamp, u64)> = VecDeque::new();
    loop {
        let campaign = store.campaign_of_job(id).await?;
        let campaign = campaign.ok_or_else(|| anyhow::anyhow!("there is no campaign {id}"))?;
        let now = clock.now();
        looks.push_back((now, campaign.progress.contacts - campaign.progress.contacts_open));
        if looks.len() > LOOKS {
            looks.pop_front();
        }
        // The screen from its top, without what stood there.
        print!("\x1b[H\x1b[2J{}", draw(&campaign, now, ends_at(&campaign, &looks)));
        std::io::Write::flush(&mut std::io::stdout())?;
        if matches!(campaign.status, CampaignStatus::Completed | CampaignStatus::Cancelled) {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
        }
    }
}

/// When the rest is done, if it goes on as in these looks.
fn ends_at(campaign: &Campaign, looks: &VecDeque<(Timestamp, u64)>) -> Option<Timestamp> {
    let ((began, before), (now, done)) = (looks.front()?, looks.back()?);
    let finished = done.checked_sub(*before).filter(|finished| *finished > 0)?;
    let millis = u64::try_from(now.since(*began).as_millis()).ok()?;
    Some(*now + Duration::from_millis(millis.saturating_mul(campaign.progress.contacts_open) / finished))
}

fn draw(campaign: &Campaign, now: Timestamp, ends_at: Option<Timestamp>) -> String {
    let progress = &campaign.progress;
    let done = progress.contacts - progress.contacts_open;
    let filled = (done * WIDTH).checked_div(progress.contacts).unwrap_or(0);
    let bar: String = (0..WIDTH).map(|place| if place < filled { '█' } else { '░' }).collect();
    let lines: String = (0..campaign.cap.lines() as usize)
        .map(|line| if line < campaign.lines_in_use { '●' } else { '○' })
        .collect();
    let mut picture = String::new();
    let mut line = |text: String| {
        // Writing to a string does not fail.
        let _written = writeln!(picture, "{text}");
    };
    line(format!("{} ({}) is {} at {now}", campaign.name, campaign.id, campaign.status));
    line(String::new());
    line(format!("{bar} {done} of {} leads done", progress.contacts));
    line(format!("lines  {lines} {} of {}", campaign.lines_in_use, campaign.cap.lines()));
    line(format!(
        "calls  {}: answered {}, no answer {}, voicemail {}, busy {}, failed {}",
        progress.calls,
        progress.answered,
        progress.no_answer,
        progress.voicemails,
        progress.busy,
        progress.failed
    ));
    line(format!("cost   ${}", progress.cost));
    if campaign.status == CampaignStatus::Running {
        line(match ends_at {
            Some(at) => format!("ends   about {at}, if it goes on like this"),
            None => "ends   not to be told yet".to_owned(),
        });
    }
    picture
}

/// Prints what a preflight found.
pub(crate) fn print_ahead(ahead: &LookedAhead) {
    let found = &ahead.found;
    println!("{} contacts at {}, by the rules {}", found.contacts, ahead.evaluated_at, ahead.rules_version);
    println!("{:>8} may be called now", found.now);
    for later in &found.later {
        println!("{:>8} from {} on", later.contacts, later.at);
    }
    for (count, what) in [
        (found.over_frequency, "of these were called as often as is allowed"),
        (found.suppressed, "are on a suppression list: never"),
        (found.without_consent, "have no known consent: never"),
        (found.unknown_time_zone, "live where the calling hours are not known: never"),
        (found.not_callable, "are of another country, toll-free or premium: never"),
    ] {
        if count > 0 {
            println!("{count:>8} {what}");
        }
    }
    let (estimate, numbers) = (&ahead.estimate, &ahead.numbers);
    println!("{} numbers can call, {} of them are free", numbers.in_service, numbers.free);
    if let Some(done_at) = estimate.done_at {
        println!(
            "One call to each on {} lines, {} s and ${} each: ${}, done at {done_at}",
            estimate.lines, estimate.seconds_per_call, estimate.cost_per_call, estimate.cost
        );
    }
    if let Some(kept) = estimate.done_at_if_kept.filter(|kept| Some(*kept) > estimate.done_at) {
        println!("Who is reached keeps the number for a while: at the latest done at {kept}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_follows_from_what_was_done_lately() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let mut campaign: Campaign = sample();
        campaign.progress.contacts_open = 30;
        let looks = VecDeque::from([(at(0), 10), (at(60), 20)]);
        assert_eq!(ends_at(&campaign, &looks), Some(at(60 + 180)));
        assert_eq!(ends_at(&campaign, &VecDeque::from([(at(0), 10), (at(60), 10)])), None);
        let picture = draw(&campaign, at(60), Some(at(240)));
        assert!(picture.contains("lines  ●●○") && picture.contains("20 of 50 leads done"), "{picture}");
    }

    fn sample() -> Campaign {
        use dialpool_domain::campaign::{Cap, Policy, Progress};
        Campaign {
            id: "cmp_01K5S3Z8Q0M4T6V8X0Z2B4D6F8".parse().expect("an id"),
            company: "acme".parse().expect("a company"),
            name: "Spring".to_owned(),
            assistant_id: "a-1".to_owned(),
            assistant: None,
            from_number: None,
            status: CampaignStatus::Running,
            cap: Cap::try_from(3).expect("a cap"),
            hold_hours: dialpool_domain::pool::HoldHours::default(),
            policy: Policy::default(),
            created_at: Timestamp::from_millis(0),
            lines_in_use: 2,
            batch_left: 0,
            refused_in_a_row: 0,
            progress: Progress { contacts: 50, contacts_open: 30, ..Progress::default() },
        }
    }
}
