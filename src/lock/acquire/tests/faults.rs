//! Requests and replies that are lost: the end must be as if they had arrived.

use super::*;
use crate::lock::backoff::FIRST_BACKOFF;
use crate::lock::held_lock::{RELEASE_PATIENCE, Release, Renewal};
use crate::lock::store::memory::Fault;

const A_MOMENT: Duration = Duration::from_millis(10);

const ALL: [Fault; 4] = [
    Fault::None,
    Fault::ReplyLost,
    Fault::RequestLost,
    Fault::Refused(StoreErrorKind::Throttled),
];

#[test]
fn the_lock_is_taken_kept_and_released_whatever_is_lost() {
    const LENGTH: u32 = 6;
    for number in 0..ALL.len().pow(LENGTH) {
        let faults = (0..LENGTH).map(|place| ALL[number / ALL.len().pow(place) % ALL.len()]);
        let faults: Vec<_> = faults.collect();
        let scene = Scene::new();
        scene.store.inject(faults.iter().copied());
        scene.simulation.run(async {
            let (mut held, replaced) = scene.held().await;
            assert!(replaced.is_none(), "{faults:?}");
            assert!(scene.holds(), "{faults:?}");
            for _ in 0..2 {
                assert_eq!(renewed(&mut held).await, Renewal::Renewed, "{faults:?}");
                assert!(scene.holds(), "{faults:?}");
            }
            let released = held.release(Duration::from_mins(1), |_| {}).await.unwrap();
            assert_eq!(released, Release::Released, "{faults:?}");
        });
        assert_eq!(scene.holder(), None, "{faults:?}");
    }
}

async fn renewed(held: &mut HeldLock) -> Renewal {
    loop {
        if let Ok(renewal) = held.renew().await {
            return renewal;
        }
    }
}

#[test]
fn a_lost_reply_is_recognised_by_our_own_record_with_one_more_request() {
    let scene = Scene::new();
    scene.store.inject([Fault::ReplyLost]);
    let (held, replaced) = scene.simulation.run(scene.held());
    assert_eq!(scene.store.requests(), 2);
    assert_eq!(scene.holder(), Some(held.id().clone()));
    assert!(replaced.is_none());
}

#[test]
fn a_stop_after_an_unanswered_attempt_withdraws_it() {
    let scene = Scene::new();
    scene.store.inject([Fault::ReplyLost]);
    scene.simulation.run(async {
        let stop = async {
            scene.host.sleep(Duration::from_millis(10)).await;
            assert!(scene.holds());
            scene.stop.send_replace(true);
        };
        let ((), acquisition) = tokio::join!(stop, scene.acquire(Patience::Forever));
        assert!(matches!(acquisition, Acquisition::Stopped));
    });
    assert_eq!(scene.holder(), None);
}

#[test]
fn withdrawing_an_attempt_survives_lost_requests_and_replies() {
    let scene = Scene::new();
    // The put; then read and delete in turn.
    scene.store.inject([
        Fault::ReplyLost,
        Fault::RequestLost,
        Fault::None,
        Fault::Refused(StoreErrorKind::Throttled),
        Fault::None,
        Fault::ReplyLost,
    ]);
    scene.simulation.run(async {
        let acquisition = scene.stopped_after(A_MOMENT).await.unwrap();
        assert!(matches!(acquisition, Acquisition::Stopped));
    });
    assert_eq!(scene.holder(), None);
    assert_eq!(scene.store.requests(), 7);
}

#[test]
fn withdrawing_an_attempt_leaves_another_run_s_lock_alone() {
    let scene = Scene::new();
    let rival = scene.rival();
    scene.simulation.run(async {
        rival.held().await;
        scene.store.inject([Fault::RequestLost]);
        let acquisition = scene.stopped_after(A_MOMENT).await.unwrap();
        assert!(matches!(acquisition, Acquisition::Stopped));
    });
    assert!(rival.holds());
}

#[test]
fn a_permanent_error_ends_an_acquisition_at_once() {
    let scene = Scene::new();
    scene
        .store
        .inject([Fault::Refused(StoreErrorKind::AccessDenied)]);
    let error = scene.failure(Patience::Forever);
    assert_eq!(error.error.kind, StoreErrorKind::AccessDenied);
    assert_eq!(error.maybe_left, None);
    assert_eq!(scene.store.requests(), 1);
    assert_eq!(scene.simulation.elapsed(), Duration::ZERO);
}

