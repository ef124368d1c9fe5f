//! Runs under a hold, over the store in memory, in simulated time.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use super::*;
use crate::lock::acquire::{
    AcquireError, Acquisition, Claim, Decision, Patience, Progress, acquire,
};
use crate::lock::evict::{Removal, remove};
use crate::lock::held_lock::{HeldLock, RELEASE_PATIENCE, Release, Renewal};
use crate::lock::host::Host as _;
use crate::lock::liveness::{Liveness, Observer, Replacement};
use crate::lock::record::LockId;
use crate::lock::store::StoreErrorKind;
use crate::lock::store::memory::{Fault, MemoryStore};
use crate::simulation::{SimulatedHost, Simulation};

struct Scene {
    simulation: Simulation,
    store: MemoryStore,
    hold: LockId,
}

/// A tflock that wants the lock.
struct Run {
    host: SimulatedHost,
    claim: Claim,
}

impl Run {
    fn of(host: SimulatedHost, under: Option<&LockId>) -> Self {
        let mut claim = host.claim(None);
        claim.under = under.cloned();
        Self { host, claim }
    }
}

impl Scene {
    /// A lock with a hold on it.
    fn new() -> Self {
        Self::holding(None)
    }

    fn holding(time: Option<Duration>) -> Self {
        let simulation = Simulation::default();
        let store = MemoryStore::with_companions();
        let host = simulation.machine().tflock();
        let mut claim = host.claim(None);
        claim.info.operation = OPERATION.into();
        claim.lease.hold = Some(Hold::until(time.map(|time| host.wall() + time)));
        claim.lease.holder = None;
        let scene = Self {
            hold: claim.info.id.clone(),
            simulation,
            store,
        };
        let taken = scene.take(&Run { host, claim }, Duration::ZERO);
        assert!(matches!(taken, Some(held) if held.record().is_hold()));
        scene
    }

    fn owner(&self) -> Run {
        Run::of(self.simulation.machine().tflock(), Some(&self.hold))
    }

    fn stranger(&self) -> Run {
        Run::of(self.simulation.machine().tflock(), None)
    }

    /// Takes the lock, if that succeeds within `patience`.
    fn take(&self, run: &Run, patience: Duration) -> Option<HeldLock> {
        self.simulation.run(self.taking(run, patience))
    }

    async fn acquisition(
        &self,
        run: &Run,
        patience: Duration,
    ) -> Result<Acquisition, AcquireError> {
        let (_sender, stop) = watch::channel(false);
        acquire(
            Rc::new(self.store.clone()),
            run.host.shared(),
            &run.claim,
            Patience::For(patience),
            stop,
            |_| Decision::Wait,
        )
        .await
    }

    async fn taking(&self, run: &Run, patience: Duration) -> Option<HeldLock> {
        let taken = self.acquisition(run, patience).await;
        match taken.unwrap() {
            Acquisition::Held { held, leaving, .. } => {
                if let Some(leaving) = leaving {
                    leaving.await;
                }
                Some(held)
            }
            Acquisition::TimedOut(_) | Acquisition::HoldGone => None,
            Acquisition::Stopped => panic!("nobody asked for a stop"),
        }
    }

    fn release(&self, held: &mut HeldLock) -> Release {
        let released = held.release(RELEASE_PATIENCE, |_| {});
        self.simulation.run(released).unwrap()
    }

    fn current(&self) -> Record {
        self.store.current().expect("a record").record
    }

    #[track_caller]
    fn is_on_hold(&self, runs: u64) {
        let current = self.current();
        assert!(current.is_hold(), "{current:?}");
        assert_eq!(current.lock_id().as_ref(), Some(&self.hold));
        let lease = current.lease.expect("a lease");
        assert_eq!(
            (lease.heartbeat, lease.hold.map(|hold| hold.runs)),
            (None, Some(runs))
        );
    }

