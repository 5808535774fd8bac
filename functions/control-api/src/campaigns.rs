//! Campaigns over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dialpool_domain::CampaignId;
use dialpool_domain::campaign::{Campaign, CampaignCommand, CampaignStatus, Cap, NewCampaign, Policy};
use dialpool_domain::dead_air::{DAYS, DeadAir};
use dialpool_domain::time::Duration;
use dialpool_dynamo::{AssistantChosen, CampaignMade, CapChanged, Commanded, Standing};
use dialpool_runtime::http::{Api, Body, Caller, IdIn, Parameters, Problem};
use dialpool_runtime::jobs::DialJob;
use serde::Serialize;

use crate::ControlApi;
use crate::assistants::changing;
use crate::wire::{CampaignChange, CampaignRequest, ContactView, ContactsView, PhonePage, Since, listed};

/// In characters. Names are for people; the provider cuts longer ones.
const LONGEST_NAME: usize = 100;

pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(request): Body<CampaignRequest>,
) -> Result<(StatusCode, Json<Campaign>), Problem> {
    caller.must_be(request.company.as_ref())?;
    for (field, value) in [("name", &request.name), ("assistant_id", &request.assistant_id)] {
        if value.trim().is_empty() || value.chars().count() > LONGEST_NAME {
            return Err(Problem::field(field, "is 1 to 100 characters"));
        }
    }
    let cap = match (&request.from_number, request.cap) {
        (None, cap) => cap.unwrap_or_default(),
        (Some(_), None | Some(Cap::ONE)) => Cap::ONE,
        (Some(_), Some(_)) => {
            return Err(Problem::field("cap", "is 1 where all calls are from one number"));
        }
    };
    if let Some(number) = &request.from_number {
        let known = api.store.number(&caller.company, number).await?;
        if known.is_none_or(|known| known.standing(caller.at) == Standing::Retired) {
            return Err(Problem::field("from_number", "is not a number of the pool that is in service"));
        }
    }
    let hold = match request.hold_hours {
        Some(hours) => hours,
        None => api.company(caller.at, &caller.company).await?.hold_hours,
    };
    let new = NewCampaign {
        id: CampaignId::new(caller.at, api.entropy.next_u128()),
        company: caller.company.clone(),
        name: request.name,
        assistant_id: request.assistant_id,
        cap,
        hold,
        from_number: request.from_number,
        policy: Policy {
            mode: request.mode,
            consent_required: request.consent_required,
            voicemail: request.voicemail,
        },
    };
    match api.store.create_campaign(&caller.cause(), &new).await? {
        CampaignMade::Done => {}
        CampaignMade::UnknownAssistant => return Err(unknown_assistant()),
        CampaignMade::OthersAssistant => return Err(others_assistant()),
    }
    let campaign = api.store.campaign(&caller.company, &new.id).await?;
    campaign
        .map(|campaign| (StatusCode::CREATED, Json(campaign)))
        .ok_or_else(|| Problem::not_found("campaign"))
}

pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Parameters(which): Parameters<Since>,
) -> Result<Json<serde_json::Value>, Problem> {
    let page = api.store.campaigns(&caller.company, which.after()?, which.limit()?).await?;
    Ok(Json(listed("campaigns", page)))
}

pub(crate) async fn calls(
    State(api): State<Api>,
    caller: Caller,
    Parameters(which): Parameters<Since>,
) -> Result<Json<serde_json::Value>, Problem> {
    let page = api.store.calls(&caller.company, None, which.after()?, which.limit()?).await?;
    Ok(Json(listed("calls", page)))
}

pub(crate) async fn calls_of(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
    Parameters(which): Parameters<Since>,
) -> Result<Json<serde_json::Value>, Problem> {
    if api.store.campaign(&caller.company, &id).await?.is_none() {
        return Err(Problem::not_found("campaign"));
    }
    let page = api.store.calls(&caller.company, Some(&id), which.after()?, which.limit()?).await?;
    Ok(Json(listed("calls", page)))
}

pub(crate) async fn show(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
) -> Result<Json<CampaignShown>, Problem> {
    let campaign = api.store.campaign(&caller.company, &id).await?;
    let campaign = campaign.ok_or_else(|| Problem::not_found("campaign"))?;
    let DeadAir { measured, silent } = api.store.dead_air(caller.at, &id).await?;
    let percent = DeadAir { measured, silent }.per_ten_thousand().map(|share| share as f64 / 100.0);
    Ok(Json(CampaignShown { campaign, dead_air: DeadAirShown { days: DAYS, measured, silent, percent } }))
}

/// A campaign and the dead air on its calls.
#[derive(Debug, Serialize)]
pub(crate) struct CampaignShown {
    #[serde(flatten)]
    campaign: Campaign,
    dead_air: DeadAirShown,
}

/// Answered calls of the last days in which nobody of ours spoke for two seconds.
#[derive(Debug, Serialize)]
struct DeadAirShown {
    days: u64,
    /// Answered calls whose first words the provider told the times of: no others count.
    measured: u64,
    silent: u64,
    /// Silent ones of 100 measured, with two decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<f64>,
}

