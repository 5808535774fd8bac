//! The numbers of a company: what each is and does, and what an operator does to it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use dialpool_domain::place::{AreaCode, State as Region};
use dialpool_domain::pool::{Registration, ReleaseReason};
use dialpool_domain::time::Duration;
use dialpool_domain::usage::{Day, Health, Label};
use dialpool_domain::{AssignmentId, LeadId, PhoneNumber, Timestamp};
use dialpool_dynamo::{
    Changed, Company, NumberChange, NumberChanged, NumberState, PoolReport, PoolSummary, Standing,
};
use dialpool_runtime::http::{Api, Body, Caller, IdIn, Parameters, Problem};
use serde::{Deserialize, Serialize};

/// The longest that an operator puts a number aside.
const LONGEST_QUARANTINE: Duration = Duration::from_hours(366 * 24);

/// Pages that a filter looks through for one answer.
const PAGES: usize = 8;

/// Which numbers, and which part of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    after: Option<PhoneNumber>,
    limit: Option<u32>,
    state: Option<Region>,
    area: Option<AreaCode>,
    standing: Option<Standing>,
    /// Only numbers of a health under this.
    health_under: Option<u8>,
}

/// A number as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct NumberView {
    #[serde(flatten)]
    number: NumberState,
    standing: Standing,
    health: Health,
    today: Today,
}

