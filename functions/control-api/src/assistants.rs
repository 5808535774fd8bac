//! Assistants over HTTP.
//!
//! **A change is the provider's first.** It is fenced here, then asked of the provider once, then written down. Refused or not sent: the fence
//! goes, nothing has changed. Unclear: the assistant is read back, and the mark of the request says whether it was taken. Still
//! unclear: nothing is written down, and the fence keeps everybody else away until its time is over; whoever finds it then
//! asks the provider again. So one version here is never two configurations there.
//!
//! **Nothing is ever deleted at the provider.**

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use dialpool_domain::assistant::{
    Assistant, AssistantName, AssistantVersion, Configuration, Difference, InvalidConfiguration, Mark,
    Origin, PendingUpdate, Template, templates,
};
use dialpool_domain::event::Cause;
use dialpool_domain::time::Duration;
use dialpool_domain::{AssistantId, CampaignId, CompanyId, Timestamp};
use dialpool_dynamo::{AssistantChanged, Deleted, Fenced, NewAssistant, Registered};
use dialpool_providers::vapi::{ProviderAssistant, RefusalKind, Written};
use dialpool_runtime::http::{Api, Body, Caller, IdIn, Parameters, Problem};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::ControlApi;

/// How long an `Idempotency-Key` is remembered, and some minutes for the provider's clock.
const SAME_REQUEST_WITHIN: Duration = Duration::from_mins(24 * 60 + 10);

/// By how much the provider's clock may be behind ours.
const CLOCKS_DIFFER: Duration = Duration::from_mins(2);

