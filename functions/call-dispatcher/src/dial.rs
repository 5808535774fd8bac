//! From a free line to a call that the provider took.

use dialpool_domain::breaker::Pass;
use dialpool_domain::call::{Call, CallReport, CallState, FIRST_LOOK_AFTER, SEND_WITHIN};
use dialpool_domain::campaign::{Campaign, CampaignCommand, CampaignStatus, REFUSED_IN_A_ROW, Voicemail};
use dialpool_domain::contact::{Contact, ContactState};
use dialpool_domain::dialable::{self, Callee, Person, Verdict};
use dialpool_domain::event::Cause;
use dialpool_domain::law::LegalBasis;
use dialpool_domain::outcome::Outcome;
use dialpool_domain::pool::{Hold, HoldHours, ReleaseReason};
use dialpool_domain::retry::DoneReason;
use dialpool_domain::rules::Frequency;
use dialpool_domain::time::Duration;
use dialpool_domain::{AssignmentId, CallId, CampaignId, PhoneNumber, Timestamp, TraceId};
use dialpool_dynamo::{
    Assigned, Changed, Claim, Claimed, Commanded, Ended, Lines, LinesInUse, Moved, Request, Settlement,
    Standing, Told,
};
use dialpool_providers::vapi::{NewCall, PlaceCall, RefusalKind};
use dialpool_runtime::jobs::DialJob;
use tracing::{error, info, warn};

use crate::{CallDispatcher, DispatchError};

/// How many due contacts one job looks at before it leaves the rest to the next.
const CONTACTS_PER_JOB: u32 = 10;

/// A contact whose number is not at the provider waits this long: somebody has to import it again.
const WAIT_FOR_OPERATOR: Duration = Duration::from_mins(10);

/// A person whom another campaign has on a call is not called before this.
const PERSON_BUSY: Duration = Duration::from_mins(10);

/// A contact whose number is on another call waits this long.
const NUMBER_BUSY: Duration = Duration::from_mins(1);

/// A number that rests for no longer than this is waited for.
const SHORT_REST: Duration = Duration::from_hours(1);

/// What became of one contact.
enum Tried {
    /// A call was claimed: the line is used.
    Dialed,
    /// Nothing to do for this contact now; the next one may be dialed.
    Passed,
    /// Every number is held by somebody else.
    NoNumber,
    /// The lines of the account are taken: the campaign waits for its turn.
    NoLine,
    /// The lines of the campaign or of its company are taken, it was paused, or its calls are stopped: the next end of a call, or
    /// the pacer, tries again.
    Full,
    /// The provider takes no calls: nobody is asked to try now.
    Refused,
}

/// Whether the provider is at fault; none: its answer says nothing of that.
fn is_fault(answer: &PlaceCall) -> Option<bool> {
    match answer {
        PlaceCall::Accepted { .. } => Some(false),
        PlaceCall::Refused { kind: RefusalKind::Unauthorized, .. }
        | PlaceCall::NotSent { .. }
        | PlaceCall::Unknown { .. } => Some(true),
        PlaceCall::Refused { kind: RefusalKind::Capacity | RefusalKind::Invalid, .. } => None,
    }
}

