//! The pool: one number for one lead, lock-free.
//!
//! A number is its next available time. Three kinds of item tell of a hold, and all change in one transaction: the
//! number, the lead's hold, and the assignment (its history). A hold A exists exactly while `number.assignment_id = A`
//! and `lead.assignment_id = A`; whoever ends it ends it in all three, and its journal gets the one `number.released`.
//!
//! **Assign.** (1) Read, strongly consistent and at the same time: the lead's hold, and per tier the numbers that have
//! been available longest. A live hold is the answer; a hold that is over is closed first. (2) One transaction: number
//! (still available, still in the state that was read), hold (absent), assignment, event; when the number's former hold
//! had expired without anybody writing it down, the same transaction closes that one. Refused because somebody was
//! faster: the next of the candidates; when they run out, read again.
//!
//! Where nothing is free the pool is read twice before that is the answer (`query`).
//!
//! **Contention.** Leads that come together must not all want the oldest number. The first choice is spread over the
//! oldest candidates by a hash of the lead; how widely follows what was lost lately: a lone caller gets the exact order,
//! a crowd a window of up to [`WINDOW`] numbers.
//!
//! **Release, extend, book** carry the assignment id into the condition: late or repeated ones change nothing.
//!
//! Limits and health are moments too: they move `available_at` (`numbers`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use dialpool_domain::event::{Aggregate, Cause, EventData};
use dialpool_domain::place::{AreaCode, Place, State};
use dialpool_domain::pool::{AFTER_APPOINTMENT, CLOCK_SKEW, Hold, HoldHours, ReleaseReason, Tier};
use dialpool_domain::time::Duration;
use dialpool_domain::{AssignmentId, CompanyId, LeadId, PhoneNumber, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::items::{AssignmentItem, CandidateItem, HoldItem, NumberItem};
use crate::numbers::{NumberKeys, NumberWrite};
use crate::people::Company;
use crate::transaction::{IntoAttribute, Item, Transacted, Write};
use crate::{Store, StoreError, items, keys, query};

/// The most candidates that one read brings.
const WINDOW: u32 = 400;

/// The fewest candidates that one read brings: a lost race picks among them without reading again.
const SMALLEST_READ: u32 = 100;

/// Reads before an assign gives up on a pool in which every choice is lost.
const ROUNDS: u32 = 16;

/// Choices per read: after this many losses what was read is stale.
const CHOICES: usize = 6;

/// Over how many of the oldest numbers the first choice is spread, learned from races lost lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spread(Arc<AtomicU32>);

impl Spread {
    fn width(&self) -> u32 {
        self.0.load(Ordering::Relaxed).clamp(1, WINDOW)
    }

    fn lost(&self) {
        self.0.store((self.width() * 2).clamp(64, WINDOW), Ordering::Relaxed);
    }

    fn won(&self) {
        let width = self.width();
        self.0.store(width - width.div_ceil(16).min(width - 1), Ordering::Relaxed);
    }
}

/// A lead's request for a number.
#[derive(Debug, Clone)]
pub struct Request {
    /// The tenant.
    pub company: CompanyId,
    /// Who asks.
    pub lead: LeadId,
    /// Where the lead is: a number from there is preferred.
    pub place: Place,
    /// How long the number is held.
    pub hold: HoldHours,
    /// The id that a new hold gets; a repeated request must bring a new one.
    pub assignment_id: AssignmentId,
    /// For so long after its last hold the lead gets the number that it had.
    pub sticky: Duration,
    /// Whether a number that cannot dial, for want of an id at the provider, is of no use.
    pub must_dial: bool,
    /// The one number that is of use; none: any.
    pub only: Option<PhoneNumber>,
}

impl Request {
    /// A request under the settings of a company.
    pub fn new(
        company: &Company,
        lead: LeadId,
        place: Place,
        hold: HoldHours,
        assignment_id: AssignmentId,
    ) -> Self {
        Self {
            company: company.company.clone(),
            lead,
            place: if company.local_presence { place } else { Place::default() },
            hold,
            assignment_id,
            sticky: company.thresholds.sticky(),
            must_dial: false,
            only: None,
        }
    }
}

/// What became of a request for a number. None of these is an error.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigned {
    /// The lead holds this number now.
    Granted(Hold, Tier),
    /// The lead held it already: the request was made before.
    AlreadyHeld(Hold),
    /// Every number of the company is taken; the next one comes free then. `None`: the company has no numbers.
    Exhausted {
        /// When the next number comes free.
        next_at: Option<Timestamp>,
    },
    /// No number is free, and the first that will be is held by nobody: it rests, or is at one of its limits.
    AtLimit {
        /// When that one can be assigned.
        next_at: Timestamp,
    },
}

