//! Taking several locks over stores in memory, in simulated time.

use std::cell::{Cell, RefCell};

use super::beside::keep;
use super::*;
use crate::lock::record::{LockId, Record};
use crate::lock::store::memory::{Fault, MemoryStore};
use crate::lock::store::{Identity, StoreErrorKind, StoreFuture, Stored, Swap};
use crate::lock::together::all;
use crate::simulation::{Alteration, Altered, SimulatedHost, Simulation};

/// A world with three locks, and a tflock that wants some of them.
struct Scene {
    simulation: Simulation,
    stores: [MemoryStore; 3],
    host: SimulatedHost,
    claim: Claim,
    /// What it was told.
    told: RefCell<Vec<String>>,
    /// Whether a record of its own may arrive late.
    may_come_late: Cell<bool>,
}

const A_MINUTE: Patience = Patience::For(Duration::from_mins(1));
const ONE_ATTEMPT: Patience = Patience::For(Duration::ZERO);

impl Scene {
    fn new() -> Self {
        let simulation = Simulation::default();
        Self::on(
            &simulation,
            [(); 3].map(|()| MemoryStore::with_companions()),
        )
    }

    fn on(simulation: &Simulation, stores: [MemoryStore; 3]) -> Self {
        let host = simulation.machine().tflock();
        Self {
            simulation: simulation.clone(),
            stores,
            claim: host.claim(None),
            host,
            told: RefCell::default(),
            may_come_late: Cell::default(),
        }
    }

    /// Another that wants the same.
    fn rival(&self) -> Self {
        Self::on(&self.simulation, self.stores.clone())
    }

    async fn take(&self, which: &[usize], patience: Patience) -> Result<Held, NotHeld> {
        let wanted = which.iter().map(|lock| Wanted {
            store: Rc::new(self.stores[*lock].clone()),
            claim: &self.claim,
            lock: *lock,
        });
        let wanted: Vec<_> = wanted.collect();
        let (_keeps, stop) = watch::channel(false);
        acquire_all(&wanted, self.host.shared(), patience, stop, self).await
    }

    /// Takes them, keeps them for that long, and releases them.
    async fn hold_for(&self, which: &[usize], seconds: u64) {
        let Ok(mut held) = self.take(which, Patience::Forever).await else {
            panic!("not held");
        };
        all(held.leaving.into_iter()).await;
        let pause = self.host.sleep(Duration::from_secs(seconds));
        keep(&mut held.locks, pause).await;
        held.locks.release(|_| {}).await;
    }

    /// Which of the locks it holds.
    fn holds(&self) -> Vec<usize> {
        let holder = |store: &MemoryStore| store.current()?.record.lock_id();
        let own = |lock: &usize| holder(&self.stores[*lock]).as_ref() == Some(self.id());
        (0..self.stores.len()).filter(own).collect()
    }

    fn id(&self) -> &LockId {
        &self.claim.info.id
    }

    /// A lock of another run, which cannot expire.
    fn lock_by_another(&self, which: usize) {
        let another = self.simulation.machine().tflock().claim(None);
        self.stores[which].overwrite(Some(Record::new(&another.info, another.lease)));
    }

    fn requests(&self) -> [u64; 3] {
        [0, 1, 2].map(|lock| self.stores[lock].requests())
    }
}

impl Onlooker for Scene {
    fn asking(&self, _: usize) {}

    fn progress(&self, index: usize, progress: Progress<'_>) -> Decision {
        if let Progress::HeldBy(_) = progress {
            let holds = self.holds();
            assert!(holds.is_empty() || self.may_come_late.get(), "{holds:?}");
            self.told.borrow_mut().push(format!("waits for {index}"));
        }
        Decision::Wait
    }

    fn took_over(&self, index: usize, _: &Observed) {
        self.told.borrow_mut().push(format!("took over {index}"));
    }

    fn not_given_back(&self, failed: &NotReleased) {
        assert_eq!(&failed.id, self.id());
        self.told.borrow_mut().push("not given back".to_owned());
    }
}

#[test]
fn free_locks_cost_one_request_each_and_no_time() {
    let scene = Scene::new();
    let held = scene.simulation.run(scene.take(&[0, 1, 2], ONE_ATTEMPT));
    assert_eq!(held.ok().map(|held| held.locks.held().count()), Some(3));
    assert_eq!((scene.requests(), scene.holds()), ([1; 3], vec![0, 1, 2]));
    assert_eq!(scene.simulation.elapsed(), Duration::ZERO);
}

#[test]
fn whichever_is_held_by_another_nothing_is_held_meanwhile_and_all_once_it_is_free() {
    for busy in 0..3 {
        let scene = Scene::new();
        let other = scene.rival();
        let its = [busy];
        let held = scene.simulation.run(async {
            let both = async {
                scene.host.sleep(Duration::from_secs(1)).await;
                scene.take(&[0, 1, 2], A_MINUTE).await
            };
            tokio::join!(other.hold_for(&its, 20), both).1
        });
        assert!(held.is_ok());
        assert_eq!(scene.holds(), [0, 1, 2]);
        let told = format!("waits for {busy}");
        assert!(scene.told.borrow().iter().all(|one| *one == told));
        assert!(scene.simulation.elapsed() < Duration::from_secs(22));
    }
}

