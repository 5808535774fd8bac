//! Whatever is done to a pool, in whatever order: no number is handed out that may not call, the nearest that may is, and
//! the answer is "none" only when there is none. Days end at midnight of the number's zone, on the nights too on which
//! clocks change.

use std::collections::{BTreeMap, BTreeSet};

use dialpool_domain::call::{CallReport, CallState};
use dialpool_domain::contact::ContactState;
use dialpool_domain::law::{LegalBasis, OpenWindow, candidate_zones};
use dialpool_domain::outcome::Outcome;
use dialpool_domain::place::Place;
use dialpool_domain::pool::{CLOCK_SKEW, Hold, Tier};
use dialpool_domain::rules::{Frequency, Rules};
use dialpool_domain::time::Duration;
use dialpool_domain::usage::{Label, Limits};
use dialpool_domain::{CallId, CampaignId, PhoneNumber, Timestamp};
use dialpool_dynamo::{
    Assigned, Claim, Claimed, Company, Ended, LineLimits, NumberChange, NumberChanged, NumberState,
    PhoneHasher, Request, Settlement, Told,
};
use dialpool_tests::World;
use rand::rngs::ChaCha12Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// Two area codes of a state, one of a second, one of a third zone.
const NUMBERS: [&str; 5] = ["+14155550101", "+14155550102", "+12135550103", "+12125550104", "+16025550105"];

/// Each is near to some of the numbers: by area code, by state, not at all.
const CALLED: [&str; 4] = ["+14155550", "+18185550", "+12125550", "+13055550"];

const LEADS: usize = 60;
const STEPS: usize = 150;

/// The eves of both changes of clocks, and a common day.
const STARTS: [&str; 3] = ["2026-03-07T16:00:00Z", "2026-10-31T16:00:00Z", "2026-06-10T16:00:00Z"];

/// What the test itself saw a number do.
#[derive(Default)]
struct Seen {
    calls: Vec<Timestamp>,
    ended: Option<Timestamp>,
    aside_until: Option<Timestamp>,
}

struct Run {
    world: World,
    company: Company,
    campaign: CampaignId,
    chance: ChaCha12Rng,
    imported_at: Timestamp,
    seen: BTreeMap<PhoneNumber, Seen>,
    held_before: BTreeSet<usize>,
    granted: usize,
    refused: usize,
    calls: usize,
}

impl Run {
    async fn new(seed: u64, start: &str) -> Self {
        let mut chance = ChaCha12Rng::seed_from_u64(seed);
        let world = World::starting(start, |settings| settings.schedule_stretch = 1_000_000).await;
        let limits = Limits {
            per_day: chance.random_range(2..6),
            per_hour: chance.random_range(1..3),
            rest_minutes: chance.random_range(0..40),
            warm_up: [1, 2, 3],
        };
        let company = Company { limits, ..Company::new(world.company.clone(), "Acme") };
        assert!(world.store().change_company(&company).await.expect("an answer").is_some());
        world.add_numbers(&NUMBERS).await;
        let imported_at = world.now();
        let rows: String = (0..LEADS).map(|n| format!("{},lead-{n}\n", called(n))).collect();
        let campaign = world.quiet_campaign(50, &format!("phone,lead\n{rows}")).await;
        let seen = NUMBERS.iter().map(|number| (number.parse().expect("a number"), Seen::default()));
        let seen = seen.collect();
        let (held_before, granted, refused, calls) = (BTreeSet::new(), 0, 0, 0);
        Self { world, company, campaign, chance, imported_at, seen, held_before, granted, refused, calls }
    }

    /// Whether the number may be handed out now, by what the test saw.
    fn may_be_handed_out(&self, state: &NumberState) -> bool {
        let (now, seen, limits) = (self.world.now(), &self.seen[&state.number], &self.company.limits);
        let zone = self.company.zone_of(&state.number);
        let date = now.in_zone(&zone).date();
        let age = (date - self.imported_at.in_zone(&zone).date()).get_days();
        let week = usize::try_from(age / 7).expect("an import in the past");
        let limit = limits.warm_up.get(week).map_or(limits.per_day, |calls| *calls.min(&limits.per_day));
        let today = seen.calls.iter().filter(|at| at.in_zone(&zone).date() == date).count();
        let lately = seen.calls.iter().filter(|at| now.since(**at) < Duration::from_hours(1)).count();
        let held = state.release_at.is_some_and(|end| now < end + CLOCK_SKEW) && state.held_by.is_some();
        // A number that did very badly rests for a month: longer than a run takes.
        let ill = state.not_before.is_some_and(|at| at.since(now) > Duration::from_hours(20 * 24));
        !held
            && !ill
            && !state.draining
            && seen.aside_until.is_none_or(|until| until <= now)
            && seen.ended.is_none_or(|ended| now.since(ended) >= limits.rest())
            && state.health(now, &self.company).score >= self.company.thresholds.fit
            && today < limit as usize
            && lately < limits.per_hour as usize
    }

