//! Keeping two places at once, in simulated time.

use super::*;
use crate::lock::own::OwnRecords;
use crate::lock::record::{LockId, Record};
use crate::lock::store::memory::{Fault, MemoryStore};
use crate::lock::store::{Heartbeats, Store, StoreErrorKind, StoreFuture, Stored, Swap};
use crate::simulation::{Alteration, Altered, SimulatedHost, Simulation};

/// A lock that is held in an object without heartbeats and in an item with them.
struct Scene {
    simulation: Simulation,
    host: SimulatedHost,
    object: MemoryStore,
    item: MemoryStore,
}

impl Scene {
    fn new() -> Self {
        let simulation = Simulation::default();
        Self {
            host: simulation.machine().tflock(),
            simulation,
            object: MemoryStore::new(Heartbeats::None),
            item: MemoryStore::new(Heartbeats::Compared),
        }
    }

    fn hold(&self, stores: &[&MemoryStore], promise: Option<Duration>) -> HeldLocks {
        let held = stores.iter().map(|store| {
            let claim = self.host.claim(promise);
            let mut lease = claim.lease;
            lease.heartbeat = store.heartbeats().interval().map(|_| 0);
            lease.expire_after = lease.heartbeat.and(lease.expire_after);
            store.overwrite(Some(Record::new(&claim.info, lease)));
            let current = store.current().unwrap();
            let shared = Rc::new((*store).clone());
            HeldLock::new(
                shared,
                self.host.shared(),
                claim.info.id,
                OwnRecords::default(),
                current,
                self.host.now(),
            )
        });
        let mut locks = HeldLocks::none(self.host.shared());
        held.for_each(|held| locks.push(0, held));
        locks
    }

    /// Keeps the locks on their machine for that long.
    fn keep(&self, mut locks: HeldLocks, seconds: u64) -> Vec<News> {
        let until = self.host.clone();
        let keeping = async move {
            let mut news = Vec::new();
            let mut over = std::pin::pin!(until.sleep(Duration::from_secs(seconds)));
            loop {
                tokio::select! {
                    biased;
                    one = locks.next() => news.push(one),
                    () = &mut over => return news,
                }
            }
        };
        let (_, news) = self.host.machine().spawn(keeping);
        self.simulation.run(async { news.await.unwrap() })
    }

    /// Suspends the machine for that long, after a second.
    fn suspend_for(&self, seconds: u64) {
        let (simulation, machine) = (self.simulation.clone(), self.host.machine().clone());
        // The task is detached.
        let _ = self.simulation.spawn(async move {
            simulation.sleep(Duration::from_secs(1)).await;
            machine.suspend();
            simulation.sleep(Duration::from_secs(seconds)).await;
            machine.resume();
        });
    }
}

/// Far away: an answer takes a tenth of a second.
struct Far {
    host: SimulatedHost,
}

impl Far {
    const ROUND_TRIP: Duration = Duration::from_millis(100);

    fn away(store: MemoryStore, host: SimulatedHost) -> Rc<dyn Store> {
        Altered::shared(Rc::new(store), Self { host })
    }
}

impl Alteration for Far {
    fn read<'a>(&'a self, below: &'a dyn Store) -> StoreFuture<'a, Option<Stored>> {
        Box::pin(async {
            self.host.sleep(Self::ROUND_TRIP).await;
            below.read().await
        })
    }

    fn swap<'a>(
        &'a self,
        below: &'a dyn Store,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        Box::pin(async move {
            self.host.sleep(Self::ROUND_TRIP).await;
            below.swap(expected, new).await
        })
    }
}

