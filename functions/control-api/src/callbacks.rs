//! Promised callbacks over HTTP: "call me at another number, tomorrow at three".

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dialpool_domain::callback::PromisedTime;
use dialpool_domain::campaign::Campaign;
use dialpool_domain::contact::{Contact, NewContact};
use dialpool_domain::dialable::{self, Callee, Verdict};
use dialpool_domain::retry::DoneReason;
use dialpool_domain::rules::Rules;
use dialpool_domain::{CampaignId, PhoneNumber, Timestamp};
use dialpool_dynamo::{Added, Promise, Promised};
use dialpool_runtime::http::{Body, Caller, IdIn, Problem};
use serde::{Deserialize, Serialize};

use crate::ControlApi;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallbackRequest {
    /// The contact.
    phone: PhoneNumber,
    /// Where the person wants to be called instead.
    number: Option<PhoneNumber>,
    at: PromisedTime,
}

#[derive(Debug, Serialize)]
pub(crate) struct CallbackView {
    phone: PhoneNumber,
    lead: dialpool_domain::LeadId,
    /// The moment that was agreed on.
    at: Timestamp,
    /// When it is dialed: then, or as soon after as it is lawful.
    due_at: Timestamp,
    /// Why it is later; none: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    later: Option<&'static str>,
}

pub(crate) async fn promise(
    State(state): State<ControlApi>,
    caller: Caller,
    IdIn(id): IdIn<CampaignId>,
    Body(request): Body<CallbackRequest>,
) -> Result<(StatusCode, Json<CallbackView>), Problem> {
    let store = &state.api.store;
    let (campaign, contact) =
        tokio::try_join!(store.campaign(&caller.company, &id), store.contact(&id, &request.phone))?;
    let campaign = campaign.ok_or_else(|| Problem::not_found("campaign"))?;
    let contact = contact.ok_or_else(|| Problem::not_found("contact"))?;
    let phone = request.number.as_ref().unwrap_or(&request.phone);
    let known = store.person_called(&caller.company, &state.hasher.hash(&request.phone)).await?;
    if known.suppressed {
        return Err(never(DoneReason::Suppressed));
    }
    let at = request
        .at
        .moment(&contact.address.whereabouts(phone), caller.at)
        .map_err(|error| Problem::field("at", error.to_string()))?;
    let person = if *phone == contact.phone {
        known
    } else {
        store.person_called(&caller.company, &state.hasher.hash(phone)).await?
    };
    let consent = contact.consent.as_ref().filter(|_| *phone == contact.phone);
    let callee = Callee { phone, address: &contact.address, consent, person: &person };
    let (due_at, later) = lawful_from(&campaign, callee, at)?;

    if *phone != contact.phone {
        if !store.open_again(&caller.cause(), &caller.company, &id).await? {
            return Err(Problem::conflict("the campaign is over: nobody is called any more"));
        }
        // The first number goes first: who asked to be called at another is not called at both.
        refused(store.call_elsewhere(&caller.cause(), &caller.company, &id, &contact.phone).await?)?;
        let new = NewContact {
            phone: phone.clone(),
            lead: contact.lead.clone(),
            name: contact.name.clone(),
            address: contact.address.clone(),
            consent: None,
            callback_at: Some(at),
        };
        match store.add_contacts(&caller.cause(), &caller.company, &id, &[new]).await? {
            // One that was there is promised its callback as any other; one that was not has its promise with it.
            Added::Done { .. } => {}
            Added::Over(_) | Added::NotFound => {
                return Err(Problem::conflict("the campaign has just ended: ask again"));
            }
        }
    }
    let promise = Promise { campaign: &id, phone, at, due_at };
    let promised = refused(store.promise_callback(&caller.cause(), &caller.company, &promise).await?)?;
    let view = CallbackView { phone: promised.phone, lead: promised.lead, at, due_at, later };
    Ok((StatusCode::CREATED, Json(view)))
}

/// The contact, or why there is no promise.
fn refused(promised: Promised) -> Result<Contact, Problem> {
    match promised {
        Promised::Done(contact) => Ok(*contact),
        Promised::NotFound => Err(Problem::not_found("contact")),
        Promised::Over(status) => {
            Err(Problem::conflict(format!("the campaign is {status}: nobody is called any more")))
        }
        Promised::BeingCalled => Err(Problem::conflict("the contact is being called")),
        Promised::Refused(reason) => Err(never(reason)),
    }
}

/// From when on, at `at` or later, the person may be called as far as is known now, and why it is later.
fn lawful_from(
    campaign: &Campaign,
    callee: Callee<'_>,
    at: Timestamp,
) -> Result<(Timestamp, Option<&'static str>), Problem> {
    match dialable::judge(Rules::united_states(), campaign.policy.consent_required, callee, at) {
        Verdict::Now(..) => Ok((at, None)),
        Verdict::Later(later, wait) => Ok((later, Some(wait.as_str()))),
        Verdict::Never(reason, _) => Err(never(reason)),
    }
}

fn never(reason: DoneReason) -> Problem {
    Problem::conflict(format!("the number is not to be called: {}", reason.as_str()))
}
