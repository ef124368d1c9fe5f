//! Crowds that wait for one lock: in which order they are served, how soon after one another, and with how many requests.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use super::simulation::{Alteration, Altered, SimulatedHost, Simulation};
use crate::lock::acquire::{Acquisition, Decision, Patience, acquire};
use crate::lock::held_lock::HeldLock;
use crate::lock::host::Host as _;
use crate::lock::record::Record;
use crate::lock::store::companion::{Companion, Purpose};
use crate::lock::store::memory::MemoryStore;
use crate::lock::store::{Refusal, Store, StoreFuture, Stored, Swap};

/// A store at the other end of a wire.
#[derive(Clone)]
struct Distant {
    simulation: Simulation,
    store: MemoryStore,
    round_trip: Duration,
    refusal: Refusal,
    requests: Rc<Cell<u64>>,
}

impl Distant {
    fn shared(&self) -> Rc<dyn Store> {
        Altered::shared(Rc::new(self.store.clone()), self.clone())
    }

    async fn travel<T>(&self, request: impl Future<Output = T>) -> T {
        self.requests.set(self.requests.get() + 1);
        self.simulation.sleep(self.round_trip / 2).await;
        let answer = request.await;
        self.simulation.sleep(self.round_trip / 2).await;
        answer
    }
}

impl Alteration for Distant {
    fn read<'a>(&'a self, below: &'a dyn Store) -> StoreFuture<'a, Option<Stored>> {
        Box::pin(self.travel(below.read()))
    }

    fn swap<'a>(
        &'a self,
        below: &'a dyn Store,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        Box::pin(async move {
            let swap = self.travel(below.swap(expected, new)).await?;
            match (swap, self.refusal) {
                (Swap::Refused(_), Refusal::NeedsRead) => {
                    Ok(Swap::Refused(self.travel(below.read()).await?))
                }
                (swap, _) => Ok(swap),
            }
        })
    }

    fn refusal(&self, _: &dyn Store) -> Refusal {
        self.refusal
    }

    fn companion(&self, _: &dyn Store, purpose: Purpose) -> Option<Companion> {
        let store = self.store.beside(purpose)?.clone();
        let beside = Self {
            store,
            ..self.clone()
        };
        Some(Companion::new(beside.shared()))
    }
}

struct Crowd {
    size: usize,
    /// Between one arrival and the next.
    apart: Duration,
    /// How long each holds the lock.
    job: Duration,
    round_trip: Duration,
    refusal: Refusal,
    /// Every so many of them is killed while it waits.
    kill_each: Option<usize>,
}

/// What was seen of it.
#[derive(Debug)]
struct Seen {
    /// Who was served, in that order.
    order: Vec<usize>,
    /// How long after the end of one job the next began, shortest first.
    hand_overs: Vec<Duration>,
    /// In all, while all were waiting and nothing else happened.
    requests_a_second: f64,
    /// From the end of the first job, which all waited for, to the end of the last.
    makespan: Duration,
    left: Option<Stored>,
}

impl Seen {
    fn hand_over(&self, percent: usize) -> Duration {
        self.hand_overs[(self.hand_overs.len() - 1) * percent / 100]
    }

    fn inversions(&self) -> usize {
        let later = |at: usize| self.order[at..].iter();
        (0..self.order.len())
            .map(|at| later(at).filter(|other| **other < self.order[at]).count())
            .sum()
    }
}

async fn take(store: &Distant, host: &SimulatedHost) -> HeldLock {
    let stop = watch::Sender::new(false);
    let claim = host.claim(None);
    let acquisition = acquire(
        store.shared(),
        host.shared(),
        &claim,
        Patience::Forever,
        stop.subscribe(),
        |_| Decision::Wait,
    );
    match acquisition.await {
        Ok(Acquisition::Held { held, leaving, .. }) => {
            if let Some(leaving) = leaving {
                // Beside the job, as in a session.
                let _ = store.simulation.spawn(leaving);
            }
            held
        }
        _ => panic!("not held"),
    }
}

impl Crowd {
    fn run(&self, seed: u64) -> Seen {
        let simulation = Simulation::seeded(seed);
        let store = Distant {
            simulation: simulation.clone(),
            store: MemoryStore::with_companions(),
            round_trip: self.round_trip,
            refusal: self.refusal,
            requests: Rc::default(),
        };
        let served = Rc::new(RefCell::new(Vec::new()));
        let jobs = Rc::new(RefCell::new(Vec::new()));
        let first_job = self.apart * u32::try_from(self.size).unwrap() + Duration::from_mins(3);
        let holder = simulation.machine().tflock();
        let mut tasks = Vec::new();
        for number in 0..self.size {
            let host = simulation.machine().tflock();
            let arrives = Duration::from_secs(1) + self.apart * u32::try_from(number).unwrap();
            let (store, served, jobs) = (store.clone(), Rc::clone(&served), Rc::clone(&jobs));
            let job = self.job;
            let (task, ended) = simulation.spawn(async move {
                host.sleep(arrives).await;
                let mut held = take(&store, &host).await;
                served.borrow_mut().push(number);
                let began = store.simulation.elapsed();
                host.sleep(job).await;
                jobs.borrow_mut().push((began, store.simulation.elapsed()));
                held.release(Duration::from_mins(1), |_| {}).await.unwrap();
            });
            tasks.push((task, ended));
        }
        let requests_a_second = simulation.run(async {
            let mut held = take(&store, &holder).await;
            // All have come, and have looked around.
            let settled = first_job - Duration::from_mins(2);
            holder.sleep(settled).await;
            let before = store.requests.get();
            holder.sleep(Duration::from_mins(2)).await;
            let requests = store.requests.get() - before;
            if let Some(each) = self.kill_each {
                for (task, _) in tasks.iter().skip(each / 2).step_by(each) {
                    simulation.end_task(*task);
                }
            }
            let now = simulation.elapsed();
            jobs.borrow_mut().push((now, now));
            held.release(Duration::from_mins(1), |_| {}).await.unwrap();
            for (_, ended) in tasks {
                // Whoever was killed tells nothing.
                let _ = ended.await;
            }
            simulation.sleep(Duration::from_secs(10)).await;
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let requests = requests as f64;
            requests / 120.0
        });
        let jobs = jobs.borrow();
        let mut hand_overs: Vec<_> = jobs.windows(2).map(|two| two[1].0 - two[0].1).collect();
        hand_overs.sort_unstable();
        let left = store.store.beside(Purpose::Queue).unwrap().current();
        simulation.end_all_tasks();
        Seen {
            order: served.borrow().clone(),
            hand_overs,
            requests_a_second,
            makespan: jobs.last().unwrap().1 - jobs[0].1,
            left,
        }
    }
}

