//! Dialing: two contacts, one line, a provider that may answer late, unclearly or never, and invocations that stop
//! anywhere.
//!
//! The items are those of `shared/dynamo/src/{dialing,settlement}.rs`. Versions are not kept: the state of a call and the
//! calls of a contact only go forward, so that "as it was read" is equality. How a lead comes to its number is the other
//! model; here the number is the lead's, or nobody's.
//!
//! A dial job is a hint, a settle job a question, and a queue brings either late, twice, or again after a crash: so each
//! may come at any moment at which it finds something to do. A request that never arrives at the provider and one that is
//! refused without the answer arriving here are the same thing.
//!
//! A call may be taken back while it waits at the provider, by two invocations at once, and the person is to be called again then.
//! The provider may be behind itself: what it took is not to be seen until [`Action::Appears`], at the latest when absence proves.
//!
//! Simplified: only a call that may be taken back waits at the provider before it begins.
//! Also, a call that was never placed is tried once more, not for ever; the other outcomes end the contact. Questions
//! whose answer changes nothing are not asked. Within `START_WITHIN` a request may be sent at any moment, not only within
//! `SEND_WITHIN`.

use stateright::{Model, Property};

use crate::{assert_reachable_from_everywhere, assert_violates, check_every_state};

const CONTACTS: usize = 2;

/// Calls claimed for a contact at most, by contact.
const CALLS_OF: [usize; CONTACTS] = [2, 1];
const CALLS: usize = CALLS_OF[0] + CALLS_OF[1];

/// The cap of the campaign and of the account.
const LINES: usize = 1;

/// Invocations of `call-dispatcher` and `inbox-worker` at work at the same time. Three are 10 million states, all of them
/// good: too many for every run.
const INVOCATIONS: usize = 2;

/// The contact to whom everything happens: the lead may opt out or the number be released by hand, and a call that was
/// never placed is followed by another. The other contact is there for the line.
const EVENTFUL: ContactId = 0;

const ONE_CALL: &str = "the provider has one call at most for one attempt";
const LINES_KEPT: &str = "there are no more calls than lines, and none without a line";
const OPT_OUT_KEPT: &str = "nobody is claimed after the opt-out was acknowledged";
const ENDS_ONCE: &str = "the outcome of a call is applied once";
const FREED_ONCE: &str = "the line of a call is given back once";
const NOTHING_LEFT: &str = "where nothing is left to do, contacts are done and lines and numbers free";

/// What the protocol leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    /// Nothing.
    None,
    /// A call is claimed without the condition that the contact is as it was read.
    ClaimWithoutContactCondition,
    /// A call is claimed without the condition that a line is free.
    ClaimWithoutLineCondition,
    /// The suppression list is read before the claim, not checked in it.
    OptOutReadBeforeClaim,
    /// An unclear answer has the request sent again.
    UnclearIsSentAgain,
    /// A call that the provider does not know was never placed, however young it is.
    AbsenceProvesAtOnce,
    /// To who takes a call back that is being taken back already, its absence is proof.
    SecondWithdrawalTakesAbsenceAsProof,
    /// A call that was taken back is ended whether or not it has begun.
    WithdrawalEndsWhatBegan,
    /// How old the call is, is taken when the provider's answer is here, not when it was asked.
    AgeTakenAfterAnswer,
    /// The request does not say until when the call may be started.
    RequestWithoutLastMoment,
    /// A call is ended without the condition that it is as it was read.
    EndWithoutLiveCondition,
    /// A line is given back by a write of its own, whether or not the call's end is applied.
    LineFreedApart,
}

struct Dialing {
    defect: Defect,
}

type ContactId = usize;

/// Numbered by contact, then by claim.
type CallId = usize;

/// `CallState`, as far as it makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum CallState {
    Intent,
    Unknown,
    Accepted,
    Over,
}

/// How long ago the call was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Age {
    /// Within `START_WITHIN`.
    Startable,
    /// The spare minute before `ABSENCE_PROVES_AFTER`.
    TooLate,
    /// Past `ABSENCE_PROVES_AFTER`.
    Proving,
}