/// The news of ten minutes in which another event interrupts `next` every 60 ms; `also` is called each time.
fn flooded(store: MemoryStore, mut also: impl FnMut(&mut HeldLocks) + 'static) -> Vec<News> {
    let scene = Scene::new();
    let claim = scene.host.claim(None);
    let mut lease = claim.lease;
    lease.heartbeat = store.heartbeats().interval().map(|_| 0);
    store.overwrite(Some(Record::new(&claim.info, lease)));
    let current = store.current().unwrap();
    let host = scene.host.clone();
    let held = HeldLock::new(
        Far::away(store, host.clone()),
        host.shared(),
        claim.info.id,
        OwnRecords::default(),
        current,
        host.now(),
    );
    let mut locks = HeldLocks::none(host.shared());
    locks.push(0, held);
    let keeping = async move {
        let mut news = Vec::new();
        let end = host.now().0 + Duration::from_mins(10);
        while host.now().0 < end {
            tokio::select! {
                biased;
                one = locks.next() => news.push(one),
                () = host.sleep(Duration::from_millis(60)) => also(&mut locks),
            }
        }
        news
    };
    let (_, news) = scene.host.machine().spawn(keeping);
    scene.simulation.run(async { news.await.unwrap() })
}

#[test]
fn renewals_go_on_through_a_flood_of_events() {
    let news = flooded(MemoryStore::default(), |_| {});
    let renewed = |one: &News| matches!(one, News::Renewed);
    assert!(news.iter().all(renewed), "{news:?}");
    assert!((60..=90).contains(&news.len()), "{}", news.len());
}

#[test]
fn a_lock_that_is_doubted_all_the_time_is_confirmed_again_and_again() {
    for heartbeats in [Heartbeats::Compared, Heartbeats::None] {
        let news = flooded(MemoryStore::new(heartbeats), HeldLocks::renew_now);
        let renewed = |one: &News| matches!(one, News::Renewed);
        assert!(news.iter().all(renewed), "{news:?}");
        assert!(news.len() > 4000, "{}", news.len());
    }
}

#[test]
fn a_renewal_that_was_sent_before_the_doubt_does_not_confirm_the_lock() {
    let scene = Scene::new();
    let mut locks = scene.hold(&[&scene.item], None);
    let current = scene.item.current().unwrap();
    let id = current.record.lock_id().unwrap();
    let held = HeldLock::new(
        Far::away(scene.item.clone(), scene.host.clone()),
        scene.host.shared(),
        id,
        OwnRecords::default(),
        current,
        scene.host.now(),
    );
    locks.kept[0].held = held;
    locks.renew_now();
    let looks_away = scene.simulation.run(async {
        tokio::select! {
            biased;
            _ = locks.next() => false,
            () = scene.host.sleep(Far::ROUND_TRIP / 2) => true,
        }
    });
    assert!(looks_away);
    locks.renew_now();
    for is_confirmed in [false, true] {
        let news = scene.simulation.run(locks.next());
        assert!(matches!(news, News::Renewed), "{news:?}");
        assert_eq!(locks.is_confirmed(), is_confirmed);
    }
}

#[test]
fn an_object_without_heartbeats_is_checked_four_hundred_times_an_hour_and_not_written() {
    let scene = Scene::new();
    let locks = scene.hold(&[&scene.object], None);
    let before = scene.object.current();
    let news = scene.keep(locks, 3600);
    assert!(
        news.iter().all(|one| matches!(one, News::Renewed)),
        "{news:?}"
    );
    assert!((360..=540).contains(&news.len()), "{}", news.len());
    assert_eq!(scene.object.current(), before);
}

#[test]
fn the_removal_of_an_object_is_noticed_within_ten_seconds() {
    let scene = Scene::new();
    let locks = scene.hold(&[&scene.object, &scene.item], None);
    scene.object.overwrite(None);
    let news = scene.keep(locks, 10);
    assert!(
        news.iter().any(|one| matches!(one, News::Lost(_))),
        "{news:?}"
    );
}

#[test]
fn an_object_in_an_unreachable_or_slow_store_is_not_lost() {
    let scene = Scene::new();
    let locks = scene.hold(&[&scene.object], None);
    let troubles = [
        Fault::RequestLost,
        Fault::Refused(StoreErrorKind::Throttled),
        Fault::Refused(StoreErrorKind::ServerFailure),
        Fault::Refused(StoreErrorKind::CredentialsRejected),
    ];
    scene.object.inject(troubles.repeat(200));
    let news = scene.keep(locks, 1000);
    assert!(
        news.iter().all(|one| matches!(one, News::NotRenewed(_))),
        "{news:?}"
    );
    assert!(news.len() > 300, "{}", news.len());
}

