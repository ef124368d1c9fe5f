//! Waiting for a living holder: how soon a release is noticed, how long the wait lasts, what ends it.

use super::*;

#[test]
fn a_waiting_run_gets_the_lock_within_its_polling_interval() {
    let holder = Scene::new();
    let waiter = holder.rival();
    let freed = Duration::from_secs(20);
    holder.simulation.run(async {
        let (mut held, _) = holder.held().await;
        let release = async {
            holder.host.sleep(freed).await;
            held.release(Duration::ZERO, |_| {}).await.unwrap();
        };
        let ((), (_, replaced)) = tokio::join!(release, waiter.held());
        assert!(replaced.is_none());
    });
    assert!(waiter.holds());
    assert!(holder.simulation.elapsed() <= freed + POLL_INTERVAL);
}

#[test]
fn a_record_says_when_the_lock_was_taken_and_not_when_the_wait_began() {
    let holder = Scene::new();
    let waiter = holder.rival();
    holder.simulation.run(async {
        let (mut held, _) = holder.held().await;
        let release = async {
            holder.sleep(90).await;
            held.release(Duration::ZERO, |_| {}).await.unwrap();
        };
        tokio::join!(release, waiter.held());
    });
    let info = waiter.store.current().unwrap().record.lock_info().unwrap();
    assert!(info.created.starts_with("2026-01-01T00:01:30"), "{info:?}");
}

#[test]
fn one_attempt_is_one_request() {
    let holder = Scene::new();
    let waiter = holder.rival();
    let acquisition = holder.simulation.run(async {
        holder.held().await;
        waiter.acquire(ONE_ATTEMPT).await
    });
    let Acquisition::TimedOut(seen) = acquisition else {
        panic!("not timed out")
    };
    assert_eq!(seen.stored.record.lock_id().as_ref(), Some(holder.id()));
    assert_eq!(seen.assessment.liveness, Liveness::Alive);
    assert_eq!(holder.store.requests(), 2);
    assert_eq!(holder.simulation.elapsed(), Duration::ZERO);
}

#[test]
fn patience_ends_to_the_moment_and_the_holder_keeps_its_lock() {
    let holder = Scene::new();
    let waiter = holder.rival();
    holder.simulation.run(async {
        holder.held().await;
        let Acquisition::TimedOut(seen) = waiter.acquire(patience(45)).await else {
            panic!("not timed out")
        };
        assert_eq!(seen.waited, Duration::from_secs(45));
    });
    assert_eq!(holder.simulation.elapsed(), Duration::from_secs(45));
    assert!(holder.holds());
}

#[test]
fn each_look_reports_the_holder() {
    let holder = Scene::new();
    let waiter = holder.rival();
    let mut looks = Vec::new();
    holder.simulation.run(async {
        holder.held().await;
        let store = Rc::new(waiter.store.clone());
        let told = |progress: Progress<'_>| {
            if let Progress::HeldBy(seen) = progress {
                assert_eq!(seen.stored.record.lock_id().as_ref(), Some(holder.id()));
                looks.push(seen.waited);
            }
            Decision::Wait
        };
        let (claim, stop) = (&waiter.claim, waiter.stop.subscribe());
        acquire(store, waiter.host.shared(), claim, patience(3), stop, told)
            .await
            .unwrap();
    });
    assert!((5..=8).contains(&looks.len()), "{looks:?}");
    assert!(looks.is_sorted());
}

#[test]
fn a_stop_before_the_first_attempt_sends_no_request() {
    let scene = Scene::new();
    scene.stop.send_replace(true);
    let acquisition = scene.simulation.run(scene.acquire(Patience::Forever));
    assert!(matches!(acquisition, Acquisition::Stopped));
    assert_eq!(scene.store.requests(), 0);
}

#[test]
fn a_stop_ends_a_wait_at_once_and_leaves_the_holder_alone() {
    let holder = Scene::new();
    let waiter = holder.rival();
    holder.simulation.run(async {
        holder.held().await;
        let stop = async {
            holder.sleep(7).await;
            waiter.stop.send_replace(true);
        };
        let ((), acquisition) = tokio::join!(stop, waiter.acquire(Patience::Forever));
        assert!(matches!(acquisition, Acquisition::Stopped));
    });
    assert_eq!(holder.simulation.elapsed(), Duration::from_secs(7));
    assert!(holder.holds());
}

#[test]
fn dropping_the_stop_sender_does_not_end_the_wait() {
    let holder = Scene::new();
    let waiter = holder.rival();
    let acquisition = holder.simulation.run(async {
        holder.held().await;
        let (stop, stopped) = watch::channel(false);
        drop(stop);
        let (store, host) = (Rc::new(waiter.store.clone()), waiter.host.shared());
        acquire(store, host, &waiter.claim, patience(5), stopped, |_| {
            Decision::Wait
        })
        .await
    });
    assert!(matches!(acquisition, Ok(Acquisition::TimedOut(_))));
    assert_eq!(holder.simulation.elapsed(), Duration::from_secs(5));
}

#[test]
fn each_of_five_runs_gets_the_lock_once_and_never_two_at_a_time() {
    let first = Scene::new();
    let crowd: Vec<_> = (0..4).map(|_| first.rival()).collect();
    let running = std::cell::Cell::new(0);
    let served = std::cell::Cell::new(0);
    let turn = async |scene: &Scene| {
        let (mut held, _) = scene.held().await;
        assert_eq!(running.replace(1), 0, "two at once");
        scene.sleep(3).await;
        running.set(0);
        served.set(served.get() + 1);
        held.release(Duration::ZERO, |_| {}).await.unwrap();
    };
    first.simulation.run(async {
        let [second, third, fourth, fifth] = crowd.as_slice() else {
            unreachable!()
        };
        tokio::join!(
            turn(&first),
            turn(second),
            turn(third),
            turn(fourth),
            turn(fifth)
        );
    });
    assert_eq!(served.get(), 5);
    assert_eq!(first.holder(), None);
    assert!(first.simulation.elapsed() < Duration::from_secs(5 * 3) + 5 * POLL_INTERVAL);
}
