//! The pool: assign, extend, release, expire; two leads, two numbers, and invocations that stop anywhere.
//!
//! The items are those of `shared/dynamo/src/pool.rs`: the number, the lead's hold, the assignment, the journal. What
//! always changes together with the assignment (`release_at`, `hold_version`, `held_by`) is kept there once.
//!
//! Time is what a hold's `release_at` is to the clocks of the functions, which differ by `CLOCK_SKEW`: ahead for all of
//! them, past for some of them, past for all of them.

use stateright::{Model, Property};

use crate::{assert_reachable_from_everywhere, assert_violates, check_every_state};

const ONE_HOLD: &str = "a number has one hold in force at most";
const ONE_NUMBER: &str = "a lead has one number at most";
const TOLD_ONCE: &str = "every hold is told of once, and its end once";
const AGREEMENT: &str = "number, lead and assignment agree";
const NOT_EARLY: &str = "a hold in force does not expire";
const LEADS: usize = 2;
const NUMBERS: usize = 2;

/// Requests for a number; each brings the id that its hold would get, and may be a repetition of an earlier one.
const REQUESTS: usize = 3;

/// Invocations at work at the same time. Three, with a release and an extension, are 15 million states, all of them good:
/// too many for every run.
const INVOCATIONS: usize = 2;

/// What the protocol leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    /// Nothing.
    None,
    /// A number is taken without the condition that it is as it was read.
    PickWithoutNumberCondition,
    /// A number is taken without the condition that the lead has none.
    PickWithoutLeadCondition,
    /// An expired hold is taken over without the condition that its time is over still.
    TakeOverWithoutTimeCondition,
    /// A hold is ended without the conditions that number and lead are held by it and that it is not over.
    EndWithoutHoldCondition,
    /// A hold is ended without the condition that nobody extended it since it was read.
    EndWithoutVersionCondition,
    /// A repeated transaction writes over what its first run wrote.
    RepeatWithoutInsertCondition,
}

struct Assignment {
    defect: Defect,
}

type Lead = usize;
type Number = usize;

/// The id of a hold: the request that it was granted to.
type HoldId = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum ReleaseAt {
    Ahead,
    /// Past by less than `CLOCK_SKEW`: some functions say that the hold is over, some that it is not.
    PastForSome,
    PastForAll,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Reason {
    Requested,
    Expired,
    /// Expired too, and written down by the transaction that gave the number to the next lead.
    TakenOver,
}

/// The assignment item: one hold from grant to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Hold {
    lead: Lead,
    number: Number,
    release_at: ReleaseAt,
    version: u8,
    ended: Option<Reason>,
}

/// A row of `by_available`, as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Candidate {
    Free,
    Expired { former: HoldId },
}

/// The transaction of `Store::take`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Take {
    lead: Lead,
    id: HoldId,
    number: Number,
    candidate: Candidate,
}

/// What `Store::end_hold` is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum End {
    /// `Store::release`.
    Release,
    /// `Store::close_expired`, of the sweeper.
    Sweep,
    /// `Store::close_expired_by`, of a lead that asks for a number and finds its hold over.
    BeforeAssign { lead: Lead, id: HoldId },
}