/// What a provider that fails is given until it is asked again.
const PROVIDER_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRequest {
    company: Option<CompanyId>,
    name: Option<AssistantName>,
    configuration: Option<Map<String, Value>>,
    template: Option<String>,
    clone_of: Option<AssistantId>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRequest {
    company: Option<CompanyId>,
    name: Option<AssistantName>,
    configuration: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportRequest {
    company: Option<CompanyId>,
    provider_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    after: Option<AssistantId>,
    limit: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichVersions {
    before: Option<u64>,
    limit: Option<u32>,
}

/// An assistant with the present version of its configuration.
#[derive(Debug, Serialize)]
pub(crate) struct AssistantView {
    #[serde(flatten)]
    assistant: Assistant,
    configuration: Configuration,
}

#[derive(Debug, Serialize)]
pub(crate) struct Assistants {
    assistants: Vec<Assistant>,
    /// The `after` of the next page; none: this was the last.
    next: Option<AssistantId>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Versions {
    versions: Vec<AssistantVersion>,
    /// The `before` of the next page; none: this was the last.
    next: Option<u64>,
}

/// What a drift check finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum DriftState {
    /// The provider has what the company said.
    InSync,
    /// It has something else.
    Drifted,
    /// It does not have the assistant any more.
    Gone,
}

#[derive(Debug, Serialize)]
pub(crate) struct Drift {
    assistant_id: AssistantId,
    provider_id: String,
    version: u64,
    checked_at: Timestamp,
    state: DriftState,
    differences: Vec<Difference>,
}

fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(50) {
        limit @ 1..=100 => Ok(limit),
        _ => Err(Problem::field("limit", "is 1 to 100")),
    }
}

fn given(configuration: Map<String, Value>) -> Result<Configuration, Problem> {
    Configuration::given(configuration).map_err(|invalid| invalid_configuration(&invalid))
}

fn invalid_configuration(invalid: &InvalidConfiguration) -> Problem {
    match invalid {
        InvalidConfiguration::NotToSet { field, reason } => {
            Problem::field(format!("configuration.{field}"), *reason)
        }
        InvalidConfiguration::TooLong | InvalidConfiguration::Empty => {
            Problem::field("configuration", invalid.to_string())
        }
    }
}

fn no_such_assistant() -> Problem {
    Problem::not_found("assistant")
}

fn gone() -> Problem {
    Problem::conflict(
        "the provider does not have this assistant any more: delete it here, or make another of its configuration \
         with clone_of",
    )
}

fn unclear(cause: &str, what: &str, after: Duration) -> Problem {
    warn!("the provider gives no clear answer: {cause}");
    Problem::provider(format!("the provider gives no clear answer; {what}"), after)
}

pub(crate) fn not_sent(cause: &str) -> Problem {
    unclear(cause, "nothing was changed", PROVIDER_PAUSE)
}

/// The provider will not take it: nothing has changed.
fn refused(kind: RefusalKind, message: &str) -> Problem {
    match kind {
        RefusalKind::Invalid => {
            Problem::field("configuration", format!("the provider refuses it: {message}"))
        }
        RefusalKind::Capacity | RefusalKind::Unauthorized => {
            warn!("the provider takes no requests ({kind}): {message}");
            Problem::provider("the provider takes no such request now; nothing was changed", PROVIDER_PAUSE)
        }
    }
}

fn named(campaigns: &BTreeMap<CampaignId, String>) -> String {
    let named: Vec<String> = campaigns.iter().map(|(id, name)| format!("{id} ({name})")).collect();
    named.join(", ")
}

pub(crate) fn changing(now: Timestamp, until: Timestamp) -> Problem {
    Problem::not_yet("the assistant is being changed", until.since(now).max(Duration::from_secs(1)))
}

fn bears(assistant: &ProviderAssistant, request: &str) -> bool {
    assistant.mark.as_ref().is_some_and(|mark| mark.request == request)
}

pub(crate) async fn stock_templates(_: Caller) -> Json<Value> {
    Json(serde_json::json!({ "templates": templates() }))
}

pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Parameters(which): Parameters<Which>,
) -> Result<Json<Assistants>, Problem> {
    let limit = limit(which.limit)?;
    let (assistants, next) = api.store.assistants(&caller.company, which.after.as_ref(), limit).await?;
    Ok(Json(Assistants { assistants, next }))
}

pub(crate) async fn show(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<AssistantId>,
) -> Result<Json<AssistantView>, Problem> {
    let assistant = state.assistant(&caller, &id).await?;
    Ok(Json(state.view(assistant).await?))
}

pub(crate) async fn versions(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<AssistantId>,
    Parameters(which): Parameters<WhichVersions>,
) -> Result<Json<Versions>, Problem> {
    let limit = limit(which.limit)?;
    let _is_ours: Assistant = state.assistant(&caller, &id).await?;
    let versions = state.api.store.assistant_versions(&id, which.before, limit).await?;
    let next = versions.last().map(|last| last.version).filter(|version| *version > 1);
    Ok(Json(Versions { versions, next }))
}

pub(crate) async fn create(
    State(state): State<ControlApi>,
    caller: Caller,
    headers: HeaderMap,
    Body(request): Body<CreateRequest>,
) -> Result<(StatusCode, Json<AssistantView>), Problem> {
    caller.must_be(request.company.as_ref())?;
    let (name, configuration, origin) = state.wanted(&caller, request).await?;
    let entropy = &state.api.entropy;
    // The same request again, after an unclear answer, is known by its key: what it made is not made twice.
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let request = match key {
        Some(key) => {
            let whole = [caller.company.as_str(), key, name.as_str(), &configuration.text()].join("\n");
            hex::encode(Sha256::digest(whole))
        }
        None => format!("{:032x}", entropy.next_u128()),
    };
    let id = AssistantId::new(caller.at, entropy.next_u128());
    let mark = Mark { company: caller.company.clone(), assistant_id: id.clone(), request };
    let made = state.make(&name, &configuration, &mark, caller.at, key.is_some()).await?;
    let id = match made.mark {
        Some(mark) if mark.company == caller.company => mark.assistant_id,
        _ => id,
    };
    let new = NewAssistant { id, name, provider_id: made.id, configuration, origin };
    state.register(&caller, &new).await
}

pub(crate) async fn import(
    State(state): State<ControlApi>,
    caller: Caller,
    Body(request): Body<ImportRequest>,
) -> Result<(StatusCode, Json<AssistantView>), Problem> {
    caller.must_be(request.company.as_ref())?;
    let provider_id = request.provider_id;
    if !(1..=100).contains(&provider_id.len()) || !provider_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::field("provider_id", "is 1 to 100 visible ASCII characters"));
    }
    let found = state.at_provider(&provider_id).await?;
    let found =
        found.ok_or_else(|| Problem::field("provider_id", "the provider does not have this assistant"))?;
    if found.mark.is_some_and(|mark| mark.company != caller.company) {
        return Err(others());
    }
    let name = name_of(found.name.as_deref());
    let new = NewAssistant {
        id: AssistantId::new(caller.at, state.api.entropy.next_u128()),
        name: name
            .ok_or_else(|| Problem::field("provider_id", "the assistant has no name at the provider"))?,
        provider_id: found.id,
        configuration: found
            .configuration
            .that_can_be_kept()
            .map_err(|invalid| Problem::field("provider_id", format!("its configuration {invalid}")))?,
        origin: Origin::Imported,
    };
    state.register(&caller, &new).await
}

