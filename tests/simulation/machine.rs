//! Simulated machines: their clocks, their processes, and each tflock's view of them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;

use super::{Clock, Random, Simulation, Sleep, TaskId};
use crate::lock::acquire::Claim;
use crate::lock::host::{Host, Instant, ProcessFate};
use crate::lock::own::Own;
use crate::lock::record::{HolderProcess, Lease, LockId, LockInfo, ProcessIdentity};

/// A machine: its clocks and its processes. Clones are the same machine.
#[derive(Clone, Debug)]
pub struct SimulatedMachine(Rc<Machine>);

#[derive(Debug)]
struct Machine {
    simulation: Simulation,
    /// Like no other's.
    number: u32,
    name: String,
    /// How long it was up when the simulation began.
    up_before: Cell<Duration>,
    /// When in the simulation its present boot began, or the simulation itself.
    booted: Cell<Duration>,
    wall_error: Cell<TimeDelta>,
    boots: Cell<u32>,
    last_pid: Cell<u32>,
    /// What runs, and the locks that each process carries in its environment.
    processes: RefCell<BTreeMap<u32, Process>>,
    /// The locks under which something may be at work that is no process of this machine.
    unseen: RefCell<BTreeSet<String>>,
    suspended_since: Cell<Option<Duration>>,
    /// How long it was suspended before.
    suspended_for: Cell<Duration>,
}

#[derive(Clone, Debug)]
struct Process {
    start_time: u64,
    carries: BTreeSet<String>,
}

impl PartialEq for SimulatedMachine {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Display for SimulatedMachine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.name)
    }
}

impl SimulatedMachine {
    pub(super) fn new(simulation: &Simulation, number: u32) -> Self {
        Self(Rc::new(Machine {
            simulation: simulation.clone(),
            number,
            name: format!("machine-{number}"),
            up_before: Cell::new(Duration::from_hours(u64::from(number))),
            booted: Cell::default(),
            wall_error: Cell::default(),
            boots: Cell::default(),
            last_pid: Cell::new(100),
            processes: RefCell::default(),
            unseen: RefCell::default(),
            suspended_since: Cell::default(),
            suspended_for: Cell::default(),
        }))
    }

    pub(super) fn woken_as(&self, number: u32) -> Self {
        let Machine {
            simulation,
            name,
            up_before,
            booted,
            wall_error,
            boots,
            last_pid,
            processes,
            unseen,
            suspended_since,
            suspended_for,
            number: _,
        } = &*self.0;
        Self(Rc::new(Machine {
            simulation: simulation.clone(),
            number,
            name: name.clone(),
            up_before: up_before.clone(),
            booted: booted.clone(),
            wall_error: wall_error.clone(),
            boots: boots.clone(),
            last_pid: last_pid.clone(),
            processes: processes.clone(),
            unseen: unseen.clone(),
            suspended_since: suspended_since.clone(),
            suspended_for: suspended_for.clone(),
        }))
    }

    /// A tflock that starts on it.
    #[must_use]
    pub fn tflock(&self) -> SimulatedHost {
        self.tflock_that_draws(self.0.simulation.random().draw(), BTreeSet::new())
    }

    /// One that starts on it inside of the run that holds the lock `id`.
    #[must_use]
    pub fn tflock_under(&self, id: &LockId) -> SimulatedHost {
        self.tflock_that_draws(self.0.simulation.random().draw(), [id.0.clone()].into())
    }

    /// One that starts on it and is given the same random bytes as `other`, from its start.
    #[must_use]
    pub fn tflock_drawing_as(&self, other: &SimulatedHost) -> SimulatedHost {
        self.tflock_that_draws(other.seed, BTreeSet::new())
    }

    fn tflock_that_draws(&self, seed: u64, carries: BTreeSet<String>) -> SimulatedHost {
        SimulatedHost {
            machine: self.clone(),
            process: self.start(carries),
            seed,
            random: Rc::new(Random::seeded(seed)),
        }
    }