impl CallDispatcher {
    /// Dials the contact of a campaign that is due longest, if a line is free, and asks for the next dial then: so one job
    /// fills all lines, and where nothing can be dialed one job is all that is spent. A line that the campaign does not use
    /// is for the next that waits for one.
    pub(crate) async fn dial(
        &self,
        campaign_id: &CampaignId,
        trace_id: &TraceId,
    ) -> Result<(), DispatchError> {
        let now = self.start.clock.now();
        let (campaign, due, lines, pass) = tokio::try_join!(
            self.store.campaign_of_job(campaign_id),
            self.store.due_contacts(now, campaign_id, CONTACTS_PER_JOB),
            async { Ok(self.store.lines(&self.account()).await?.unwrap_or_default()) },
            self.store.may_ask_provider(now, &self.line.account),
        )?;
        let runs = |campaign: &Campaign| campaign.status == CampaignStatus::Running;
        let Some(campaign) = campaign.filter(|campaign| runs(campaign) && campaign.has_free_line()) else {
            return self.hand_on(&lines, campaign_id, trace_id).await;
        };
        if self.only_refused(&campaign).await? {
            self.pause(&campaign, trace_id, "the provider began none of its last calls").await?;
            return self.hand_on(&lines, campaign_id, trace_id).await;
        }
        if due.is_empty() || lines.stopped().is_some() {
            return self.hand_on(&lines, campaign_id, trace_id).await;
        }
        if lines.taken() >= self.line.outbound as usize {
            return Ok(self.store.wait_for_line(now, &self.line.account, &campaign, &lines).await?);
        }
        if let Some(other) = lines.turn_of_another(now, &campaign) {
            self.store.wait_for_line(now, &self.line.account, &campaign, &lines).await?;
            return self.ask_for_dial(other, trace_id, Duration::ZERO).await;
        }
        if let Pass::Open { .. } = pass {
            // The pacer comes again.
            return Ok(());
        }
        match self.dial_one(&campaign, &due, &lines, pass, trace_id).await? {
            Tried::Dialed => {
                if lines.awaits(campaign_id) {
                    self.store.waits_no_longer(&self.line.account, campaign_id).await?;
                }
                self.ask_for_dial(campaign_id, trace_id, Duration::ZERO).await
            }
            Tried::NoLine => Ok(self.store.wait_for_line(now, &self.line.account, &campaign, &lines).await?),
            Tried::Passed if due.len() == CONTACTS_PER_JOB as usize => {
                // None of those could be dialed, but there are more.
                self.hand_on(&lines, campaign_id, trace_id).await?;
                self.ask_for_dial(campaign_id, trace_id, Duration::from_secs(1)).await
            }
            Tried::Passed if self.others_are_due(campaign_id, &due).await? => {
                self.hand_on(&lines, campaign_id, trace_id).await?;
                self.ask_for_dial(campaign_id, trace_id, Duration::from_secs(1)).await
            }
            Tried::Refused => Ok(()),
            Tried::NoNumber if self.has_lost_its_number(&campaign).await? => {
                self.pause(&campaign, trace_id, "its number is out of service").await?;
                self.hand_on(&lines, campaign_id, trace_id).await
            }
            Tried::Passed | Tried::NoNumber | Tried::Full => {
                self.hand_on(&lines, campaign_id, trace_id).await
            }
        }
    }

    /// Whether there are contacts to be called beside those that were looked at: a query now and then leaves some out.
    async fn others_are_due(
        &self,
        campaign_id: &CampaignId,
        seen: &[PhoneNumber],
    ) -> Result<bool, DispatchError> {
        let now = self.start.clock.now();
        let due = self.store.due_contacts(now, campaign_id, CONTACTS_PER_JOB).await?;
        Ok(due.iter().any(|phone| !seen.contains(phone)))
    }