/// One hold from grant to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assignment {
    /// The hold; its `release_at` is when it was over, once it is.
    #[serde(flatten)]
    pub hold: Hold,
    /// How local the number is to the lead.
    pub tier: Tier,
    /// The appointment that it is booked for.
    pub appointment_at: Option<Timestamp>,
    /// Since when it is over, and why; an expired hold may be over before this says so.
    pub ended: Option<(Timestamp, ReleaseReason)>,
}

/// What became of a change of a hold.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It was made; this is the hold now.
    Done(Assignment),
    /// The hold is over: a late or repeated request. Nothing changed.
    AlreadyOver(Assignment),
    /// The company has no such hold.
    NotFound,
}

struct Candidate {
    item: CandidateItem,
    number: PhoneNumber,
    tier: Tier,
}

impl Candidate {
    /// A number, as an index would show it; none when it is retired.
    fn of(item: NumberItem, tier: Tier) -> Option<Self> {
        Some(Self {
            number: item.e164.clone(),
            tier,
            item: CandidateItem {
                sort_key: item.e164.to_string(),
                available_at: item.available_at?,
                area: item.area,
                region: item.region,
                assignment_id: item.assignment_id,
                held_by: item.held_by,
                hold_version: item.hold_version,
                active_call: item.active_call,
                not_before: item.not_before,
                vapi_id: item.vapi_id,
                draining: item.draining,
            },
        })
    }
}

/// What a read of the pool brought.
struct Snapshot {
    hold: Option<HoldItem>,
    candidates: Vec<Candidate>,
    /// When the next number comes free, and whether somebody holds it until then.
    next: Option<(Timestamp, bool)>,
}

/// Reads an index in the order of its moments, so many numbers at a time, until one of them serves the request or all
/// that are available were seen: those that serve nobody now do not hide the ones behind them.
async fn read_until_served(
    now: Timestamp,
    request: &Request,
    query: QueryFluentBuilder,
    limit: u32,
) -> Result<Vec<CandidateItem>, StoreError> {
    let query = query.limit(i32::try_from(limit).unwrap_or(i32::MAX));
    let (mut numbers, mut from): (Vec<CandidateItem>, _) = (Vec::new(), None);
    loop {
        let page = query.clone().set_exclusive_start_key(from).send().await?;
        for item in page.items.unwrap_or_default() {
            numbers.push(items::read("number", item)?);
        }
        from = page.last_evaluated_key;
        let serves = numbers.iter().any(|item| item.can_serve(now, request));
        // A page with nothing in it is not the end: what is behind it may be there.
        let seen_all = numbers.last().is_some_and(|last| last.available_at > now);
        if serves || seen_all || from.is_none() {
            return Ok(numbers);
        }
    }
}

impl CandidateItem {
    /// Whether this number can be had at `now`, and is of use to who asks.
    fn can_serve(&self, now: Timestamp, request: &Request) -> bool {
        self.free_at() <= now
            && !self.draining
            && self.active_call.is_none()
            && (self.vapi_id.is_some() || !request.must_dial)
    }
}

/// Why one transaction of an assign did not grant the number.
enum Lost {
    /// Somebody took the number.
    Number,
    /// The lead got a number by another request.
    Lead,
}

impl Store {
    /// Gives the lead one number of its company, for itself alone, or says which one it holds.
    ///
    /// # Errors
    /// When the store gives no answer; the number may be held then, and asking again tells.
    pub async fn assign(&self, cause: &Cause, request: &Request) -> Result<Assigned, StoreError> {
        let (mut losses, mut nothing_before) = (0, None);
        for _round in 0..ROUNDS {
            let mut seen = self.read_pool(cause.at, request).await?;
            if let Some(hold) = seen.hold.as_ref().and_then(|item| item.hold(request)) {
                if hold.is_live(cause.at) {
                    return Ok(Assigned::AlreadyHeld(hold));
                }
                let _: Changed =
                    self.close_expired_by(cause, &request.company, &hold.assignment_id, cause.at).await?;
                continue;
            }
            if seen.candidates.is_empty() {
                // Queries show nothing now and then although something is there (`query`): nobody is sent away by one reading.
                if request.only.is_none() && nothing_before.is_none() {
                    nothing_before = Some(seen.next);
                    query::pause().await;
                    continue;
                }
                let either = [seen.next, nothing_before.flatten()].into_iter().flatten();
                return Ok(match either.min_by_key(|(next_at, _)| *next_at) {
                    Some((next_at, false)) => Assigned::AtLimit { next_at },
                    next => Assigned::Exhausted { next_at: next.map(|(next_at, _)| next_at) },
                });
            }
            nothing_before = None;
            let mut former = match request.only {
                Some(_) => None,
                None => self.former_number(cause.at, request, seen.hold.as_ref()).await?,
            };
            for _choice in 0..CHOICES {
                let choice = former.take().or_else(|| self.choose(&mut seen.candidates, request, losses));
                let Some(candidate) = choice else { break };
                if candidate.item.held_by.as_ref() == Some(&request.lead) {
                    // The reads are of different moments: the lead's own hold was closed between them.
                    break;
                }
                let release_at = cause.at + request.hold.duration();
                match self.take(cause, request, &candidate, release_at, cause.at).await? {
                    Ok(hold) => {
                        if losses == 0 {
                            self.spread.won();
                        }
                        return Ok(Assigned::Granted(hold, candidate.tier));
                    }
                    Err(Lost::Number) => {
                        losses += 1;
                        self.spread.lost();
                    }
                    Err(Lost::Lead) => break,
                }
            }
        }
        Err(StoreError::Busy(format!("every choice of {ROUNDS} reads of the pool was lost")))
    }