/// Where one invocation of a function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Invocation {
    Idle,
    /// `Store::assign`, before it reads the lead's hold.
    Assign {
        lead: Lead,
        id: HoldId,
    },
    /// The lead has no hold; before the candidates are read.
    HoldRead {
        lead: Lead,
        id: HoldId,
    },
    /// Candidates read; before the transaction.
    PoolRead {
        lead: Lead,
        id: HoldId,
        candidates: [Option<Candidate>; NUMBERS],
    },
    /// The transaction was carried out and its answer lost: it is sent again.
    AnswerLost(Take),
    /// `Store::end_hold`, before it reads the assignment.
    EndHold {
        hold: HoldId,
        end: End,
    },
    /// The assignment was not over; before the transaction.
    EndHoldRead {
        hold: HoldId,
        end: End,
        version: u8,
    },
    /// `Store::extend`: the assignment was not over; before the transaction.
    ExtendRead {
        hold: HoldId,
        version: u8,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    /// `assignment_id` of the number items.
    numbers: [Option<HoldId>; NUMBERS],
    /// `assignment_id` of the leads' hold items.
    leads: [Option<HoldId>; LEADS],
    /// The assignment items.
    holds: [Option<Hold>; REQUESTS],
    /// Events `number.assigned` in the journal.
    assigned_events: [u8; REQUESTS],
    /// Events `number.released` in the journal.
    released_events: [u8; REQUESTS],
    /// Some hold was written down as expired while it was in force.
    expired_early: bool,
    /// Nobody tells invocations apart, so they are kept in order.
    invocations: [Invocation; INVOCATIONS],
    requests: usize,
    /// Releases or extensions that still come.
    changes_left: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// A lead's request comes in, for the first time or again.
    Request(Lead),
    /// Somebody releases a hold, perhaps late, perhaps again.
    Release(HoldId),
    /// The sweeper found the hold in `by_release`, which may lag.
    Sweep(HoldId),
    /// Somebody extends a hold: `Store::move_end`, its read.
    Extend(HoldId),
    /// Time passes.
    TimePasses(HoldId),
    /// The next round trip of an invocation.
    Step(usize),
    /// The transaction of `Store::take` for one of the candidates.
    Take(usize, Number),
    /// The same, carried out without the invocation getting to know.
    TakeAnswerLost(usize, Number),
    /// The function stops where it is; whoever waited for it asks again.
    Crash(usize),
}

/// Why `Store::take` did not grant the number.
enum Lost {
    Number,
    Lead,
}

impl Assignment {
    /// `Store::take`: one transaction.
    fn take(&self, state: &mut State, take: Take) -> Result<(), Lost> {
        let Take { lead, id, number, candidate } = take;
        if state.leads[lead] == Some(id) {
            // A repeated transaction finds its own hold.
            return Ok(());
        }
        let time_over = |former: HoldId| {
            self.defect == Defect::TakeOverWithoutTimeCondition
                || state.holds[former].is_some_and(|hold| hold.release_at == ReleaseAt::PastForAll)
        };
        let number_as_read = match candidate {
            Candidate::Free => state.numbers[number].is_none(),
            Candidate::Expired { former } => state.numbers[number] == Some(former) && time_over(former),
        };
        if state.leads[lead].is_some() && self.defect != Defect::PickWithoutLeadCondition {
            return Err(Lost::Lead);
        }
        if !number_as_read && self.defect != Defect::PickWithoutNumberCondition {
            return Err(Lost::Number);
        }
        if state.holds[id].is_some() && self.defect != Defect::RepeatWithoutInsertCondition {
            return Err(Lost::Number);
        }
        if let Candidate::Expired { former } = candidate
            && !self.close(state, former, None, Reason::TakenOver)
        {
            return Err(Lost::Number);
        }
        state.numbers[number] = Some(id);
        state.leads[lead] = Some(id);
        state.holds[id] = Some(Hold { lead, number, release_at: ReleaseAt::Ahead, version: 1, ended: None });
        state.assigned_events[id] += 1;
        Ok(())
    }

    /// `Store::close`, and the number's part of `Store::end_hold` when the hold was read as `version`.
    fn close(&self, state: &mut State, id: HoldId, version: Option<u8>, reason: Reason) -> bool {
        let Some(hold) = state.holds[id] else { return false };
        let unchanged = self.defect == Defect::EndWithoutVersionCondition
            || version.is_none_or(|version| version == hold.version);
        let held_by_it = (version.is_none() || state.numbers[hold.number] == Some(id))
            && state.leads[hold.lead] == Some(id)
            && hold.ended.is_none();
        if !(self.defect == Defect::EndWithoutHoldCondition || held_by_it && unchanged) {
            return false;
        }
        state.expired_early |= reason != Reason::Requested && hold.release_at == ReleaseAt::Ahead;
        state.numbers[hold.number] = None;
        state.leads[hold.lead] = None;
        state.holds[id] = Some(Hold { ended: Some(reason), version: hold.version + 1, ..hold });
        state.released_events[id] += 1;
        true
    }