    async fn numbers(&self) -> Vec<NumberState> {
        self.world.store().all_numbers(&self.world.company).await.expect("an answer")
    }

    async fn assign(&mut self) {
        let lead = self.chance.random_range(0..LEADS);
        let place = Place::of_phone(&called(lead));
        let before = self.numbers().await;
        let fit: Vec<_> = before.iter().filter(|state| self.may_be_handed_out(state)).collect();
        let tier = |state: &NumberState| match () {
            () if state.area == place.area => Tier::Area,
            () if state.state == place.state => Tier::State,
            () => Tier::Any,
        };
        let request = Request { place: place.clone(), ..self.world.request(&format!("lead-{lead}")) };
        let assigned = self.world.store().assign(&self.world.cause(), &request).await.expect("an answer");
        match assigned {
            Assigned::AlreadyHeld(_) => {}
            Assigned::Granted(hold, as_tier) => {
                let got = fit.iter().find(|state| state.number == hold.number);
                let got = got.unwrap_or_else(|| panic!("{} was handed out: {before:#?}", hold.number));
                let nearest = fit.iter().map(|state| tier(state)).min();
                // A lead gets the number back that it had, wherever that is.
                if !self.held_before.contains(&lead) {
                    assert_eq!((Some(as_tier), Some(tier(got))), (nearest, nearest), "{before:#?}");
                }
                self.held_before.insert(lead);
                self.granted += 1;
            }
            Assigned::Exhausted { .. } | Assigned::AtLimit { .. } => {
                assert!(fit.is_empty(), "none was handed out, and these could have been: {fit:#?}");
                self.refused += 1;
            }
        }
    }

    async fn a_hold(&mut self) -> Option<(usize, Hold)> {
        let now = self.world.now();
        let numbers = self.numbers().await;
        let held: Vec<_> = numbers.iter().filter_map(|state| state.held_by.clone()).collect();
        let lead = held.choose(&mut self.chance)?;
        let hold = self.world.store().hold_of(now, &self.world.company, lead).await.expect("an answer")?;
        Some((lead.as_str().strip_prefix("lead-")?.parse().ok()?, hold))
    }

    async fn call(&mut self) {
        let Some((lead, hold)) = self.a_hold().await else { return };
        let (store, now, cause) = (self.world.store(), self.world.now(), self.world.cause());
        let contact =
            store.contact(&self.campaign, &called(lead)).await.expect("an answer").expect("a contact");
        if !matches!(contact.state, ContactState::Pending { due_at } if due_at <= now) {
            return;
        }
        let campaign = store.campaign_of_job(&self.campaign).await.expect("an answer").expect("a campaign");
        let (rules, hasher) = (Rules::united_states(), PhoneHasher::new("test".to_owned().into()));
        let zones = candidate_zones(&contact.address.whereabouts(&contact.phone)).expect("zones");
        let start_by = now + Duration::from_mins(4);
        let claim = Claim {
            call_id: &CallId::new(now, self.calls as u128),
            campaign: &campaign,
            contact: &contact,
            hold: &hold,
            line: &LineLimits { account: "vapi".to_owned(), outbound: 7 },
            hasher: &hasher,
            frequency: Frequency { per_24_h: 1_000, per_7_days: 1_000, per_30_days: 1_000, minutes_apart: 0 },
            legal_basis: &LegalBasis::of_hours(
                rules,
                &zones,
                OpenWindow { opened_at: now, closes_at: start_by },
                now,
            ),
            start_by,
        };
        let call = match store.claim(&cause, &claim).await.expect("an answer") {
            Claimed::Placed(call) => call,
            Claimed::NumberResting { until } => return assert!(until > now),
            Claimed::NumberLost => return assert!(hold.release_at < now + Duration::from_hours(2)),
            other => panic!("{other:?}"),
        };
        self.calls += 1;
        self.seen.get_mut(&hold.number).expect("a number").calls.push(now);
        self.world.pass(Duration::from_secs(self.chance.random_range(1..60))).await;

        let outcomes = [Outcome::Answered, Outcome::NoAnswer, Outcome::Busy, Outcome::ProviderFailed];
        let report =
            CallReport { outcome: outcomes.choose(&mut self.chance).copied(), ..CallReport::default() };
        let settlement = Settlement {
            call_id: &call.id,
            state: CallState::Ended,
            provider_call_id: Some("call-1"),
            report: &report,
            told: Told::All,
            hasher: &hasher,
        };
        let ended = self.world.store().end_call(&self.world.cause(), &settlement).await;
        assert!(matches!(ended, Ok(Ended::Applied { .. })), "{ended:?}");
        self.seen.get_mut(&hold.number).expect("a number").ended = Some(self.world.now());
    }