fn unknown_assistant() -> Problem {
    Problem::field("assistant_id", "is no assistant of the company")
}

fn others_assistant() -> Problem {
    Problem::field("assistant_id", "belongs to another company")
}

/// Gives a campaign more lines or fewer, or has one that has not begun use another assistant.
pub(crate) async fn change(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
    Body(request): Body<CampaignChange>,
) -> Result<Json<Campaign>, Problem> {
    caller.must_be(request.company.as_ref())?;
    let (store, company) = (&api.store, &caller.company);
    let assistant = match (request.assistant_id, request.cap) {
        (Some(_), Some(_)) => return Err(Problem::field("cap", "is changed by a request of its own")),
        (None, None) => return Err(Problem::field("cap", "is missing, and so is assistant_id")),
        (None, Some(cap)) => {
            return match store.change_cap(&caller.cause(), company, &id, cap).await? {
                CapChanged::Done(campaign) => Ok(Json(*campaign)),
                CapChanged::OneNumber => {
                    Err(Problem::field("cap", "is 1 where all calls are from one number"))
                }
                CapChanged::Over(status) => Err(Problem::conflict(format!("the campaign is {status}"))),
                CapChanged::NotFound => Err(Problem::not_found("campaign")),
            };
        }
        (Some(assistant), None) => assistant,
    };
    if assistant.trim().is_empty() || assistant.chars().count() > LONGEST_NAME {
        return Err(Problem::field("assistant_id", "is 1 to 100 characters"));
    }
    match api.store.choose_assistant(&caller.cause(), &caller.company, &id, &assistant).await? {
        AssistantChosen::Done(campaign) => Ok(Json(*campaign)),
        AssistantChosen::Begun(status) => {
            Err(Problem::conflict(format!("the campaign is {status}: its assistant stays")))
        }
        AssistantChosen::UnknownAssistant => Err(unknown_assistant()),
        AssistantChosen::OthersAssistant => Err(others_assistant()),
        AssistantChosen::NotFound => Err(Problem::not_found("campaign")),
    }
}

pub(crate) async fn contacts(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
    Parameters(page): Parameters<PhonePage>,
) -> Result<Json<ContactsView>, Problem> {
    let found = api.store.contacts(&caller.company, &id, page.after.as_ref(), page.limit()?).await?;
    let page = found.ok_or_else(|| Problem::not_found("campaign"))?;
    Ok(Json(ContactsView {
        contacts: page.contacts.into_iter().map(ContactView::from).collect(),
        next: page.next,
    }))
}

pub(crate) async fn start(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
) -> Result<Json<Campaign>, Problem> {
    command(&state, &caller, &id, CampaignCommand::Start).await
}

pub(crate) async fn pause(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
) -> Result<Json<Campaign>, Problem> {
    command(&state, &caller, &id, CampaignCommand::Pause).await
}

pub(crate) async fn resume(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
) -> Result<Json<Campaign>, Problem> {
    command(&state, &caller, &id, CampaignCommand::Resume).await
}

pub(crate) async fn cancel(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
) -> Result<Json<Campaign>, Problem> {
    command(&state, &caller, &id, CampaignCommand::Cancel).await
}

async fn command(
    state: &ControlApi,
    caller: &Caller,
    id: &CampaignId,
    command: CampaignCommand,
) -> Result<Json<Campaign>, Problem> {
    let (store, cause) = (&state.api.store, caller.cause());
    for _unfinished in 0..2 {
        match store.command_campaign(&cause, &caller.company, id, command).await? {
            Commanded::Done(campaign) | Commanded::Already(campaign) => {
                if campaign.status == CampaignStatus::Running {
                    state.ask_for_dials(caller, &campaign).await?;
                }
                return Ok(Json(campaign));
            }
            Commanded::AssistantChanging(assistant) => {
                let Some(assistant) = store.assistant(&caller.company, &assistant).await? else { continue };
                match &assistant.update {
                    Some(update) if caller.at < update.until => {
                        return Err(changing(caller.at, update.until));
                    }
                    Some(update) => state.settle(&cause, &assistant, update).await?,
                    None => {}
                }
            }
            Commanded::OthersAssistant => return Err(others_assistant()),
            Commanded::Impossible(status) => {
                return Err(Problem::conflict(format!(
                    "the campaign is {status}: it does not take this command"
                )));
            }
            Commanded::NotFound => return Err(Problem::not_found("campaign")),
        }
    }
    Err(Problem::unavailable(&"the assistant of a campaign was being changed again and again"))
}

impl ControlApi {
    /// Asks the dispatcher to fill the campaign's lines.
    pub(crate) async fn ask_for_dials(&self, caller: &Caller, campaign: &Campaign) -> Result<(), Problem> {
        let job = DialJob::Dial { campaign_id: campaign.id.clone(), trace_id: caller.trace_id.clone() };
        Ok(self.dial_queue.send(&job, Duration::ZERO).await?)
    }
}