#[test]
fn giving_up_withdraws_an_attempt_that_may_have_succeeded() {
    let scene = Scene::new();
    scene.store.inject([
        Fault::ReplyLost,
        Fault::Refused(StoreErrorKind::AccessDenied),
    ]);
    let error = scene.failure(Patience::Forever);
    assert_eq!(error.error.kind, StoreErrorKind::AccessDenied);
    assert_eq!(error.maybe_left, None);
    assert_eq!(scene.holder(), None);
}

#[test]
fn giving_up_on_an_unreachable_store_names_the_lock_that_may_be_left() {
    let scene = Scene::new();
    scene.store.inject(vec![Fault::RequestLost; 1000]);
    let error = scene.failure(Patience::Forever);
    assert_eq!(error.error.kind, StoreErrorKind::Unreachable);
    assert_eq!(error.maybe_left.as_ref(), Some(scene.id()));
    assert_eq!(scene.simulation.elapsed(), Duration::from_secs(15));
}

#[test]
fn giving_up_on_a_silent_store_takes_ten_seconds_and_five_more_to_withdraw() {
    for limit in [ONE_ATTEMPT, patience(3600), Patience::Forever] {
        let scene = Scene::new();
        scene.store.inject(vec![Fault::Silence; 1000]);
        let error = scene.failure(limit);
        assert_eq!(error.error.kind, StoreErrorKind::Unreachable);
        assert_eq!(error.error.message, "no answer for 10 s");
        assert_eq!(error.maybe_left.as_ref(), Some(scene.id()));
        assert_eq!(scene.simulation.elapsed(), Duration::from_secs(15));
    }
}

#[test]
fn an_attempt_that_hangs_is_repeated() {
    for fault in [Fault::Silence, Fault::SilenceAfter] {
        let scene = Scene::new();
        scene.store.inject([fault]);
        let (held, _) = scene.simulation.run(scene.held());
        assert_eq!(scene.holder(), Some(held.id().clone()));
        assert!(scene.simulation.elapsed() < OUTAGE_PATIENCE);
    }
}

#[test]
fn a_stop_ends_an_attempt_that_hangs_and_withdraws_it() {
    for (fault, requests) in [(Fault::Silence, 2), (Fault::SilenceAfter, 3)] {
        let scene = Scene::new();
        scene.store.inject([fault]);
        scene.simulation.run(async {
            let acquisition = scene.stopped_after(Duration::from_secs(2)).await.unwrap();
            assert!(matches!(acquisition, Acquisition::Stopped));
        });
        // A second after the request.
        assert_eq!(scene.simulation.elapsed(), Duration::from_secs(3));
        assert_eq!(scene.holder(), None);
        assert_eq!(scene.store.requests(), requests);
    }
}

#[test]
fn after_a_stop_giving_up_on_a_silent_store_takes_five_seconds_and_names_the_lock() {
    let scene = Scene::new();
    scene.store.inject(vec![Fault::Silence; 1000]);
    scene.simulation.run(async {
        let ended = scene.stopped_after(Duration::from_secs(2)).await;
        assert_eq!(ended.err().unwrap().maybe_left.as_ref(), Some(scene.id()));
    });
    assert_eq!(scene.simulation.elapsed(), Duration::from_secs(7));
}

#[test]
fn attempts_that_certainly_failed_leave_nothing_to_withdraw() {
    for kind in [StoreErrorKind::Throttled, StoreErrorKind::NotCarriedOut] {
        let scene = Scene::new();
        scene.store.inject(vec![Fault::Refused(kind); 1000]);
        let error = scene.failure(Patience::Forever);
        assert_eq!((error.error.kind, error.maybe_left), (kind, None));
        assert_eq!(scene.simulation.elapsed(), Duration::from_secs(10));
    }
}

#[test]
fn an_outage_is_measured_from_the_last_reply() {
    let holder = Scene::new();
    let waiter = holder.rival();
    holder.simulation.run(async {
        holder.held().await;
        let outages = async {
            for _ in 0..5 {
                // About seven seconds, then a reply again.
                waiter.store.inject(vec![Fault::RequestLost; 7]);
                waiter.sleep(12).await;
            }
        };
        let ((), acquisition) = tokio::join!(outages, waiter.acquire(patience(70)));
        assert!(matches!(acquisition, Acquisition::TimedOut(_)));
    });
}

#[test]
fn a_lock_that_is_freed_before_its_record_was_read_is_taken_at_the_next_attempt() {
    let scene = Scene::new();
    scene.store.inject([Fault::FreedMeanwhile]);
    scene.simulation.run(scene.held());
    assert!(scene.holds());
    assert!(scene.simulation.elapsed() <= FIRST_BACKOFF);
}

