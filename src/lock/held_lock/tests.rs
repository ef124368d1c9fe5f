//! Renewal and release over the store in memory, in simulated time.

use super::*;
use crate::lock::liveness::HEARTBEAT_INTERVAL;
use crate::lock::record::Record;
use crate::lock::store::memory::{Fault, MemoryStore};
use crate::lock::store::{Heartbeats, StoreErrorKind};
use crate::simulation::{SimulatedHost, Simulation};

/// A lock that has just been taken.
struct Scene {
    simulation: Simulation,
    host: SimulatedHost,
    store: MemoryStore,
    held: HeldLock,
}

impl Scene {
    fn new() -> Self {
        Self::promising(None)
    }

    fn promising(expire_after: Option<Duration>) -> Self {
        Self::in_store(MemoryStore::default(), expire_after)
    }

    fn in_store(store: MemoryStore, expire_after: Option<Duration>) -> Self {
        let simulation = Simulation::default();
        let host = simulation.machine().tflock();
        let claim = host.claim(expire_after);
        let mut lease = claim.lease;
        lease.heartbeat = store.heartbeats().interval().map(|_| 0);
        store.overwrite(Some(Record::new(&claim.info, lease)));
        let current = store.current().unwrap();
        let (shared, asked) = (Rc::new(store.clone()), host.now());
        Self {
            held: HeldLock::new(
                shared,
                host.shared(),
                claim.info.id,
                OwnRecords::default(),
                current,
                asked,
            ),
            simulation,
            host,
            store,
        }
    }

    fn renew(&mut self) -> Result<Renewal, StoreError> {
        self.simulation.run(self.held.renew())
    }

    fn release(&mut self) -> Result<Release, StoreError> {
        self.simulation
            .run(self.held.release(RELEASE_PATIENCE, |_| {}))
    }

    /// Lets time pass.
    fn pass(&self, seconds: u64) {
        let pause = Duration::from_secs(seconds);
        self.simulation.run(self.host.sleep(pause));
    }

    /// Replaces the lock by another run's, as after a force-unlock.
    fn rob(&self) -> Stored {
        let robber = self.simulation.machine().tflock().claim(None);
        self.store
            .overwrite(Some(Record::new(&robber.info, robber.lease)));
        self.store.current().unwrap()
    }

    fn lease(&self) -> crate::lock::record::Lease {
        self.store.current().unwrap().record.lease.unwrap()
    }

    /// The time until the next renewal.
    fn due_in(&self) -> Duration {
        self.held.next_renewal().since(self.host.now())
    }
}

/// The time in so many seconds.
fn at(scene: &Scene, seconds: u64) -> Instant {
    Instant(scene.host.now().0 + Duration::from_secs(seconds))
}

fn lies_within(value: Duration, longest: Duration) -> bool {
    (longest.mul_f64(0.66)..=longest).contains(&value)
}

#[test]
fn a_renewal_increments_the_heartbeat_and_records_its_time() {
    let mut scene = Scene::new();
    scene.pass(8);
    assert_eq!(scene.renew().unwrap(), Renewal::Renewed);
    let lease = scene.lease();
    assert_eq!(lease.heartbeat, Some(1));
    assert_eq!(lease.heartbeat_at.as_deref(), Some("2026-01-01T00:00:08Z"));
    assert_eq!(scene.held.confirmed(), scene.host.now());
}

#[test]
fn a_renewal_leaves_terraform_s_own_part_unchanged() {
    let mut scene = Scene::new();
    let before = scene.store.current().unwrap().record.info;
    scene.renew().unwrap();
    assert_eq!(scene.store.current().unwrap().record.info, before);
}

#[test]
fn the_next_renewal_records_the_child() {
    let mut scene = Scene::new();
    let child = ProcessIdentity {
        pid: 4711,
        start_time: 12,
    };
    scene.held.set_child(Some(child));
    assert_eq!(scene.lease().holder.unwrap().child, None);
    scene.renew().unwrap();
    assert_eq!(scene.lease().holder.unwrap().child, Some(child));
}

