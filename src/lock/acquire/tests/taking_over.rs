//! Taking over a dead holder's lock: by proof, by promise, and never by silence alone.

use super::*;
use crate::lock::liveness::Proof;
use crate::lock::store::memory::Fault;

/// Two tflocks on one machine.
fn neighbours() -> (Scene, Scene, crate::simulation::SimulatedMachine) {
    let simulation = Simulation::default();
    let machine = simulation.machine();
    let store = MemoryStore::default();
    let on_machine = || {
        let host = machine.tflock();
        Scene {
            claim: host.claim(None),
            host,
            ..Scene::on(&simulation, store.clone())
        }
    };
    (on_machine(), on_machine(), machine)
}

/// The ID of the replaced lock, and why that was allowed.
fn replaced(replaced: Option<Observed>) -> (Option<LockId>, Replacement) {
    let seen = replaced.unwrap();
    (seen.stored.record.lock_id(), seen.assessment.replacement)
}

#[test]
fn a_killed_holder_of_this_machine_is_replaced_at_once() {
    let (dead, next, _) = neighbours();
    let (_, seen) = dead.simulation.run(async {
        dead.held().await;
        dead.host.kill();
        next.held().await
    });
    let right = Replacement::ByProof(Proof::Ended);
    assert_eq!(replaced(seen), (Some(dead.id().clone()), right));
    assert!(next.holds());
    assert_eq!(dead.simulation.elapsed(), Duration::ZERO);
}

#[test]
fn a_killed_holder_whose_child_lives_is_waited_for() {
    let (dead, next, machine) = neighbours();
    dead.simulation.run(async {
        dead.held().await;
        let child = machine.child_under(&dead.claim.info.id);
        dead.host.kill();
        let end = async {
            dead.sleep(50).await;
            machine.end(child);
        };
        let ((), (_, seen)) = tokio::join!(end, next.held());
        assert_eq!(replaced(seen).0, Some(dead.id().clone()));
    });
    assert!(dead.simulation.elapsed() >= Duration::from_secs(50));
}

#[test]
fn a_holder_from_before_a_reboot_is_replaced_once_it_would_have_renewed() {
    let (dead, next, machine) = neighbours();
    let (_, seen) = dead.simulation.run(async {
        dead.held().await;
        dead.sleep(1).await;
        machine.reboot();
        next.held().await
    });
    assert_eq!(replaced(seen).1, Replacement::ByProof(Proof::Rebooted));
    assert!(dead.simulation.elapsed() >= Duration::from_secs(31));
}

#[test]
fn silence_without_a_promise_frees_nothing_however_long_it_lasts() {
    let dead = Scene::new();
    let waiter = dead.rival();
    dead.simulation.run(async {
        dead.held().await;
        dead.host.kill();
        let Acquisition::TimedOut(seen) = waiter.acquire(patience(7200)).await else {
            panic!("taken over")
        };
        assert_eq!(seen.assessment.liveness, Liveness::Stale);
    });
    assert!(dead.holds());
}

#[test]
fn an_expired_lock_is_taken_only_after_its_promise_and_a_margin() {
    let dead = Scene::new().promising(Duration::from_mins(1));
    let waiter = dead.rival();
    let (_, seen) = dead.simulation.run(async {
        dead.held().await;
        waiter.held().await
    });
    assert_eq!(
        replaced(seen),
        (Some(dead.id().clone()), Replacement::ByPromise)
    );
    let took = dead.simulation.elapsed();
    let margin = Duration::from_secs(62);
    assert!(
        (margin..=margin + POLL_INTERVAL).contains(&took),
        "{took:?}"
    );
}

#[test]
fn silence_counts_from_when_the_waiting_run_first_looks() {
    let dead = Scene::new().promising(Duration::from_mins(1));
    let waiter = dead.rival();
    dead.simulation.run(async {
        dead.held().await;
        // Less than the ten minutes by which two clocks may differ.
        dead.sleep(500).await;
        waiter.held().await;
    });
    assert!(dead.simulation.elapsed() >= Duration::from_secs(562));
}

#[test]
fn a_lock_that_is_renewed_never_expires() {
    let holder = Scene::new().promising(Duration::from_secs(30));
    let waiter = holder.rival();
    holder.simulation.run(async {
        let (mut held, _) = holder.held().await;
        let renewing = async {
            loop {
                let due = held.next_renewal();
                holder.host.sleep(due.since(holder.host.now())).await;
                held.renew().await.unwrap();
            }
        };
        tokio::select! {
            () = renewing => {}
            acquisition = waiter.acquire(patience(3600)) => {
                assert!(matches!(acquisition, Acquisition::TimedOut(_)));
            }
        }
    });
    assert!(holder.holds());
}