/// What the provider has of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum AtProvider {
    Nothing,
    /// The request is on its way.
    Requested,
    Refused,
    /// The provider has the call and has not begun it.
    Waits,
    Live,
    Over,
    /// Deleted before it began.
    Deleted,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Outcome {
    Reached,
    ProviderFailed,
    NotPlaced,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Call {
    state: CallState,
    age: Age,
    at_provider: AtProvider,
    /// Whether end-of-call reports are on their way, any number of them.
    reported: bool,
    /// Whether the provider shows what it has.
    seen: bool,
    /// Whether it is being taken back.
    withdrawn: bool,
    /// Calls that ever rang for it.
    placed: u8,
    /// How often its end was applied.
    ended: u8,
    /// How often its line was given back.
    freed: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ContactState {
    Pending,
    InFlight(CallId),
    Reached,
    Suppressed,
    Failed,
}

/// A contact, and the number of its lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Contact {
    state: ContactState,
    /// Calls claimed for it.
    calls: usize,
    /// Whether the lead holds the number.
    held: bool,
    /// `active_call` of the number.
    active_call: Option<CallId>,
}

/// Where one invocation of a function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Invocation {
    Idle,
    /// `CallDispatcher::try_contact`: the contact was read as due and its lead holds a number; before the claim.
    ContactRead {
        contact: ContactId,
        calls: usize,
        suppressed: bool,
    },
    /// The claim was refused, the number called being on a list; before `Store::finish_contact`.
    ClaimSuppressed {
        contact: ContactId,
        calls: usize,
    },
    /// The contact was finished; before `Store::release`.
    ContactFinished {
        contact: ContactId,
    },
    /// `CallDispatcher::place`, before the request.
    Claimed {
        call: CallId,
    },
    /// The request was sent; before its answer.
    Requested {
        call: CallId,
    },
    /// `CallDispatcher::settle`: the provider answered what it has of the call.
    Asked {
        call: CallId,
        found: AtProvider,
        age: Age,
    },
    /// `CallDispatcher::withdraw`: the call is marked as being taken back; before the provider is asked to delete it.
    Withdrawing {
        call: CallId,
        /// Whether it was marked before.
        again: bool,
    },
    /// The provider deleted the call, or answered what it is instead; `Nothing`: it is not there.
    Withdrew {
        call: CallId,
        found: AtProvider,
        again: bool,
        age: Age,
    },
    /// `Store::move_call`, the call read; before the transaction.
    MoveRead {
        call: CallId,
        from: CallState,
        to: CallState,
    },
    /// `Store::end_call`, call and number read; before the transaction.
    EndRead {
        call: CallId,
        from: CallState,
        held: bool,
        outcome: Outcome,
    },
}

/// What happens to the eventful contact from outside, at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Event {
    None,
    /// The lead will opt out.
    OptOut,
    /// The lead opted out, and was told that it is in force.
    OptedOut,
    /// Somebody will release the number, perhaps during a call.
    ReleaseByHand,
    /// The campaign was paused and runs again: its call is to be taken back, and the contact to be called then.
    TakenBack,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    contacts: [Contact; CONTACTS],
    calls: [Option<Call>; CALLS],
    /// `slots` of the campaign and of the account.
    slots: [bool; CALLS],
    event: Event,
    claimed_after_opt_out: bool,
    /// Nobody tells invocations apart, so they are kept in order.
    invocations: [Invocation; INVOCATIONS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// A dial job finds a contact due and a line free, and has a number held for its lead.
    DialJob(ContactId),
    /// A settle job reads that the call is not over, and asks the provider.
    SettleJob(CallId),
    /// A job takes a call back, and marks it.
    WithdrawJob(CallId),
    /// The provider shows what it has.
    Appears(CallId),
    /// The provider begins a call that waited.
    Begin(CallId),
    /// The inbox worker takes an end-of-call report, and reads the call.
    Webhook(CallId),
    /// From now on no end-of-call report arrives.
    WebhooksLost(CallId),
    /// The next round trip of an invocation.
    Step(usize),
    /// The answer to a request for a call does not arrive, or is unclear.
    Unclear(usize),
    /// The function stops where it is. After a claim: the claim's answer is lost.
    Crash(usize),
    /// The provider takes the request.
    Accept(CallId),
    /// The provider refuses the request, or never gets it.
    Refuse(CallId),
    /// The person hangs up.
    HangUp(CallId),
    /// Time passes.
    TimePasses(CallId),
    /// The lead opts out, and is told that it is in force: `Store::suppress`.
    OptOut,
    /// Somebody releases the number: `Store::release`.
    ReleaseByHand,
    /// The lead's hold is over, and is written down as such.
    HoldExpires(ContactId),
}