    /// The number that the lead had before, when it is free and well.
    async fn former_number(
        &self,
        now: Timestamp,
        request: &Request,
        hold: Option<&HoldItem>,
    ) -> Result<Option<Candidate>, StoreError> {
        let Some((number, ended_at)) = hold.and_then(|hold| hold.last_e164.as_ref().zip(hold.last_ended_at))
        else {
            return Ok(None);
        };
        if now.since(ended_at) > request.sticky {
            return Ok(None);
        }
        let key = keys::number(&request.company, number);
        let item: Option<NumberItem> = self.get("number", &self.tables.pool, key).await?;
        let Some(item) = item else { return Ok(None) };
        let place = &request.place;
        let tier = if item.area.is_some() && item.area == place.area {
            Tier::Area
        } else if item.region.is_some() && item.region == place.state {
            Tier::State
        } else {
            Tier::Any
        };
        Ok(Candidate::of(item, tier).filter(|candidate| candidate.item.can_serve(now, request)))
    }

    /// Gives a lead the number that it held elsewhere, until then; a lead that holds one already keeps that.
    pub(crate) async fn carry_over(
        &self,
        cause: &Cause,
        company: &CompanyId,
        number: &PhoneNumber,
        lead: &LeadId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        // What ended here is not begun again, however often the file is brought.
        let item = self.number_item(company, number).await?.filter(|item| item.last_held_by.is_none());
        let Some(item) = item else {
            return Ok(());
        };
        let held: Option<HoldItem> = self.get("hold", &self.tables.pool, keys::hold(company, lead)).await?;
        if let Some(hold) = held.and_then(|item| item.held_by(company, lead)) {
            // One that is over makes room; one that is not, the lead keeps.
            let _: Changed = self.close_expired_by(cause, company, &hold.assignment_id, cause.at).await?;
        }
        let digest = Sha256::digest(format!("{company}/{lead}/{number}"));
        let chance = digest[..16].iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
        let request = Request {
            company: company.clone(),
            lead: lead.clone(),
            place: Place::default(),
            hold: HoldHours::default(),
            assignment_id: AssignmentId::new(cause.at, chance),
            sticky: Duration::ZERO,
            must_dial: false,
            only: None,
        };
        if let Some(candidate) = Candidate::of(item, Tier::Any) {
            // It may rest here, and is the lead's all the same.
            let rested_by = candidate.item.free_at().max(cause.at);
            let _taken: Result<Hold, Lost> = self.take(cause, &request, &candidate, until, rested_by).await?;
        }
        Ok(())
    }

    /// Picks a candidate of the nearest tier that has any: the oldest when nothing was lost lately, else one of the oldest
    /// by a hash of the lead and of what this request lost already.
    fn choose(&self, candidates: &mut Vec<Candidate>, request: &Request, losses: u32) -> Option<Candidate> {
        let tier = candidates.first()?.tier;
        let in_tier = candidates.iter().take_while(|candidate| candidate.tier == tier).count();
        let width = in_tier.min(self.spread.width() as usize);
        let digest = Sha256::digest(format!("{}/{}/{losses}", request.lead, request.assignment_id));
        let draw = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Some(candidates.remove(draw as usize % width))
    }

