//! One schedule: a world drawn from a seed, run to its end and judged.

mod cast;
mod disturbances;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use chrono::TimeDelta;
use tempfile::TempDir;
use tokio::sync::oneshot;

use self::disturbances::Victim;
use super::contender::Ending;
use super::mutants::Mutation;
use super::network::{Network, Steps, Weather};
use super::queue::{Queue, Queueing};
use super::referee::{Party, Referee, Tally, Tracing};
use super::server::{Rules, Server};
use crate::lock::acquire::Patience;
use crate::lock::record::LockId;
use crate::simulation::{Random, SimulatedHost, SimulatedMachine, Simulation};

/// No party may need longer than this.
const LONGEST: Duration = Duration::from_mins(30);
/// How long after that a request may still come: the longest that any signature is good for.
const LAST_ECHO: Duration = Duration::from_mins(31);

/// What kind of world the schedules are drawn from. Chances are in percent, of each party or machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    /// The places of the lock, in the order in which they are taken.
    pub(super) places: &'static [Rules],
    pub(super) weather: Weather,
    /// At least two.
    pub(super) most_contenders: u64,
    /// In what most of them are like the one before them.
    pub(super) likeness: Option<Likeness>,
    pub(super) patience: Patience,
    /// How many of the contenders promise to be replaceable.
    pub(super) promises: u64,
    /// How many of the children need longer to stop than they have.
    pub(super) slow_to_stop: u64,
    pub(super) asked_to_end: u64,
    /// How many of the children make themselves felt, which drops whatever the locks is at.
    pub(super) restless: u64,
    pub(super) crashes: u64,
    pub(super) reboots: u64,
    pub(super) suspends: u64,
    /// How many tflocks are stopped for a while, and nothing else on their machines.
    pub(super) stops: u64,
    /// By how much wall clocks are wrong at first.
    pub(super) wall_errors: TimeDelta,
    /// By how much they are wrong after they were set.
    pub(super) wall_jumps: TimeDelta,
    pub(super) terraforms: u64,
    pub(super) people: u64,
    /// How many of the waiting runs are told by a person to take the holder's place.
    pub(super) usurpers: u64,
    /// How many are cut off from the store for a while.
    pub(super) cuts: u64,
    /// How many are not allowed anything for a while.
    pub(super) denials: u64,
    pub(super) queueing: Queueing,
    /// How many of the contenders work under the hold that the lock is on at first; none means that it is free.
    pub(super) owners: u64,
    /// How many of the contenders run a script to which they lend their lock.
    pub(super) lenders: u64,
    /// How many of the children are clients of a terraform that works out of sight, and are killed.
    pub(super) clients: u64,
    pub(super) wants: Wants,
}

/// What each tflock wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// The one lock, which is in all of the places.
    OneLock,
    /// Several locks, one in each place: some of them or all, named in any order.
    SomeOfSeveral,
}

/// In what one tflock is like another, so that both draw the same lock ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// They are given the same random bytes.
    RandomBytes,
    /// Their machines woke from one memory image, with tflock started: all is the same, random bytes, names, processes, and
    /// clocks when they were set to go. Each has its machine for itself, since nobody else there could tell them apart.
    Everything,
}

/// What must not happen has happened.
pub(super) struct Violation {
    pub(super) what: String,
    pub(super) seed: u64,
    pub(super) trace: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, seed, trace } = self;
        write!(
            formatter,
            "seed {seed}: {what}\n{trace}\nseed {seed}: {what}"
        )
    }
}

/// What came of a schedule.
pub(super) struct Verdict {
    pub(super) tally: Tally,
    /// Of those that were not killed.
    pub(super) endings: Vec<Ending>,
    pub(super) requests: u64,
}

/// Runs the schedule of `seed`; one that fails is run again, to tell how it came to that.
pub(super) fn run(scene: &Scene, mutation: Mutation, seed: u64) -> Result<Verdict, Violation> {
    let attempt = |tracing| World::new(scene, mutation, seed, tracing).run(seed);
    attempt(Tracing::Off).map_err(|untold| match attempt(Tracing::On) {
        Err(told) => told,
        Ok(_) => Violation {
            what: format!("{} (and not when repeated)", untold.what),
            ..untold
        },
    })
}

/// Everything that happens in the schedule of `seed`.
pub(super) fn story(scene: &Scene, seed: u64) -> String {
    let world = World::new(scene, Mutation::None, seed, Tracing::On);
    let referee = world.referee.clone();
    // What it came to is known.
    let _ = world.run(seed);
    referee.trace()
}

struct World<'a> {
    scene: &'a Scene,
    mutation: Mutation,
    simulation: Simulation,
    referee: Referee,
    steps: Steps,
    servers: Vec<Rc<Server>>,
    networks: Vec<Network>,
    /// Beside each place.
    queues: Vec<Option<Rc<Queue>>>,
    machines: Vec<SimulatedMachine>,
    /// The ID of the hold that the lock was on at first.
    hold: Option<LockId>,
    /// The tflock that was added last.
    last: Option<SimulatedHost>,
    victims: Rc<RefCell<Vec<Victim>>>,
    /// Where runs that lend their lock leave their traces.
    runs: Option<TempDir>,
    /// How many terraforms were put into scripts.
    errands: Cell<usize>,
    endings: Vec<oneshot::Receiver<Ending>>,
    others: Vec<oneshot::Receiver<()>>,
}