    async fn change(&mut self, number: &PhoneNumber) {
        let now = self.world.now();
        let until = now + Duration::from_hours(self.chance.random_range(1..9));
        let change = match self.chance.random_range(0..12) {
            0 => NumberChange::Complaint,
            1 => NumberChange::Label(Label::Spam),
            2 | 3 => NumberChange::Quarantine { until, reason: "test".to_owned() },
            4 => NumberChange::Drain,
            5 | 6 => NumberChange::Label(Label::None),
            _ => NumberChange::Restore,
        };
        let seen = self.seen.get_mut(number).expect("a number");
        match &change {
            NumberChange::Quarantine { .. } => seen.aside_until = Some(until),
            NumberChange::Restore => seen.aside_until = None,
            _ => {}
        }
        let (store, cause) = (self.world.store(), self.world.cause());
        let changed = store.change_number(&cause, &self.world.company, number, &change).await;
        assert!(matches!(changed, Ok(NumberChanged::Done(_))), "{changed:?}");
    }

    /// Other limits: tighter or wider ones, for numbers that rest for the former.
    async fn set_limits(&mut self) {
        let limits = Limits {
            per_day: self.chance.random_range(1..6),
            per_hour: self.chance.random_range(1..4),
            ..self.company.limits
        };
        let set = serde_json::json!({ "limits": limits });
        assert_eq!(self.world.send("PATCH", "/v1/company", set).await.status, 200);
        self.company.limits = limits;
    }

    /// A while; or to the last second of a number's day, or to the first of its next.
    async fn pass(&mut self, number: &PhoneNumber) {
        let while_ = match self.chance.random_range(0..5) {
            0 => Duration::from_hours(self.chance.random_range(1..20)),
            1 => {
                let here = self.world.now().in_zone(&self.company.zone_of(number));
                let midnight: Timestamp =
                    here.tomorrow().and_then(|day| day.start_of_day()).expect("a day").timestamp().into();
                let before = midnight.since(self.world.now()).saturating_sub(Duration::from_secs(1));
                before + Duration::from_secs(self.chance.random_range(0..2))
            }
            _ => Duration::from_mins(self.chance.random_range(1..40)),
        };
        self.world.pass(while_).await;
    }

    async fn step(&mut self) {
        let number: PhoneNumber =
            NUMBERS.choose(&mut self.chance).expect("a number").parse().expect("a number");
        match self.chance.random_range(0..20) {
            0..=6 => self.assign().await,
            7..=11 => self.call().await,
            12 | 13 => {
                if let Some((_, hold)) = self.a_hold().await {
                    let _over = self.world.release(&hold.assignment_id).await;
                }
            }
            14 if self.chance.random_range(0..3) == 0 => self.set_limits().await,
            14 => self.change(&number).await,
            _ => self.pass(&number).await,
        }
    }
}

/// Whom a lead is called at.
fn called(lead: usize) -> PhoneNumber {
    format!("{}{:03}", CALLED[lead % CALLED.len()], 110 + lead).parse().expect("a number")
}

#[tokio::test(start_paused = true)]
async fn no_number_is_handed_out_that_may_not_call_and_the_nearest_that_may_is() {
    let (mut granted, mut refused, mut calls) = (0, 0, 0);
    for (seed, start) in (0..30).zip(STARTS.iter().cycle()) {
        println!("seed {seed}");
        let mut run = Run::new(seed, start).await;
        for _ in 0..STEPS {
            run.step().await;
        }
        granted += run.granted;
        refused += run.refused;
        calls += run.calls;
    }
    // The operations did meet the limits.
    assert!(
        granted > 300 && refused > 100 && calls > 300,
        "{granted} granted, {refused} refused, {calls} calls"
    );
}