impl State {
    fn suppressed(&self, contact: ContactId) -> bool {
        contact == EVENTFUL && self.event == Event::OptedOut
    }

    /// Whether a call waits at the provider before it begins, and is taken back there.
    fn may_be_taken_back(&self, call: CallId) -> bool {
        self.event == Event::TakenBack && call == 0
    }

    fn lines_in_use(&self) -> usize {
        self.slots.iter().filter(|taken| **taken).count()
    }

    fn calls(&self) -> impl Iterator<Item = (CallId, &Call)> {
        self.calls.iter().enumerate().filter_map(|(id, call)| Some((id, call.as_ref()?)))
    }

    fn calls_of(&self, contact: ContactId) -> impl Iterator<Item = &Call> {
        self.calls().filter(move |(id, _)| contact_of(*id) == contact).map(|(_, call)| call)
    }

    /// Every contact is done, every line and every number is free, nobody is at work.
    fn at_rest(&self) -> bool {
        self.contacts.iter().all(|contact| {
            !matches!(contact.state, ContactState::Pending | ContactState::InFlight(_))
                && !contact.held
                && contact.active_call.is_none()
        }) && self.lines_in_use() == 0
            && self.invocations == [Invocation::Idle; INVOCATIONS]
    }

    /// Makes states equal that differ in nothing that can matter again.
    fn forget_what_changes_nothing(&mut self) {
        for call in self.calls.iter_mut().flatten() {
            if call.state == CallState::Over {
                // Further reports are merged, and end nothing.
                call.reported = false;
                if matches!(call.at_provider, AtProvider::Refused | AtProvider::Over | AtProvider::Deleted) {
                    (call.at_provider, call.age) = (AtProvider::Over, Age::Proving);
                    (call.seen, call.withdrawn) = (true, false);
                }
            }
        }
        self.invocations.sort_unstable();
    }

    /// `Store::end_call`, its reads.
    fn read_to_end(&self, call: CallId, outcome: Outcome) -> Invocation {
        match self.calls[call] {
            None | Some(Call { state: CallState::Over, .. }) => Invocation::Idle,
            Some(Call { state: from, .. }) => {
                let held = self.contacts[contact_of(call)].held;
                Invocation::EndRead { call, from, held, outcome }
            }
        }
    }

    /// `Store::move_call`, its read.
    fn read_to_move(&self, call: CallId, to: CallState) -> Invocation {
        match self.calls[call] {
            Some(Call { state: from, .. }) if from < to => Invocation::MoveRead { call, from, to },
            _ => Invocation::Idle,
        }
    }
}

fn contact_of(call: CallId) -> ContactId {
    usize::from(call >= CALLS_OF[0])
}

impl Dialing {
    /// Whether a settle job would do anything about a call.
    fn is_worth_asking(&self, call: &Call) -> bool {
        match call.at_provider {
            _ if call.state == CallState::Over => false,
            AtProvider::Over => true,
            AtProvider::Waits | AtProvider::Live if call.seen => call.state < CallState::Accepted,
            AtProvider::Nothing
            | AtProvider::Requested
            | AtProvider::Refused
            | AtProvider::Waits
            | AtProvider::Live
            | AtProvider::Deleted => {
                let early = [Defect::AbsenceProvesAtOnce, Defect::AgeTakenAfterAnswer];
                call.age == Age::Proving || early.contains(&self.defect)
            }
        }
    }

