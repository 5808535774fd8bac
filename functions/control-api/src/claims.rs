//! Numbers that come over HTTP: a company's word alone takes no number and no id of the provider.
//!
//! What is new is kept as a claim first. Then the provider is asked, once for the whole file: claims that it confirms become
//! numbers of the pool, those that it contradicts are refused, the others wait for a sync or an operator. A crash in between
//! leaves claims, which the next import or sync takes up. What the command line imports needs no confirmation: whoever can
//! write to the tables is an operator.

use axum::Json;
use axum::extract::State;
use dialpool_domain::event::Cause;
use dialpool_domain::inventory::{Account, Verdict};
use dialpool_domain::pool::NewNumber;
use dialpool_domain::{CompanyId, PhoneNumber};
use dialpool_dynamo::{Imported, Store, StoreError};
use dialpool_runtime::http::{Body, IdIn, Operator, Problem};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::ControlApi;
use crate::imports::{AT_ONCE, Accepted, Report, RowRefused, bring_numbers, refusal, report};

/// What became of a file of numbers.
#[derive(Debug, Serialize)]
pub(crate) struct NumbersReport {
    #[serde(flatten)]
    report: Report,
    /// Numbers that are neither assigned nor called from until they are confirmed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unconfirmed: Vec<RowRefused>,
}

/// What becomes of a row before the provider is asked.
enum Step {
    /// It says nothing that has to be confirmed.
    Imported(Imported),
    /// It is kept as a claim.
    Claimed(Box<NewNumber>),
}

/// Brings the numbers of a file into a company's pool, as far as they are confirmed; a dry run only says what would be if all were.
pub(crate) async fn bring(
    state: &ControlApi,
    cause: &Cause,
    company: &CompanyId,
    accepted: Accepted<NewNumber>,
    dry_run: bool,
) -> Result<NumbersReport, Problem> {
    let store = &state.api.store;
    if dry_run {
        let report = bring_numbers(store, cause, company, accepted, dry_run, || {}).await?;
        return Ok(NumbersReport { report, unconfirmed: Vec::new() });
    }
    let mut report = report(&accepted, dry_run);
    let mut unconfirmed = Vec::new();
    let mut steps = stream::iter(accepted.rows)
        .map(async |(line, number)| {
            Ok::<_, StoreError>((line, first_step(store, cause, company, number).await?))
        })
        .buffer_unordered(AT_ONCE);
    let mut claimed = Vec::new();
    while let Some((line, step)) = steps.try_next().await? {
        match step {
            Step::Imported(imported) => count(&mut report, line, imported),
            Step::Claimed(number) => claimed.push((line, *number)),
        }
    }
    if !claimed.is_empty() {
        let account = state.account(company).await?;
        let mut judged = stream::iter(claimed)
            .map(async |(line, number)| {
                Ok::<_, StoreError>((line, judge(store, cause, company, &account, &number).await?))
            })
            .buffer_unordered(AT_ONCE);
        while let Some((line, judged)) = judged.try_next().await? {
            match judged {
                Judged::Imported(imported) => count(&mut report, line, imported),
                Judged::Unconfirmed(reason) => unconfirmed.push(refusal(line, "number", reason)),
                Judged::Refused(reason) => report.refused.push(refusal(line, "vapi_id", reason)),
            }
        }
    }
    report.refused.sort_by_key(|row| row.line);
    unconfirmed.sort_by_key(|row| row.line);
    Ok(NumbersReport { report, unconfirmed })
}

async fn first_step(
    store: &Store,
    cause: &Cause,
    company: &CompanyId,
    number: NewNumber,
) -> Result<Step, StoreError> {
    let known = store.number(company, &number.number).await?;
    let says_nothing_new =
        known.is_some_and(|known| number.vapi_id.is_none() || number.vapi_id == known.vapi_id);
    if says_nothing_new {
        return store.import_number(cause, company, &number).await.map(Step::Imported);
    }
    match store.would_import_number(company, &number).await? {
        Imported::Added | Imported::Updated => {
            store.claim_number(cause.at, company, &number).await?;
            Ok(Step::Claimed(Box::new(number)))
        }
        others @ (Imported::OthersNumber | Imported::OthersProviderId) => Ok(Step::Imported(others)),
    }
}

fn count(report: &mut Report, line: u64, imported: Imported) {
    match imported {
        Imported::Added => report.added += 1,
        Imported::Updated => report.known += 1,
        Imported::OthersNumber => {
            report.refused.push(refusal(line, "number", "is in another company's pool"));
        }
        Imported::OthersProviderId => {
            report.refused.push(refusal(line, "vapi_id", "belongs to another number"));
        }
    }
}