impl<'a> World<'a> {
    fn new(scene: &'a Scene, mutation: Mutation, seed: u64, tracing: Tracing) -> Self {
        let simulation = Simulation::seeded(seed.wrapping_mul(0x9e37_79b9).wrapping_add(1));
        let referee = Referee::new(&simulation, tracing);
        let steps = Steps::default();
        let server =
            |(place, rules): (usize, &Rules)| Server::new(&simulation, &referee, place, *rules);
        let servers: Vec<_> = scene.places.iter().enumerate().map(server).collect();
        let network = |server| Network::new(&simulation, &referee, server, scene.weather, &steps);
        let has_queue = scene.queueing != Queueing::None;
        let queue = || has_queue.then(|| Queue::new(&simulation, &referee, scene));
        let machines = match scene.places {
            [Rules::Local] => 1,
            _ => 1 + simulation.random().below(3),
        };
        Self {
            scene,
            mutation,
            networks: servers.iter().map(network).collect(),
            queues: servers.iter().map(|_| queue()).collect(),
            servers,
            machines: (0..machines).map(|_| simulation.machine()).collect(),
            hold: None,
            last: None,
            simulation,
            referee,
            steps,
            victims: Rc::default(),
            runs: (scene.lenders > 0).then(|| tempfile::tempdir().unwrap()),
            errands: Cell::default(),
            endings: Vec::new(),
            others: Vec::new(),
        }
    }

    fn random(&self) -> &Random {
        self.simulation.random()
    }

    fn seconds(&self, shortest: u64, longest: u64) -> Duration {
        self.random()
            .between(Duration::from_secs(shortest), Duration::from_secs(longest))
    }

    fn run(mut self, seed: u64) -> Result<Verdict, Violation> {
        self.put_on_hold();
        let contenders = 2 + self.random().below(self.scene.most_contenders - 1);
        for number in 0..contenders {
            self.add_tflock(usize::try_from(number).unwrap_or_default());
        }
        self.add_terraform();
        self.add_person();
        self.disturb_machines();
        let endings = self.play();
        for server in &self.servers {
            if let Some(left) = server.entry() {
                self.referee.judge_leftover(server.place, &left);
            }
        }
        self.let_an_heir_in();
        let requests = self.servers.iter().map(|server| server.requests()).sum();
        self.simulation.end_all_tasks();
        match self.referee.violation() {
            Some(what) => Err(Violation {
                what,
                seed,
                trace: self.referee.trace(),
            }),
            None => Ok(Verdict {
                tally: self.referee.tally(),
                endings,
                requests,
            }),
        }
    }

    /// Runs until nobody is left and nothing is on its way.
    fn play(&mut self) -> Vec<Ending> {
        let endings = std::mem::take(&mut self.endings);
        let others = std::mem::take(&mut self.others);
        let all = async {
            let mut ended = Vec::new();
            for one in endings {
                // Whoever was killed tells nothing.
                ended.extend(one.await.ok());
            }
            for one in others {
                let _ = one.await;
            }
            ended
        };
        let endings = self.simulation.run(async {
            let endings = tokio::select! {
                biased;
                endings = all => endings,
                () = self.simulation.sleep(LONGEST) => {
                    self.referee.violate("somebody does not come to an end".to_owned());
                    Vec::new()
                }
            };
            self.simulation.sleep(LAST_ECHO).await;
            endings
        });
        for ending in &endings {
            self.referee.count(|tally| match ending {
                Ending::Ran { .. } => tally.served += 1,
                Ending::TimedOut => tally.timed_out += 1,
                Ending::Failed => tally.failed += 1,
                Ending::Stopped | Ending::LeftElsewhere => {}
            });
        }
        endings
    }

    /// When all is over and quiet, a run on the machine of whoever left a lock behind gets it at once: that holder is
    /// proven dead there. Only a boot can take the proof away, where clocks are wrong, and plain terraform gives none.
    fn let_an_heir_in(&mut self) {
        let owners: Vec<_> = self
            .servers
            .iter()
            .filter_map(|server| server.holder())
            .filter(|owner| *owner != Party::Hold)
            .collect();
        if !self.is_held_alike() || owners.iter().any(|one| self.referee.has_unseen_work(*one)) {
            return;
        }
        let machine = match owners.as_slice() {
            [] => self.machines[0].clone(),
            [owner @ Party::Tflock(_), others @ ..]
                if others.iter().all(|other| other == owner) =>
            {
                match self.referee.machine_of(*owner) {
                    Some(machine) if machine.was_never_rebooted() => machine,
                    _ => return,
                }
            }
            _ => return,
        };
        for network in &self.networks {
            network.heal();
        }
        machine.set_wall_error(TimeDelta::zero());
        self.add_heir(&machine);
        let endings = self.play();
        let ran = Ending::Ran {
            lost: false,
            released: true,
        };
        if endings != [ran] {
            self.referee
                .violate(format!("the heir does not get the lock: {endings:?}"));
        }
    }
}