    /// The same where one number is of use.
    async fn read_number(
        &self,
        now: Timestamp,
        request: &Request,
        number: &PhoneNumber,
    ) -> Result<Snapshot, StoreError> {
        let (hold, item) = tokio::try_join!(
            self.get("hold", &self.tables.pool, keys::hold(&request.company, &request.lead)),
            self.number_item(&request.company, number),
        )?;
        let candidate = item.and_then(|item| Candidate::of(item, Tier::Any));
        let next = candidate.as_ref().map(|one| (one.item.free_at(), one.item.assignment_id.is_some()));
        let candidates = candidate.into_iter().filter(|one| one.item.can_serve(now, request)).collect();
        Ok(Snapshot { hold, candidates, next })
    }

    async fn read_pool(&self, now: Timestamp, request: &Request) -> Result<Snapshot, StoreError> {
        if let Some(number) = &request.only {
            return self.read_number(now, request, number).await;
        }
        let limit = (self.spread.width() * 2).clamp(SMALLEST_READ, WINDOW);
        let area = request.place.area.as_ref().map(AreaCode::as_str);
        let state = request.place.state.as_ref().map(State::as_str);
        let (hold, area, state, any) = tokio::try_join!(
            self.get("hold", &self.tables.pool, keys::hold(&request.company, &request.lead)),
            self.local_candidates(now, request, ("by_area", "area_available"), area, limit),
            self.local_candidates(now, request, ("by_state", "state_available"), state, limit),
            self.oldest(now, request, limit),
        )?;
        let mut next: Option<(Timestamp, bool)> = None;
        let mut candidates = Vec::new();
        let mut known = BTreeSet::new();
        for (tier, rows) in [(Tier::Area, area), (Tier::State, state), (Tier::Any, any)] {
            for item in rows {
                let free_at = item.free_at();
                if free_at > now {
                    let held = item.assignment_id.is_some() && item.available_at + CLOCK_SKEW >= free_at;
                    let sooner = next.is_none_or(|(next_at, _)| free_at < next_at);
                    if tier == Tier::Any && sooner && !item.draining {
                        next = Some((free_at, held));
                    }
                    continue;
                }
                let number = item.number()?;
                if item.can_serve(now, request) && known.insert(number.clone()) {
                    candidates.push(Candidate { item, number, tier });
                }
            }
        }
        Ok(Snapshot { hold, candidates, next })
    }