    /// Whether the provider begins none of the campaign's calls, and there are contacts left to be called.
    async fn only_refused(&self, campaign: &Campaign) -> Result<bool, DispatchError> {
        if campaign.refused_in_a_row < REFUSED_IN_A_ROW || campaign.progress.contacts_open == 0 {
            return Ok(false);
        }
        // One that was begun and is not over yet is not counted anywhere.
        for id in self.store.calls_of_campaign(&campaign.id).await? {
            let call = self.store.call(&id).await?;
            let begun = |call: Call| matches!(call.state, CallState::Ringing | CallState::InProgress);
            if call.is_some_and(begun) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Leaves the rest of its contacts their chances, and tells why.
    async fn pause(&self, campaign: &Campaign, trace_id: &TraceId, why: &str) -> Result<(), DispatchError> {
        let (id, company, cause) = (&campaign.id, &campaign.company, &self.cause(trace_id));
        let paused = self.store.command_campaign(cause, company, id, CampaignCommand::Pause).await?;
        if let Commanded::Done(_) = paused {
            // `RefusedCampaignAlarm` counts these lines by their first words.
            error!(company = %company, campaign.id = %id, "refused campaign {id} of {company} is paused: {why}");
        }
        Ok(())
    }

    /// Whether the only number that a campaign calls from is out of service.
    async fn has_lost_its_number(&self, campaign: &Campaign) -> Result<bool, DispatchError> {
        let Some(number) = &campaign.from_number else { return Ok(false) };
        let number = self.store.number(&campaign.company, number).await?;
        Ok(number.is_none_or(|number| number.standing(self.start.clock.now()) == Standing::Retired))
    }

    /// Dials the first of the contacts that can be.
    async fn dial_one(
        &self,
        campaign: &Campaign,
        due: &[PhoneNumber],
        account: &LinesInUse,
        pass: Pass,
        trace_id: &TraceId,
    ) -> Result<Tried, DispatchError> {
        for (nth, phone) in due.iter().enumerate() {
            match self.try_contact(campaign, phone, account, pass, trace_id).await? {
                Tried::Passed => {}
                Tried::NoNumber => {
                    let behind = &due[nth..];
                    return self
                        .dial_one_that_holds_a_number(campaign, behind, account, pass, trace_id)
                        .await;
                }
                tried @ (Tried::Dialed | Tried::NoLine | Tried::Full | Tried::Refused) => return Ok(tried),
            }
        }
        Ok(Tried::Passed)
    }

    /// The campaign does not use the line that may be free: the next that waits for one may.
    async fn hand_on(
        &self,
        lines: &LinesInUse,
        campaign_id: &CampaignId,
        trace_id: &TraceId,
    ) -> Result<(), DispatchError> {
        if lines.awaits(campaign_id) {
            self.store.waits_no_longer(&self.line.account, campaign_id).await?;
        }
        match lines.next_turn(self.start.clock.now(), campaign_id) {
            Some(next) if lines.taken() < self.line.outbound as usize && lines.stopped().is_none() => {
                self.ask_for_dial(next, trace_id, Duration::ZERO).await
            }
            _ => Ok(()),
        }
    }

    /// No number is free. The leads of contacts that go ahead may hold one still; who does not goes ahead no more.
    async fn dial_one_that_holds_a_number(
        &self,
        campaign: &Campaign,
        due: &[PhoneNumber],
        account: &LinesInUse,
        pass: Pass,
        trace_id: &TraceId,
    ) -> Result<Tried, DispatchError> {
        let now = self.start.clock.now();
        let mut others = false;
        for phone in due {
            let Some(contact) = self.store.contact(&campaign.id, phone).await? else {
                continue;
            };
            if self.store.hold_of(now, &campaign.company, &contact.lead).await?.is_none() {
                if contact.goes_ahead && contact.promised_for.is_none() {
                    // Behind it there may be one that does hold a number.
                    others |= self.store.file_with_others(&campaign.id, &contact).await?;
                }
                continue;
            }
            match self.try_contact(campaign, phone, account, pass, trace_id).await? {
                Tried::Passed | Tried::NoNumber => {}
                tried @ (Tried::Dialed | Tried::NoLine | Tried::Full | Tried::Refused) => return Ok(tried),
            }
        }
        Ok(if others { Tried::Passed } else { Tried::NoNumber })
    }

    pub(crate) async fn ask_for_dial(
        &self,
        campaign_id: &CampaignId,
        trace_id: &TraceId,
        delay: Duration,
    ) -> Result<(), DispatchError> {
        let job = DialJob::Dial { campaign_id: campaign_id.clone(), trace_id: trace_id.clone() };
        Ok(self.dial_queue.send(&job, delay).await?)
    }

    async fn try_contact(
        &self,
        campaign: &Campaign,
        phone: &PhoneNumber,
        account: &LinesInUse,
        pass: Pass,
        trace_id: &TraceId,
    ) -> Result<Tried, DispatchError> {
        let cause = &self.cause(trace_id);
        let of_company = Lines::Company(campaign.company.clone());
        let hash = self.hasher.hash(phone);
        let (contact, company, lines, person) = tokio::try_join!(
            self.store.contact(&campaign.id, phone),
            self.store.company(&campaign.company),
            self.store.lines(&of_company),
            self.store.person_called(&campaign.company, &hash),
        )?;
        let (Some(contact), Some(company)) = (contact, company) else {
            return Ok(Tried::Passed);
        };
        let lines = lines.unwrap_or_default();
        if lines.stopped().is_some() {
            return Ok(Tried::Full);
        }
        if lines.taken() >= company.lines as usize {
            return Ok(Tried::Full);
        }
        match &contact.state {
            ContactState::Pending { due_at } if *due_at <= cause.at => {}
            ContactState::Pending { .. } | ContactState::Done { .. } => return Ok(Tried::Passed),
            ContactState::InFlight { call_id } => {
                self.look_again(call_id, trace_id, Duration::ZERO).await?;
                return Ok(Tried::Passed);
            }
        }
        let Some((basis, frequency)) = self.lawful(cause, campaign, &contact, &person).await? else {
            return Ok(Tried::Passed);
        };
        if [account, &lines].iter().any(|lines| lines.stop_one_of(&basis.states)) {
            // Before it gets a number, which others can use.
            self.store.defer_contact(&campaign.id, &contact, cause.at + WAIT_FOR_OPERATOR).await?;
            return Ok(Tried::Passed);
        }
        let assignment_id = AssignmentId::new(cause.at, self.start.entropy.next_u128());
        let place = contact.address.place(&contact.phone);
        // The only number is not kept for a lead whose call could not be claimed.
        let hold_hours =
            if campaign.from_number.is_some() { HoldHours::SHORTEST } else { campaign.hold_hours };
        let request = Request {
            must_dial: true,
            only: campaign.from_number.clone(),
            ..Request::new(&company, contact.lead.clone(), place, hold_hours, assignment_id)
        };
        match self.store.assign(cause, &request).await? {
            Assigned::AlreadyHeld(hold)
                if campaign.from_number.as_ref().is_some_and(|only| *only != hold.number) =>
            {
                // Of another campaign, or assigned by hand: a lead is called from one number at a time.
                let until = hold.release_at.min(cause.at + WAIT_FOR_OPERATOR);
                self.store.defer_contact(&campaign.id, &contact, until).await?;
                Ok(Tried::Passed)
            }
            Assigned::Granted(hold, _) => {
                let tried = self.claim(cause, campaign, &contact, &hold, (&basis, frequency), pass).await?;
                if campaign.from_number.is_some() && !matches!(tried, Tried::Dialed) {
                    // Others wait for the only number. A call that was claimed and not placed has let go of it already.
                    let only = ReleaseReason::OnlyNumber;
                    let _: Changed =
                        self.store.release(cause, &campaign.company, &hold.assignment_id, only).await?;
                }
                Ok(tried)
            }
            Assigned::AlreadyHeld(hold) => {
                self.claim(cause, campaign, &contact, &hold, (&basis, frequency), pass).await
            }
            Assigned::Exhausted { .. } | Assigned::AtLimit { .. } => Ok(Tried::NoNumber),
        }
    }

    /// Why calling the contact now is lawful; `None`: it is not, and the contact was put off or ended.
    async fn lawful(
        &self,
        cause: &Cause,
        campaign: &Campaign,
        contact: &Contact,
        person: &Person,
    ) -> Result<Option<(Box<LegalBasis>, Frequency)>, DispatchError> {
        let callee = Callee {
            phone: &contact.phone,
            address: &contact.address,
            consent: contact.consent.as_ref(),
            person,
        };
        match dialable::judge(self.rules, campaign.policy.consent_required, callee, cause.at) {
            Verdict::Now(basis, frequency) => Ok(Some((basis, frequency))),
            Verdict::Later(at, _) => {
                self.store.defer_contact(&campaign.id, contact, at).await?;
                Ok(None)
            }
            Verdict::Never(reason, unknown) => {
                let why = unknown.map_or_else(|| reason.as_str().to_owned(), |unknown| unknown.to_string());
                info!(campaign.id = %campaign.id, "{:?} is not dialed: {why}", contact.phone);
                self.never(cause, campaign, contact, reason).await?;
                Ok(None)
            }
        }
    }

    async fn claim(
        &self,
        cause: &Cause,
        campaign: &Campaign,
        contact: &Contact,
        hold: &Hold,
        (basis, frequency): (&LegalBasis, Frequency),
        pass: Pass,
    ) -> Result<Tried, DispatchError> {
        let once = pass == Pass::Once;
        if once && !self.store.try_provider(cause.at, &self.line.account).await? {
            return Ok(Tried::Refused);
        }
        let call_id = CallId::new(cause.at, self.start.entropy.next_u128());
        let claim = Claim {
            call_id: &call_id,
            campaign,
            contact,
            hold,
            line: &self.line,
            hasher: &self.hasher,
            legal_basis: basis,
            frequency,
            start_by: basis.start_by(cause.at),
        };
        let claimed = self.store.claim(cause, &claim).await?;
        if once && !matches!(claimed, Claimed::Placed(_)) {
            let now = self.start.clock.now();
            self.store.did_not_try_provider(cause.at, now, &self.line.account).await?;
        }
        match claimed {
            Claimed::Placed(call) => {
                let placed = self.place(cause, campaign, contact, &call).await?;
                Ok(if placed { Tried::Dialed } else { Tried::Refused })
            }
            Claimed::NotDue => Ok(Tried::Passed),
            Claimed::NumberLost => {
                // On another call, or gone. The contacts behind this one are not to wait for it.
                self.store.defer_contact(&campaign.id, contact, cause.at + NUMBER_BUSY).await?;
                Ok(Tried::Passed)
            }
            Claimed::NumberResting { until } => {
                self.wait_for_number(cause, campaign, contact, hold, until).await?;
                Ok(Tried::Passed)
            }
            Claimed::CampaignFull | Claimed::CompanyFull => Ok(Tried::Full),
            Claimed::NoLine => Ok(Tried::NoLine),
            Claimed::Stopped { everywhere: true } => Ok(Tried::Full),
            Claimed::Stopped { everywhere: false } => {
                self.store.defer_contact(&campaign.id, contact, cause.at + WAIT_FOR_OPERATOR).await?;
                Ok(Tried::Passed)
            }
            Claimed::TooOften { until } => {
                self.store.defer_contact(&campaign.id, contact, until).await?;
                Ok(Tried::Passed)
            }
            Claimed::BeingCalled => {
                self.store.defer_contact(&campaign.id, contact, cause.at + PERSON_BUSY).await?;
                Ok(Tried::Passed)
            }
            Claimed::Suppressed => self.never(cause, campaign, contact, DoneReason::Suppressed).await,
            Claimed::InvalidNumber => self.never(cause, campaign, contact, DoneReason::InvalidNumber).await,
            Claimed::NoConsent => self.never(cause, campaign, contact, DoneReason::NoConsent).await,
            Claimed::NumberNotAtProvider => {
                error!("number {:?} has no id at the provider: import it with its vapi_id", hold.number);
                self.store.defer_contact(&campaign.id, contact, cause.at + WAIT_FOR_OPERATOR).await?;
                Ok(Tried::Passed)
            }
        }
    }

    /// The contact is not called. Who opted out holds no number either.
    async fn never(
        &self,
        cause: &Cause,
        campaign: &Campaign,
        contact: &Contact,
        reason: DoneReason,
    ) -> Result<Tried, DispatchError> {
        if reason == DoneReason::Suppressed {
            // The hold first: a contact that is finished is not looked at again.
            self.store.release_opted_out(cause, &campaign.company, &contact.lead).await?;
        }
        self.store.finish_contact(cause, campaign, contact, reason).await?;
        Ok(Tried::Passed)
    }

    /// The number cannot call yet. One that rests shortly is waited for, and so is one that is kept for an appointment;
    /// else the lead gets another.
    async fn wait_for_number(
        &self,
        cause: &Cause,
        campaign: &Campaign,
        contact: &Contact,
        hold: &Hold,
        until: Timestamp,
    ) -> Result<(), DispatchError> {
        let company = &campaign.company;
        let assignment = self.store.assignment(company, &hold.assignment_id).await?;
        let booked = assignment.is_some_and(|assignment| assignment.appointment_at.is_some());
        if booked || until.since(cause.at) <= SHORT_REST {
            // What keeps the number from calling may be over sooner than it says.
            self.store.defer_contact(&campaign.id, contact, until.min(cause.at + SHORT_REST)).await?;
        } else {
            let resting = ReleaseReason::NumberResting;
            let _: Changed = self.store.release(cause, company, &hold.assignment_id, resting).await?;
        }
        Ok(())
    }

    /// Asks the provider for the call, once, and writes its answer down. Answers whether the provider has it, or may.
    async fn place(
        &self,
        cause: &Cause,
        campaign: &Campaign,
        contact: &Contact,
        call: &Call,
    ) -> Result<bool, DispatchError> {
        let now = self.start.clock.now();
        if now >= call.start_by || now > call.claimed_at + SEND_WITHIN {
            warn!(call.id = %call.id, "call {} was claimed too long ago to be placed", call.id);
            self.not_placed(cause, call, Outcome::NotPlaced, "too-late".to_owned()).await?;
            return Ok(false);
        }
        let request = NewCall {
            call_id: &call.id,
            company: &call.company,
            campaign_id: &call.campaign_id,
            trace_id: &cause.trace_id,
            assistant_id: &campaign.assistant_id,
            phone_number_id: &call.provider_number_id,
            customer: &contact.phone,
            customer_name: contact.name.as_deref(),
            lead: &contact.lead,
            earliest_at: now,
            latest_at: call.start_by,
            leave_voicemail: call.on_machine == Some(Voicemail::Leave),
            webhook: &self.webhook,
        };
        let answer = self.vapi.place_call(&request).await;
        let cause = &self.cause(&cause.trace_id);
        let fault = is_fault(&answer);
        // First what became of the call: until that is written down nobody can take it back.
        let placed = self.answered(cause, call, answer).await;
        if let Some(fault) = fault {
            self.note_provider(cause, fault).await?;
        }
        placed
    }

    /// Writes the provider's answer down. Answers whether the provider has the call, or may.
    async fn answered(&self, cause: &Cause, call: &Call, answer: PlaceCall) -> Result<bool, DispatchError> {
        match answer {
            PlaceCall::Accepted { provider_call_id } => {
                info!(call.id = %call.id, "call {} is {provider_call_id} at the provider", call.id);
                let accepted = CallState::Accepted;
                let moved = self
                    .store
                    .move_call(cause, &call.id, accepted, Some(&provider_call_id), None, None)
                    .await?;
                if let Moved::OtherCall { known } = moved {
                    return Err(DispatchError::SecondCall { call: call.id.clone(), known });
                }
                Ok(true)
            }
            PlaceCall::Refused { kind, status, message } => {
                warn!(call.id = %call.id, "the provider refused call {} with {status}: {message}", call.id);
                let outcome = match kind {
                    RefusalKind::Capacity => Outcome::CapacityLimited,
                    RefusalKind::Invalid => Outcome::ProviderFailed,
                    RefusalKind::Unauthorized => {
                        error!("the provider takes no calls from this account: {status} {message}");
                        Outcome::NotPlaced
                    }
                };
                self.not_placed(cause, call, outcome, format!("refused-{status}: {message}")).await?;
                Ok(kind == RefusalKind::Invalid)
            }
            PlaceCall::NotSent { cause: why } => {
                warn!(call.id = %call.id, "call {} did not reach the provider: {why}", call.id);
                self.not_placed(cause, call, Outcome::NotPlaced, format!("not-sent: {why}")).await?;
                Ok(false)
            }
            PlaceCall::Unknown { cause: why } => {
                warn!(call.id = %call.id, "the provider's answer to call {} is unclear: {why}", call.id);
                let _: Moved =
                    self.store.move_call(cause, &call.id, CallState::Unknown, None, Some(&why), None).await?;
                self.look_again(&call.id, &cause.trace_id, FIRST_LOOK_AFTER).await?;
                Ok(true)
            }
        }
    }

    /// Counts an answer of the provider, or the want of one.
    async fn note_provider(&self, cause: &Cause, fault: bool) -> Result<(), DispatchError> {
        if let Some(until) = self.store.asked_provider(cause.at, &self.line.account, fault).await? {
            // `BreakerOpenAlarm` counts these lines by their first words.
            error!("breaker open until {until}: the provider fails");
        }
        Ok(())
    }

    /// Ends a call that was not placed. Asks for no dial: the provider would not take that one either.
    pub(crate) async fn not_placed(
        &self,
        cause: &Cause,
        call: &Call,
        outcome: Outcome,
        ended_reason: String,
    ) -> Result<(), DispatchError> {
        let report =
            CallReport { outcome: Some(outcome), ended_reason: Some(ended_reason), ..CallReport::default() };
        let settlement = Settlement {
            call_id: &call.id,
            state: CallState::Failed,
            provider_call_id: None,
            report: &report,
            told: Told::All,
            hasher: &self.hasher,
        };
        // One of which the provider told anything is there, whatever this conclusion rests on.
        let unheard_of = [CallState::Intent, CallState::Unknown];
        match self.store.end_call_while(&unheard_of, cause, &settlement).await? {
            Ended::OtherCall { known } => Err(DispatchError::SecondCall { call: call.id.clone(), known }),
            Ended::Applied { .. } | Ended::AlreadyOver(_) | Ended::GoesOn | Ended::NotFound => Ok(()),
        }
    }

    /// Ends a call and asks for the next dial of its campaign.
    pub(crate) async fn end(
        &self,
        cause: &Cause,
        call_id: &CallId,
        state: CallState,
        provider_call_id: Option<&str>,
        report: &CallReport,
        told: Told,
    ) -> Result<(), DispatchError> {
        let settlement = Settlement { call_id, state, provider_call_id, report, told, hasher: &self.hasher };
        let ended = self.store.end_call(cause, &settlement).await?;
        self.ended(cause, call_id, ended).await
    }

    /// What follows from the end of a call, or from its going on.
    pub(crate) async fn ended(
        &self,
        cause: &Cause,
        call_id: &CallId,
        ended: Ended,
    ) -> Result<(), DispatchError> {
        match ended {
            Ended::Applied { call } => {
                if call.report.outcome == Some(Outcome::Other) {
                    // `UnknownEndedReasonAlarm` counts these lines by their first words.
                    warn!(call.id = %call.id, "unknown ended reason {:?} of call {}", call.report.ended_reason, call.id);
                }
                self.store.watch_dead_air(cause, &call).await?;
                self.ask_for_dial(&call.campaign_id, &cause.trace_id, Duration::ZERO).await
            }
            Ended::AlreadyOver(call) => {
                self.store.watch_dead_air(cause, &call).await?;
                self.ask_for_dial(&call.campaign_id, &cause.trace_id, Duration::ZERO).await
            }
            Ended::OtherCall { known } => Err(DispatchError::SecondCall { call: call_id.clone(), known }),
            Ended::GoesOn | Ended::NotFound => Ok(()),
        }
    }
}