#[test]
fn renewals_come_every_ten_seconds_and_a_little_earlier() {
    let mut scene = Scene::new();
    assert!(lies_within(scene.due_in(), HEARTBEAT_INTERVAL));
    for _ in 0..20 {
        scene.renew().unwrap();
        assert!(lies_within(scene.due_in(), HEARTBEAT_INTERVAL));
    }
}

#[test]
fn a_promise_is_renewed_three_times_before_it_runs_out() {
    let scene = Scene::promising(Some(Duration::from_secs(6)));
    assert!(lies_within(scene.due_in(), Duration::from_secs(2)));
    let scene = Scene::promising(Some(Duration::from_hours(1)));
    assert!(lies_within(scene.due_in(), HEARTBEAT_INTERVAL));
}

#[test]
fn a_lock_without_heartbeats_is_checked_every_ten_seconds() {
    let mut scene = Scene::in_store(MemoryStore::new(Heartbeats::None), None);
    let before = scene.store.current();
    for _ in 0..20 {
        assert!(lies_within(scene.due_in(), HEARTBEAT_INTERVAL));
        scene.pass(10);
        assert_eq!(scene.renew().unwrap(), Renewal::Renewed);
        assert_eq!(scene.held.confirmed(), scene.host.now());
    }
    assert_eq!(scene.store.current(), before);
    let robber = scene.rob();
    assert_eq!(scene.renew().unwrap(), Renewal::Lost(Some(robber)));
}

#[test]
fn an_object_is_checked_every_ten_seconds_and_written_once_a_minute() {
    let mut scene = Scene::in_store(MemoryStore::new(Heartbeats::NotCompared), None);
    let (mut written, mut minutes) = (Vec::new(), 0);
    while minutes < 5 {
        scene.pass(0);
        let due = scene.due_in();
        assert!(due <= HEARTBEAT_INTERVAL, "{due:?}");
        scene.simulation.run(scene.host.sleep(due));
        assert_eq!(scene.renew().unwrap(), Renewal::Renewed);
        if scene.lease().heartbeat > Some(minutes) {
            minutes += 1;
            written.push(scene.simulation.elapsed().as_secs());
        }
    }
    assert_eq!(written, [60, 120, 180, 240, 300]);
}

#[test]
fn an_object_with_a_promise_is_written_three_times_before_it_runs_out() {
    let promise = Duration::from_secs(30);
    let mut scene = Scene::in_store(MemoryStore::new(Heartbeats::NotCompared), Some(promise));
    scene.pass(9);
    scene.renew().unwrap();
    assert_eq!(scene.lease().heartbeat, Some(0));
    assert_eq!(
        scene.held.must_stop_at(),
        Some(at(&scene, 11)),
        "a check renews nothing"
    );
    scene.pass(1);
    scene.renew().unwrap();
    assert_eq!(scene.lease().heartbeat, Some(1));
    assert_eq!(scene.held.must_stop_at(), Some(at(&scene, 20)));
}

#[test]
fn an_object_that_cannot_be_written_is_still_checked() {
    let mut scene = Scene::in_store(MemoryStore::new(Heartbeats::NotCompared), None);
    scene.pass(60);
    scene
        .store
        .inject([Fault::Refused(StoreErrorKind::AccessDenied)]);
    scene.renew().unwrap_err();
    assert_eq!(scene.due_in(), Duration::from_secs(2));
    scene.pass(2);
    let robber = scene.rob();
    let requests = scene.store.requests();
    assert_eq!(scene.renew().unwrap(), Renewal::Lost(Some(robber)));
    assert_eq!(scene.store.requests(), requests + 1);
}

#[test]
fn an_object_s_renewal_whose_reply_was_lost_is_found_by_the_next_check_and_released() {
    let mut scene = Scene::in_store(MemoryStore::new(Heartbeats::NotCompared), None);
    scene.pass(60);
    scene.store.inject([Fault::ReplyLost]);
    scene.renew().unwrap_err();
    scene.pass(2);
    assert_eq!(scene.renew().unwrap(), Renewal::Renewed);
    assert_eq!(scene.lease().heartbeat, Some(1));
    assert_eq!(scene.release().unwrap(), Release::Released);
    assert_eq!(scene.store.current(), None);
}

