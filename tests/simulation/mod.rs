//! A simulated world for the tests of the protocol: time that passes only while a task sleeps, tasks that can be
//! ended at any moment, and machines with a table of processes.
//!
//! Nothing here waits for real, and equal runs end equally. It must never be part of a real run.

mod altered;
mod machine;
mod random;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;

pub use self::altered::{Alteration, Altered};
pub use self::machine::{SimulatedHost, SimulatedMachine};
pub use self::random::Random;

/// No test of the protocol takes longer; one that does would never end.
const LONGEST: Duration = Duration::from_hours(48);

/// The true time of a simulation, and its tasks. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Simulation(Rc<World>);

#[derive(Default)]
struct World {
    elapsed: Cell<Duration>,
    sleepers: RefCell<BTreeMap<(Duration, u64), Waker>>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    last_task: Cell<u64>,
    random: Random,
    machines: Cell<u32>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("World")
            .field("elapsed", &self.elapsed)
            .finish_non_exhaustive()
    }
}

struct Task {
    /// Nothing happens on a machine that is suspended.
    machine: Option<SimulatedMachine>,
    woken: Arc<Woken>,
    /// By a signal: no other task on its machine is stopped.
    stopped: bool,
    /// Absent while it is polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

/// Names a task, to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskId(u64);

impl Simulation {
    /// One that differs from those with other seeds in all that is drawn.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Rc::new(World {
            random: Random::seeded(seed),
            ..World::default()
        }))
    }

    /// How long it has been running.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed.get()
    }

    /// What a wall clock says that is right.
    #[must_use]
    pub fn wall(&self) -> DateTime<Utc> {
        // The first second of 2026.
        let began = DateTime::UNIX_EPOCH + TimeDelta::seconds(1_767_225_600);
        began + TimeDelta::from_std(self.elapsed()).unwrap_or(TimeDelta::MAX)
    }

    /// The numbers that it draws.
    #[must_use]
    pub fn random(&self) -> &Random {
        &self.0.random
    }

    /// A new machine, whose clock since boot differs from all others and whose wall clock is right.
    #[must_use]
    pub fn machine(&self) -> SimulatedMachine {
        SimulatedMachine::new(self, self.next_machine())
    }

    /// A machine that wakes from the memory image of `original` as it is now: names, clocks and processes are alike.
    #[must_use]
    pub fn clone_of(&self, original: &SimulatedMachine) -> SimulatedMachine {
        original.woken_as(self.next_machine())
    }

    fn next_machine(&self) -> u32 {
        let number = self.0.machines.get() + 1;
        self.0.machines.set(number);
        number
    }

    /// Ends after `duration` of true time.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        Sleep::new(self, Clock::World(self.clone()), duration)
    }

    /// Runs `future` concurrently with all others; the receiver gets its output, or fails if it is ended before.
    pub fn spawn<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> (TaskId, oneshot::Receiver<T>) {
        self.spawn_on(None, future)
    }

    fn spawn_on<T: 'static>(
        &self,
        machine: Option<SimulatedMachine>,
        future: impl Future<Output = T> + 'static,
    ) -> (TaskId, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        let id = self.0.last_task.get() + 1;
        self.0.last_task.set(id);
        let task = Task {
            machine,
            woken: Arc::new(Woken(AtomicBool::new(true))),
            stopped: false,
            future: Some(Box::pin(async move {
                // Whoever does not want the output has dropped the receiver.
                let _ = sender.send(future.await);
            })),
        };
        self.0.tasks.borrow_mut().insert(id, task);
        (TaskId(id), receiver)
    }

    /// Ends a task at the point that it has reached. Must not be called by the task itself.
    pub fn end_task(&self, id: TaskId) {
        // Dropped outside of the borrow: what it holds may want to spawn.
        let ended = self.0.tasks.borrow_mut().remove(&id.0);
        drop(ended);
    }

    /// Stops a task like SIGSTOP: its timers run on, and it does nothing until it is continued.
    pub fn stop_task(&self, id: TaskId) {
        if let Some(task) = self.0.tasks.borrow_mut().get_mut(&id.0) {
            task.stopped = true;
        }
    }

    /// Lets a task that was stopped go on.
    pub fn continue_task(&self, id: TaskId) {
        if let Some(task) = self.0.tasks.borrow_mut().get_mut(&id.0) {
            task.stopped = false;
        }
    }

    fn end_tasks_on(&self, machine: &SimulatedMachine) {
        let tasks = &mut *self.0.tasks.borrow_mut();
        let here: Vec<u64> = tasks
            .iter()
            .filter(|(_, task)| task.machine.as_ref() == Some(machine))
            .map(|(id, _)| *id)
            .collect();
        let ended: Vec<_> = here.iter().map(|id| tasks.remove(id)).collect();
        let _ = tasks;
        drop(ended);
    }

    /// Ends all tasks, which may hold this simulation and would otherwise keep it for ever.
    pub fn end_all_tasks(&self) {
        let ended = self.0.tasks.take();
        drop(ended);
    }

    /// Runs `future` to its end. Whenever nothing can go on, time jumps to the next moment that anybody waits for.
    ///
    /// # Panics
    /// When `future` waits and there is no such moment, or two days have passed: it would wait for ever.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            loop {
                self.settle();
                if woken.0.swap(false, Ordering::Relaxed) {
                    break;
                }
                assert!(self.jump(), "the simulation waits for what will never come");
            }
        }
    }

    /// Lets every task go as far as it can without time.
    pub fn settle(&self) {
        while let Some((id, woken, mut future)) = self.take_woken() {
            let waker = Waker::from(woken);
            if future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
            {
                self.end_task(TaskId(id));
            } else if let Some(task) = self.0.tasks.borrow_mut().get_mut(&id) {
                task.future = Some(future);
            }
        }
    }

    #[expect(
        clippy::type_complexity,
        reason = "the parts of a task, for one caller"
    )]
    fn take_woken(&self) -> Option<(u64, Arc<Woken>, Pin<Box<dyn Future<Output = ()>>>)> {
        let mut tasks = self.0.tasks.borrow_mut();
        tasks.iter_mut().find_map(|(id, task)| {
            let suspended = task
                .machine
                .as_ref()
                .is_some_and(SimulatedMachine::is_suspended);
            if suspended || task.stopped || !task.woken.0.swap(false, Ordering::Relaxed) {
                return None;
            }
            Some((*id, Arc::clone(&task.woken), task.future.take()?))
        })
    }

    /// The next moment that anybody waits for.
    #[must_use]
    pub fn next_moment(&self) -> Option<Duration> {
        let sleepers = self.0.sleepers.borrow();
        sleepers.first_key_value().map(|((due, _), _)| *due)
    }

    /// Goes on to the next moment that anybody waits for; false if there is none.
    ///
    /// # Panics
    /// When two days have passed.
    #[must_use]
    pub fn jump(&self) -> bool {
        let next = self.0.sleepers.borrow_mut().pop_first();
        let Some(((due, _), waker)) = next else {
            return false;
        };
        assert!(due < LONGEST, "the simulation does not come to an end");
        self.0.elapsed.set(due.max(self.elapsed()));
        waker.wake();
        true
    }

    /// Lets the tasks of a machine look at its clock again.
    fn wake_all_on(&self, machine: &SimulatedMachine) {
        for task in self.0.tasks.borrow().values() {
            if task.machine.as_ref() == Some(machine) {
                task.woken.0.store(true, Ordering::Relaxed);
            }
        }
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a sleep is measured by.
enum Clock {
    World(Simulation),
    /// Stands still while the machine is suspended, as timers do.
    Machine(SimulatedMachine),
}

impl Clock {
    fn now(&self) -> Duration {
        match self {
            Self::World(simulation) => simulation.elapsed(),
            Self::Machine(machine) => machine.running_for(),
        }
    }
}

/// Ends at a moment of its clock; forgotten when it is dropped.
struct Sleep {
    simulation: Simulation,
    clock: Clock,
    due: Duration,
    key: Option<(Duration, u64)>,
}

impl Sleep {
    fn new(simulation: &Simulation, clock: Clock, duration: Duration) -> Self {
        Self {
            simulation: simulation.clone(),
            due: clock.now() + duration,
            clock,
            key: None,
        }
    }

    fn forget(&mut self) {
        if let Some(key) = self.key.take() {
            self.simulation.0.sleepers.borrow_mut().remove(&key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let left = self.due.saturating_sub(self.clock.now());
        if left.is_zero() {
            return Poll::Ready(());
        }
        let moment = self.simulation.elapsed() + left;
        if self.key.is_some_and(|(due, _)| due != moment) {
            self.forget();
        }
        let key = match self.key {
            Some(key) => key,
            None => (moment, self.simulation.random().draw()),
        };
        self.key = Some(key);
        let mut sleepers = self.simulation.0.sleepers.borrow_mut();
        sleepers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}
