//! A simulated world for the tests of the protocol: time that passes only where the protocol sleeps, and
//! machines whose processes stand in a table.
//!
//! Nothing here waits for real, and equal runs end equally. It must never be part of a real run.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::acquire::Claim;
use super::host::{Host, Instant, ProcessFate};
use super::record::{HolderProcess, Lease, LockId, LockInfo, ProcessIdentity};

/// The true time of a simulation, and whoever sleeps in it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Simulation(Rc<World>);

#[derive(Debug, Default)]
struct World {
    elapsed: Cell<Duration>,
    sleepers: RefCell<BTreeMap<(Duration, u64), Waker>>,
    drawn: Cell<u64>,
    machines: Cell<u32>,
}

impl Simulation {
    /// How long it has been running.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed.get()
    }

    /// A machine of its own, whose clock since boot is like no other's and whose wall clock is right.
    #[must_use]
    pub fn machine(&self) -> SimulatedMachine {
        let number = self.0.machines.get() + 1;
        self.0.machines.set(number);
        SimulatedMachine(Rc::new(Machine {
            simulation: self.clone(),
            name: format!("machine-{number}"),
            up_before: Cell::new(Duration::from_hours(u64::from(number))),
            booted: Cell::default(),
            wall_error: Cell::default(),
            boots: Cell::default(),
            last_pid: Cell::new(100),
            processes: RefCell::default(),
        }))
    }

    /// Runs `future` to its end. Whenever nothing can go on, time jumps to the next moment that anybody waits for.
    ///
    /// # Panics
    /// When `future` waits and there is no such moment: it would wait for ever.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            if !woken.0.swap(false, Ordering::Relaxed) {
                self.jump();
            }
        }
    }

    fn jump(&self) {
        let next = self.0.sleepers.borrow_mut().pop_first();
        let Some(((due, _), waker)) = next else {
            panic!("the simulation waits for what will never come");
        };
        self.0.elapsed.set(due.max(self.elapsed()));
        waker.wake();
    }

    /// Numbers that look random (`SplitMix64`), the same in each run.
    fn draw(&self) -> u64 {
        let state = self.0.drawn.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.drawn.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ends at a moment of the simulation; forgotten when it is dropped.
struct Sleep {
    simulation: Simulation,
    due: Duration,
    key: Option<(Duration, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.simulation.elapsed() >= self.due {
            return Poll::Ready(());
        }
        let key = match self.key {
            Some(key) => key,
            None => (self.due, self.simulation.draw()),
        };
        self.key = Some(key);
        let mut sleepers = self.simulation.0.sleepers.borrow_mut();
        sleepers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.simulation.0.sleepers.borrow_mut().remove(&key);
        }
    }
}

/// A machine: its clocks and its processes. Clones are the same machine.
#[derive(Clone, Debug)]
pub struct SimulatedMachine(Rc<Machine>);

#[derive(Debug)]
struct Machine {
    simulation: Simulation,
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
}

#[derive(Debug)]
struct Process {
    start_time: u64,
    carries: BTreeSet<String>,
}

impl SimulatedMachine {
    /// A tflock that starts on it.
    #[must_use]
    pub fn tflock(&self) -> SimulatedHost {
        SimulatedHost {
            machine: self.clone(),
            process: self.start(BTreeSet::new()),
        }
    }

    /// A program that starts on it under the lock `id`.
    #[must_use]
    pub fn child_under(&self, id: &LockId) -> ProcessIdentity {
        self.start([id.0.clone()].into())
    }

    /// Ends a process.
    pub fn end(&self, process: ProcessIdentity) {
        if self.exists(process) {
            self.0.processes.borrow_mut().remove(&process.pid);
        }
    }

    /// Ends all processes and begins another boot.
    pub fn reboot(&self) {
        self.0.processes.borrow_mut().clear();
        self.0.boots.set(self.0.boots.get() + 1);
        self.0.up_before.set(Duration::ZERO);
        self.0.booted.set(self.0.simulation.elapsed());
    }