fn others() -> Problem {
    Problem::field("provider_id", "belongs to another company")
}

/// The provider's name of an assistant, cut to what a name may have.
fn name_of(theirs: Option<&str>) -> Option<AssistantName> {
    theirs?.trim().chars().take(40).collect::<String>().try_into().ok()
}

pub(crate) async fn change(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<AssistantId>,
    Body(request): Body<ChangeRequest>,
) -> Result<Json<AssistantView>, Problem> {
    caller.must_be(request.company.as_ref())?;
    let change =
        AssistantChanged { name: request.name, configuration: request.configuration.map(given).transpose()? };
    if change == AssistantChanged::default() {
        return Err(Problem::field("configuration", "is missing, and so is name: nothing is to be changed"));
    }
    let (assistant, update) = state.fence(&caller, &id, &change).await?;
    let mark =
        Mark { company: caller.company.clone(), assistant_id: id.clone(), request: update.request.clone() };
    let provider_id = &assistant.provider_id;
    let written = state.vapi.update_assistant(provider_id, &update.name, &update.configuration, &mark).await;
    let problem = match written {
        Written::Done(_) => None,
        Written::Gone => Some(gone()),
        Written::Refused { kind, message } => Some(refused(kind, &message)),
        Written::NotSent { cause } => Some(not_sent(&cause)),
        Written::Unknown { cause } => match state.vapi.assistant(provider_id).await {
            Ok(Some(theirs)) if bears(&theirs, &update.request) => None,
            Ok(None) => Some(gone()),
            // The request may still be on its way: the fence stays.
            Ok(Some(_)) | Err(_) => {
                let what =
                    "nothing was changed here, and whether it was there is found out with the next request";
                return Err(unclear(&cause, what, update.until.since(caller.at)));
            }
        },
    };
    if let Some(problem) = problem {
        state.abandon(&assistant, &update).await;
        return Err(problem);
    }
    let assistant = state.finish(&caller.cause(), &assistant, &update).await?;
    Ok(Json(AssistantView { assistant, configuration: update.configuration }))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    IdIn(id): IdIn<AssistantId>,
) -> Result<StatusCode, Problem> {
    match api.store.delete_assistant(&caller.cause(), &caller.company, &id).await? {
        Deleted::Done => Ok(StatusCode::NO_CONTENT),
        Deleted::Used(campaigns) => {
            Err(Problem::conflict(format!("campaigns that are not over use it: {}", named(&campaigns))))
        }
        Deleted::Changing { until } => Err(changing(caller.at, until)),
        Deleted::NotFound => Err(no_such_assistant()),
    }
}

/// Holds what the company said against what the provider has.
pub(crate) async fn drift(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<AssistantId>,
) -> Result<Json<Drift>, Problem> {
    let mut assistant = state.assistant(&caller, &id).await?;
    if let Some(update) = &assistant.update {
        if caller.at < update.until {
            return Err(changing(caller.at, update.until));
        }
        state.settle(&caller.cause(), &assistant, update).await?;
        assistant = state.assistant(&caller, &id).await?;
    }
    let AssistantView { assistant, configuration } = state.view(assistant).await?;
    let (state, differences) = match state.at_provider(&assistant.provider_id).await? {
        None => (DriftState::Gone, Vec::new()),
        Some(theirs) => {
            let differences = differences(&assistant.name, &configuration, &theirs);
            (if differences.is_empty() { DriftState::InSync } else { DriftState::Drifted }, differences)
        }
    };
    Ok(Json(Drift {
        assistant_id: assistant.id,
        provider_id: assistant.provider_id,
        version: assistant.version,
        checked_at: caller.at,
        state,
        differences,
    }))
}