/// The calls of a number on this day of its zone.
#[derive(Debug, Serialize)]
struct Today {
    calls: u32,
    limit: u32,
    answered: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct Numbers {
    numbers: Vec<NumberView>,
    /// The `after` of the next page; none: this was the last.
    next: Option<PhoneNumber>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuarantineRequest {
    until: Timestamp,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelRequest {
    label: Label,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtendRequest {
    until: Timestamp,
}

/// Whom an inbound call or text on a number is from, or for.
#[derive(Debug, Serialize)]
pub(crate) struct LeadOfNumber {
    number: PhoneNumber,
    lead: LeadId,
    /// Whether the lead holds the number now.
    holds: bool,
    /// Until when it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_assistant: Option<String>,
}

/// The pool in one look.
#[derive(Debug, Serialize)]
pub(crate) struct PoolReportView {
    summary: PoolSummary,
    /// Of 100 numbers in service, so many cannot be assigned now.
    utilisation_percent: u64,
    health: BTreeMap<&'static str, u64>,
    states: BTreeMap<String, u64>,
    area_codes: BTreeMap<String, u64>,
    assignments_24_h: u64,
    /// Holds whose time is over and whose end is not written down: the sweeper's work.
    overdue: Vec<Overdue>,
    /// Leads with two numbers, numbers whose lead does not know of them: there must be none.
    double_assignments: Vec<String>,
    /// The holds that end first.
    soonest_releases: Vec<Overdue>,
}

#[derive(Debug, Serialize)]
struct Overdue {
    number: PhoneNumber,
    lead: LeadId,
    assignment_id: AssignmentId,
    release_at: Timestamp,
}

impl NumberView {
    fn of(number: NumberState, now: Timestamp, company: &Company) -> Self {
        let (Day { begun, answered, .. }, limit) =
            number.usage.today_of(now, &company.zone_of(&number.number), &company.limits);
        Self {
            standing: number.standing(now),
            health: number.health(now, company),
            today: Today { calls: begun, limit, answered },
            number,
        }
    }

    fn is_wanted(&self, which: &Which) -> bool {
        let number = &self.number;
        which.state.as_ref().is_none_or(|state| number.state.as_ref() == Some(state))
            && which.area.as_ref().is_none_or(|area| number.area.as_ref() == Some(area))
            && which.standing.is_none_or(|standing| self.standing == standing)
            && which.health_under.is_none_or(|under| self.health.score < under)
    }
}

pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Parameters(which): Parameters<Which>,
) -> Result<Json<Numbers>, Problem> {
    let limit = match which.limit.unwrap_or(100) {
        limit @ 1..=1_000 => limit as usize,
        _ => return Err(Problem::field("limit", "is 1 to 1000")),
    };
    let company = api.company(caller.at, &caller.company).await?;
    let (mut numbers, mut after) = (Vec::new(), which.after.clone());
    // A filter may leave little of a page: a few more are looked through, then the caller goes on from there.
    for _page in 0..PAGES {
        let wanted = u32::try_from(limit - numbers.len()).unwrap_or(u32::MAX);
        let page = wanted.clamp(200, 1_000);
        let (found, next) = api.store.numbers(&caller.company, after.as_ref(), page).await?;
        for number in found {
            if numbers.len() == limit {
                return Ok(Json(Numbers { numbers, next: after }));
            }
            after = Some(number.number.clone());
            let view = NumberView::of(number, caller.at, &company);
            if view.is_wanted(&which) {
                numbers.push(view);
            }
        }
        if next.is_none() {
            return Ok(Json(Numbers { numbers, next: None }));
        }
        after = next;
    }
    Ok(Json(Numbers { numbers, next: after }))
}

pub(crate) async fn show(
    State(api): State<Api>,
    caller: Caller,
    IdIn(number): IdIn<PhoneNumber>,
) -> Result<Json<NumberView>, Problem> {
    let found = api.store.number(&caller.company, &number).await?;
    let company = api.company(caller.at, &caller.company).await?;
    let found = found.ok_or_else(|| Problem::not_found("number"))?;
    Ok(Json(NumberView::of(found, caller.at, &company)))
}

async fn change(
    api: &Api,
    caller: &Caller,
    number: &PhoneNumber,
    change: NumberChange,
) -> Result<Json<NumberView>, Problem> {
    match api.store.change_number(&caller.cause(), &caller.company, number, &change).await? {
        NumberChanged::Done(number) => {
            let company = api.company(caller.at, &caller.company).await?;
            Ok(Json(NumberView::of(*number, caller.at, &company)))
        }
        NumberChanged::NotFound => Err(Problem::not_found("number")),
    }
}

pub(crate) async fn quarantine(
    State(api): State<Api>,
    caller: Caller,
    IdIn(number): IdIn<PhoneNumber>,
    Body(request): Body<QuarantineRequest>,
) -> Result<Json<NumberView>, Problem> {
    let QuarantineRequest { until, reason } = request;
    if until <= caller.at || until > caller.at + LONGEST_QUARANTINE {
        return Err(Problem::field("until", "is not within the next year"));
    }
    if reason.is_empty() || reason.chars().count() > 200 {
        return Err(Problem::field("reason", "has 1 to 200 characters"));
    }
    change(&api, &caller, &number, NumberChange::Quarantine { until, reason }).await
}

pub(crate) async fn restore(
    State(api): State<Api>,
    caller: Caller,
    IdIn(number): IdIn<PhoneNumber>,
) -> Result<Json<NumberView>, Problem> {
    change(&api, &caller, &number, NumberChange::Restore).await
}

pub(crate) async fn drain(
    State(api): State<Api>,
    caller: Caller,
    IdIn(number): IdIn<PhoneNumber>,
) -> Result<Json<NumberView>, Problem> {
    change(&api, &caller, &number, NumberChange::Drain).await
}

/// Out of service now: who holds the number loses it.
pub(crate) async fn retire(
    State(api): State<Api>,
    caller: Caller,
    IdIn(number): IdIn<PhoneNumber>,
) -> Result<Json<NumberView>, Problem> {
    let drained = change(&api, &caller, &number, NumberChange::Drain).await?;
    match &drained.number.assignment_id {
        Some(id) => {
            take_away(&api, &caller, id).await?;
            show(State(api), caller, IdIn(number)).await
        }
        None => Ok(drained),
    }
}

/// Ends whatever hold the number is under.
pub(crate) async fn release(
    State(api): State<Api>,
    caller: Caller,
    IdIn(number): IdIn<PhoneNumber>,
) -> Result<Json<NumberView>, Problem> {
    let held = api.store.number(&caller.company, &number).await?;
    let held = held.ok_or_else(|| Problem::not_found("number"))?;
    if let Some(id) = &held.assignment_id {
        take_away(&api, &caller, id).await?;
    }
    show(State(api), caller, IdIn(number)).await
}

async fn take_away(api: &Api, caller: &Caller, id: &AssignmentId) -> Result<(), Problem> {
    let _: Changed = api.store.release(&caller.cause(), &caller.company, id, ReleaseReason::Operator).await?;
    Ok(())
}

pub(crate) async fn extend(
    State(api): State<Api>,
    caller: Caller,
    IdIn(number): IdIn<PhoneNumber>,
    Body(request): Body<ExtendRequest>,
) -> Result<Json<NumberView>, Problem> {
    if request.until <= caller.at || request.until > caller.at + LONGEST_QUARANTINE {
        return Err(Problem::field("until", "is not within the next year"));
    }
    let held = api.store.number(&caller.company, &number).await?;
    let held = held.ok_or_else(|| Problem::not_found("number"))?;
    let id = held.assignment_id.ok_or_else(|| Problem::conflict("nobody holds the number"))?;
    match api.store.extend(&caller.cause(), &caller.company, &id, request.until).await? {
        Changed::Done(_) => show(State(api), caller, IdIn(number)).await,
        Changed::AlreadyOver(_) | Changed::NotFound => {
            Err(Problem::conflict("nobody holds the number any more"))
        }
    }
}

pub(crate) async fn label(
    State(api): State<Api>,
    caller: Caller,
    IdIn(number): IdIn<PhoneNumber>,
    Body(request): Body<LabelRequest>,
) -> Result<Json<NumberView>, Problem> {
    change(&api, &caller, &number, NumberChange::Label(request.label)).await
}

pub(crate) async fn complaint(
    State(api): State<Api>,
    caller: Caller,
    IdIn(number): IdIn<PhoneNumber>,
) -> Result<Json<NumberView>, Problem> {
    change(&api, &caller, &number, NumberChange::Complaint).await
}

pub(crate) async fn register(
    State(api): State<Api>,
    caller: Caller,
    IdIn(number): IdIn<PhoneNumber>,
    Body(registration): Body<Registration>,
) -> Result<Json<NumberView>, Problem> {
    // 15 characters are what the name databases of carriers hold.
    if registration.cnam.as_ref().is_some_and(|cnam| cnam.is_empty() || cnam.chars().count() > 15) {
        return Err(Problem::field("cnam", "has 1 to 15 characters"));
    }
    change(&api, &caller, &number, NumberChange::Register(registration)).await
}

/// Whose call or text on a number is: of the lead that holds it, else of the last one lately.
pub(crate) async fn lead(
    State(api): State<Api>,
    caller: Caller,
    IdIn(number): IdIn<PhoneNumber>,
) -> Result<Json<LeadOfNumber>, Problem> {
    let company = api.company(caller.at, &caller.company).await?;
    let owner = api.store.owner_of(caller.at, &number).await?;
    let owner = owner.filter(|owner| owner.company == caller.company);
    let owner = owner.ok_or_else(|| Problem::not_found("number"))?;
    let lately =
        owner.held_before.filter(|(_, until)| caller.at.since(*until) <= company.thresholds.inbound());
    let (lead, holds, held_until) = match (owner.held_by, lately) {
        (Some(lead), _) => (lead, true, None),
        (None, Some((lead, until))) => (lead, false, Some(until)),
        (None, None) => return Err(Problem::not_found("lead: nobody held the number lately")),
    };
    Ok(Json(LeadOfNumber { number, lead, holds, held_until, last_assistant: owner.last_assistant }))
}

/// The pool in one look.
pub(crate) async fn report(State(api): State<Api>, caller: Caller) -> Result<Json<PoolReportView>, Problem> {
    let company = api.company(caller.at, &caller.company).await?;
    let PoolReport { numbers, double_assignments, assignments_24_h } =
        api.store.pool_report(caller.at, &caller.company).await?;
    let mut view = PoolReportView {
        summary: PoolSummary::of(&numbers, caller.at),
        utilisation_percent: 0,
        health: BTreeMap::new(),
        states: BTreeMap::new(),
        area_codes: BTreeMap::new(),
        assignments_24_h,
        overdue: Vec::new(),
        double_assignments,
        soonest_releases: Vec::new(),
    };
    view.utilisation_percent = view.summary.utilisation_percent();
    for number in numbers {
        let score = number.health(caller.at, &company).score;
        *view.health.entry(band(score)).or_default() += 1;
        let name = |name: Option<String>| name.unwrap_or_else(|| "none".to_owned());
        *view.states.entry(name(number.state.as_ref().map(Region::to_string))).or_default() += 1;
        *view.area_codes.entry(name(number.area.as_ref().map(AreaCode::to_string))).or_default() += 1;
        if let (Some(lead), Some(assignment_id), Some(release_at)) =
            (number.held_by, number.assignment_id, number.release_at)
        {
            let hold = Overdue { number: number.number, lead, assignment_id, release_at };
            if release_at <= caller.at { view.overdue.push(hold) } else { view.soonest_releases.push(hold) }
        }
    }
    view.overdue.sort_by_key(|hold| hold.release_at);
    view.soonest_releases.sort_by_key(|hold| hold.release_at);
    view.soonest_releases.truncate(10);
    Ok(Json(view))
}

fn band(score: u8) -> &'static str {
    match score {
        0..40 => "0-39",
        40..50 => "40-49",
        50..70 => "50-69",
        70..90 => "70-89",
        _ => "90-100",
    }
}