    /// `Store::claim`: one transaction.
    fn claim(
        &self,
        state: &mut State,
        contact: ContactId,
        calls: usize,
        suppressed: bool,
    ) -> Option<Invocation> {
        let lines_in_use = state.lines_in_use();
        let now_suppressed = state.suppressed(contact);
        let refused_by_list = match self.defect {
            Defect::OptOutReadBeforeClaim => suppressed,
            _ => now_suppressed,
        };
        if refused_by_list {
            return Some(Invocation::ClaimSuppressed { contact, calls });
        }
        let claimed = &mut state.contacts[contact];
        let as_read = claimed.state == ContactState::Pending && claimed.calls == calls;
        let line_free = lines_in_use < LINES;
        if !(as_read || self.defect == Defect::ClaimWithoutContactCondition)
            || !(line_free || self.defect == Defect::ClaimWithoutLineCondition)
            || !claimed.held
            || claimed.active_call.is_some()
        {
            return Some(Invocation::Idle);
        }
        if claimed.calls == CALLS_OF[contact] {
            // Only a defect comes here.
            return None;
        }
        let call = contact * CALLS_OF[0] + claimed.calls;
        claimed.state = ContactState::InFlight(call);
        claimed.calls += 1;
        claimed.active_call = Some(call);
        state.slots[call] = true;
        state.calls[call] = Some(Call {
            state: CallState::Intent,
            age: Age::Startable,
            at_provider: AtProvider::Nothing,
            reported: false,
            seen: true,
            withdrawn: false,
            placed: 0,
            ended: 0,
            freed: 0,
        });
        state.claimed_after_opt_out |= now_suppressed;
        Some(Invocation::Claimed { call })
    }

    /// `Store::apply_end`: one transaction. Returns whether it took place.
    fn end(&self, state: &mut State, id: CallId, from: CallState, held: bool, outcome: Outcome) -> bool {
        let Some(call) = &mut state.calls[id] else { return false };
        let contact = &mut state.contacts[contact_of(id)];
        let as_read = call.state == from
            && contact.state == ContactState::InFlight(id)
            && contact.active_call == Some(id)
            && contact.held == held;
        let applied = as_read || self.defect == Defect::EndWithoutLiveCondition;
        if applied || self.defect == Defect::LineFreedApart {
            state.slots[id] = false;
            call.freed += 1;
        }
        if !applied {
            return false;
        }
        call.state = CallState::Over;
        call.ended += 1;
        contact.active_call = None;
        contact.state = match outcome {
            Outcome::Reached => ContactState::Reached,
            Outcome::NotPlaced if contact.calls < CALLS_OF[contact_of(id)] => ContactState::Pending,
            Outcome::NotPlaced | Outcome::ProviderFailed => ContactState::Failed,
        };
        // `retry::hold_after`
        contact.held &= match contact.state {
            ContactState::Reached | ContactState::Pending => true,
            ContactState::InFlight(_) | ContactState::Suppressed | ContactState::Failed => false,
        };
        true
    }