#[test]
fn a_store_that_refuses_every_write_without_a_lock_is_given_up() {
    let scene = Scene::new();
    scene.store.inject(vec![Fault::FreedMeanwhile; 10_000]);
    let error = scene.failure(Patience::Forever);
    assert_eq!(error.error.kind, StoreErrorKind::Unsuitable);
    assert_eq!(error.maybe_left, None);
    assert!(scene.store.requests() < 30, "{}", scene.store.requests());
}

/// Two machines that woke from one memory image and drew the same lock ID.
fn clones() -> (Scene, Scene) {
    let scene = Scene::new();
    let mut clone = scene.rival();
    clone.claim.info.id = scene.id().clone();
    (scene, clone)
}

#[test]
fn another_run_s_lock_with_our_id_is_waited_for_and_never_taken_for_our_own() {
    let (holder, clone) = clones();
    holder.simulation.run(async {
        let (mut held, _) = holder.held().await;
        let before = holder.store.current();
        // Whether or not the first reply is lost.
        for fault in [Fault::None, Fault::RequestLost] {
            clone.store.inject([fault]);
            let acquisition = clone.acquire(patience(3)).await;
            assert!(matches!(acquisition, Acquisition::TimedOut(_)), "{fault:?}");
            assert_eq!(holder.store.current(), before);
        }
        held.release(Duration::from_mins(1), |_| {}).await.unwrap();
        let (mut held, _) = clone.held().await;
        assert_eq!(renewed(&mut held).await, Renewal::Renewed);
    });
}

#[test]
fn withdrawing_an_attempt_leaves_another_run_s_lock_with_our_id_alone() {
    let (holder, clone) = clones();
    holder.simulation.run(async {
        holder.held().await;
        let before = holder.store.current();
        clone.store.inject([Fault::RequestLost]);
        let acquisition = clone.stopped_after(A_MOMENT).await.unwrap();
        assert!(matches!(acquisition, Acquisition::Stopped));
        assert_eq!(holder.store.current(), before);
    });
}

#[test]
fn a_holder_whose_lock_was_replaced_by_one_with_its_id_loses_it_and_releases_nothing() {
    for heartbeats in [Heartbeats::Compared, Heartbeats::None] {
        let store = MemoryStore::new(heartbeats);
        let robbed = Scene::on(&Simulation::default(), store);
        let mut clone = robbed.rival();
        clone.claim.info.id = robbed.id().clone();
        robbed.simulation.run(async {
            let (mut held, _) = robbed.held().await;
            robbed.store.overwrite(None);
            clone.held().await;
            let theirs = clone.store.current();
            assert!(matches!(renewed(&mut held).await, Renewal::Lost(Some(_))));
            let released = held.release(Duration::from_mins(1), |_| {}).await.unwrap();
            assert!(matches!(released, Release::Lost(Some(_))));
            assert_eq!(clone.store.current(), theirs);
        });
    }
}

#[test]
fn an_attempt_that_arrives_after_its_lock_was_removed_is_still_recognised() {
    let scene = Scene::new();
    scene.store.inject([Fault::ReplyLost]);
    scene.simulation.run(async {
        let first = async {
            scene.host.sleep(Duration::from_millis(10)).await;
            // It has not arrived yet, but is on its way.
            let late = scene.store.current().unwrap().record;
            scene.store.overwrite(None);
            late
        };
        let (late, (mut held, _)) = tokio::join!(first, scene.held());
        scene.store.overwrite(Some(late));
        assert_eq!(renewed(&mut held).await, Renewal::Renewed);
        let released = held.release(Duration::from_mins(1), |_| {}).await.unwrap();
        assert_eq!(released, Release::Released);
    });
    assert_eq!(scene.holder(), None);
}

#[test]
fn a_run_that_takes_its_lock_again_recognises_one_that_it_could_not_release() {
    let scene = Scene::new();
    scene.simulation.run(async {
        let (mut held, _) = scene.held().await;
        let forbidden = Fault::Refused(StoreErrorKind::AccessDenied);
        scene.store.inject([forbidden]);
        assert!(held.release(RELEASE_PATIENCE, |_| {}).await.is_err());
        assert!(scene.holds());
        let (mut held, replaced) = scene.held().await;
        assert!(replaced.is_none());
        let released = held.release(RELEASE_PATIENCE, |_| {}).await.unwrap();
        assert_eq!(released, Release::Released);
        assert_eq!(scene.holder(), None);
        assert!(scene.claim.own.in_store(&scene.store).is_empty());
    });
}
