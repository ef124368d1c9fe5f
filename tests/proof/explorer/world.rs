//! One run of a small scene.
//!
//! A state of it is all that its future is a function of: the time, what is left of the budgets, what stands in the
//! store, what is under way with its contents, what the referee holds against whom, and for each party the history of
//! everything that it was told or could see, and when. A party's own state need not be looked into, because it is a
//! function of that history and the time: its random numbers are its own, and tasks go on in a fixed order. Whatever
//! happens to one machine (a death, a suspend, another time) is written into the histories of all, so that nobody's
//! view of it is forgotten.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

use super::choices::Choices;
use super::junction::Junction;
use super::{Budget, Course, SmallScene};
use crate::lock::record::LockId;
use crate::mutants::Mutation;
use crate::others::hold_of;
use crate::referee::{Party, Referee, Tracing};
use crate::server::Server;
use crate::simulation::{SimulatedHost, SimulatedMachine, Simulation, TaskId};
use crate::witness::Witness;

/// A party, as the explorer deals with it.
pub(super) struct Actor {
    pub(super) party: Party,
    pub(super) host: SimulatedHost,
    pub(super) task: TaskId,
    pub(super) witness: Witness,
    /// Everything that it was told, and when.
    pub(super) history: Cell<u64>,
}

pub(super) struct World<'a> {
    pub(super) scene: &'a SmallScene,
    pub(super) simulation: Simulation,
    pub(super) referee: Referee,
    pub(super) junction: Rc<Junction>,
    pub(super) actors: Vec<Actor>,
    pub(super) left: Budget,
    pub(super) machines: Vec<SimulatedMachine>,
    /// The ID of the hold that the lock is on at first.
    pub(super) hold: Option<LockId>,
}

impl<'a> World<'a> {
    pub(super) fn new(scene: &'a SmallScene, mutation: Mutation, tracing: Tracing) -> Self {
        let simulation = Simulation::default();
        let referee = Referee::new(&simulation, tracing);
        let last = scene.wants.iter().copied().flatten().max().copied();
        let servers = (0..=last.unwrap_or(0))
            .map(|place| Server::new(&simulation, &referee, place, scene.rules));
        let mut world = Self {
            scene,
            junction: Rc::new(Junction::new(servers.collect())),
            machines: scene.roles.iter().map(|_| simulation.machine()).collect(),
            simulation,
            referee,
            actors: Vec::new(),
            left: scene.budget,
            hold: None,
        };
        if !scene.owners.is_empty() {
            let record = hold_of(&world.simulation.machine().tflock());
            for server in &world.junction.servers {
                server.hold(&record);
            }
            world.hold = record.lock_id();
        }
        for (number, role) in scene.roles.iter().enumerate() {
            world.add(number, role, mutation);
        }
        world
    }

    /// Runs to the end, or until `is_new` says no of a state.
    pub(super) fn run(
        mut self,
        choices: &mut Choices,
        mut is_new: impl FnMut(u64) -> bool,
    ) -> Course {
        let course = loop {
            self.simulation.settle();
            if let Some(what) = self.referee.violation() {
                break Course::Violation(format!("{}\n{what}", self.referee.trace()));
            }
            let actions = self.actions();
            let action = match actions.as_slice() {
                [] => break self.conclude(),
                [only] => *only,
                several => {
                    if choices.is_new() && !is_new(self.state()) {
                        break Course::GivenUp;
                    }
                    several[choices.choose(several.len())]
                }
            };
            self.perform(action);
        };
        self.simulation.end_all_tasks();
        course
    }

    pub(super) fn is_over(&self) -> bool {
        self.actors.iter().all(|actor| !actor.host.is_running()) && !self.referee.any_child_runs()
    }

    pub(super) fn actor(&self, party: Party) -> Option<&Actor> {
        self.actors.iter().find(|actor| actor.party == party)
    }

    fn conclude(&self) -> Course {
        if !self.is_over() {
            self.referee.violate("somebody waits for ever".to_owned());
        }
        for server in &self.junction.servers {
            if let Some(left) = server.entry() {
                self.referee.judge_leftover(server.place, &left);
            }
        }
        match self.referee.violation() {
            Some(what) => Course::Violation(format!("{}\n{what}", self.referee.trace())),
            None => Course::Ended(self.state()),
        }
    }

    fn state(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.simulation.elapsed(), self.left).hash(&mut hasher);
        self.junction.digest(&mut hasher);
        for actor in &self.actors {
            (actor.history.get(), actor.host.is_running()).hash(&mut hasher);
            let machine = actor.host.machine();
            (machine.running_for(), machine.is_suspended()).hash(&mut hasher);
        }
        for server in &self.junction.servers {
            self.referee
                .digest(server.place, server.created_at(), &mut hasher);
        }
        hasher.finish()
    }

    /// Adds `what`, the moment and all processes to what `actor` knows.
    pub(super) fn remember(&self, actor: &Actor, what: u64) {
        let mut hasher = DefaultHasher::new();
        (actor.history.get(), self.simulation.elapsed(), what).hash(&mut hasher);
        for other in &self.actors {
            other.host.is_running().hash(&mut hasher);
        }
        self.referee
            .running()
            .for_each(|party| party.hash(&mut hasher));
        actor.history.set(hasher.finish());
    }

    /// The same for all of them.
    pub(super) fn remember_all(&self, what: u64) {
        for actor in &self.actors {
            self.remember(actor, what);
        }
    }
}