fn differences(
    name: &AssistantName,
    configuration: &Configuration,
    theirs: &ProviderAssistant,
) -> Vec<Difference> {
    let mut differences = configuration.differences(&theirs.configuration);
    if name_of(theirs.name.as_deref()).as_ref() != Some(name) {
        differences.push(Difference {
            pointer: "/name".to_owned(),
            ours: name.as_str().into(),
            theirs: theirs.name.clone().into(),
        });
    }
    differences
}

/// Takes what the provider has as a new version.
pub(crate) async fn adopt(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<AssistantId>,
) -> Result<Json<AssistantView>, Problem> {
    let (assistant, present) = state.fence(&caller, &id, &AssistantChanged::default()).await?;
    let adopted = match state.at_provider(&assistant.provider_id).await {
        Ok(None) => Err(gone()),
        Ok(Some(theirs)) if differences(&present.name, &present.configuration, &theirs).is_empty() => {
            Ok(None)
        }
        Ok(Some(theirs)) => {
            let name = name_of(theirs.name.as_deref()).unwrap_or_else(|| present.name.clone());
            let kept = theirs.configuration.that_can_be_kept();
            let kept = kept.map_err(|invalid| Problem::conflict(format!("what the provider has {invalid}")));
            kept.map(|configuration| Some(PendingUpdate { name, configuration, ..(*present).clone() }))
        }
        Err(problem) => Err(problem),
    };
    match adopted {
        Ok(Some(update)) => {
            let assistant = state.finish(&caller.cause(), &assistant, &update).await?;
            Ok(Json(AssistantView { assistant, configuration: update.configuration }))
        }
        Ok(None) => {
            state.abandon(&assistant, &present).await;
            Ok(Json(AssistantView { assistant: *assistant, configuration: present.configuration }))
        }
        Err(problem) => {
            state.abandon(&assistant, &present).await;
            Err(problem)
        }
    }
}

impl ControlApi {
    async fn assistant(&self, caller: &Caller, id: &AssistantId) -> Result<Assistant, Problem> {
        self.api.store.assistant(&caller.company, id).await?.ok_or_else(no_such_assistant)
    }

    async fn view(&self, assistant: Assistant) -> Result<AssistantView, Problem> {
        let version = self.api.store.assistant_version(&assistant.id, assistant.version).await?;
        let configuration = version.ok_or_else(no_such_assistant)?.configuration;
        Ok(AssistantView { assistant, configuration })
    }

    async fn at_provider(&self, provider_id: &str) -> Result<Option<ProviderAssistant>, Problem> {
        let found = self.vapi.assistant(provider_id).await;
        found.map_err(|error| not_sent(&error.to_string()))
    }

    /// What is to be made, and of what.
    async fn wanted(
        &self,
        caller: &Caller,
        request: CreateRequest,
    ) -> Result<(AssistantName, Configuration, Origin), Problem> {
        let (name, configuration, origin) = match (request.configuration, request.template, request.clone_of)
        {
            (Some(configuration), None, None) => (request.name, given(configuration)?, Origin::Created),
            (None, Some(template), None) => {
                let found = Template::named(&template).ok_or_else(|| {
                    let ids: Vec<&str> = templates().iter().map(|template| template.id.as_str()).collect();
                    Problem::field("template", format!("is none of {}", ids.join(", ")))
                })?;
                let company = self.api.company(caller.at, &caller.company).await?;
                let name = request.name.or_else(|| found.title.clone().try_into().ok());
                (name, found.configuration_for(&company.label), Origin::Template { template })
            }
            (None, None, Some(id)) => {
                let model = self.api.store.assistant(&caller.company, &id).await?;
                let model =
                    model.ok_or_else(|| Problem::field("clone_of", "is no assistant of the company"))?;
                let AssistantView { assistant, configuration } = self.view(model).await?;
                (request.name.or(Some(assistant.name)), configuration, Origin::Clone { assistant_id: id })
            }
            _ => {
                let exactly_one = "is what it is made of, or else template, or clone_of: exactly one of them";
                return Err(Problem::field("configuration", exactly_one));
            }
        };
        Ok((name.ok_or_else(|| Problem::field("name", "is missing"))?, configuration, origin))
    }