    #[track_caller]
    fn is_held_by(&self, run: &Run) {
        let current = self.current();
        assert_eq!(current.lock_id().as_ref(), Some(&run.claim.info.id));
        let hold = current.returns_to().and_then(Record::lock_id);
        assert_eq!(hold.as_ref(), Some(&self.hold));
    }
}

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn a_hold_keeps_everyone_else_out_and_is_never_stale() {
    let scene = Scene::new();
    assert!(scene.take(&scene.stranger(), 5 * MINUTE).is_none());
    scene.is_on_hold(0);
    let host = scene.simulation.machine().tflock();
    let seen = Observer::default().look(&host, &scene.store.current().unwrap());
    assert_eq!(
        (seen.liveness, seen.replacement),
        (Liveness::Hold, Replacement::No)
    );
}

#[test]
fn a_run_of_its_owner_uses_the_hold_and_restores_it() {
    let scene = Scene::new();
    for runs in 0..3 {
        scene.is_on_hold(runs);
        let run = scene.owner();
        let mut held = scene.take(&run, Duration::ZERO).unwrap();
        scene.is_held_by(&run);
        assert_eq!(
            scene.simulation.run(held.renew()).unwrap(),
            Renewal::Renewed
        );
        scene.is_held_by(&run);
        assert_eq!(scene.release(&mut held), Release::Released);
    }
    scene.is_on_hold(3);
}

#[test]
fn two_runs_under_one_hold_take_turns() {
    let scene = Scene::new();
    let (first, second) = (scene.owner(), scene.owner());
    let mut held = scene.take(&first, Duration::ZERO).unwrap();
    assert!(scene.take(&second, Duration::ZERO).is_none());
    scene.is_held_by(&first);
    scene.release(&mut held);
    assert!(scene.take(&second, Duration::ZERO).is_some());
    scene.is_held_by(&second);
}

#[test]
fn lost_replies_leave_neither_two_holders_nor_a_lock_without_its_hold() {
    // In turn: the look at the lock, the write that replaces the hold, the release, the next look.
    let (lost, silent) = (
        [Fault::ReplyLost, Fault::RequestLost],
        [Fault::Silence, Fault::SilenceAfter],
    );
    let lost = lost
        .into_iter()
        .flat_map(|fault| (0..4).map(move |place| (fault, place)));
    let silent = silent
        .into_iter()
        .flat_map(|fault| (0..2).map(move |place| (fault, place)));
    for (fault, place) in lost.chain(silent) {
        let scene = Scene::new();
        let run = scene.owner();
        let before = std::iter::repeat_n(Fault::None, place);
        scene.store.inject(before.chain([fault]));
        for runs in 1..3 {
            let mut held = scene.take(&run, MINUTE).expect("the lock");
            scene.is_held_by(&run);
            assert_eq!(
                scene.release(&mut held),
                Release::Released,
                "{fault:?} {place}"
            );
            scene.is_on_hold(runs);
        }
    }
}

#[test]
fn an_abandoned_attempt_leaves_the_hold() {
    let scene = Scene::new();
    let run = scene.owner();
    let lost = [Fault::None, Fault::ReplyLost];
    scene.store.inject(
        lost.into_iter()
            .chain([Fault::Refused(StoreErrorKind::AccessDenied)]),
    );
    let taking = scene.acquisition(&run, MINUTE);
    let failed = scene.simulation.run(taking);
    assert!(failed.is_err_and(|error| error.maybe_left.is_none()));
    scene.is_on_hold(1);
}

#[test]
fn a_run_whose_named_hold_is_gone_neither_waits_nor_takes_the_lock() {
    let is_taken: [fn(&Scene); 2] = [
        |_| {},
        |scene| drop(scene.take(&scene.stranger(), Duration::ZERO)),
    ];
    for take in is_taken {
        let scene = Scene::new();
        scene.store.overwrite(None);
        take(&scene);
        let before = scene.store.current();
        let began = scene.simulation.elapsed();
        let owner = scene.owner();
        let acquisition = scene.acquisition(&owner, MINUTE);
        let acquisition = scene.simulation.run(acquisition).unwrap();
        assert!(matches!(acquisition, Acquisition::HoldGone));
        assert_eq!(scene.simulation.elapsed(), began);
        assert_eq!(scene.store.current(), before);
    }
}