#[test]
fn one_that_is_taken_while_another_is_waited_for_is_waited_for_next() {
    let scene = Scene::new();
    let (first, second) = (scene.rival(), scene.rival());
    let held = scene.simulation.run(async {
        let late = async {
            scene.host.sleep(Duration::from_secs(5)).await;
            second.hold_for(&[0], 10).await;
        };
        let both = async {
            scene.host.sleep(Duration::from_secs(1)).await;
            scene.take(&[0, 1], A_MINUTE).await
        };
        tokio::join!(first.hold_for(&[1], 8), late, both).2
    });
    assert!(held.is_ok());
    let mut told = scene.told.take();
    told.dedup();
    assert_eq!(told, ["waits for 1", "waits for 0"]);
}

#[test]
fn patience_is_for_all_of_them_together_and_nothing_is_left_when_it_is_over() {
    for (patience, longest) in [(ONE_ATTEMPT, 0), (Patience::For(Duration::from_secs(7)), 8)] {
        let scene = Scene::new();
        scene.lock_by_another(1);
        let held = scene.simulation.run(scene.take(&[0, 1, 2], patience));
        let Err(NotHeld::TimedOut { index: 1, .. }) = held else {
            panic!("{:?}", held.err())
        };
        assert_eq!(scene.holds(), [0; 0]);
        assert!(scene.simulation.elapsed() <= Duration::from_secs(longest));
    }
}

#[test]
fn a_lock_whose_promise_is_over_is_taken_over_wherever_it_stands() {
    for stale in 0..3 {
        let scene = Scene::new();
        let another = scene.simulation.machine().tflock();
        let mut lease = another.claim(Some(Duration::from_secs(20))).lease;
        lease.heartbeat = Some(0);
        let info = another.claim(None).info;
        scene.stores[stale].overwrite(Some(Record::new(&info, lease)));
        let held = scene.simulation.run(scene.take(&[0, 1, 2], A_MINUTE));
        assert!(held.is_ok());
        let told = scene.told.borrow();
        assert_eq!(told.last(), Some(&format!("took over {stale}")), "{told:?}");
    }
}

#[test]
fn two_that_are_one_are_told_and_nothing_is_waited_for() {
    let scene = Scene::new();
    // By two names, as through two endpoints.
    let two = |place: usize| Wanted {
        store: Altered::shared(
            Rc::new(scene.stores[0].clone()),
            Renamed {
                name: place.to_string(),
                host: scene.host.clone(),
            },
        ),
        claim: &scene.claim,
        lock: place,
    };
    let wanted = [two(0), two(1)];
    let (_keeps, stop) = watch::channel(false);
    let taking = acquire_all(&wanted, scene.host.shared(), A_MINUTE, stop, &scene);
    let Err(NotHeld::Same {
        first: 0,
        second: 1,
    }) = scene.simulation.run(taking)
    else {
        panic!("it was not told")
    };
    assert!(scene.simulation.elapsed() < Duration::from_secs(1));
    assert_eq!(scene.stores[0].current(), None);
}

#[test]
fn one_that_cannot_be_given_back_ends_it_and_that_is_told() {
    let scene = Scene::new();
    scene.lock_by_another(1);
    let denied = Fault::Refused(StoreErrorKind::AccessDenied);
    scene.stores[0].inject([Fault::None, denied]);
    let held = scene.simulation.run(scene.take(&[0, 1], A_MINUTE));
    assert!(matches!(held, Err(NotHeld::Stuck)));
    assert_eq!(*scene.told.borrow(), ["not given back"]);
}

#[test]
fn what_is_held_is_renewed_while_another_store_does_not_answer() {
    let scene = Scene::new();
    // Ten seconds of failures, after which the request succeeds.
    scene.stores[1].inject([Fault::Refused(StoreErrorKind::Throttled); 8]);
    scene.stores[2].inject([Fault::Refused(StoreErrorKind::Throttled); 8]);
    let held = scene.simulation.run(scene.take(&[0, 1, 2], A_MINUTE));
    assert!(held.is_ok());
    assert!(scene.simulation.elapsed() > Duration::from_secs(10));
    let stored = scene.stores[0].current().expect("a lock");
    let heartbeat = stored.record.lease.and_then(|lease| lease.heartbeat);
    assert!(heartbeat >= Some(1), "{heartbeat:?}");
}

#[test]
fn an_own_record_that_comes_late_is_cleared_while_another_lock_is_waited_for() {
    let scene = Scene::new();
    scene.lock_by_another(1);
    scene.may_come_late.set(true);
    // The first attempt seems lost, and the second is carried out.
    scene.stores[0].inject([Fault::RequestLost]);
    scene.simulation.run(async {
        let late = async {
            scene.host.sleep(Duration::from_secs(5)).await;
            let own = scene.claim.own.in_store(&scene.stores[0]).snapshot();
            let own = serde_json::to_value(own).expect("JSON");
            let lost = serde_json::from_value(own["attempts"][0][1].clone());
            scene.stores[0].overwrite(Some(lost.expect("the first attempt")));
            scene.host.sleep(Duration::from_secs(12)).await;
            assert_eq!(scene.holds(), [0; 0]);
        };
        let taking = scene.take(&[0, 1], Patience::For(Duration::from_secs(30)));
        let ((), held) = tokio::join!(late, taking);
        assert!(held.is_err());
    });
}

/// The same place by another name.
struct Renamed {
    name: String,
    host: SimulatedHost,
}

impl Alteration for Renamed {
    fn swap<'a>(
        &'a self,
        below: &'a dyn Store,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        Box::pin(async move {
            self.host.sleep(Duration::from_millis(1)).await;
            below.swap(expected, new).await
        })
    }

    fn identity(&self, _: &dyn Store) -> Identity {
        Identity::of(&[&self.name])
    }
}