    /// Has the provider make an assistant, or finds what the same request made before.
    async fn make(
        &self,
        name: &AssistantName,
        configuration: &Configuration,
        mark: &Mark,
        now: Timestamp,
        repeatable: bool,
    ) -> Result<ProviderAssistant, Problem> {
        if repeatable {
            let made = self.vapi.assistant_made_by(&mark.request, now - SAME_REQUEST_WITHIN).await;
            if let Some(made) = made.map_err(|error| not_sent(&error.to_string()))? {
                return Ok(made);
            }
        }
        match self.vapi.create_assistant(name, configuration, mark).await {
            Written::Done(made) => Ok(*made),
            Written::Refused { kind, message } => Err(refused(kind, &message)),
            Written::NotSent { cause } => Err(not_sent(&cause)),
            Written::Gone => Err(not_sent("there is nothing to make assistants")),
            Written::Unknown { cause } => {
                let made = self.vapi.assistant_made_by(&mark.request, now - CLOCKS_DIFFER).await;
                made.ok().flatten().ok_or_else(|| {
                    let what = "nothing was made here; repeat the request with the same Idempotency-Key, and what it \
                                made there is not made twice";
                    unclear(&cause, what, PROVIDER_PAUSE)
                })
            }
        }
    }

    async fn register(
        &self,
        caller: &Caller,
        new: &NewAssistant,
    ) -> Result<(StatusCode, Json<AssistantView>), Problem> {
        let registered = self.api.store.register_assistant(&caller.cause(), &caller.company, new).await?;
        let (status, assistant) = match registered {
            Registered::Done(assistant) => (StatusCode::CREATED, assistant),
            Registered::Already(assistant) => (StatusCode::OK, assistant),
            Registered::Others => return Err(others()),
        };
        Ok((status, Json(self.view(assistant).await?)))
    }

    /// Fences a change; one that was broken off before is settled first.
    async fn fence(
        &self,
        caller: &Caller,
        id: &AssistantId,
        change: &AssistantChanged,
    ) -> Result<(Box<Assistant>, Box<PendingUpdate>), Problem> {
        let request = format!("{:032x}", self.api.entropy.next_u128());
        let cause = caller.cause();
        for _unfinished in 0..2 {
            match self.api.store.fence_assistant(&cause, &caller.company, id, &request, change).await? {
                Fenced::Taken(assistant, update) => return Ok((assistant, update)),
                Fenced::Changing { until } => return Err(changing(caller.at, until)),
                Fenced::Unfinished(assistant, update) => self.settle(&cause, &assistant, &update).await?,
                Fenced::Pinned(campaigns) => {
                    return Err(Problem::conflict(format!(
                        "campaigns that have begun use it as it is: {}; change a copy of it (clone_of)",
                        named(&campaigns)
                    )));
                }
                Fenced::Invalid(invalid) => return Err(invalid_configuration(&invalid)),
                Fenced::NotFound => return Err(no_such_assistant()),
            }
        }
        Err(Problem::unavailable(&"an assistant was left unfinished again and again"))
    }

    /// Finds out whether the provider has a change that was broken off, and finishes or abandons it.
    pub(crate) async fn settle(
        &self,
        cause: &Cause,
        assistant: &Assistant,
        update: &PendingUpdate,
    ) -> Result<(), Problem> {
        match self.at_provider(&assistant.provider_id).await? {
            Some(theirs) if bears(&theirs, &update.request) => {
                // None: somebody else settled it meanwhile.
                let _: Option<Assistant> = self.api.store.finish_update(cause, assistant, update).await?;
            }
            Some(_) | None => {
                self.api.store.abandon_update(&assistant.company, &assistant.id, &update.request).await?;
            }
        }
        Ok(())
    }

    async fn finish(
        &self,
        cause: &Cause,
        assistant: &Assistant,
        update: &PendingUpdate,
    ) -> Result<Assistant, Problem> {
        let finished = self.api.store.finish_update(cause, assistant, update).await?;
        finished.ok_or_else(|| unclear("the fence was gone", "see what the assistant is now", PROVIDER_PAUSE))
    }

    /// Takes the fence away. When that fails its time runs out.
    async fn abandon(&self, assistant: &Assistant, update: &PendingUpdate) {
        let (company, id) = (&assistant.company, &assistant.id);
        if let Err(error) = self.api.store.abandon_update(company, id, &update.request).await {
            warn!("failed to take the fence of assistant {id} away: {error}");
        }
    }
}