#[test]
fn a_run_that_waits_under_a_hold_notices_its_end() {
    let scene = Scene::new();
    let mut held = scene.take(&scene.owner(), Duration::ZERO).unwrap();
    let (second, host) = (scene.owner(), scene.simulation.machine().tflock());
    let ends = async {
        host.sleep(Duration::from_secs(5)).await;
        held.release(RELEASE_PATIENCE, |_| {}).await.unwrap();
        let hold = scene.store.current().unwrap();
        remove(&scene.store, &host, &hold).await.unwrap();
    };
    let waits = scene.acquisition(&second, MINUTE);
    let (acquisition, ()) = scene.simulation.run(async { tokio::join!(waits, ends) });
    assert!(matches!(acquisition.unwrap(), Acquisition::HoldGone));
    assert_eq!(scene.store.current(), None);
    assert!(scene.simulation.elapsed() < Duration::from_secs(7));
}

#[test]
fn a_run_under_a_hold_waits_for_others_under_it_and_not_for_the_runs_it_keeps_out() {
    let scene = Scene::new();
    let (strangers, second) = ([scene.stranger(), scene.stranger()], scene.owner());
    let mut held = scene.take(&scene.owner(), Duration::ZERO).unwrap();
    let host = scene.simulation.machine().tflock();
    let before = async {
        let [one, two] = &strangers;
        let waits = async |run, seconds| {
            host.sleep(Duration::from_secs(seconds)).await;
            assert!(scene.taking(run, MINUTE).await.is_none());
        };
        tokio::join!(waits(one, 0), waits(two, 1))
    };
    let under = async {
        host.sleep(Duration::from_secs(2)).await;
        let released = async {
            host.sleep(Duration::from_secs(3)).await;
            held.release(RELEASE_PATIENCE, |_| {}).await.unwrap();
            host.now()
        };
        let taken = async {
            let taken = scene.taking(&second, MINUTE).await;
            (taken.unwrap(), host.now())
        };
        let (released, (held, taken)) = tokio::join!(released, taken);
        assert!(taken.since(released) < Duration::from_millis(600));
        // No stranger gets the lock before.
        host.sleep(MINUTE).await;
        drop(held);
    };
    scene.simulation.run(async { tokio::join!(before, under) });
}

#[test]
fn a_take_over_by_a_person_of_a_run_under_a_hold_restores_the_hold() {
    let scene = Scene::new();
    let _held = scene.take(&scene.owner(), Duration::ZERO).unwrap();
    let stranger = scene.stranger();
    let taking = scene.acquisition(&stranger, MINUTE);
    assert!(matches!(
        scene.simulation.run(taking).unwrap(),
        Acquisition::TimedOut(_)
    ));
    let run = scene.current();
    let asked = std::cell::Cell::new(false);
    let (_sender, stop) = watch::channel(false);
    let taking = acquire(
        Rc::new(scene.store.clone()),
        stranger.host.shared(),
        &stranger.claim,
        Patience::For(MINUTE),
        stop,
        |progress| match progress {
            Progress::HeldBy(seen) if seen.stored.record.info == run.info => {
                asked.set(true);
                Decision::TakeOver
            }
            _ => Decision::Wait,
        },
    );
    assert!(matches!(
        scene.simulation.run(taking).unwrap(),
        Acquisition::TimedOut(_)
    ));
    assert!(asked.get());
    scene.is_on_hold(1);
}

#[test]
fn a_hold_that_is_removed_during_a_run_counts_as_a_lost_lock() {
    let scene = Scene::new();
    let mut held = scene.take(&scene.owner(), Duration::ZERO).unwrap();
    scene.store.overwrite(None);
    assert_eq!(
        scene.simulation.run(held.renew()).unwrap(),
        Renewal::Lost(None)
    );
    assert_eq!(scene.release(&mut held), Release::Lost(None));
    assert_eq!(scene.store.current(), None, "it was not put back");
}