    /// The numbers that have been, or will be, available first.
    async fn oldest(
        &self,
        now: Timestamp,
        request: &Request,
        limit: u32,
    ) -> Result<Vec<CandidateItem>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.tables.pool)
            .index_name("by_available")
            .consistent_read(true)
            .key_condition_expression("pk = :pool")
            .expression_attribute_values(":pool", keys::pool(&request.company).into_attribute());
        read_until_served(now, request, query, limit).await
    }

    /// The available numbers of one area code or state, longest available first.
    async fn local_candidates(
        &self,
        now: Timestamp,
        request: &Request,
        (index, attribute): (&str, &str),
        place: Option<&str>,
        limit: u32,
    ) -> Result<Vec<CandidateItem>, StoreError> {
        let Some(place) = place else { return Ok(Vec::new()) };
        let first = keys::by_place(place, Timestamp::from_millis(0));
        let query = self
            .client
            .query()
            .table_name(&self.tables.pool)
            .index_name(index)
            .consistent_read(true)
            .key_condition_expression("pk = :pool AND #available BETWEEN :first AND :now")
            .expression_attribute_names("#available", attribute)
            .expression_attribute_values(":pool", keys::pool(&request.company).into_attribute())
            .expression_attribute_values(":first", first.into_attribute())
            .expression_attribute_values(":now", keys::by_place(place, now).into_attribute());
        read_until_served(now, request, query, limit).await
    }

    /// The transaction of an assign. `rested_by`: when the number must be rested; now, unless it is the lead's already.
    async fn take(
        &self,
        cause: &Cause,
        request: &Request,
        candidate: &Candidate,
        release_at: Timestamp,
        rested_by: Timestamp,
    ) -> Result<Result<Hold, Lost>, StoreError> {
        let Request { company, lead, assignment_id, .. } = request;
        let hold = Hold {
            assignment_id: assignment_id.clone(),
            company: company.clone(),
            lead: lead.clone(),
            number: candidate.number.clone(),
            held_since: cause.at,
            release_at,
        };
        let assignment = AssignmentItem {
            assignment_id: assignment_id.clone(),
            company: company.clone(),
            held_by: lead.clone(),
            e164: candidate.number.clone(),
            area: candidate.item.area.clone(),
            region: candidate.item.region.clone(),
            tier: candidate.tier,
            held_since: cause.at,
            release_at,
            default_release_at: release_at,
            appointment_at: None,
            ended_at: None,
            end_reason: None,
            hold_version: 1,
            granted_on: Some(keys::granted_on(company, cause.at)),
        };
        let former = candidate.item.assignment_id.as_ref().zip(candidate.item.held_by.as_ref());
        let mut number = self
            .available_from(company, &NumberKeys::of(&assignment), Some(release_at))
            .set("assignment_id = :assignment, held_by = :lead, held_since = :now, release_at = :release_at")
            .set("release_shard = :shard, hold_version = :one")
            .when("attribute_not_exists(active_call) AND (attribute_not_exists(not_before) OR not_before <= :rested)")
            .when("draining = :stays")
            .bind(":stays", AttributeValue::Bool(false))
            .bind(":rested", rested_by)
            .bind(":assignment", assignment_id.as_str())
            .bind(":lead", lead.as_str())
            .bind(":now", cause.at)
            .bind(":release_at", release_at)
            .bind(":shard", keys::shard(assignment_id.as_str()))
            .bind(":one", 1u64);
        number = match &former {
            None => number.when("available_at <= :rested AND attribute_not_exists(assignment_id)"),
            Some((former, former_lead)) => number
                .set("last_held_by = :former_lead, last_ended_at = :former_end")
                .when("available_at <= :over AND assignment_id = :former")
                .bind(":former", former.as_str())
                .bind(":former_lead", former_lead.as_str())
                .bind(":former_end", candidate.item.available_at)
                .bind(":over", cause.at - CLOCK_SKEW),
        };
        let mut writes = vec![
            number.write(),
            Write::update(
                &self.tables.pool,
                keys::hold(company, lead),
                "SET assignment_id = :assignment, e164 = :number, held_since = :now, release_at = :release_at",
            )
            .when("attribute_not_exists(assignment_id)")
            .value(":assignment", assignment_id.as_str())
            .value(":number", candidate.number.as_str())
            .value(":now", cause.at)
            .value(":release_at", release_at),
            Write::insert(
                &self.tables.pool,
                items::write("assignment", keys::assignment(company, assignment_id), &assignment)?,
            ),
            self.journal(
                cause,
                company,
                Aggregate::Assignment(assignment_id.clone()),
                1,
                EventData::NumberAssigned {
                    lead: lead.clone(),
                    number: candidate.number.clone(),
                    release_at,
                    tier: candidate.tier,
                },
            )?,
        ];
        if let Some((former, former_lead)) = former {
            let over = Over {
                assignment_id: former,
                lead: former_lead,
                number: &candidate.number,
                sequence: candidate.item.hold_version + 1,
                reason: ReleaseReason::Expired,
                ended_at: candidate.item.available_at,
            };
            writes.extend(self.close(cause, company, &over)?);
        }
        match self.transact(writes).await? {
            Transacted::Done => Ok(Ok(hold)),
            // A repeated transaction whose first answer was lost finds its own assignment.
            Transacted::Refused(refusal)
                if refusal.found_text(1, "assignment_id") == Some(assignment_id.as_str()) =>
            {
                Ok(Ok(hold))
            }
            Transacted::Refused(refusal) if refusal.at(1) => Ok(Err(Lost::Lead)),
            Transacted::Refused(_) => Ok(Err(Lost::Number)),
        }
    }

    /// The writes, number apart, that end a hold: the lead's hold, the assignment, the event.
    pub(crate) fn close(
        &self,
        cause: &Cause,
        company: &CompanyId,
        over: &Over<'_>,
    ) -> Result<Vec<Write>, StoreError> {
        Ok(vec![
            Write::update(
                &self.tables.pool,
                keys::hold(company, over.lead),
                "SET last_e164 = :number, last_ended_at = :ended REMOVE assignment_id, e164, held_since, release_at",
            )
            .when("assignment_id = :assignment")
            .value(":assignment", over.assignment_id.as_str())
            .value(":number", over.number.as_str())
            .value(":ended", over.ended_at),
            Write::update(
                &self.tables.pool,
                keys::assignment(company, over.assignment_id),
                "SET ended_at = :ended, end_reason = :reason, hold_version = :sequence",
            )
            .when("attribute_not_exists(ended_at)")
            .value(":ended", over.ended_at)
            .value(":reason", items::attribute("reason", &over.reason)?)
            .value(":sequence", over.sequence),
            self.journal(
                cause,
                company,
                Aggregate::Assignment(over.assignment_id.clone()),
                over.sequence,
                EventData::NumberReleased {
                    lead: over.lead.clone(),
                    number: over.number.clone(),
                    reason: over.reason,
                    ended_at: over.ended_at,
                },
            )?,
        ])
    }

    /// The write that frees a number from a hold that was over at `ended_at`, and lets it be assigned from
    /// `available_at` on.
    pub(crate) fn free_number(
        &self,
        company: &CompanyId,
        assignment: &AssignmentItem,
        ended_at: Timestamp,
        available_at: Option<Timestamp>,
    ) -> NumberWrite {
        self.available_from(company, &NumberKeys::of(assignment), available_at)
            .set("last_held_by = :lead, last_ended_at = :ended_at")
            .remove("assignment_id, held_by, held_since, release_at, release_shard")
            .when("assignment_id = :assignment AND hold_version = :version")
            .bind(":lead", assignment.held_by.as_str())
            .bind(":ended_at", ended_at)
            .bind(":assignment", assignment.assignment_id.as_str())
            .bind(":version", assignment.hold_version)
    }

    /// Ends a hold. A hold that is over already stays as it is.
    ///
    /// # Errors
    /// When the store gives no answer; asking again tells.
    pub async fn release(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &AssignmentId,
        reason: ReleaseReason,
    ) -> Result<Changed, StoreError> {
        self.end_hold(cause, company, id, |assignment| Some((reason, assignment.release_at.min(cause.at))))
            .await
    }

    /// Writes down that a hold is over whose time is over: the sweeper's work. A hold that is not over, give or take
    /// [`CLOCK_SKEW`], stays as it is.
    ///
    /// # Errors
    /// When the store gives no answer; asking again tells.
    pub async fn close_expired(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &AssignmentId,
    ) -> Result<Changed, StoreError> {
        self.close_expired_by(cause, company, id, cause.at - CLOCK_SKEW).await
    }

    /// The same for a hold that was over at `deadline`.
    async fn close_expired_by(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &AssignmentId,
        deadline: Timestamp,
    ) -> Result<Changed, StoreError> {
        self.end_hold(cause, company, id, |assignment| {
            (assignment.release_at <= deadline).then_some((ReleaseReason::Expired, assignment.release_at))
        })
        .await
    }

    /// Ends a hold for the reason and at the moment that `end` says; `None` leaves it as it is.
    async fn end_hold(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &AssignmentId,
        end: impl Fn(&AssignmentItem) -> Option<(ReleaseReason, Timestamp)>,
    ) -> Result<Changed, StoreError> {
        for _round in 0..ROUNDS {
            let Some(assignment) = self.assignment_item(company, id).await? else {
                return Ok(Changed::NotFound);
            };
            if assignment.ended_at.is_some() {
                return Ok(Changed::AlreadyOver(assignment.into()));
            }
            let Some((reason, ended_at)) = end(&assignment) else {
                return Ok(Changed::Done(assignment.into()));
            };
            let key = keys::number(company, &assignment.e164);
            let Some(number) = self.get::<NumberItem>("number", &self.tables.pool, key).await? else {
                return Err(StoreError::unreadable(
                    "assignment",
                    format!("{id} holds a number that is not there"),
                ));
            };
            if reason == ReleaseReason::OnlyNumber && number.active_call.is_some() {
                // Somebody else's dial of the same lead came to a call.
                return Ok(Changed::Done(assignment.into()));
            }
            let available_at = number.available_after(ended_at);
            let over = Over {
                assignment_id: id,
                lead: &assignment.held_by,
                number: &assignment.e164,
                sequence: assignment.hold_version + 1,
                reason,
                ended_at,
            };
            // Whoever drains, restores or puts the number aside meanwhile is heard.
            let freed = self
                .free_number(company, &assignment, ended_at, available_at)
                .when("usage_version = :usage_read")
                .bind(":usage_read", number.usage_version);
            let mut writes = vec![freed.write()];
            writes.extend(self.close(cause, company, &over)?);
            match self.transact(writes).await? {
                Transacted::Done => {
                    let ended =
                        AssignmentItem { ended_at: Some(ended_at), end_reason: Some(reason), ..assignment };
                    return Ok(Changed::Done(ended.into()));
                }
                Transacted::Refused(_) => {}
            }
        }
        Err(StoreError::Busy(format!("{id} changed under {ROUNDS} attempts to end it")))
    }

    /// Lets a hold end at `until` instead; a moment in the past is refused by the caller.
    ///
    /// # Errors
    /// When the store gives no answer; asking again tells.
    pub async fn extend(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &AssignmentId,
        until: Timestamp,
    ) -> Result<Changed, StoreError> {
        self.move_end(cause, company, id, |assignment| (until, assignment.appointment_at)).await
    }

    /// Keeps the number until 24 hours after the appointment; `None` cancels it: back to the hold's own end, or to
    /// now when that is over.
    ///
    /// # Errors
    /// When the store gives no answer; asking again tells.
    pub async fn book(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &AssignmentId,
        appointment_at: Option<Timestamp>,
    ) -> Result<Changed, StoreError> {
        self.move_end(cause, company, id, |assignment| match appointment_at {
            Some(at) => (at + AFTER_APPOINTMENT, Some(at)),
            None if assignment.appointment_at.is_none() => (assignment.release_at, None),
            None => (assignment.default_release_at.max(cause.at), None),
        })
        .await
    }

    async fn move_end(
        &self,
        cause: &Cause,
        company: &CompanyId,
        id: &AssignmentId,
        end: impl Fn(&AssignmentItem) -> (Timestamp, Option<Timestamp>),
    ) -> Result<Changed, StoreError> {
        for _round in 0..ROUNDS {
            let Some(assignment) = self.assignment_item(company, id).await? else {
                return Ok(Changed::NotFound);
            };
            if assignment.ended_at.is_some() || assignment.release_at <= cause.at {
                return Ok(Changed::AlreadyOver(assignment.into()));
            }
            let (release_at, appointment_at) = end(&assignment);
            if (release_at, appointment_at) == (assignment.release_at, assignment.appointment_at) {
                return Ok(Changed::Done(assignment.into()));
            }
            match self.transact(self.moved(cause, company, &assignment, release_at, appointment_at)?).await? {
                Transacted::Done => {
                    return Ok(Changed::Done(
                        AssignmentItem { release_at, appointment_at, ..assignment }.into(),
                    ));
                }
                Transacted::Refused(_) => {}
            }
        }
        Err(StoreError::Busy(format!("{id} changed under {ROUNDS} attempts to move its end")))
    }

    fn moved(
        &self,
        cause: &Cause,
        company: &CompanyId,
        assignment: &AssignmentItem,
        release_at: Timestamp,
        appointment_at: Option<Timestamp>,
    ) -> Result<Vec<Write>, StoreError> {
        let number = self
            .available_from(company, &NumberKeys::of(assignment), Some(release_at))
            .set("release_at = :release_at, hold_version = :next")
            .when("assignment_id = :assignment AND hold_version = :version")
            .bind(":release_at", release_at)
            .bind(":next", assignment.hold_version + 1)
            .bind(":assignment", assignment.assignment_id.as_str())
            .bind(":version", assignment.hold_version)
            .write();
        let mut writes = vec![number];
        writes.extend(self.moved_apart_from_number(
            cause,
            company,
            assignment,
            release_at,
            appointment_at,
        )?);
        Ok(writes)
    }

    /// The writes, number apart, that move the end of a hold: the lead's hold, the assignment, the event.
    pub(crate) fn moved_apart_from_number(
        &self,
        cause: &Cause,
        company: &CompanyId,
        assignment: &AssignmentItem,
        release_at: Timestamp,
        appointment_at: Option<Timestamp>,
    ) -> Result<Vec<Write>, StoreError> {
        let history = Write::update(
            &self.tables.pool,
            keys::assignment(company, &assignment.assignment_id),
            match appointment_at {
                Some(_) => {
                    "SET release_at = :release_at, hold_version = :next, appointment_at = :appointment"
                }
                None => "SET release_at = :release_at, hold_version = :next REMOVE appointment_at",
            },
        )
        .when("attribute_not_exists(ended_at) AND hold_version = :version")
        .value(":release_at", release_at)
        .value(":next", assignment.hold_version + 1)
        .value(":version", assignment.hold_version);
        Ok(vec![
            Write::update(
                &self.tables.pool,
                keys::hold(company, &assignment.held_by),
                "SET release_at = :release_at",
            )
            .when("assignment_id = :assignment")
            .value(":assignment", assignment.assignment_id.as_str())
            .value(":release_at", release_at),
            match appointment_at {
                Some(at) => history.value(":appointment", at),
                None => history,
            },
            self.journal(
                cause,
                company,
                Aggregate::Assignment(assignment.assignment_id.clone()),
                assignment.hold_version + 1,
                EventData::NumberExtended {
                    lead: assignment.held_by.clone(),
                    number: assignment.e164.clone(),
                    release_at,
                    appointment_at,
                },
            )?,
        ])
    }

    /// The hold of a lead that is in force at `now`.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn hold_of(
        &self,
        now: Timestamp,
        company: &CompanyId,
        lead: &LeadId,
    ) -> Result<Option<Hold>, StoreError> {
        let item: Option<HoldItem> = self.get("hold", &self.tables.pool, keys::hold(company, lead)).await?;
        Ok(item.and_then(|item| item.held_by(company, lead)).filter(|hold| hold.is_live(now)))
    }

    /// One hold of a company, over or not.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn assignment(
        &self,
        company: &CompanyId,
        id: &AssignmentId,
    ) -> Result<Option<Assignment>, StoreError> {
        Ok(self.assignment_item(company, id).await?.map(Assignment::from))
    }

    pub(crate) async fn assignment_item(
        &self,
        company: &CompanyId,
        id: &AssignmentId,
    ) -> Result<Option<AssignmentItem>, StoreError> {
        self.get("assignment", &self.tables.pool, keys::assignment(company, id)).await
    }

    /// How many holds of a company were granted from `since` to `now`, which is at most a few days later. Read from an index
    /// that may lag by a moment.
    pub(crate) async fn assignments_since(
        &self,
        company: &CompanyId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut days: Vec<String> = Vec::new();
        let mut day = since;
        while day < now {
            days.push(keys::granted_on(company, day));
            day = day + Duration::from_hours(24);
        }
        days.push(keys::granted_on(company, now));
        days.dedup();
        let mut count = 0;
        for day in days {
            let mut pages = self
                .client
                .query()
                .table_name(&self.tables.pool)
                .index_name("by_day")
                .select(Select::Count)
                .key_condition_expression("granted_on = :day AND held_since BETWEEN :since AND :now")
                .expression_attribute_values(":day", day.into_attribute())
                .expression_attribute_values(":since", since.into_attribute())
                .expression_attribute_values(":now", now.into_attribute())
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                count += u64::try_from(page?.count).unwrap_or(0);
            }
        }
        Ok(count)
    }

    /// The holds, of whatever company, that were over by `now` and are not written down as over: at most `limit`.
    /// Read from an index that may lag by a moment; closing one checks again.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub async fn expired_holds(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(CompanyId, AssignmentId)>, StoreError> {
        let mut expired = Vec::new();
        for shard in 0..keys::SHARDS {
            let holds = self
                .client
                .query()
                .table_name(&self.tables.pool)
                .index_name("by_release")
                .key_condition_expression("release_shard = :shard AND release_at <= :over")
                .expression_attribute_values(":shard", keys::shard_name(shard).into_attribute())
                .expression_attribute_values(":over", (now - CLOCK_SKEW).into_attribute());
            let found = query::swept(holds, limit - expired.len()).await?;
            expired.extend(found.iter().filter_map(keys::hold_of));
            if expired.len() >= limit {
                break;
            }
        }
        Ok(expired)
    }

    /// Reads one item, strongly consistent.
    pub(crate) async fn get<T: serde::de::DeserializeOwned>(
        &self,
        entity: &'static str,
        table: &str,
        key: Item,
    ) -> Result<Option<T>, StoreError> {
        let found =
            self.client.get_item().table_name(table).set_key(Some(key)).consistent_read(true).send().await?;
        found.item.map(|item| items::read(entity, item)).transpose()
    }
}