    /// What the next round trip of an invocation leads to; `None`: it waits.
    fn step(&self, state: &mut State, at: usize) -> Option<Invocation> {
        Some(match state.invocations[at] {
            Invocation::Idle => return None,
            Invocation::ContactRead { contact, calls, suppressed } => {
                return self.claim(state, contact, calls, suppressed);
            }
            Invocation::ClaimSuppressed { contact: id, calls } => {
                let contact = &mut state.contacts[id];
                if contact.state == ContactState::Pending && contact.calls == calls {
                    contact.state = ContactState::Suppressed;
                }
                Invocation::ContactFinished { contact: id }
            }
            Invocation::ContactFinished { contact } => {
                state.contacts[contact].held = false;
                Invocation::Idle
            }
            Invocation::Claimed { call: id } => {
                let call = state.calls[id].as_mut()?;
                if call.age > Age::Startable {
                    return Some(Invocation::Idle);
                }
                call.at_provider = AtProvider::Requested;
                Invocation::Requested { call: id }
            }
            Invocation::Requested { call } => match state.calls[call]?.at_provider {
                AtProvider::Nothing | AtProvider::Requested => return None,
                AtProvider::Refused => state.read_to_end(call, Outcome::ProviderFailed),
                AtProvider::Waits | AtProvider::Live | AtProvider::Over | AtProvider::Deleted => {
                    state.read_to_move(call, CallState::Accepted)
                }
            },
            Invocation::Asked { call, found, age } => match found {
                AtProvider::Over => state.read_to_end(call, Outcome::Reached),
                AtProvider::Waits | AtProvider::Live => state.read_to_move(call, CallState::Accepted),
                AtProvider::Nothing | AtProvider::Requested | AtProvider::Refused | AtProvider::Deleted => {
                    let age = match self.defect {
                        Defect::AbsenceProvesAtOnce => Age::Proving,
                        Defect::AgeTakenAfterAnswer => state.calls[call]?.age,
                        _ => age,
                    };
                    if age == Age::Proving {
                        state.read_to_end(call, Outcome::NotPlaced)
                    } else {
                        Invocation::Idle
                    }
                }
            },
            Invocation::Withdrawing { call: id, again } => {
                let call = state.calls[id].as_mut()?;
                let found = match call.at_provider {
                    AtProvider::Waits if call.seen => {
                        (call.at_provider, call.reported) = (AtProvider::Deleted, true);
                        AtProvider::Deleted
                    }
                    AtProvider::Live | AtProvider::Over if call.seen => AtProvider::Live,
                    AtProvider::Nothing
                    | AtProvider::Requested
                    | AtProvider::Refused
                    | AtProvider::Waits
                    | AtProvider::Live
                    | AtProvider::Over
                    | AtProvider::Deleted => AtProvider::Nothing,
                };
                Invocation::Withdrew { call: id, found, again, age: call.age }
            }
            Invocation::Withdrew { call, found, again, age } => {
                let second = again && self.defect == Defect::SecondWithdrawalTakesAbsenceAsProof;
                let proven = match found {
                    AtProvider::Deleted => true,
                    AtProvider::Live => self.defect == Defect::WithdrawalEndsWhatBegan,
                    AtProvider::Nothing
                    | AtProvider::Requested
                    | AtProvider::Refused
                    | AtProvider::Waits
                    | AtProvider::Over => age == Age::Proving || second,
                };
                if proven { state.read_to_end(call, Outcome::NotPlaced) } else { Invocation::Idle }
            }
            Invocation::MoveRead { call: id, from, to } => {
                let call = state.calls[id].as_mut()?;
                if call.state == from {
                    call.state = to;
                    Invocation::Idle
                } else {
                    state.read_to_move(id, to)
                }
            }
            Invocation::EndRead { call, from, held, outcome } => {
                if self.end(state, call, from, held, outcome) {
                    Invocation::Idle
                } else {
                    state.read_to_end(call, outcome)
                }
            }
        })
    }
}