#[test]
fn a_place_whose_store_does_not_answer_does_not_delay_the_renewal_of_another() {
    let scene = Scene::new();
    let promise = Some(Duration::from_secs(6));
    let locks = scene.hold(&[&scene.object, &scene.item], promise);
    scene.object.inject([Fault::Silence]);
    let news = scene.keep(locks, 60);
    assert!(
        news.iter().all(|one| matches!(one, News::Renewed)),
        "{news:?}"
    );
    assert!(news.len() >= 30, "{}", news.len());
}

#[test]
fn a_late_heartbeat_keeps_the_lock_only_where_a_swap_compares_it() {
    for (heartbeats, is_saved) in [
        (Heartbeats::Compared, true),
        (Heartbeats::NotCompared, false),
    ] {
        let scene = Scene::new();
        let store = MemoryStore::new(heartbeats);
        let locks = scene.hold(&[&store], Some(Duration::from_secs(30)));
        scene.suspend_for(60);
        let news = scene.keep(locks, 5);
        let first = news.first().unwrap();
        assert_eq!(matches!(first, News::Renewed), is_saved, "{news:?}");
        assert_eq!(
            matches!(first, News::Expiring { .. }),
            !is_saved,
            "{news:?}"
        );
    }
}

#[test]
fn an_object_is_checked_after_a_suspend() {
    let scene = Scene::new();
    let locks = scene.hold(&[&scene.object], None);
    scene.suspend_for(60);
    let news = scene.keep(locks, 5);
    assert!(matches!(news[..], [News::Renewed]), "{news:?}");
    assert_eq!(scene.object.requests(), 1);
}

#[test]
fn the_removal_of_an_object_during_a_suspend_is_noticed_at_once() {
    let scene = Scene::new();
    let locks = scene.hold(&[&scene.object], None);
    scene.object.overwrite(None);
    scene.suspend_for(60);
    let news = scene.keep(locks, 5);
    assert!(matches!(news[..], [News::Lost(_)]), "{news:?}");
}

#[test]
fn a_doubted_lock_is_confirmed_once_each_place_is() {
    let scene = Scene::new();
    let mut locks = scene.hold(&[&scene.object, &scene.item], None);
    assert!(locks.is_confirmed());
    scene
        .simulation
        .run(scene.host.sleep(Duration::from_secs(1)));
    locks.renew_now();
    for is_confirmed in [false, true] {
        let news = scene.simulation.run(locks.next());
        assert!(matches!(news, News::Renewed), "{news:?}");
        assert_eq!(locks.is_confirmed(), is_confirmed);
    }
}