    /// What the next round trip of an invocation leads to, apart from the choice among candidates.
    fn step(&self, state: &mut State, at: usize) -> Option<Invocation> {
        Some(match state.invocations[at] {
            Invocation::Idle | Invocation::PoolRead { .. } => return None,
            Invocation::Assign { lead, id } => match state.leads[lead] {
                None => Invocation::HoldRead { lead, id },
                Some(hold) if is_ahead(state, hold) => Invocation::Idle,
                Some(hold) => Invocation::EndHold { hold, end: End::BeforeAssign { lead, id } },
            },
            Invocation::HoldRead { lead, id } => {
                let candidates = state.numbers.map(|holder| match holder {
                    None => Some(Candidate::Free),
                    Some(former) => state.holds[former]
                        .filter(|hold| hold.release_at == ReleaseAt::PastForAll)
                        .map(|_| Candidate::Expired { former }),
                });
                if candidates == [None; NUMBERS] {
                    Invocation::Idle
                } else {
                    Invocation::PoolRead { lead, id, candidates }
                }
            }
            Invocation::AnswerLost(take) => match self.take(state, take) {
                // Refused, its id is used up: whoever asked asks again.
                Ok(()) | Err(Lost::Lead | Lost::Number) => Invocation::Idle,
            },
            Invocation::EndHold { hold, end } => match (state.holds[hold], end) {
                (Some(Hold { ended: None, version, release_at, .. }), end)
                    if end == End::Release
                        || release_at == ReleaseAt::PastForAll
                        || end != End::Sweep && release_at == ReleaseAt::PastForSome =>
                {
                    Invocation::EndHoldRead { hold, end, version }
                }
                (_, End::Release | End::Sweep) => Invocation::Idle,
                (_, End::BeforeAssign { lead, id }) => Invocation::Assign { lead, id },
            },
            Invocation::EndHoldRead { hold, end, version } => {
                let reason = if end == End::Release { Reason::Requested } else { Reason::Expired };
                let ended = self.close(state, hold, Some(version), reason);
                match end {
                    _ if !ended => Invocation::EndHold { hold, end },
                    End::Release | End::Sweep => Invocation::Idle,
                    End::BeforeAssign { lead, id } => Invocation::Assign { lead, id },
                }
            }
            Invocation::ExtendRead { hold: id, version } => {
                let hold = state.holds[id]?;
                if hold.ended.is_none() && hold.version == version && state.numbers[hold.number] == Some(id) {
                    let extended = Hold { release_at: ReleaseAt::Ahead, version: hold.version + 1, ..hold };
                    state.holds[id] = Some(extended);
                }
                Invocation::Idle
            }
        })
    }
}

fn is_ahead(state: &State, hold: HoldId) -> bool {
    state.holds[hold].is_some_and(|hold| hold.release_at == ReleaseAt::Ahead)
}

impl State {
    fn in_force(&self) -> impl Iterator<Item = &Hold> {
        let holds = self.holds.iter().flatten();
        holds.filter(|hold| hold.ended.is_none() && hold.release_at == ReleaseAt::Ahead)
    }

    /// Every number is free, every hold is over, nobody is at work.
    fn at_rest(&self) -> bool {
        self.numbers == [None; NUMBERS]
            && self.leads == [None; LEADS]
            && self.holds.iter().flatten().all(|hold| hold.ended.is_some())
            && self.invocations == [Invocation::Idle; INVOCATIONS]
    }

    fn start(&mut self, invocation: Invocation) {
        // Kept in order, an idle one is the first.
        self.invocations[0] = invocation;
    }
}

