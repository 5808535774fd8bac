//! The inventory over HTTP: the numbers of the pools, held against those of the provider.
//!
//! A company sees its own numbers alone. What the provider has beside them is for an operator: it may be anybody's.

use axum::Json;
use axum::extract::State;
use dialpool_domain::inventory::{Account, Finding, Inventory, Line, ProviderNumber, Unpooled};
use dialpool_domain::pool::NewNumber;
use dialpool_domain::{CompanyId, PhoneNumber, Timestamp};
use dialpool_dynamo::{Imported, StoreError};
use dialpool_runtime::http::{Caller, Operator, Problem};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use crate::ControlApi;
use crate::assistants::not_sent;
use crate::claims;
use crate::imports::AT_ONCE;

/// What the provider says of the numbers in service.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    checked_at: Timestamp,
    healthy: usize,
    unhealthy: usize,
    lines: Vec<Line>,
    /// Numbers that wait to be confirmed.
    unconfirmed: Vec<PhoneNumber>,
}

/// The same for all companies, with what the provider has beside their numbers.
#[derive(Debug, Serialize)]
pub(crate) struct OperatorReport {
    #[serde(flatten)]
    report: Report,
    unpooled: Vec<Unpooled>,
    /// What companies say is theirs, and nobody has confirmed.
    claims: Vec<Claimed>,
}

/// A number that a company says is its own.
#[derive(Debug, Serialize)]
struct Claimed {
    company: CompanyId,
    number: PhoneNumber,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<String>,
}

/// What was written into the pool, and how it is then.
#[derive(Debug, Serialize)]
pub(crate) struct Synced {
    changed: Vec<NewId>,
    confirmed: Vec<PhoneNumber>,
    refused: Vec<NotTaken>,
    #[serde(flatten)]
    report: Report,
}

/// A number that has another id at the provider from now on.
#[derive(Debug, Serialize)]
struct NewId {
    number: PhoneNumber,
    provider_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    former: Option<String>,
}

/// A number whose id at the provider could not be taken.
#[derive(Debug, Serialize)]
struct NotTaken {
    number: PhoneNumber,
    reason: &'static str,
}

impl NewId {
    /// The id that the provider has for a number, where the pool has none or another.
    fn found(line: Line) -> Option<Self> {
        let provider_id = line.findings.into_iter().find_map(|finding| match finding {
            Finding::NoProviderId { found } | Finding::OtherProviderId { found } => Some(found),
            Finding::Missing | Finding::NotActive { .. } => None,
        })?;
        Some(Self { number: line.number, provider_id, former: line.provider_id })
    }
}

impl Report {
    fn of(checked_at: Timestamp, lines: Vec<Line>, unconfirmed: Vec<PhoneNumber>) -> Self {
        let healthy = lines.iter().filter(|line| line.healthy).count();
        Self { checked_at, healthy, unhealthy: lines.len() - healthy, lines, unconfirmed }
    }
}

pub(crate) async fn show(State(state): State<ControlApi>, caller: Caller) -> Result<Json<Report>, Problem> {
    let pooled = state.api.store.pooled_numbers(caller.at, &caller.company).await?;
    let inventory = Inventory::of(&pooled, &state.provider_numbers().await?);
    let claims = state.api.store.claims(&caller.company).await?;
    let unconfirmed = claims.into_iter().map(|claimed| claimed.number).collect();
    Ok(Json(Report::of(caller.at, inventory.lines, unconfirmed)))
}

/// Writes into the pool under which ids the provider has its numbers, of which nothing else changes, and those that waited for
/// the provider to confirm them.
pub(crate) async fn sync(State(state): State<ControlApi>, caller: Caller) -> Result<Json<Synced>, Problem> {
    let (store, company, cause) = (&state.api.store, &caller.company, &caller.cause());
    let pooled = store.pooled_numbers(caller.at, company).await?;
    let theirs = state.provider_numbers().await?;
    let found = Inventory::of(&pooled, &theirs).lines.into_iter().filter_map(NewId::found);
    let mut imported = stream::iter(found)
        .map(async |new: NewId| {
            let vapi_id = Some(new.provider_id.clone());
            let number = NewNumber { vapi_id, ..NewNumber::bare(new.number.clone()) };
            let imported = store.import_number(cause, company, &number).await?;
            Ok::<_, StoreError>((new, imported))
        })
        .buffered(AT_ONCE);
    let (mut changed, mut refused) = (Vec::new(), Vec::new());
    while let Some((new, imported)) = imported.try_next().await? {
        let reason = match imported {
            Imported::Added | Imported::Updated => {
                changed.push(new);
                continue;
            }
            Imported::OthersNumber => "the number is in another company's pool",
            Imported::OthersProviderId => "the provider's id belongs to another number",
        };
        refused.push(NotTaken { number: new.number, reason });
    }
    let settled = claims::settle(&state, cause, company, Account::of(theirs.clone())).await?;
    refused.extend(settled.refused.into_iter().map(|(number, reason)| NotTaken { number, reason }));
    let pooled = store.pooled_numbers(caller.at, company).await?;
    let report = Report::of(caller.at, Inventory::of(&pooled, &theirs).lines, settled.unconfirmed);
    Ok(Json(Synced { changed, confirmed: settled.confirmed, refused, report }))
}

/// The numbers of all companies, and what the provider has beside them.
pub(crate) async fn show_all(
    State(state): State<ControlApi>,
    operator: Operator,
) -> Result<Json<OperatorReport>, Problem> {
    let at = operator.cause().at;
    let pooled = state.api.store.all_pooled_numbers(at).await?;
    let Inventory { lines, unpooled } = Inventory::of(&pooled, &state.provider_numbers().await?);
    let (mut claims, mut after) = (Vec::new(), None);
    loop {
        let (companies, next) = state.api.store.companies(after.as_ref(), 100).await?;
        for company in companies {
            let of_company = state.api.store.claims(&company.company).await?;
            claims.extend(of_company.into_iter().map(|claimed| Claimed {
                company: company.company.clone(),
                number: claimed.number,
                provider_id: claimed.vapi_id,
            }));
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    let unconfirmed = claims.iter().map(|claimed| claimed.number.clone()).collect();
    Ok(Json(OperatorReport { report: Report::of(at, lines, unconfirmed), unpooled, claims }))
}

impl ControlApi {
    async fn provider_numbers(&self) -> Result<Vec<ProviderNumber>, Problem> {
        self.vapi.phone_numbers().await.map_err(|error| not_sent(&error.to_string()))
    }
}
