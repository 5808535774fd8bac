//! The two protocols that must not go wrong, as models small enough to be checked in every state they can reach.
//!
//! - [`assignment`]: one number for one lead (`shared/dynamo/src/pool.rs`).
//! - [`dialing`]: one call for one attempt (`shared/dynamo/src/{dialing,settlement}.rs`, `functions/call-dispatcher`).
//!
//! A step of a model is one round trip of the code: a read, a conditional transaction, a request to the provider. Between
//! any two steps of one invocation any step of another may happen, or the invocation ends there. What the code guards
//! with a condition, a [`Defect`](dialing::Defect) leaves out, and the checker must find what goes wrong then: a property
//! that no defect violates would prove nothing.
//!
//! Not here: expressions, keys and indexes (the tests of `dialpool-dynamo`), latency, throughput.

mod assignment;
mod dialing;

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// Threads of a checker.
const THREADS: usize = 2;

/// Checks every state that `model` can reach, and prints how many there are.
fn check_every_state<M>(name: &str, model: M)
where
    M: Model<State: Debug + Clone + PartialEq + Hash + Send + Sync> + Send + Sync + 'static,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    let checker = model.checker().threads(THREADS).spawn_bfs().join();
    println!("{name}: {} states, {} steps deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
    assert!(checker.is_done());
}

/// Asserts that `model` can reach a state in which `property` does not hold, and prints a short way there.
fn assert_violates<M>(model: M, property: &'static str)
where
    M: Model<State: Debug + Clone + PartialEq + Hash + Send + Sync> + Send + Sync + 'static,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    let found = HasDiscoveries::AnyOf([property].into());
    let checker = model.checker().finish_when(found).spawn_bfs().join();
    assert_eq!(checker.model().property(property).expectation, Expectation::Always);
    let way = checker.assert_any_discovery(property).into_actions();
    println!("violated: {property}; {} states looked at; {way:?}", checker.unique_state_count());
}

/// Asserts that from every state of `model` one can be reached that is `good`: nothing gets stuck, and whatever goes round
/// in a circle can leave it.
fn assert_reachable_from_everywhere<M>(model: &M, good: impl Fn(&M::State) -> bool)
where
    M: Model<State: Debug + Hash>,
{
    let hasher = BuildHasherDefault::<DefaultHasher>::new();
    let mut states = model.init_states();
    let mut known: HashMap<u64, usize> = states.iter().map(|state| hasher.hash_one(state)).zip(0..).collect();
    let mut earlier: Vec<Vec<usize>> = vec![Vec::new(); states.len()];
    let mut at = 0;
    while at < states.len() {
        for state in model.next_states(&states[at]) {
            let next = *known.entry(hasher.hash_one(&state)).or_insert_with(|| {
                states.push(state);
                earlier.push(Vec::new());
                states.len() - 1
            });
            earlier[next].push(at);
        }
        at += 1;
    }
    let mut leads_there: Vec<bool> = states.iter().map(good).collect();
    let mut open: Vec<usize> = (0..states.len()).filter(|at| leads_there[*at]).collect();
    while let Some(at) = open.pop() {
        for before in std::mem::take(&mut earlier[at]) {
            if !leads_there[before] {
                leads_there[before] = true;
                open.push(before);
            }
        }
    }
    let stuck = leads_there.iter().position(|leads_there| !leads_there);
    assert!(stuck.is_none(), "no way out of {:?}", stuck.map(|at| &states[at]));
}