impl Model for Dialing {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let contact = Contact { state: ContactState::Pending, calls: 0, held: false, active_call: None };
        let start = |event| State {
            contacts: [contact; CONTACTS],
            calls: [None; CALLS],
            slots: [false; CALLS],
            event,
            claimed_after_opt_out: false,
            invocations: [Invocation::Idle; INVOCATIONS],
        };
        [Event::None, Event::OptOut, Event::ReleaseByHand, Event::TakenBack].map(start).into()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let somebody_is_idle = state.invocations[0] == Invocation::Idle;
        for (id, contact) in state.contacts.iter().enumerate() {
            let due = contact.state == ContactState::Pending && contact.active_call.is_none();
            if somebody_is_idle && due && state.lines_in_use() < LINES {
                actions.push(Action::DialJob(id));
            }
            let done = !matches!(contact.state, ContactState::Pending | ContactState::InFlight(_));
            if contact.held && done && contact.active_call.is_none() {
                actions.push(Action::HoldExpires(id));
            }
        }
        for (id, call) in state.calls() {
            if somebody_is_idle && self.is_worth_asking(call) {
                actions.push(Action::SettleJob(id));
            }
            if call.reported {
                actions.push(Action::WebhooksLost(id));
                if somebody_is_idle {
                    actions.push(Action::Webhook(id));
                }
            }
            let waits = matches!(call.state, CallState::Accepted);
            if somebody_is_idle && waits && state.may_be_taken_back(id) {
                actions.push(Action::WithdrawJob(id));
            }
            if !call.seen {
                actions.push(Action::Appears(id));
            }
            match call.at_provider {
                AtProvider::Waits if call.age < Age::TooLate => actions.push(Action::Begin(id)),
                AtProvider::Requested => {
                    if call.age < Age::TooLate || self.defect == Defect::RequestWithoutLastMoment {
                        actions.push(Action::Accept(id));
                    }
                    actions.push(Action::Refuse(id));
                }
                AtProvider::Live => actions.push(Action::HangUp(id)),
                AtProvider::Nothing
                | AtProvider::Refused
                | AtProvider::Waits
                | AtProvider::Over
                | AtProvider::Deleted => {}
            }
            // What waits is begun in time or not at all, and what there is shows in time.
            let goes_on = match call.age {
                Age::Startable => call.at_provider != AtProvider::Waits || call.withdrawn,
                Age::TooLate => call.seen,
                Age::Proving => false,
            };
            if goes_on {
                actions.push(Action::TimePasses(id));
            }
        }
        for (at, invocation) in state.invocations.iter().enumerate() {
            match invocation {
                Invocation::Idle => continue,
                Invocation::Requested { call } => {
                    actions.push(Action::Unclear(at));
                    let answered = |call: &Call| call.at_provider > AtProvider::Requested;
                    if state.calls[*call].as_ref().is_some_and(answered) {
                        actions.push(Action::Step(at));
                    }
                }
                Invocation::ContactRead { .. }
                | Invocation::ClaimSuppressed { .. }
                | Invocation::ContactFinished { .. }
                | Invocation::Claimed { .. }
                | Invocation::Asked { .. }
                | Invocation::Withdrawing { .. }
                | Invocation::Withdrew { .. }
                | Invocation::MoveRead { .. }
                | Invocation::EndRead { .. } => actions.push(Action::Step(at)),
            }
            actions.push(Action::Crash(at));
        }
        match state.event {
            Event::OptOut => actions.push(Action::OptOut),
            Event::ReleaseByHand => actions.push(Action::ReleaseByHand),
            Event::None | Event::OptedOut | Event::TakenBack => {}
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::DialJob(id) => {
                let suppressed = state.suppressed(id);
                let contact = &mut state.contacts[id];
                contact.held = true;
                // Kept in order, an idle invocation is the first.
                state.invocations[0] =
                    Invocation::ContactRead { contact: id, calls: contact.calls, suppressed };
            }
            Action::SettleJob(id) => {
                let call = state.calls[id]?;
                let found = match call.at_provider {
                    known @ (AtProvider::Waits | AtProvider::Live | AtProvider::Over) if call.seen => known,
                    AtProvider::Nothing
                    | AtProvider::Requested
                    | AtProvider::Refused
                    | AtProvider::Waits
                    | AtProvider::Live
                    | AtProvider::Over
                    | AtProvider::Deleted => AtProvider::Nothing,
                };
                state.invocations[0] = Invocation::Asked { call: id, found, age: call.age };
            }
            Action::WithdrawJob(id) => {
                let call = state.calls[id].as_mut()?;
                let again = std::mem::replace(&mut call.withdrawn, true);
                state.invocations[0] = Invocation::Withdrawing { call: id, again };
            }
            Action::Appears(id) => state.calls[id].as_mut()?.seen = true,
            Action::Begin(id) => {
                let call = state.calls[id].as_mut()?;
                call.at_provider = AtProvider::Live;
                call.placed += 1;
            }
            Action::Webhook(id) => {
                let deleted = state.calls[id]?.at_provider == AtProvider::Deleted;
                let outcome = if deleted { Outcome::NotPlaced } else { Outcome::Reached };
                state.invocations[0] = state.read_to_end(id, outcome);
            }
            Action::WebhooksLost(id) => state.calls[id].as_mut()?.reported = false,
            Action::Step(at) => state.invocations[at] = self.step(&mut state, at)?,
            Action::Unclear(at) => {
                let Invocation::Requested { call } = state.invocations[at] else { return None };
                state.invocations[at] = if self.defect == Defect::UnclearIsSentAgain {
                    Invocation::Claimed { call }
                } else {
                    state.read_to_move(call, CallState::Unknown)
                };
            }
            Action::Crash(at) => state.invocations[at] = Invocation::Idle,
            Action::Accept(id) => {
                let may_be_taken_back = state.may_be_taken_back(id);
                let call = state.calls[id].as_mut()?;
                if may_be_taken_back {
                    (call.at_provider, call.seen) = (AtProvider::Waits, false);
                } else {
                    call.at_provider = AtProvider::Live;
                    call.placed += 1;
                }
            }
            Action::Refuse(id) => state.calls[id].as_mut()?.at_provider = AtProvider::Refused,
            Action::HangUp(id) => {
                let call = state.calls[id].as_mut()?;
                call.at_provider = AtProvider::Over;
                call.reported = true;
            }
            Action::TimePasses(id) => {
                let call = state.calls[id].as_mut()?;
                call.age = match call.age {
                    Age::Startable => Age::TooLate,
                    Age::TooLate | Age::Proving => Age::Proving,
                };
            }
            Action::OptOut => state.event = Event::OptedOut,
            Action::ReleaseByHand => {
                state.contacts[EVENTFUL].held = false;
                state.event = Event::None;
            }
            Action::HoldExpires(id) => state.contacts[id].held = false,
        }
        state.forget_what_changes_nothing();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_CALL, |_, state: &State| {
                (0..CONTACTS).all(|contact| state.calls_of(contact).map(|call| call.placed).sum::<u8>() <= 1)
            }),
            Property::always(LINES_KEPT, |_, state: &State| {
                let mut live = state.calls().filter(|(_, call)| call.at_provider == AtProvider::Live);
                state.lines_in_use() <= LINES && live.all(|(id, _)| state.slots[id])
            }),
            Property::always(OPT_OUT_KEPT, |_, state: &State| !state.claimed_after_opt_out),
            Property::always(ENDS_ONCE, |_, state: &State| state.calls().all(|(_, call)| call.ended <= 1)),
            Property::always(FREED_ONCE, |_, state: &State| state.calls().all(|(_, call)| call.freed <= 1)),
            Property::always(NOTHING_LEFT, |model: &Self, state: &State| {
                let mut actions = Vec::new();
                model.actions(state, &mut actions);
                !actions.is_empty() || state.at_rest()
            }),
            Property::sometimes("both contacts are reached, one after the other", |_, state: &State| {
                state.contacts.iter().all(|contact| contact.state == ContactState::Reached)
            }),
            Property::sometimes(
                "a call is over before the answer to its request is here",
                |_, state: &State| {
                    state.invocations.iter().any(|invocation| {
                        matches!(invocation, Invocation::Requested { call }
                        if state.calls[*call].is_some_and(|call| call.state == CallState::Over))
                    })
                },
            ),
            Property::sometimes(
                "a call that was never placed is followed by one that is",
                |_, state: &State| {
                    state
                        .contacts
                        .iter()
                        .any(|contact| contact.calls == 2 && contact.state == ContactState::Reached)
                },
            ),
            Property::sometimes(
                "a call that was taken back is followed by one that rings",
                |_, state: &State| {
                    state.event == Event::TakenBack
                        && state.contacts[EVENTFUL].calls == 2
                        && state.contacts[EVENTFUL].state == ContactState::Reached
                },
            ),
            Property::sometimes("two invocations take a call back at once", |_, state: &State| {
                let takes = |one: &&Invocation| matches!(one, Invocation::Withdrawing { .. });
                state.invocations.iter().filter(takes).count() == 2
            }),
            Property::sometimes("an unclear call is found at the provider", |_, state: &State| {
                state.invocations.iter().any(|invocation| {
                    matches!(invocation, Invocation::Asked { call, found: AtProvider::Live, .. }
                        if state.calls[*call].is_some_and(|call| call.state == CallState::Unknown))
                })
            }),
            Property::sometimes(
                "a number that was released during the call is free after it",
                |_, state: &State| {
                    let contact = &state.contacts[EVENTFUL];
                    contact.state == ContactState::Reached && !contact.held && contact.active_call.is_none()
                },
            ),
            Property::sometimes("a lead that opted out is not called", |_, state: &State| {
                state.contacts[EVENTFUL].state == ContactState::Suppressed
                    && state.contacts[EVENTFUL].calls == 0
            }),
        ]
    }
}