#[test]
fn removing_a_run_restores_its_hold_which_can_be_removed_too() {
    for faults in [&[][..], &[Fault::ReplyLost]] {
        let scene = Scene::new();
        let _held = scene.take(&scene.owner(), Duration::ZERO).unwrap();
        let host = scene.simulation.machine().tflock();
        for left in [Some(1), None] {
            let shown = scene.store.current().unwrap();
            scene.store.inject(faults.iter().copied());
            let removal = scene.simulation.run(remove(&scene.store, &host, &shown));
            assert_eq!(removal.unwrap(), Removal::Removed);
            match left {
                Some(runs) => scene.is_on_hold(runs),
                None => assert_eq!(scene.store.current(), None),
            }
        }
    }
}

/// A run under the hold that has died, and another host on its machine.
fn dead_run(scene: &Scene) -> SimulatedHost {
    let machine = scene.simulation.machine();
    let run = Run::of(machine.tflock(), Some(&scene.hold));
    let held = scene.take(&run, Duration::ZERO).unwrap();
    drop(held);
    run.host.kill();
    machine.tflock()
}

#[test]
fn after_a_proven_death_the_owner_uses_the_hold_again() {
    let scene = Scene::new();
    let neighbour = dead_run(&scene);
    let next = Run::of(neighbour, Some(&scene.hold));
    let mut held = scene.take(&next, Duration::ZERO).unwrap();
    scene.is_held_by(&next);
    scene.release(&mut held);
    scene.is_on_hold(2);
}

#[test]
fn after_a_proven_death_a_stranger_restores_the_hold_and_waits() {
    for fault in [Fault::None, Fault::ReplyLost, Fault::RequestLost] {
        let scene = Scene::new();
        let neighbour = dead_run(&scene);
        let stranger = Run::of(neighbour, None);
        // After the look at the lock.
        scene.store.inject([Fault::None, fault]);
        assert!(scene.take(&stranger, MINUTE).is_none());
        scene.is_on_hold(1);
    }
}

#[test]
fn a_hold_that_has_ended_may_be_taken_five_minutes_later() {
    let scene = Scene::holding(Some(MINUTE));
    let stranger = scene.stranger();
    assert!(scene.take(&stranger, 5 * MINUTE).is_none());
    scene.is_on_hold(0);
    let held = scene.take(&stranger, 2 * MINUTE).unwrap();
    assert_eq!(held.record().hold(), None);
}

#[test]
fn a_hold_that_ends_during_a_run_is_not_taken_from_that_run() {
    let scene = Scene::holding(Some(MINUTE));
    let run = scene.owner();
    let mut held = scene.take(&run, Duration::ZERO).unwrap();
    let stranger = scene.stranger();
    assert!(scene.take(&stranger, 7 * MINUTE).is_none());
    scene.is_held_by(&run);
    scene.release(&mut held);
    assert!(scene.take(&stranger, Duration::ZERO).is_some());
}

#[test]
fn a_hold_is_never_taken_under_a_hold() {
    let scene = Scene::new();
    let mut another = scene.owner();
    another.claim.lease.hold = Some(Hold::default());
    assert!(scene.take(&another, MINUTE).is_none());
    scene.is_on_hold(0);
}

#[test]
fn all_records_of_one_hold_are_different() {
    let scene = Scene::new();
    let before = scene.current();
    let mut held = scene.take(&scene.owner(), Duration::ZERO).unwrap();
    scene.release(&mut held);
    assert_ne!(scene.current(), before);
    assert_eq!(
        scene.current().info,
        before.info,
        "plain terraform sees the same lock"
    );
}

#[test]
fn a_hold_whose_end_cannot_be_read_never_ends() {
    let mut record = Scene::new().current();
    let now = Utc::now();
    for until in ["", "garbage", "+262143-01-01T00:00:00Z"] {
        record.lease.as_mut().unwrap().hold.as_mut().unwrap().until = Some(until.into());
        assert!(!record.is_over(now), "{until}");
    }
}