impl Model for Assignment {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            numbers: [None; NUMBERS],
            leads: [None; LEADS],
            holds: [None; REQUESTS],
            assigned_events: [0; REQUESTS],
            released_events: [0; REQUESTS],
            expired_early: false,
            invocations: [Invocation::Idle; INVOCATIONS],
            requests: 0,
            changes_left: 1,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.invocations[0] == Invocation::Idle {
            if state.requests < REQUESTS {
                // Leads are alike: the first to ask is the first.
                let leads = if state.requests == 0 { 1 } else { LEADS };
                actions.extend((0..leads).map(Action::Request));
            }
            for (id, hold) in state.holds.iter().enumerate() {
                let Some(hold) = hold else { continue };
                if state.changes_left > 0 {
                    actions.push(Action::Release(id));
                }
                if hold.ended.is_none() && hold.release_at == ReleaseAt::PastForAll {
                    actions.push(Action::Sweep(id));
                }
                if hold.ended.is_none() && hold.release_at != ReleaseAt::PastForAll && state.changes_left > 0
                {
                    actions.push(Action::Extend(id));
                }
            }
        }
        for (id, hold) in state.holds.iter().enumerate() {
            if hold.is_some_and(|hold| hold.ended.is_none() && hold.release_at != ReleaseAt::PastForAll) {
                actions.push(Action::TimePasses(id));
            }
        }
        for (at, invocation) in state.invocations.iter().enumerate() {
            match invocation {
                Invocation::Idle => continue,
                Invocation::PoolRead { candidates, .. } => {
                    // Numbers are alike: the first to be granted is the first.
                    let numbers = if state.holds == [None; REQUESTS] { 1 } else { NUMBERS };
                    for number in (0..numbers).filter(|number| candidates[*number].is_some()) {
                        actions.extend([Action::Take(at, number), Action::TakeAnswerLost(at, number)]);
                    }
                }
                Invocation::Assign { .. }
                | Invocation::HoldRead { .. }
                | Invocation::AnswerLost(_)
                | Invocation::EndHold { .. }
                | Invocation::EndHoldRead { .. }
                | Invocation::ExtendRead { .. } => actions.push(Action::Step(at)),
            }
            actions.push(Action::Crash(at));
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Request(lead) => {
                state.start(Invocation::Assign { lead, id: state.requests });
                state.requests += 1;
            }
            Action::Release(hold) => {
                state.start(Invocation::EndHold { hold, end: End::Release });
                state.changes_left -= 1;
            }
            Action::Sweep(hold) => state.start(Invocation::EndHold { hold, end: End::Sweep }),
            Action::Extend(hold) => {
                let version = state.holds[hold]?.version;
                state.start(Invocation::ExtendRead { hold, version });
                state.changes_left -= 1;
            }
            Action::TimePasses(id) => {
                let hold = state.holds[id].as_mut()?;
                hold.release_at = match hold.release_at {
                    ReleaseAt::Ahead => ReleaseAt::PastForSome,
                    ReleaseAt::PastForSome | ReleaseAt::PastForAll => ReleaseAt::PastForAll,
                };
            }
            Action::Step(at) => state.invocations[at] = self.step(&mut state, at)?,
            Action::Take(at, number) | Action::TakeAnswerLost(at, number) => {
                let Invocation::PoolRead { lead, id, mut candidates } = state.invocations[at] else {
                    return None;
                };
                let take = Take { lead, id, number, candidate: candidates[number].take()? };
                state.invocations[at] = match self.take(&mut state, take) {
                    Ok(()) if action == Action::Take(at, number) => Invocation::Idle,
                    Ok(()) => Invocation::AnswerLost(take),
                    Err(Lost::Number) if candidates != [None; NUMBERS] => {
                        Invocation::PoolRead { lead, id, candidates }
                    }
                    Err(Lost::Number | Lost::Lead) => Invocation::Assign { lead, id },
                };
            }
            Action::Crash(at) => state.invocations[at] = Invocation::Idle,
        }
        state.invocations.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_HOLD, |_, state: &State| {
                (0..NUMBERS).all(|number| state.in_force().filter(|hold| hold.number == number).count() <= 1)
            }),
            Property::always(ONE_NUMBER, |_, state: &State| {
                (0..LEADS).all(|lead| state.in_force().filter(|hold| hold.lead == lead).count() <= 1)
            }),
            Property::always(TOLD_ONCE, |_, state: &State| {
                state.holds.iter().enumerate().all(|(id, hold)| {
                    let ended = hold.is_some_and(|hold| hold.ended.is_some());
                    state.assigned_events[id] == u8::from(hold.is_some())
                        && state.released_events[id] == u8::from(ended)
                })
            }),
            Property::always(AGREEMENT, |_, state: &State| {
                let held = |id: HoldId| state.holds[id].filter(|hold| hold.ended.is_none());
                let rows_have_holds = (0..NUMBERS).all(|at| {
                    state.numbers[at].is_none_or(|id| held(id).is_some_and(|hold| hold.number == at))
                }) && (0..LEADS)
                    .all(|at| state.leads[at].is_none_or(|id| held(id).is_some_and(|hold| hold.lead == at)));
                let holds_have_rows =
                    (0..REQUESTS).filter_map(|id| Some((id, held(id)?))).all(|(id, hold)| {
                        state.numbers[hold.number] == Some(id) && state.leads[hold.lead] == Some(id)
                    });
                rows_have_holds && holds_have_rows
            }),
            Property::always(NOT_EARLY, |_, state: &State| !state.expired_early),
            Property::sometimes("both leads are served", |_, state: &State| {
                (0..LEADS).all(|lead| state.in_force().any(|hold| hold.lead == lead))
            }),
            Property::sometimes(
                "a number is granted again after the sweeper closed its hold",
                |_, state: &State| granted_again(state, Reason::Expired),
            ),
            Property::sometimes("an expired hold is taken over", |_, state: &State| {
                granted_again(state, Reason::TakenOver)
            }),
            Property::sometimes(
                "an expired hold is extended by a function whose clock is behind",
                |_, state: &State| state.in_force().any(|hold| hold.version > 1),
            ),
            Property::sometimes("a lead that lost its number gets another", |_, state: &State| {
                state.in_force().any(|hold| {
                    state.holds.iter().flatten().any(|other| {
                        other.lead == hold.lead && other.number != hold.number && other.ended.is_some()
                    })
                })
            }),
        ]
    }
}