const FIFTY: Crowd = Crowd {
    size: 50,
    apart: Duration::from_millis(200),
    job: Duration::from_secs(2),
    round_trip: Duration::from_millis(30),
    refusal: Refusal::ReturnsHolder,
    kill_each: None,
};

#[expect(clippy::print_stdout, reason = "the figures are worth reading")]
fn say(what: &str, seen: &Seen) {
    println!(
        "{what}: hand-over {:?} in the middle, {:?} at worst; {:.1} requests a second; {:?} in all",
        seen.hand_over(50),
        seen.hand_over(100),
        seen.requests_a_second,
        seen.makespan
    );
}

#[test]
fn a_crowd_is_served_in_the_order_in_which_it_came_soon_and_with_few_requests() {
    for size in [5, 50] {
        for round_trip in [0, 30, 100].map(Duration::from_millis) {
            for refusal in [Refusal::ReturnsHolder, Refusal::NeedsRead] {
                let crowd = Crowd {
                    size,
                    round_trip,
                    refusal,
                    ..FIFTY
                };
                let what = format!("{size} at {round_trip:?}, a refusal {refusal:?}");
                let seen = crowd.run(7);
                say(&what, &seen);
                assert_eq!(seen.order.len(), size, "{what}");
                assert_eq!(seen.inversions(), 0, "{what}: {seen:?}");
                assert!(seen.requests_a_second <= 10.0, "{what}: {seen:?}");
                let half = seen.hand_over(50).saturating_sub(2 * round_trip);
                assert!(half <= Duration::from_millis(250), "{what}: {seen:?}");
                let worst = seen.hand_over(100).saturating_sub(2 * round_trip);
                assert!(worst <= Duration::from_millis(600), "{what}: {seen:?}");
                assert!(seen.makespan <= crowd.job * 3 / 2 * u32::try_from(size).unwrap());
                assert_eq!(seen.left, None, "{what}");
            }
        }
    }
}

#[test]
fn five_hundred_are_served_in_order_too() {
    let crowd = Crowd { size: 500, ..FIFTY };
    let seen = crowd.run(3);
    say("500", &seen);
    assert_eq!(seen.order.len(), 500);
    assert_eq!(seen.inversions(), 0, "{seen:?}");
    assert!(seen.requests_a_second <= 12.0, "{seen:?}");
    assert!(seen.makespan <= crowd.job * 500 * 3 / 2);
}

#[test]
fn a_crowd_that_comes_in_one_moment_is_served_all_the_same() {
    let crowd = Crowd {
        apart: Duration::ZERO,
        ..FIFTY
    };
    let seen = crowd.run(11);
    say("50 at once", &seen);
    assert_eq!(seen.order.len(), 50);
    assert!(seen.makespan <= crowd.job * 50 * 3 / 2, "{seen:?}");
}

#[test]
fn jobs_of_a_second_are_done_soon_too() {
    let crowd = Crowd {
        job: Duration::from_secs(1),
        ..FIFTY
    };
    let seen = crowd.run(13);
    say("50 jobs of a second", &seen);
    assert_eq!(seen.inversions(), 0, "{seen:?}");
    assert!(seen.makespan <= crowd.job * 50 * 3 / 2, "{seen:?}");
}

#[test]
fn short_jobs_do_not_stall_a_crowd() {
    let crowd = Crowd {
        job: Duration::from_millis(100),
        ..FIFTY
    };
    let seen = crowd.run(5);
    say("50 short jobs", &seen);
    assert_eq!(seen.order.len(), 50);
    assert!(seen.makespan <= Duration::from_secs(100), "{seen:?}");
}

#[test]
fn each_dead_waiter_costs_three_seconds_and_the_others_keep_their_order() {
    let crowd = Crowd {
        kill_each: Some(5),
        ..FIFTY
    };
    let seen = crowd.run(9);
    say("50, ten of them killed", &seen);
    assert_eq!(seen.order.len(), 40);
    assert_eq!(seen.inversions(), 0, "{seen:?}");
    assert!(seen.hand_over(100) <= Duration::from_secs(5), "{seen:?}");
    assert_eq!(seen.left, None);
}
