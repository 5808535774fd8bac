//! Companies: the settings of the caller's own; for an operator, all of them.

use std::num::NonZeroU8;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dialpool_domain::CompanyId;
use dialpool_domain::place::Zone;
use dialpool_domain::pool::HoldHours;
use dialpool_domain::retry::RetryPolicy;
use dialpool_domain::usage::{Limits, Thresholds};
use dialpool_dynamo::{Company, PoolSummary};
use dialpool_runtime::http::{Api, Body, Caller, Operator, Parameters, Problem, issue_api_key};
use serde::{Deserialize, Serialize};

/// More calls at once than this no company makes.
const MOST_LINES: u32 = 1_000;

/// The most companies of one answer: the pool of each is read.
const MOST_COMPANIES: i32 = 50;

/// A contact is called no more often than this, and waits for its next call no longer.
const MOST_ATTEMPTS: u8 = 20;
const LONGEST_WAIT_MIN: u32 = 7 * 24 * 60;

/// Rounds of reading the settings and changing them, when others change them at the same time.
const ROUNDS: u32 = 16;

/// A company to be made, or what is to be changed of the caller's; what is left out stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsRequest {
    company: Option<CompanyId>,
    name: Option<String>,
    hold_hours: Option<HoldHours>,
    lines: Option<u32>,
    local_presence: Option<bool>,
    zone: Option<Zone>,
    #[serde(default)]
    limits: LimitsRequest,
    #[serde(default)]
    thresholds: ThresholdsRequest,
    #[serde(default)]
    retry: RetryRequest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsRequest {
    per_day: Option<u32>,
    per_hour: Option<u32>,
    rest_minutes: Option<u32>,
    warm_up: Option<[u32; 3]>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThresholdsRequest {
    fit: Option<u8>,
    sick: Option<u8>,
    rest_days: Option<u32>,
    answers_drop_percent: Option<u32>,
    answers_drop_calls: Option<u32>,
    sticky_days: Option<u32>,
    inbound_days: Option<u32>,
    utilisation: Option<[u8; 2]>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryRequest {
    attempts: Option<u8>,
    attempts_per_24_h: Option<u8>,
    spacing_min: Option<u32>,
    busy_min: Option<u32>,
    no_answer_min: Option<u32>,
    voicemail_min: Option<u32>,
    provider_failed_min: Option<u32>,
    provider_failures: Option<u32>,
}

/// Which companies.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    after: Option<CompanyId>,
    limit: Option<i32>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CompanyView {
    company: CompanyId,
    name: String,
    hold_hours: HoldHours,
    lines: u32,
    local_presence: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<Zone>,
    limits: Limits,
    thresholds: Thresholds,
    retry: RetryPolicy,
    /// Of 100 calls from its numbers, so many are answered; none: too few calls yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_rate_percent: Option<f64>,
}

/// A new company, with the key that opens it, which is shown this once.
#[derive(Debug, Serialize)]
pub(crate) struct NewCompanyView {
    #[serde(flatten)]
    company: CompanyView,
    api_key: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Companies {
    companies: Vec<CompanyWithPool>,
    /// The `after` of the next page; none: this was the last.
    next: Option<CompanyId>,
}

#[derive(Debug, Serialize)]
struct CompanyWithPool {
    #[serde(flatten)]
    company: CompanyView,
    pool: PoolSummary,
    utilisation_percent: u64,
}

impl From<Company> for CompanyView {
    fn from(company: Company) -> Self {
        Self {
            company: company.company,
            name: company.label,
            hold_hours: company.hold_hours,
            lines: company.lines,
            local_presence: company.local_presence,
            zone: company.zone,
            limits: company.limits,
            thresholds: company.thresholds,
            retry: company.retry,
            answer_rate_percent: company.usual_rate.map(|thousandths| f64::from(thousandths) / 10.0),
        }
    }
}

pub(crate) async fn show(State(api): State<Api>, caller: Caller) -> Result<Json<CompanyView>, Problem> {
    let company = api.store.company(&caller.company).await?;
    company.map(|company| Json(company.into())).ok_or_else(|| Problem::not_found("company"))
}

pub(crate) async fn change(
    State(api): State<Api>,
    caller: Caller,
    Body(request): Body<SettingsRequest>,
) -> Result<Json<CompanyView>, Problem> {
    caller.must_be(request.company.as_ref())?;
    for _round in 0..ROUNDS {
        let company = api.store.company(&caller.company).await?;
        let company = company.ok_or_else(|| Problem::not_found("company"))?;
        if let Some(changed) = api.store.change_company(&request.apply(company)?).await? {
            // When this answers, no number is handed out that is over a limit of now, and none rests for one of before.
            api.store.settle_numbers(caller.at, &caller.company).await?;
            return Ok(Json(changed.into()));
        }
    }
    Err(Problem::unavailable(&format!("the settings changed under {ROUNDS} attempts to change them")))
}

/// Makes a company and its first key. 409: it is there already.
pub(crate) async fn create(
    State(api): State<Api>,
    _: Operator,
    Body(request): Body<SettingsRequest>,
) -> Result<(StatusCode, Json<NewCompanyView>), Problem> {
    let id = request.company.clone();
    let id = id.ok_or_else(|| Problem::field("company", "is missing: 1 to 40 of a-z, 0-9, - and _"))?;
    let name = id.to_string();
    let company = request.apply(Company::new(id, name))?;
    if !api.store.create_company(&company).await? {
        return Err(Problem::conflict(format!("company: there is one of the id {}", company.company)));
    }
    let api_key = issue_api_key(&api.store, &api.entropy, Some(&company.company)).await?;
    Ok((StatusCode::CREATED, Json(NewCompanyView { company: company.into(), api_key })))
}

/// The companies, by id, with the use of their pools.
pub(crate) async fn list(
    State(api): State<Api>,
    _: Operator,
    Parameters(which): Parameters<Which>,
) -> Result<Json<Companies>, Problem> {
    let limit = which.limit.unwrap_or(20);
    if !(1..=MOST_COMPANIES).contains(&limit) {
        return Err(Problem::field("limit", format!("is 1 to {MOST_COMPANIES}")));
    }
    let (found, next) = api.store.companies(which.after.as_ref(), limit).await?;
    let now = api.clock.now();
    let mut companies = Vec::with_capacity(found.len());
    for company in found {
        let pool = api.store.pool_summary(now, &company.company).await?;
        let utilisation_percent = pool.utilisation_percent();
        companies.push(CompanyWithPool { company: company.into(), pool, utilisation_percent });
    }
    Ok(Json(Companies { companies, next }))
}

impl SettingsRequest {
    /// The settings with what is asked for.
    fn apply(&self, company: Company) -> Result<Company, Problem> {
        let Self { limits, thresholds, retry, .. } = self;
        if self.name.as_ref().is_some_and(|name| name.is_empty() || name.chars().count() > 100) {
            return Err(Problem::field("name", "has 1 to 100 characters"));
        }
        let within = |field: &str, asked: Option<u32>, known: u32, least: u32, most: u32| {
            let value = asked.unwrap_or(known);
            if (least..=most).contains(&value) {
                Ok(value)
            } else {
                Err(Problem::field(field, format!("is {least} to {most}")))
            }
        };
        let known = company.limits;
        for calls in limits.warm_up.unwrap_or(known.warm_up) {
            within("limits.warm_up", Some(calls), calls, 1, 1_000)?;
        }
        let new_limits = Limits {
            per_day: within("limits.per_day", limits.per_day, known.per_day, 1, 1_000)?,
            per_hour: within("limits.per_hour", limits.per_hour, known.per_hour, 1, 60)?,
            rest_minutes: within("limits.rest_minutes", limits.rest_minutes, known.rest_minutes, 0, 1_440)?,
            warm_up: limits.warm_up.unwrap_or(known.warm_up),
        };
        let known = company.thresholds;
        let (asked, days) = (thresholds, |field, asked, known| within(field, asked, known, 1, 366));
        let new_thresholds = Thresholds {
            fit: asked.fit.unwrap_or(known.fit),
            sick: asked.sick.unwrap_or(known.sick),
            rest_days: days("thresholds.rest_days", asked.rest_days, known.rest_days)?,
            answers_drop_percent: within(
                "thresholds.answers_drop_percent",
                asked.answers_drop_percent,
                known.answers_drop_percent,
                1,
                100,
            )?,
            answers_drop_calls: within(
                "thresholds.answers_drop_calls",
                asked.answers_drop_calls,
                known.answers_drop_calls,
                1,
                10_000,
            )?,
            sticky_days: within("thresholds.sticky_days", asked.sticky_days, known.sticky_days, 0, 366)?,
            inbound_days: within("thresholds.inbound_days", asked.inbound_days, known.inbound_days, 0, 366)?,
            utilisation: asked.utilisation.unwrap_or(known.utilisation),
        };
        if new_thresholds.fit > 100 || new_thresholds.sick > new_thresholds.fit {
            return Err(Problem::field("thresholds.sick", "is at most `fit`, and that at most 100"));
        }
        let [low, high] = new_thresholds.utilisation;
        if low == 0 || low >= high || high > 100 {
            return Err(Problem::field(
                "thresholds.utilisation",
                "is two percentages from 1 to 100, the lower first",
            ));
        }
        let known = company.retry;
        let times = |field: &str, asked: Option<u8>, known: NonZeroU8| match asked
            .map_or(Some(known), NonZeroU8::new)
        {
            Some(times) if times.get() <= MOST_ATTEMPTS => Ok(times),
            _ => Err(Problem::field(field, format!("is 1 to {MOST_ATTEMPTS}"))),
        };
        let wait = |field, asked, known| within(field, asked, known, 1, LONGEST_WAIT_MIN);
        let new_retry = RetryPolicy {
            attempts: times("retry.attempts", retry.attempts, known.attempts)?,
            attempts_per_24_h: times(
                "retry.attempts_per_24_h",
                retry.attempts_per_24_h,
                known.attempts_per_24_h,
            )?,
            spacing_min: wait("retry.spacing_min", retry.spacing_min, known.spacing_min)?,
            busy_min: wait("retry.busy_min", retry.busy_min, known.busy_min)?,
            no_answer_min: wait("retry.no_answer_min", retry.no_answer_min, known.no_answer_min)?,
            voicemail_min: wait("retry.voicemail_min", retry.voicemail_min, known.voicemail_min)?,
            provider_failed_min: wait(
                "retry.provider_failed_min",
                retry.provider_failed_min,
                known.provider_failed_min,
            )?,
            provider_failures: within(
                "retry.provider_failures",
                retry.provider_failures,
                known.provider_failures,
                0,
                MOST_ATTEMPTS.into(),
            )?,
            capacity_limited_min: known.capacity_limited_min,
        };
        Ok(Company {
            label: self.name.clone().unwrap_or(company.label),
            hold_hours: self.hold_hours.unwrap_or(company.hold_hours),
            lines: within("lines", self.lines, company.lines, 1, MOST_LINES)?,
            local_presence: self.local_presence.unwrap_or(company.local_presence),
            zone: self.zone.clone().or(company.zone),
            limits: new_limits,
            thresholds: new_thresholds,
            retry: new_retry,
            ..company
        })
    }
}