    /// Makes its wall clock wrong by this much.
    pub fn set_wall_error(&self, error: TimeDelta) {
        self.0.wall_error.set(error);
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

    fn exists(&self, process: ProcessIdentity) -> bool {
        let processes = self.0.processes.borrow();
        let found = processes.get(&process.pid);
        found.is_some_and(|found| found.start_time == process.start_time)
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
}

impl SimulatedHost {
    /// The same as a trait object.
    #[must_use]
    pub fn shared(&self) -> Rc<dyn Host> {
        Rc::new(self.clone())
    }

    /// Ends this tflock, as SIGKILL would.
    pub fn kill(&self) {
        self.machine.end(self.process);
    }

    /// What this tflock wants the lock for, with an ID of its own.
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
                heartbeat: None,
                heartbeat_at: None,
                expire_after,
                holder: self.this_process(),
            },
        }
    }
}

impl Host for SimulatedHost {
    fn now(&self) -> Instant {
        let machine = &self.machine.0;
        let booted_for = machine
            .simulation
            .elapsed()
            .saturating_sub(machine.booted.get());
        Instant(machine.up_before.get() + booted_for)
    }

    fn wall(&self) -> DateTime<Utc> {
        let machine = &self.machine.0;
        let elapsed = TimeDelta::from_std(machine.simulation.elapsed()).unwrap_or(TimeDelta::MAX);
        // The first second of 2026.
        DateTime::UNIX_EPOCH
            + TimeDelta::seconds(1_767_225_600)
            + elapsed
            + machine.wall_error.get()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        let simulation = self.machine.0.simulation.clone();
        Box::pin(Sleep {
            due: simulation.elapsed() + duration,
            simulation,
            key: None,
        })
    }

    fn random(&self) -> [u8; 16] {
        let simulation = &self.machine.0.simulation;
        let number = u128::from(simulation.draw()) << 64 | u128::from(simulation.draw());
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
        if holder.boot_id != machine.boot_id() {
            return ProcessFate::Rebooted;
        }
        let named = [Some(holder.process), holder.child];
        let carried = machine
            .0
            .processes
            .borrow()
            .values()
            .any(|process| process.carries.contains(&id.0));
        if carried || named.into_iter().flatten().any(|one| machine.exists(one)) {
            ProcessFate::Running
        } else {
            ProcessFate::Ended
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleepers_wake_in_the_order_of_their_moments_and_no_time_is_spent() {
        let simulation = Simulation::default();
        let host = simulation.machine().tflock();
        let order = RefCell::new(Vec::new());
        let sleeper = async |name, seconds| {
            host.sleep(Duration::from_secs(seconds)).await;
            order
                .borrow_mut()
                .push((name, simulation.elapsed().as_secs()));
        };
        let real = std::time::Instant::now();
        simulation.run(async { tokio::join!(sleeper("late", 7200), sleeper("soon", 5)) });
        assert_eq!(*order.borrow(), [("soon", 5), ("late", 7200)]);
        assert!(real.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_sleep_that_is_given_up_moves_no_clock() {
        let simulation = Simulation::default();
        let host = simulation.machine().tflock();
        simulation.run(async {
            tokio::select! {
                () = host.sleep(Duration::from_hours(1)) => {}
                () = host.sleep(Duration::from_secs(1)) => {}
            }
            host.sleep(Duration::from_secs(1)).await;
        });
        assert_eq!(simulation.elapsed(), Duration::from_secs(2));
    }

    #[test]
    fn processes_are_seen_on_their_own_machine_only_and_by_what_they_carry() {
        let simulation = Simulation::default();
        let (here, there) = (simulation.machine(), simulation.machine());
        let holder = here.tflock();
        let id = holder.claim(None).info.id;
        let named = holder.this_process().unwrap();
        let (observer, stranger) = (here.tflock(), there.tflock());
        assert_eq!(observer.fate_of(&named, &id), ProcessFate::Running);
        assert_eq!(stranger.fate_of(&named, &id), ProcessFate::Elsewhere);
        let child = here.child_under(&id);
        holder.kill();
        assert_eq!(observer.fate_of(&named, &id), ProcessFate::Running);
        here.end(child);
        assert_eq!(observer.fate_of(&named, &id), ProcessFate::Ended);
        here.reboot();
        assert_eq!(here.tflock().fate_of(&named, &id), ProcessFate::Rebooted);
    }
}