#[test]
fn an_attempt_is_one_call_within_the_lines_in_every_order_of_round_trips() {
    check_every_state("dialing", Dialing { defect: Defect::None });
}

#[test]
fn every_contact_is_done_and_every_line_free_in_the_end_wherever_functions_stop() {
    assert_reachable_from_everywhere(&Dialing { defect: Defect::None }, State::at_rest);
}

#[test]
fn without_the_condition_on_the_contact_a_second_job_calls_it_again() {
    assert_violates(Dialing { defect: Defect::ClaimWithoutContactCondition }, ONE_CALL);
}

#[test]
fn without_the_condition_on_the_lines_two_jobs_take_the_last_one() {
    assert_violates(Dialing { defect: Defect::ClaimWithoutLineCondition }, LINES_KEPT);
}

#[test]
fn an_opt_out_that_the_claim_does_not_check_comes_too_late() {
    assert_violates(Dialing { defect: Defect::OptOutReadBeforeClaim }, OPT_OUT_KEPT);
}

#[test]
fn an_unclear_request_that_is_sent_again_calls_twice() {
    assert_violates(Dialing { defect: Defect::UnclearIsSentAgain }, ONE_CALL);
}

#[test]
fn absence_at_the_provider_proves_nothing_at_once() {
    assert_violates(Dialing { defect: Defect::AbsenceProvesAtOnce }, ONE_CALL);
}