#[test]
fn a_renewal_is_due_at_once_when_time_may_have_passed_unnoticed() {
    let mut scene = Scene::new();
    scene.held.renew_now();
    assert_eq!(scene.due_in(), Duration::ZERO);
}

#[test]
fn a_failed_renewal_is_due_again_in_two_seconds_and_confirms_nothing() {
    let mut scene = Scene::new();
    let confirmed = scene.held.confirmed();
    scene.pass(9);
    scene.store.inject([Fault::RequestLost]);
    let error = scene.renew().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreachable);
    assert_eq!(scene.due_in(), Duration::from_secs(2));
    assert_eq!(scene.held.confirmed(), confirmed);
}

#[test]
fn a_failed_renewal_of_a_short_promise_is_due_again_sooner() {
    let mut scene = Scene::promising(Some(Duration::from_secs(3)));
    scene.store.inject([Fault::RequestLost]);
    scene.renew().unwrap_err();
    assert_eq!(scene.due_in(), Duration::from_millis(200));
}

#[test]
fn a_renewal_whose_reply_was_lost_is_adopted_by_the_next() {
    let mut scene = Scene::new();
    scene.store.inject([Fault::ReplyLost]);
    scene.renew().unwrap_err();
    assert_eq!(scene.renew().unwrap(), Renewal::Renewed);
    assert_eq!(scene.lease().heartbeat, Some(2));
}

#[test]
fn a_renewal_that_was_dropped_half_way_is_adopted_by_the_next() {
    let mut scene = Scene::new();
    // What a dropped future leaves behind: a write that succeeded without our knowing.
    let renewed = scene.store.current().unwrap().record;
    scene
        .store
        .overwrite(Some(renewed.renewed(scene.host.wall())));
    assert_eq!(scene.renew().unwrap(), Renewal::Renewed);
    assert_eq!(scene.release().unwrap(), Release::Released);
    assert_eq!(scene.store.current(), None);
}

#[test]
fn a_store_that_always_refuses_our_own_record_is_not_asked_for_ever() {
    for release in [false, true] {
        let mut scene = Scene::new();
        scene.store.inject(vec![Fault::NeverEqual; 1000]);
        let error = if release {
            scene.release().unwrap_err()
        } else {
            scene.renew().unwrap_err()
        };
        assert_eq!(error.kind, StoreErrorKind::Unsuitable);
        assert!(scene.store.requests() < 20, "{}", scene.store.requests());
        assert!(scene.store.current().is_some());
    }
}

#[test]
fn a_lock_that_someone_removed_is_lost_at_the_next_renewal() {
    let mut scene = Scene::new();
    scene.store.overwrite(None);
    assert_eq!(scene.renew().unwrap(), Renewal::Lost(None));
    assert_eq!(scene.store.current(), None, "it was not put back");
}

#[test]
fn a_lock_that_another_run_holds_is_lost_and_left_alone() {
    let mut scene = Scene::new();
    let robber = scene.rob();
    assert_eq!(scene.renew().unwrap(), Renewal::Lost(Some(robber.clone())));
    assert_eq!(
        scene.release().unwrap(),
        Release::Lost(Some(robber.clone()))
    );
    assert_eq!(scene.store.current(), Some(robber));
}

#[test]
fn a_release_is_one_request() {
    let mut scene = Scene::new();
    assert_eq!(scene.release().unwrap(), Release::Released);
    assert_eq!(scene.store.current(), None);
    assert_eq!(scene.store.requests(), 1);
}

#[test]
fn a_lock_that_is_gone_at_its_release_counts_as_lost() {
    let mut scene = Scene::new();
    scene.store.overwrite(None);
    assert_eq!(scene.release().unwrap(), Release::Lost(None));
}