#[test]
fn others_must_stop_the_child_after_three_quarters_of_the_promise() {
    let scene = Scene::new();
    assert_eq!(scene.hold(&[&scene.item], None).time_left(), None);
    let promise = Some(Duration::from_mins(1));
    let mut locks = scene.hold(&[&scene.item], promise);
    let pass = |seconds| {
        let pause = scene.host.sleep(Duration::from_secs(seconds));
        scene.simulation.run(pause);
    };
    pass(20);
    assert_eq!(locks.time_left(), Some(Duration::from_secs(25)));
    locks.renew_now();
    scene.simulation.run(locks.next());
    assert_eq!(locks.time_left(), Some(Duration::from_secs(45)));
    pass(100);
    assert_eq!(locks.time_left(), Some(Duration::ZERO));
}

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn a_lock_that_was_given_up_is_renewed_if_the_store_comes_back_while_the_child_stops() {
    let scene = Scene::new();
    let mut locks = scene.hold(&[&scene.item], Some(MINUTE));
    scene.item.inject(vec![Fault::RequestLost; 1000]);
    loop {
        match scene.simulation.run(locks.next()) {
            News::NotRenewed(_) => {}
            News::Expiring { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(scene.simulation.elapsed(), Duration::from_secs(40));
    scene.item.recover();
    let news = scene.simulation.run(locks.next());
    assert!(matches!(news, News::Renewed), "{news:?}");
    // The last third of the promise leaves time for several attempts.
    assert!(scene.simulation.elapsed() < Duration::from_secs(45));
    assert!(locks.gave_up_any());
}

#[test]
fn a_last_renewal_after_its_deadline_gets_half_a_second() {
    let scene = Scene::new();
    let mut locks = scene.hold(&[&scene.item], Some(MINUTE));
    let pause = scene.host.sleep(Duration::from_secs(50));
    scene.simulation.run(pause);
    scene.item.inject([Fault::Silence]);
    let news = scene.simulation.run(locks.next());
    assert!(matches!(news, News::Expiring { .. }), "{news:?}");
    assert_eq!(scene.simulation.elapsed(), Duration::from_millis(50_500));
}

#[test]
fn before_the_child_starts_an_old_lock_is_checked_and_one_that_others_may_take_over_is_renewed() {
    let after = |seconds, then: fn(&MemoryStore)| {
        let scene = Scene::new();
        let mut locks = scene.hold(&[&scene.item], Some(MINUTE));
        let pause = scene.host.sleep(Duration::from_secs(seconds));
        scene.simulation.run(pause);
        then(&scene.item);
        let is_ours = scene.simulation.run(locks.confirm());
        (is_ours, scene.item.requests())
    };
    let throttled = |item: &MemoryStore| item.inject([Fault::Refused(StoreErrorKind::Throttled)]);
    // A renewal is due after ten seconds, or up to a third earlier.
    assert_eq!(after(6, |_| {}), (true, 0));
    assert_eq!(after(10, |_| {}), (true, 1));
    assert_eq!(after(39, throttled), (true, 1));
    assert_eq!(after(40, throttled), (false, 1));
    assert_eq!(after(40, |_| {}), (true, 1));
    assert_eq!(after(10, |item| item.overwrite(None)), (false, 1));
}

#[test]
fn a_place_that_cannot_be_released_does_not_keep_the_others() {
    for stays in [0, 1] {
        let scene = Scene::new();
        let stores = [&scene.object, &scene.item];
        let mut locks = scene.hold(&stores, None);
        let left = locks.held().nth(stays).unwrap().id().clone();
        let denied = Fault::Refused(StoreErrorKind::AccessDenied);
        stores[stays].inject([denied]);
        let released = scene.simulation.run(locks.release(|_| {}));
        let ids: Vec<&LockId> = released.failed.iter().map(|failed| &failed.id).collect();
        assert_eq!(ids, [&left]);
        assert!(released.lost.is_empty());
        assert!(stores[stays].current().is_some() && stores[1 - stays].current().is_none());
    }
}

impl Scene {
    fn pass(&self, pause: Duration) {
        self.simulation.run(self.host.sleep(pause));
    }

    fn next(&self, locks: &mut HeldLocks) -> News {
        self.simulation.run(locks.next())
    }
}

#[test]
fn after_a_jump_of_the_clock_by_more_than_eleven_seconds_each_place_is_in_doubt() {
    let look = HEARTBEAT_INTERVAL + Duration::from_secs(1);
    assert_eq!(look, Duration::from_secs(11));
    for (pause, is_confirmed) in [(look, true), (look + Duration::from_millis(1), false)] {
        let scene = Scene::new();
        let mut locks = scene.hold(&[&scene.object, &scene.item], None);
        scene.pass(pause);
        let first = scene.next(&mut locks);
        assert!(matches!(first, News::Renewed), "{first:?}");
        assert_eq!(locks.is_confirmed(), is_confirmed, "{pause:?}");
        let second = scene.next(&mut locks);
        assert!(matches!(second, News::Renewed), "{second:?}");
        assert!(locks.is_confirmed());
    }
}

#[test]
fn of_two_promises_the_one_that_ends_first_counts() {
    let scene = Scene::new();
    let other = MemoryStore::default();
    let mut locks = scene.hold(&[&scene.item, &other], Some(MINUTE));
    scene.pass(Duration::from_secs(20));
    assert!(matches!(scene.next(&mut locks), News::Renewed));
    assert_eq!(locks.time_left(), Some(Duration::from_secs(25)));
    assert!(matches!(scene.next(&mut locks), News::Renewed));
    assert_eq!(locks.time_left(), Some(Duration::from_secs(45)));
}

#[test]
fn each_place_records_the_child() {
    let scene = Scene::new();
    let other = MemoryStore::default();
    let mut locks = scene.hold(&[&scene.item, &other], None);
    let child = ProcessIdentity {
        pid: 4711,
        start_time: 12,
    };
    locks.set_child(Some(child));
    locks.renew_now();
    for _ in 0..2 {
        assert!(matches!(scene.next(&mut locks), News::Renewed));
    }
    for store in [&scene.item, &other] {
        let holder = store.current().unwrap().record.lease.unwrap().holder;
        assert_eq!(holder.unwrap().child, Some(child));
    }
}

#[test]
fn a_lost_place_is_reported_once_and_left_alone() {
    for lost in [0, 1] {
        let scene = Scene::new();
        let stores = [&scene.object, &scene.item];
        let mut locks = scene.hold(&stores, None);
        assert!(!locks.lost_any());
        stores[lost].overwrite(None);
        locks.renew_now();
        let told = [scene.next(&mut locks), scene.next(&mut locks)];
        let losses = told.iter().filter(|one| matches!(one, News::Lost(_)));
        assert_eq!(losses.count(), 1, "{told:?}");
        assert!(locks.lost_any() && !locks.gave_up_any() && !locks.is_confirmed());
        let before = stores[lost].requests();
        let released = scene.simulation.run(locks.release(|_| {}));
        assert!(released.lost.is_empty() && released.failed.is_empty());
        assert_eq!(stores[lost].requests(), before);
        assert_eq!(stores[1 - lost].current(), None);
    }
}

#[test]
fn a_loss_that_only_the_release_notices_says_whether_the_lock_had_expired() {
    for (silence, promise) in [(59, Promise::Good), (60, Promise::Over)] {
        let scene = Scene::new();
        let mut locks = scene.hold(&[&scene.item], Some(MINUTE));
        scene.pass(Duration::from_secs(silence));
        let robber = scene.simulation.machine().tflock().claim(None);
        let theirs = Record::new(&robber.info, robber.lease);
        scene.item.overwrite(Some(theirs.clone()));
        let released = scene.simulation.run(locks.release(|_| {}));
        assert!(released.failed.is_empty());
        let [loss] = &released.lost[..] else {
            panic!("{released:?}")
        };
        assert_eq!(loss.promise, promise, "{silence} s");
        assert_eq!(loss.now.as_ref().unwrap().record, theirs);
        assert!(locks.lost_any());
        assert_eq!(scene.item.current().unwrap().record, theirs);
    }
    // Without a promise it cannot expire.
    let scene = Scene::new();
    let mut locks = scene.hold(&[&scene.item], None);
    scene.pass(Duration::from_hours(1));
    scene.item.overwrite(None);
    let released = scene.simulation.run(locks.release(|_| {}));
    assert_eq!(released.lost[0].promise, Promise::Good);
}

#[test]
fn a_release_is_retried_for_a_minute() {
    let scene = Scene::new();
    let mut locks = scene.hold(&[&scene.item], None);
    scene.item.inject(vec![Fault::RequestLost; 1000]);
    let released = scene.simulation.run(locks.release(|_| {}));
    assert_eq!(released.failed.len(), 1);
    let elapsed = scene.simulation.elapsed();
    let longest = Duration::from_secs(65);
    assert!((MINUTE..=longest).contains(&elapsed), "{elapsed:?}");
}

#[test]
fn without_a_promise_an_unreachable_store_does_not_keep_the_child_from_starting() {
    let scene = Scene::new();
    let mut locks = scene.hold(&[&scene.item], None);
    scene.pass(Duration::from_hours(1));
    scene
        .item
        .inject([Fault::Refused(StoreErrorKind::Throttled)]);
    assert!(scene.simulation.run(locks.confirm()));
    assert_eq!(scene.item.requests(), 1);
}