    /// A program that starts on it under the lock `id`.
    #[must_use]
    pub fn child_under(&self, id: &LockId) -> ProcessIdentity {
        self.start([id.0.clone()].into())
    }

    /// A program that starts on it, whose work under the lock `id` is done by no process of this machine: a client of a
    /// container's daemon.
    #[must_use]
    pub fn client_under(&self, id: &LockId) -> ProcessIdentity {
        self.0.unseen.borrow_mut().insert(id.0.clone());
        self.start(BTreeSet::new())
    }

    /// Whether work under the lock `id` may go on out of sight, so that no end of it is ever proven here.
    #[must_use]
    pub fn has_unseen_work(&self, id: &LockId) -> bool {
        self.0.unseen.borrow().contains(&id.0)
    }

    /// Lets `future` go on as a task of this machine.
    pub fn spawn<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> (TaskId, oneshot::Receiver<T>) {
        self.0.simulation.spawn_on(Some(self.clone()), future)
    }

    /// Ends a process.
    pub fn end(&self, process: ProcessIdentity) {
        if self.exists(process) {
            self.0.processes.borrow_mut().remove(&process.pid);
        }
    }

    /// Whether a process has not ended.
    #[must_use]
    pub fn exists(&self, process: ProcessIdentity) -> bool {
        let processes = self.0.processes.borrow();
        let found = processes.get(&process.pid);
        found.is_some_and(|found| found.start_time == process.start_time)
    }

    /// Ends all processes and tasks and begins another boot.
    pub fn reboot(&self) {
        self.0.simulation.end_tasks_on(self);
        self.0.processes.borrow_mut().clear();
        self.0.boots.set(self.0.boots.get() + 1);
        self.0.up_before.set(Duration::ZERO);
        self.0.booted.set(self.0.simulation.elapsed());
    }

    /// Whether it is still in its first boot.
    #[must_use]
    pub fn was_never_rebooted(&self) -> bool {
        self.0.boots.get() == 0
    }

    /// Makes its wall clock wrong by this much.
    pub fn set_wall_error(&self, error: TimeDelta) {
        self.0.wall_error.set(error);
    }

    /// Stops its tasks and its timers; the clock since boot goes on.
    pub fn suspend(&self) {
        if self.0.suspended_since.get().is_none() {
            self.0
                .suspended_since
                .set(Some(self.0.simulation.elapsed()));
        }
    }

    /// Lets everything go on where it was.
    pub fn resume(&self) {
        if let Some(since) = self.0.suspended_since.take() {
            let slept = self.0.simulation.elapsed() - since;
            self.0.suspended_for.set(self.0.suspended_for.get() + slept);
            self.0.simulation.wake_all_on(self);
        }
    }

    /// Whether it is suspended.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.0.suspended_since.get().is_some()
    }

    /// How long it was suspended so far.
    #[must_use]
    pub fn suspended_for(&self) -> Duration {
        self.0.simulation.elapsed() - self.running_for()
    }

    /// How long it has been running, without the times when it was suspended.
    #[must_use]
    pub fn running_for(&self) -> Duration {
        let until = self.0.suspended_since.get();
        until.unwrap_or_else(|| self.0.simulation.elapsed()) - self.0.suspended_for.get()
    }

    fn start(&self, carries: BTreeSet<String>) -> ProcessIdentity {
        let pid = self.0.last_pid.get() + 1;
        self.0.last_pid.set(pid);
        let start_time = u64::from(pid) * 7;
        let process = Process {
            start_time,
            carries,
        };
        self.0.processes.borrow_mut().insert(pid, process);
        ProcessIdentity { pid, start_time }
    }

    fn boot_id(&self) -> String {
        format!("{}-boot-{}", self.0.name, self.0.boots.get())
    }
}