#[test]
fn a_take_over_whose_reply_is_lost_is_a_take_over() {
    let (dead, next, _) = neighbours();
    let (_, seen) = dead.simulation.run(async {
        dead.held().await;
        dead.host.kill();
        // The first attempt, refused; then the replacement.
        next.store.inject([Fault::None, Fault::ReplyLost]);
        next.held().await
    });
    assert_eq!(replaced(seen).0, Some(dead.id().clone()));
    assert!(next.holds());
}

#[test]
fn of_two_runs_that_find_the_same_dead_holder_one_gets_the_lock() {
    let (dead, next, machine) = neighbours();
    let host = machine.tflock();
    let other = Scene {
        claim: host.claim(None),
        host,
        ..dead.rival()
    };
    dead.simulation.run(async {
        dead.held().await;
        dead.host.kill();
        let wait = ONE_ATTEMPT;
        let (one, two) = tokio::join!(next.acquire(wait), other.acquire(wait));
        let held = |acquisition: &Acquisition| matches!(acquisition, Acquisition::Held { .. });
        assert!(held(&one) != held(&two), "not exactly one holds it");
    });
}

#[test]
fn a_heartbeat_at_the_last_moment_keeps_the_lock_from_being_taken() {
    let holder = Scene::new().promising(Duration::from_secs(30));
    let waiter = holder.rival();
    holder.simulation.run(async {
        let (mut held, _) = holder.held().await;
        // The waiting run sees the lock expire, but its write comes too late.
        let late = async {
            holder.sleep(20).await;
            let pause = Duration::from_secs(12).saturating_sub(Duration::from_millis(1));
            holder.host.sleep(pause).await;
            held.renew().await.unwrap();
        };
        let ((), acquisition) = tokio::join!(late, waiter.acquire(patience(40)));
        assert!(matches!(acquisition, Acquisition::TimedOut(_)));
    });
    assert!(holder.holds());
}

/// Takes over the reported lock on a person's word. `meanwhile` happens before that.
async fn on_a_word(scene: &Scene, meanwhile: impl FnOnce()) -> Acquisition {
    let mut meanwhile = Some(meanwhile);
    let decide = |_: Progress<'_>| match meanwhile.take() {
        Some(meanwhile) => {
            meanwhile();
            Decision::TakeOver
        }
        None => Decision::Wait,
    };
    let (store, stop) = (Rc::new(scene.store.clone()), scene.stop.subscribe());
    let host = scene.host.shared();
    acquire(store, host, &scene.claim, patience(3), stop, decide)
        .await
        .unwrap()
}

#[test]
fn a_person_takes_over_the_record_that_was_shown() {
    let silent = Scene::new();
    let next = silent.rival();
    let acquisition = silent.simulation.run(async {
        silent.held().await;
        on_a_word(&next, || {}).await
    });
    let Acquisition::Held { replaced: seen, .. } = acquisition else {
        panic!("not taken over");
    };
    let right = Replacement::No;
    assert_eq!(replaced(seen), (Some(silent.id().clone()), right));
    assert!(next.holds());
    assert_eq!(next.store.requests(), 3);
}

#[test]
fn a_person_cannot_take_over_a_record_that_has_changed_since() {
    let silent = Scene::new();
    let next = silent.rival();
    let acquisition = silent.simulation.run(async {
        silent.held().await;
        let shown = silent.store.current().unwrap().record;
        let heartbeat = shown.renewed(silent.host.wall());
        on_a_word(&next, || silent.store.overwrite(Some(heartbeat))).await
    });
    assert!(matches!(acquisition, Acquisition::TimedOut(_)));
    assert!(silent.holds());
}

#[test]
fn a_lock_that_is_freed_before_a_person_takes_it_over_is_simply_taken() {
    let silent = Scene::new();
    let next = silent.rival();
    let acquisition = silent.simulation.run(async {
        silent.held().await;
        on_a_word(&next, || silent.store.overwrite(None)).await
    });
    assert!(matches!(
        acquisition,
        Acquisition::Held { replaced: None, .. }
    ));
    assert!(next.holds());
}