/// A hold that is to be closed.
pub(crate) struct Over<'a> {
    pub(crate) assignment_id: &'a AssignmentId,
    pub(crate) lead: &'a LeadId,
    pub(crate) number: &'a PhoneNumber,
    pub(crate) sequence: u64,
    pub(crate) reason: ReleaseReason,
    pub(crate) ended_at: Timestamp,
}

impl CandidateItem {
    /// When it can be assigned: an expired hold is taken over a little late.
    fn free_at(&self) -> Timestamp {
        let over_at = match self.assignment_id {
            Some(_) => self.available_at + CLOCK_SKEW,
            None => self.available_at,
        };
        self.not_before.map_or(over_at, |rest| rest.max(over_at))
    }

    fn number(&self) -> Result<PhoneNumber, StoreError> {
        let text = self.sort_key.strip_prefix(keys::NUMBER_PREFIX).unwrap_or(&self.sort_key);
        text.parse().map_err(|error| StoreError::unreadable("number", error))
    }
}

impl HoldItem {
    fn hold(&self, request: &Request) -> Option<Hold> {
        self.held_by(&request.company, &request.lead)
    }

    fn held_by(&self, company: &CompanyId, lead: &LeadId) -> Option<Hold> {
        Some(Hold {
            assignment_id: self.assignment_id.clone()?,
            company: company.clone(),
            lead: lead.clone(),
            number: self.e164.clone()?,
            held_since: self.held_since?,
            release_at: self.release_at?,
        })
    }
}

impl From<AssignmentItem> for Assignment {
    fn from(item: AssignmentItem) -> Self {
        Self {
            hold: Hold {
                assignment_id: item.assignment_id,
                company: item.company,
                lead: item.held_by,
                number: item.e164,
                held_since: item.held_since,
                release_at: item.release_at,
            },
            tier: item.tier,
            appointment_at: item.appointment_at,
            ended: item.ended_at.zip(item.end_reason),
        }
    }
}