/// One tflock on a machine, as the protocol sees it.
#[derive(Clone, Debug)]
pub struct SimulatedHost {
    machine: SimulatedMachine,
    process: ProcessIdentity,
    seed: u64,
    /// Its own, so that it draws the same whatever others do.
    random: Rc<Random>,
}

impl SimulatedHost {
    /// The same tflock on a machine that woke from an image of this one's, made when it had just been started.
    #[must_use]
    pub fn woken_on(&self, machine: &SimulatedMachine) -> Self {
        Self {
            machine: machine.clone(),
            process: self.process,
            seed: self.seed,
            random: Rc::new(Random::seeded(self.seed)),
        }
    }

    /// The same as a trait object.
    #[must_use]
    pub fn shared(&self) -> Rc<dyn Host> {
        Rc::new(self.clone())
    }

    /// Where it runs.
    #[must_use]
    pub fn machine(&self) -> &SimulatedMachine {
        &self.machine
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.machine.exists(self.process)
    }

    /// Ends this tflock, as SIGKILL would.
    pub fn kill(&self) {
        self.machine.end(self.process);
    }

    /// What this tflock wants the lock for, with its own ID.
    #[must_use]
    pub fn claim(&self, expire_after: Option<Duration>) -> Claim {
        Claim {
            info: LockInfo {
                id: LockId::from_bytes(self.random()),
                operation: "OperationTypePlan".into(),
                who: format!("{}@{}", self.process.pid, self.machine.0.name),
                ..LockInfo::default()
            },
            lease: Lease {
                tflock_version: "0.1.0".into(),
                command: "plan".into(),
                reason: None,
                run_url: None,
                origin: None,
                hold: None,
                heartbeat: None,
                heartbeat_at: None,
                renewed_every: None,
                expire_after,
                holder: self.this_process(),
            },
            under: None,
            own: Own::default(),
        }
    }
}

impl Host for SimulatedHost {
    fn now(&self) -> Instant {
        let machine = &self.machine.0;
        Instant(machine.up_before.get() + machine.simulation.elapsed() - machine.booted.get())
    }

    fn wall(&self) -> DateTime<Utc> {
        let Machine {
            simulation,
            number,
            wall_error,
            ..
        } = &*self.machine.0;
        // No two machines read a clock in the same nanosecond, be they clones.
        simulation.wall() + wall_error.get() + TimeDelta::nanoseconds(i64::from(*number) - 1)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        let clock = Clock::Machine(self.machine.clone());
        Box::pin(Sleep::new(&self.machine.0.simulation, clock, duration))
    }

    fn random(&self) -> [u8; 16] {
        let number = u128::from(self.random.draw()) << 64 | u128::from(self.random.draw());
        number.to_be_bytes()
    }

    fn this_process(&self) -> Option<HolderProcess> {
        Some(HolderProcess {
            machine: Some(self.machine.0.name.clone()),
            boot_id: self.machine.boot_id(),
            pid_namespace: 1,
            uid: 1000,
            session: None,
            process: self.process,
            child: None,
        })
    }

    fn fate_of(&self, holder: &HolderProcess, id: &LockId) -> ProcessFate {
        let machine = &self.machine;
        if holder.machine.as_ref() != Some(&machine.0.name) {
            return ProcessFate::Elsewhere;
        }
        let is_this_boot = holder.boot_id == machine.boot_id();
        let named = [Some(holder.process), holder.child];
        let carried = machine
            .0
            .processes
            .borrow()
            .values()
            .any(|process| process.carries.contains(&id.0));
        let is_running = carried || named.into_iter().flatten().any(|one| machine.exists(one));
        if is_this_boot && is_running {
            ProcessFate::Running
        } else if machine.has_unseen_work(id) {
            ProcessFate::Elsewhere
        } else if is_this_boot {
            ProcessFate::Ended
        } else {
            ProcessFate::Rebooted
        }
    }
}
