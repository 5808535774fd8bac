//! What may be called, and what stops it: switches, consents, the rules in force, and a look ahead at a campaign.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dialpool_domain::campaign::{Campaign, Cap};
use dialpool_domain::consent::{Consent, ConsentKind, ConsentRequired};
use dialpool_domain::contact::{Address, ContactState};
use dialpool_domain::dialable::{self, Callee, Verdict};
use dialpool_domain::place::State as Region;
use dialpool_domain::pool::HoldHours;
use dialpool_domain::preflight::{Estimate, Preflight, done_at};
use dialpool_domain::rules::Rules;
use dialpool_domain::time::Duration;
use dialpool_domain::{CampaignId, CompanyId, PhoneNumber, Timestamp, Usd};
use dialpool_dynamo::{Company, Consented, Lines, LinesInUse, PhoneHasher, Standing, Store, StoreError};
use dialpool_runtime::http::{Api, Body, Caller, IdIn, Operator, Parameters, Problem};
use dialpool_runtime::jobs::DialJob;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ControlApi;

/// The provider account whose switch an operator throws.
pub(crate) const ACCOUNT: &str = "vapi";

/// Contacts that are read at once.
const CONTACTS_PAGE: u32 = 1_000;

/// What a call takes when nothing else is said: ringing and talking, and what a minute of it costs.
const USUAL_CALL: Duration = Duration::from_secs(45);
const USUAL_COST: Usd = Usd::from_ten_thousandths(500);

/// Fewer calls say little of what a call costs.
const CALLS_THAT_TELL: u64 = 20;

