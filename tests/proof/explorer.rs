//! Goes through all schedules of a small scene: at every point where more than one thing can happen next, each of them
//! happens in one schedule, with faults from a small budget.
//!
//! Each sequence of choices runs a schedule from its beginning, depth first. Sequences that reach a state
//! that was seen before are given up; [`world`] says what a state is, and a test below goes through a scene without
//! this shortcut and reaches the same ends.
//!
//! Time advances only when no request is under way, except those that a fault has delayed.

mod actions;
mod cast;
mod choices;
mod junction;
mod world;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use self::choices::Choices;
use self::world::World;
use super::contender::Plan;
use super::mutants::Mutation;
use super::referee::Tracing;
use super::schedule::Likeness;
use super::server::Rules;

/// A fault that can hit a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// The connection breaks; the request is carried out at any later moment, or never.
    Late,
    /// It is carried out, and the connection breaks.
    ReplyLost,
    /// It is carried out, and no answer comes: the client waits until its timeout.
    Mute,
    /// It never arrives, and the client waits until its timeout.
    Lost,
    /// It is refused.
    Throttled,
    /// It is under way for so long that time advances.
    Slow,
    /// It is carried out, and the answer is under way for so long that time advances.
    SlowReply,
}

/// Who takes part.
#[derive(Clone, Debug)]
pub(super) enum Role {
    Tflock {
        /// The number of its machine.
        machine: usize,
        /// In what it is like the tflock that was named before, and which one that is.
        like: Option<(Likeness, usize)>,
        promise: Option<Duration>,
        plan: Plan,
    },
    /// Works for that long.
    Terraform(Duration),
    /// Removes what is there after so long.
    Person(Duration),
}

/// A small scene.
#[derive(Clone, Debug)]
pub(super) struct SmallScene {
    pub(super) rules: Rules,
    pub(super) roles: Vec<Role>,
    /// The numbers of the roles that work under the hold that the lock is on at first; none means that it is free.
    pub(super) owners: &'static [usize],
    /// The places that each role wants, by its number, as it names them: each is a lock of its own. Only the first place if
    /// nothing is said.
    pub(super) wants: &'static [&'static [usize]],
    pub(super) faults: &'static [Fault],
    /// The number of the only role whose requests are hit.
    pub(super) only_hits: Option<usize>,
    pub(super) budget: Budget,
}

/// The most that may go wrong in one schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) faults: u32,
    pub(super) crashes: u32,
    /// Suspends of half a minute.
    pub(super) suspends: u32,
    /// SIGSTOPs of half a minute.
    pub(super) stops: u32,
    /// Wall clocks that are set to another hour.
    pub(super) clock_jumps: u32,
}

/// What was explored.
#[derive(Clone, Debug, Default)]
pub(super) struct Explored {
    /// Schedules that were run to their end.
    pub(super) schedules: u64,
    /// Schedules that came to a state that was seen before.
    pub(super) given_up: u64,
    /// States in which more than one thing could happen next.
    pub(super) states: usize,
    /// States in which all was over.
    pub(super) ends: BTreeSet<u64>,
    /// The most choices in one schedule.
    pub(super) deepest: usize,
}

impl std::fmt::Display for Explored {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            schedules,
            given_up,
            states,
            ends,
            deepest,
        } = self;
        let ends = ends.len();
        write!(
            formatter,
            "{states} states, {schedules} schedules to {ends} ends, {given_up} that came together with others, \
             {deepest} choices at the most"
        )
    }
}

/// Whether a schedule is abandoned if it reaches a state that was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pruning {
    On,
    Off,
}

/// Goes through all schedules, or up to the first that must not happen, whose story it tells.
pub(super) fn explore(
    scene: &SmallScene,
    mutation: Mutation,
    pruning: Pruning,
) -> Result<Explored, String> {
    let mut choices = Choices::default();
    let mut seen = HashSet::new();
    let mut explored = Explored::default();
    loop {
        let world = World::new(scene, mutation, Tracing::Off);
        let is_new = |state| seen.insert(state) || pruning == Pruning::Off;
        match world.run(&mut choices, is_new) {
            Course::Ended(state) => {
                explored.schedules += 1;
                explored.ends.insert(state);
            }
            Course::GivenUp => explored.given_up += 1,
            Course::Violation(_) => {
                choices.rewind();
                let told = World::new(scene, mutation, Tracing::On).run(&mut choices, |_| true);
                return Err(match told {
                    Course::Violation(story) => story,
                    Course::Ended(_) | Course::GivenUp => {
                        "a violation that does not repeat".to_owned()
                    }
                });
            }
        }
        explored.deepest = explored.deepest.max(choices.len());
        explored.states = seen.len();
        if !choices.go_on() {
            return Ok(explored);
        }
    }
}

/// How one schedule went.
enum Course {
    /// To its end, in this state.
    Ended(u64),
    /// It came to where others had been.
    GivenUp,
    Violation(String),
}