#[test]
fn a_release_retries_through_half_a_minute_of_throttling_and_reports_each_failure() {
    let mut scene = Scene::new();
    // Pauses of 0.1, 0.2, 0.4, 0.8, 1.6 and then 2 seconds each, all a little shorter.
    let throttled = Fault::Refused(StoreErrorKind::Throttled);
    scene.store.inject(vec![throttled; 20]);
    let mut told = 0;
    let release = scene.held.release(RELEASE_PATIENCE, |error| {
        assert_eq!(error.kind, StoreErrorKind::Throttled);
        told += 1;
    });
    assert_eq!(scene.simulation.run(release).unwrap(), Release::Released);
    // The renewals in between took the other faults.
    assert!((12..20).contains(&told), "{told}");
    assert_eq!(scene.store.current(), None);
    assert!(scene.simulation.elapsed() > Duration::from_secs(20));
}

#[test]
fn a_release_survives_a_moment_without_credentials() {
    let mut scene = Scene::new();
    let no_credentials = Fault::Refused(StoreErrorKind::NotCarriedOut);
    scene.store.inject([no_credentials, no_credentials]);
    assert_eq!(scene.release().unwrap(), Release::Released);
}

#[test]
fn a_release_whose_credentials_are_refused_waits_for_new_ones() {
    for kind in [
        StoreErrorKind::CredentialsRejected,
        StoreErrorKind::CredentialsMissing,
    ] {
        let mut scene = Scene::new();
        scene.store.inject(vec![Fault::Refused(kind); 10]);
        assert_eq!(scene.release().unwrap(), Release::Released);
        assert_eq!(scene.store.current(), None);
        assert!(scene.simulation.elapsed() > Duration::from_secs(5));
    }
}

#[test]
fn a_release_whose_reply_was_lost_is_a_release() {
    let mut scene = Scene::new();
    scene.store.inject([Fault::ReplyLost]);
    assert_eq!(scene.release().unwrap(), Release::Released);
    assert_eq!(scene.store.requests(), 2);
}

#[test]
fn a_release_whose_reply_was_lost_leaves_the_next_holder_alone() {
    let mut scene = Scene::new();
    scene.store.inject([Fault::ReplyLost]);
    let (released, robber) = scene.simulation.run(async {
        let next = scene.simulation.machine().tflock().claim(None);
        let take = async {
            scene.host.sleep(Duration::from_millis(10)).await;
            let record = Record::new(&next.info, next.lease.clone());
            scene.store.overwrite(Some(record));
            scene.store.current()
        };
        tokio::join!(scene.held.release(RELEASE_PATIENCE, |_| {}), take)
    });
    assert_eq!(released.unwrap(), Release::Released);
    assert_eq!(scene.store.current(), robber);
}

#[test]
fn a_throttled_release_that_then_finds_no_record_has_lost_the_lock() {
    let mut scene = Scene::new();
    let throttled = Fault::Refused(StoreErrorKind::Throttled);
    scene.store.inject([throttled]);
    let (released, ()) = scene.simulation.run(async {
        let remove = async {
            scene.host.sleep(Duration::from_millis(10)).await;
            scene.store.overwrite(None);
        };
        tokio::join!(scene.held.release(RELEASE_PATIENCE, |_| {}), remove)
    });
    assert_eq!(released.unwrap(), Release::Lost(None));
}

#[test]
fn a_release_after_a_renewal_whose_reply_was_lost_deletes_the_renewed_record() {
    let mut scene = Scene::new();
    scene.store.inject([Fault::ReplyLost]);
    scene.renew().unwrap_err();
    assert_eq!(scene.release().unwrap(), Release::Released);
    assert_eq!(scene.store.current(), None);
}

#[test]
fn a_forbidden_release_fails_at_once_and_the_lock_stays() {
    let mut scene = Scene::new();
    scene
        .store
        .inject([Fault::Refused(StoreErrorKind::AccessDenied)]);
    let error = scene.release().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::AccessDenied);
    assert_eq!(scene.simulation.elapsed(), Duration::ZERO);
    assert!(scene.store.current().is_some());
}

#[test]
fn a_release_is_retried_for_a_minute_and_no_longer() {
    let mut scene = Scene::new();
    scene.store.inject(vec![Fault::RequestLost; 1000]);
    let error = scene.release().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreachable);
    let took = scene.simulation.elapsed();
    let minute = Duration::from_mins(1);
    assert!(
        (minute..=minute + Duration::from_secs(2)).contains(&took),
        "{took:?}"
    );
}
