//! Requests that arrive long after their client gave up on them: they change nothing that was written since.

use super::{Ground, Lock};
use crate::support::process::Finished;
use crate::support::proxy::Outcome;
use crate::support::waiting::wait_until;

/// DynamoDB's answer if a condition does not hold.
const REFUSED: u16 = 400;

fn item(lock: &Lock<'_>) -> Option<serde_json::Value> {
    let super::Engine::Table { table, .. } = &lock.ground.engine else {
        unreachable!("a table")
    };
    table.item(&lock.name)
}

#[test]
fn a_late_put_does_not_disturb_the_lock_that_its_repetition_has_taken() {
    let ground = Ground::with_table();
    let lock = ground.lock("late-put");
    let late = lock.proxy.on("PutItem").late();
    let run = lock.start(lock.run([]));
    let held = item(&lock);
    assert_eq!(late.arrive(), REFUSED);
    assert_eq!(item(&lock), held);
    lock.let_go();
    assert_eq!(run.wait(), Finished::silent(0));
    assert!(!lock.is_held());
}

#[test]
fn a_late_renewal_does_not_set_the_heartbeat_back() {
    let ground = Ground::with_table();
    let lock = ground.lock("late-renewal");
    let mut run = lock.start(lock.run(["--expire-after", "6s"]));
    let late = lock.proxy.on("PutItem").late();
    let before = lock.spoiled();
    wait_until("a renewal after the late one", || {
        let last = lock.last("PutItem").expect("a put");
        (lock.spoiled() > before
            && last.fault.is_none()
            && matches!(last.outcome, Outcome::Answered(_)))
            || !run.is_running()
    });
    assert_eq!(late.arrive(), REFUSED);
    lock.let_go();
    assert_eq!(run.wait(), Finished::silent(0));
    assert!(!lock.is_held());
}

#[test]
fn a_late_deletion_leaves_the_next_holder_alone() {
    let ground = Ground::with_table();
    let lock = ground.lock("late-deletion");
    lock.let_go();
    let late = lock.proxy.on("DeleteItem").late();
    assert_eq!(lock.run([]).run(), Finished::silent(0));
    let next = ground.lock("late-deletion");
    let next_run = next.run([]).env("TFLOCK_REASON", "the next");
    std::fs::remove_file(ground.workspace.file("late-deletion.go")).unwrap();
    let mut run = next_run.start();
    wait_until("the start of the next child", || {
        next.children() == 2 || !run.is_running()
    });
    let held = item(&next);
    assert!(held.is_some(), "{run}");
    assert_eq!(late.arrive(), REFUSED);
    assert_eq!(item(&next), held);
    next.let_go();
    assert_eq!(run.wait(), Finished::silent(0));
    assert!(!lock.is_held());
}

#[test]
fn a_put_that_arrives_after_its_run_leaves_a_lock_whose_holder_is_proven_dead() {
    let ground = Ground::with_table();
    let lock = ground.lock("too-late");
    lock.let_go();
    let late = lock.proxy.on("PutItem").late();
    assert_eq!(lock.run([]).run(), Finished::silent(0));
    assert_eq!(late.arrive(), 200);
    assert!(lock.is_held());
    let status = lock.tflock(["status", "--exit-code"]).run();
    let gone = "gone: it ran on this machine and its process has ended";
    status.ended_with(76).with_stdout(gone);
    let next = lock.run([]).run().succeeded();
    next.with_stderr("tflock: took over a dead lock\n");
    assert!(!lock.is_held());
}
