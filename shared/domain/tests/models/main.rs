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
use std::hash::Hash;

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

/// Asserts that `model` can reach a state in which `property` does not hold, and prints the shortest way there.
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

/// Asserts that from every state of `model` one can be reached that is `good`: nothing gets stuck, and nothing goes round
/// in circles for ever unless every step out of the circle is passed by.
fn assert_reachable_from_everywhere<M>(model: &M, good: impl Fn(&M::State) -> bool)
where
    M: Model<State: Debug + Clone + Eq + Hash>,
{
    let mut states = model.init_states();
    let mut index: HashMap<M::State, usize> = states.iter().cloned().zip(0..).collect();
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); states.len()];
    let mut next = 0;
    while next < states.len() {
        for state in model.next_states(&states[next]) {
            let to = *index.entry(state).or_insert_with_key(|state| {
                states.push(state.clone());
                before.push(Vec::new());
                states.len() - 1
            });
            before[to].push(next);
        }
        next += 1;
    }
    let mut leads_there: Vec<bool> = states.iter().map(good).collect();
    let mut open: Vec<usize> = (0..states.len()).filter(|state| leads_there[*state]).collect();
    while let Some(state) = open.pop() {
        for earlier in &before[state] {
            if !leads_there[*earlier] {
                leads_there[*earlier] = true;
                open.push(*earlier);
            }
        }
    }
    let stuck = leads_there.iter().position(|leads_there| !leads_there);
    assert_eq!(stuck.map(|stuck| &states[stuck]), None, "no way out of this state");
}