/// What becomes of a claim once the provider was asked.
enum Judged {
    Imported(Imported),
    Unconfirmed(&'static str),
    Refused(&'static str),
}

const NO_ANSWER: &str = "the provider gave no answer: POST /v1/provider/numbers/sync asks again";

/// Carries out what the provider says of a claim; without an account, it said nothing.
async fn judge(
    store: &Store,
    cause: &Cause,
    company: &CompanyId,
    account: &Option<(Account, bool)>,
    claimed: &NewNumber,
) -> Result<Judged, StoreError> {
    let Some((account, is_only_company)) = account else {
        return Ok(Judged::Unconfirmed(NO_ANSWER));
    };
    match account.verdict(company, &claimed.number, claimed.vapi_id.as_deref(), *is_only_company) {
        Verdict::Confirmed => store.confirm_number(cause, company, claimed).await.map(Judged::Imported),
        Verdict::Unconfirmed(reason) => Ok(Judged::Unconfirmed(reason)),
        Verdict::Contradicted(reason) => {
            store.drop_claim(company, &claimed.number).await?;
            Ok(Judged::Refused(reason))
        }
    }
}

/// What became of the claims of a company.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) confirmed: Vec<PhoneNumber>,
    pub(crate) unconfirmed: Vec<PhoneNumber>,
    pub(crate) refused: Vec<(PhoneNumber, &'static str)>,
}

/// Holds the claims of a company against what the provider has now.
pub(crate) async fn settle(
    state: &ControlApi,
    cause: &Cause,
    company: &CompanyId,
    account: Account,
) -> Result<Settled, Problem> {
    let store = &state.api.store;
    let account = Some((account, state.is_only_company().await?));
    let mut settled = Settled::default();
    for claimed in store.claims(company).await? {
        let number = claimed.number.clone();
        match judge(store, cause, company, &account, &claimed).await? {
            Judged::Imported(Imported::Added | Imported::Updated) => settled.confirmed.push(number),
            Judged::Imported(Imported::OthersNumber) => {
                settled.refused.push((number, "the number is in another company's pool"));
            }
            Judged::Imported(Imported::OthersProviderId) => {
                settled.refused.push((number, "the provider's id belongs to another number"));
            }
            Judged::Unconfirmed(_) => settled.unconfirmed.push(number),
            Judged::Refused(reason) => settled.refused.push((number, reason)),
        }
    }
    Ok(settled)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmRequest {
    company: CompanyId,
}

#[derive(Debug, Serialize)]
pub(crate) struct ConfirmedNumber {
    number: PhoneNumber,
    company: CompanyId,
    confirmed: bool,
}

/// An operator says whose a claimed number is. One that another company has must be retired there first.
pub(crate) async fn confirm(
    State(state): State<ControlApi>,
    operator: Operator,
    IdIn(number): IdIn<PhoneNumber>,
    Body(ConfirmRequest { company }): Body<ConfirmRequest>,
) -> Result<Json<ConfirmedNumber>, Problem> {
    let store = &state.api.store;
    let done = |number| Json(ConfirmedNumber { number, company: company.clone(), confirmed: true });
    let Some(claimed) = store.claim_on(&company, &number).await? else {
        let has_it = store.number(&company, &number).await?.is_some();
        return if has_it {
            Ok(done(number))
        } else {
            Err(Problem::not_found("claim of the company on the number"))
        };
    };
    let cause = operator.cause();
    let mut imported = store.confirm_number(&cause, &company, &claimed).await?;
    if imported == Imported::OthersNumber && store.give_up_retired(&number).await? {
        imported = store.confirm_number(&cause, &company, &claimed).await?;
    }
    match imported {
        Imported::Added | Imported::Updated => Ok(done(number)),
        Imported::OthersNumber => Err(Problem::conflict(
            "the number is in another company's pool: retire it there (POST /v1/numbers/{number}/retire), then confirm again",
        )),
        Imported::OthersProviderId => {
            Err(Problem::conflict("the provider's id of the claim belongs to another number"))
        }
    }
}

impl ControlApi {
    /// The provider's account, and whether this company is the only one that uses it; `None`: the provider gave no answer.
    async fn account(&self, company: &CompanyId) -> Result<Option<(Account, bool)>, Problem> {
        match self.vapi.phone_numbers().await {
            Ok(numbers) => Ok(Some((Account::of(numbers), self.is_only_company().await?))),
            Err(error) => {
                warn!("the numbers of {company} stay unconfirmed: {error}");
                Ok(None)
            }
        }
    }

    async fn is_only_company(&self) -> Result<bool, Problem> {
        Ok(self.api.store.companies(None, 2).await?.0.len() < 2)
    }
}