#[test]
fn a_call_that_two_withdrawals_do_not_find_may_ring() {
    assert_violates(Dialing { defect: Defect::SecondWithdrawalTakesAbsenceAsProof }, ONE_CALL);
}

#[test]
fn a_withdrawal_that_ends_what_has_begun_has_the_person_called_again() {
    assert_violates(Dialing { defect: Defect::WithdrawalEndsWhatBegan }, ONE_CALL);
}

#[test]
fn absence_is_proven_as_of_the_question_not_of_the_answer() {
    assert_violates(Dialing { defect: Defect::AgeTakenAfterAnswer }, ONE_CALL);
}

#[test]
fn a_request_without_a_last_moment_rings_after_its_call_was_given_up() {
    assert_violates(Dialing { defect: Defect::RequestWithoutLastMoment }, LINES_KEPT);
    assert_violates(Dialing { defect: Defect::RequestWithoutLastMoment }, ONE_CALL);
}

#[test]
fn without_the_condition_on_the_call_two_reports_end_it_twice() {
    assert_violates(Dialing { defect: Defect::EndWithoutLiveCondition }, ENDS_ONCE);
}

#[test]
fn a_line_that_is_freed_apart_from_the_end_is_freed_twice() {
    assert_violates(Dialing { defect: Defect::LineFreedApart }, FREED_ONCE);
}