/// The longest reason that is kept.
const LONGEST_REASON: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopRequest {
    company: Option<CompanyId>,
    state: Option<Region>,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Where {
    state: Option<Region>,
}

/// Where the switches are.
#[derive(Debug, Serialize)]
pub(crate) struct Stops {
    /// Why nobody is called; none: calls go on.
    stopped: Option<String>,
    /// Where nobody is called.
    states: Vec<Region>,
    lines_in_use: usize,
}

impl From<LinesInUse> for Stops {
    fn from(lines: LinesInUse) -> Self {
        Self {
            stopped: lines.stopped().map(str::to_owned),
            states: lines.stopped_states().iter().cloned().collect(),
            lines_in_use: lines.taken(),
        }
    }
}

impl StopRequest {
    fn checked(self) -> Result<(Option<Region>, String), Problem> {
        if self.reason.trim().is_empty() || self.reason.chars().count() > LONGEST_REASON {
            return Err(Problem::field("reason", format!("is 1 to {LONGEST_REASON} characters")));
        }
        Ok((self.state, self.reason))
    }
}

/// The switches of the caller's company.
pub(crate) async fn stops(State(api): State<Api>, caller: Caller) -> Result<Json<Stops>, Problem> {
    let lines = api.store.lines(&Lines::Company(caller.company)).await?;
    Ok(Json(lines.unwrap_or_default().into()))
}

/// Stops the calls of the caller's company. Those that wait at the provider are withdrawn by what hears of it.
pub(crate) async fn stop(
    State(api): State<Api>,
    caller: Caller,
    Body(request): Body<StopRequest>,
) -> Result<Json<Stops>, Problem> {
    caller.must_be(request.company.as_ref())?;
    let (state, reason) = request.checked()?;
    let lines = Lines::Company(caller.company.clone());
    Ok(Json(api.store.stop(&caller.cause(), &lines, state.as_ref(), Some(&reason)).await?.into()))
}

pub(crate) async fn resume(
    State(api): State<Api>,
    caller: Caller,
    Parameters(place): Parameters<Where>,
) -> Result<Json<Stops>, Problem> {
    let lines = Lines::Company(caller.company.clone());
    Ok(Json(api.store.stop(&caller.cause(), &lines, place.state.as_ref(), None).await?.into()))
}

/// Stops the calls of all companies, and has those withdrawn that wait at the provider.
pub(crate) async fn stop_all(
    State(state): State<ControlApi>,
    operator: Operator,
    Body(request): Body<StopRequest>,
) -> Result<Json<Stops>, Problem> {
    if request.company.is_some() {
        return Err(Problem::field("company", "is not to be named: the switch is that of all companies"));
    }
    let (place, reason) = request.checked()?;
    let (store, cause) = (&state.api.store, operator.cause());
    let lines =
        store.stop(&cause, &Lines::Account(ACCOUNT.to_owned()), place.as_ref(), Some(&reason)).await?;
    for call_id in lines.calls() {
        if let Some(place) = &place
            && store.call(call_id).await?.is_some_and(|call| !call.legal_basis.states.contains(place))
        {
            continue;
        }
        let job = DialJob::Withdraw { call_id: call_id.clone(), trace_id: cause.trace_id.clone() };
        state.withdraw_queue.send(&job, Duration::ZERO).await?;
    }
    Ok(Json(lines.into()))
}

pub(crate) async fn resume_all(
    State(api): State<Api>,
    operator: Operator,
    Parameters(place): Parameters<Where>,
) -> Result<Json<Stops>, Problem> {
    let lines = Lines::Account(ACCOUNT.to_owned());
    Ok(Json(api.store.stop(&operator.cause(), &lines, place.state.as_ref(), None).await?.into()))
}

pub(crate) async fn stops_of_all(State(api): State<Api>, _: Operator) -> Result<Json<Stops>, Problem> {
    let lines = api.store.lines(&Lines::Account(ACCOUNT.to_owned())).await?;
    Ok(Json(lines.unwrap_or_default().into()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsentRequest {
    company: Option<CompanyId>,
    phone: PhoneNumber,
    kind: ConsentKind,
    /// The words agreed to; only their hash is kept.
    text: Option<String>,
    evidence: String,
    captured_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

pub(crate) async fn capture_consent(
    State(state): State<ControlApi>,
    caller: Caller,
    Body(request): Body<ConsentRequest>,
) -> Result<(StatusCode, Json<Consent>), Problem> {
    caller.must_be(request.company.as_ref())?;
    if request.evidence.trim().is_empty() || request.evidence.chars().count() > 1_000 {
        return Err(Problem::field("evidence", "is 1 to 1000 characters: where the proof of the consent is"));
    }
    let consent = Consent {
        kind: request.kind,
        text_sha256: request.text.map(|text| hex::encode(Sha256::digest(text))),
        evidence: request.evidence,
        captured_at: request.captured_at.unwrap_or(caller.at),
        expires_at: request.expires_at,
        revoked_at: None,
    };
    if consent.captured_at > caller.at {
        return Err(Problem::field("captured_at", "is in the future"));
    }
    let store = &state.api.store;
    let written = store
        .capture_consent(&caller.cause(), &caller.company, &state.hasher, &request.phone, &consent)
        .await?;
    let status = match written {
        Consented::Written => StatusCode::CREATED,
        Consented::Already => StatusCode::OK,
    };
    let known = store.consent(&caller.company, &state.hasher.hash(&request.phone)).await?;
    Ok((status, Json(known.unwrap_or(consent))))
}

pub(crate) async fn consent(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(phone): IdIn<PhoneNumber>,
) -> Result<Json<Consent>, Problem> {
    let consent = state.api.store.consent(&caller.company, &state.hasher.hash(&phone)).await?;
    consent.map(Json).ok_or_else(|| Problem::not_found("consent"))
}

pub(crate) async fn revoke_consent(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(phone): IdIn<PhoneNumber>,
) -> Result<Json<Option<Consent>>, Problem> {
    let (store, hasher) = (&state.api.store, &state.hasher);
    let _: Consented = store.revoke_consent(&caller.cause(), &caller.company, hasher, &phone).await?;
    Ok(Json(store.consent(&caller.company, &hasher.hash(&phone)).await?))
}

/// The rules in force, with their sources.
pub(crate) async fn rules(_: Caller) -> Json<&'static Rules> {
    Json(Rules::united_states())
}

/// What a preflight answers.
#[derive(Debug, Serialize)]
pub struct LookedAhead {
    /// For which moment.
    pub evaluated_at: Timestamp,
    /// Version of the rules.
    pub rules_version: String,
    /// What was found.
    #[serde(flatten)]
    pub found: Preflight,
    /// What there is to call from.
    pub numbers: CanCall,
    /// What one call to each takes.
    pub estimate: Estimate,
}

/// The numbers of a pool that can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CanCall {
    /// In service, and known to the provider.
    pub in_service: u32,
    /// Of these, so many can be had now.
    pub free: u32,
}

/// Whom a preflight looks at.
#[derive(Debug, Clone)]
pub struct Ahead {
    /// The number.
    pub phone: PhoneNumber,
    /// Where the person is.
    pub address: Address,
    /// What came with the contact.
    pub consent: Option<Consent>,
    /// Not before this moment.
    pub due_at: Timestamp,
}

pub(crate) async fn preflight(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
) -> Result<Json<LookedAhead>, Problem> {
    let store = &state.api.store;
    let campaign =
        store.campaign(&caller.company, &id).await?.ok_or_else(|| Problem::not_found("campaign"))?;
    let (mut ahead, mut others, mut after) = (Vec::new(), 0, None);
    loop {
        let page = store.contacts(&caller.company, &id, after.as_ref(), CONTACTS_PAGE).await?;
        let page = page.ok_or_else(|| Problem::not_found("campaign"))?;
        for contact in page.contacts {
            match contact.state {
                ContactState::Pending { due_at } => ahead.push(Ahead {
                    phone: contact.phone,
                    address: contact.address,
                    consent: contact.consent,
                    due_at,
                }),
                ContactState::InFlight { .. } | ContactState::Done { .. } => others += 1,
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let company = store.company(&caller.company).await?.ok_or_else(|| Problem::not_found("company"))?;
    let Campaign { cap, policy, .. } = &campaign;
    let hold = campaign.from_number.is_none().then_some(campaign.hold_hours);
    let plan = Plan { company: &company, cap: *cap, hold, consent_required: policy.consent_required };
    let mut looked = look_ahead(store, &state.hasher, plan, &ahead, caller.at).await?;
    looked.found.done_or_under_way = others;
    looked.found.contacts += others;
    Ok(Json(looked))
}

/// How the contacts of a preflight are to be called.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The company that calls.
    pub company: &'a Company,
    /// Lines at once.
    pub cap: Cap,
    /// For how long a lead keeps its number; none: all calls are from one number, which goes from lead to lead.
    pub hold: Option<HoldHours>,
    /// What the people must have agreed to.
    pub consent_required: ConsentRequired,
}

/// Judges each contact as its dial would at `now`. Nothing is changed.
///
/// # Errors
/// When the store gives no answer.
pub async fn look_ahead(
    store: &Store,
    hasher: &PhoneHasher,
    plan: Plan<'_>,
    contacts: &[Ahead],
    now: Timestamp,
) -> Result<LookedAhead, StoreError> {
    let rules = Rules::united_states();
    let company = &plan.company.company;
    let hashes: Vec<String> = contacts.iter().map(|contact| hasher.hash(&contact.phone)).collect();
    let persons = store.persons_called(company, &hashes).await?;
    let judge = |nth: usize, at: Timestamp| {
        let (contact, person) = (&contacts[nth], &persons[nth]);
        let callee = Callee {
            phone: &contact.phone,
            address: &contact.address,
            consent: contact.consent.as_ref(),
            person,
        };
        dialable::judge(rules, plan.consent_required, callee, at)
    };
    // What is not due yet is judged for the moment when it is.
    let verdicts: Vec<Verdict> = contacts
        .iter()
        .enumerate()
        .map(|(nth, contact)| match judge(nth, now.max(contact.due_at)) {
            Verdict::Now(..) if contact.due_at > now => Verdict::Later(contact.due_at, dialable::Wait::Due),
            verdict => verdict,
        })
        .collect();
    let from = verdicts.iter().enumerate().filter_map(|(nth, verdict)| match verdict {
        Verdict::Now(..) => Some((now, nth)),
        Verdict::Later(at, _) => Some((*at, nth)),
        Verdict::Never(..) => None,
    });
    let from: Vec<(Timestamp, usize)> = from.collect();
    let numbers = can_call(store, company, now).await?;
    let (calls, lines) = (from.len(), plan.cap.lines().min(plan.company.lines).min(numbers.in_service));
    let may_call = |nth: usize, at: Timestamp| match judge(nth, at) {
        Verdict::Now(..) => Some(at),
        Verdict::Later(later, _) => Some(later),
        Verdict::Never(..) => None,
    };
    let cost_per_call = usual_cost(store, company).await?;
    let from = if numbers.in_service == 0 { Vec::new() } else { from };
    let over = done_at(from.clone(), lines, USUAL_CALL, may_call);
    let kept = plan.hold.and_then(|hold| {
        let over = done_at(from, numbers.in_service, hold.duration(), may_call)?;
        Some(over - hold.duration() + USUAL_CALL)
    });
    Ok(LookedAhead {
        evaluated_at: now,
        rules_version: rules.version.clone(),
        found: Preflight::of(verdicts.iter()),
        estimate: Estimate {
            calls,
            lines,
            seconds_per_call: USUAL_CALL.as_secs(),
            cost_per_call,
            cost: cost_per_call.times(calls),
            done_at: over,
            done_at_if_kept: kept.max(over),
        },
        numbers,
    })
}

async fn can_call(store: &Store, company: &CompanyId, now: Timestamp) -> Result<CanCall, StoreError> {
    let (mut in_service, mut free) = (0, 0);
    for number in store.all_numbers(company).await?.iter().filter(|number| number.vapi_id.is_some()) {
        let standing = number.standing(now);
        in_service += u32::from(standing != Standing::Retired);
        free += u32::from(standing == Standing::Available);
    }
    Ok(CanCall { in_service, free })
}

/// What a call of the company cost on the average of its latest campaigns.
async fn usual_cost(store: &Store, company: &CompanyId) -> Result<Usd, StoreError> {
    let latest = store.campaigns(company, None, 20).await?.entries;
    let calls: u64 = latest.iter().map(|campaign| campaign.progress.calls).sum();
    let cost = latest.iter().fold(Usd::ZERO, |sum, campaign| sum + campaign.progress.cost);
    Ok(if calls >= CALLS_THAT_TELL { cost.per(calls) } else { USUAL_COST })
}