fn granted_again(state: &State, reason: Reason) -> bool {
    state.in_force().any(|hold| {
        let mut others = state.holds.iter().flatten();
        others.any(|other| other.number == hold.number && other.ended == Some(reason))
    })
}

#[test]
fn a_number_has_one_lead_and_a_lead_one_number_in_every_order_of_round_trips() {
    check_every_state("assignment", Assignment { defect: Defect::None });
}

#[test]
fn every_number_comes_free_again_wherever_functions_stop() {
    assert_reachable_from_everywhere(&Assignment { defect: Defect::None }, State::at_rest);
}

#[test]
fn without_the_condition_on_the_number_two_leads_hold_it() {
    assert_violates(Assignment { defect: Defect::PickWithoutNumberCondition }, ONE_HOLD);
}

#[test]
fn without_the_condition_on_the_lead_it_holds_two_numbers() {
    assert_violates(Assignment { defect: Defect::PickWithoutLeadCondition }, ONE_NUMBER);
}

#[test]
fn without_the_condition_on_the_time_an_extended_hold_is_taken_over() {
    assert_violates(Assignment { defect: Defect::TakeOverWithoutTimeCondition }, NOT_EARLY);
}

#[test]
fn without_the_condition_on_the_hold_a_late_release_ends_a_newer_one() {
    assert_violates(Assignment { defect: Defect::EndWithoutHoldCondition }, AGREEMENT);
    assert_violates(Assignment { defect: Defect::EndWithoutHoldCondition }, ONE_HOLD);
}

#[test]
fn without_the_condition_on_the_version_an_extended_hold_expires() {
    assert_violates(Assignment { defect: Defect::EndWithoutVersionCondition }, NOT_EARLY);
}

#[test]
fn without_the_condition_on_the_id_a_repeated_transaction_grants_twice() {
    assert_violates(Assignment { defect: Defect::RepeatWithoutInsertCondition }, TOLD_ONCE);
}
