//! The company of the caller's key: its settings.

use axum::Json;
use axum::extract::State;
use dialpool_domain::pool::HoldHours;
use dialpool_domain::usage::Limits;
use dialpool_dynamo::{Company, CompanySettings};
use dialpool_runtime::http::{Api, Body, Caller, Problem};
use serde::{Deserialize, Serialize};

/// What is to be changed; what is left out stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsRequest {
    name: Option<String>,
    hold_hours: Option<HoldHours>,
    local_presence: Option<bool>,
    limits: Option<LimitsRequest>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsRequest {
    per_day: Option<u32>,
    per_hour: Option<u32>,
    rest_minutes: Option<u32>,
    warm_up: Option<[u32; 3]>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CompanyView {
    company: String,
    name: String,
    hold_hours: u32,
    local_presence: bool,
    limits: Limits,
    /// Of 100 calls from its numbers, so many are answered; none: too few calls yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_rate_percent: Option<f64>,
}

impl From<Company> for CompanyView {
    fn from(company: Company) -> Self {
        Self {
            company: company.company.to_string(),
            name: company.label,
            hold_hours: company.hold_hours.into(),
            local_presence: company.local_presence,
            limits: company.limits,
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
    let company = api.store.company(&caller.company).await?.ok_or_else(|| Problem::not_found("company"))?;
    let asked = request.limits.unwrap_or(LimitsRequest {
        per_day: None,
        per_hour: None,
        rest_minutes: None,
        warm_up: None,
    });
    let limits = Limits {
        per_day: within("limits.per_day", asked.per_day.unwrap_or(company.limits.per_day), 1, 1_000)?,
        per_hour: within("limits.per_hour", asked.per_hour.unwrap_or(company.limits.per_hour), 1, 60)?,
        rest_minutes: within(
            "limits.rest_minutes",
            asked.rest_minutes.unwrap_or(company.limits.rest_minutes),
            0,
            1_440,
        )?,
        warm_up: asked.warm_up.unwrap_or(company.limits.warm_up),
    };
    for calls in limits.warm_up {
        within("limits.warm_up", calls, 1, 1_000)?;
    }
    if request.name.as_ref().is_some_and(|name| name.is_empty() || name.chars().count() > 100) {
        return Err(Problem::field("name", "has 1 to 100 characters"));
    }
    let settings = CompanySettings {
        label: request.name.unwrap_or(company.label),
        hold_hours: request.hold_hours.unwrap_or(company.hold_hours),
        local_presence: request.local_presence.unwrap_or(company.local_presence),
        limits,
    };
    let changed = api.store.change_company(&caller.company, &settings).await?;
    changed.map(|company| Json(company.into())).ok_or_else(|| Problem::not_found("company"))
}

fn within(field: &'static str, value: u32, least: u32, most: u32) -> Result<u32, Problem> {
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(Problem::field(field, format!("is {least} to {most}")))
    }
}
