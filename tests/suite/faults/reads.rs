//! Faults while a lock is read: `status`, `force-unlock` and nested runs get over them.

use serde_json::json;

use super::{Engine, Fault, Ground, Lock, once_and_three_times, passing_faults};
use crate::support::process::Finished;

const TERRAFORM_S: &str = r#"{"ID":"7","Operation":"OperationTypeApply","Info":"","Who":"ben@desk","Version":"1.11.4","Created":"2026-11-22T19:36:57Z","Path":"p"}"#;

/// Puts a lock there that plain terraform holds.
fn held_by_terraform(lock: &Lock<'_>) {
    match &lock.ground.engine {
        Engine::Table { table, .. } => {
            table.put(&json!({ "LockID": { "S": lock.key() }, "Info": { "S": TERRAFORM_S } }));
        }
        Engine::Bucket(s3) => s3.put(&lock.key(), TERRAFORM_S),
    }
}

fn rides_over_what_may_pass(ground: &Ground, look: &str) {
    // A look has no condition that could be in conflict.
    let faults = || {
        let faults = passing_faults().into_iter();
        faults.filter(|fault| !matches!(fault, Fault::Conflict))
    };
    let status = |fault: &Fault, times: usize| {
        let lock = ground.lock(&format!("status-{fault:?}-{times}"));
        held_by_terraform(&lock);
        lock.proxy.on(look).times(times, fault);
        let seen = lock.tflock(["status", "--exit-code"]).run();
        seen.ended_with(75).with_stdout("ben@desk");
        assert_eq!(lock.spoiled(), times);
    };
    let force_unlock = |fault: &Fault, times: usize| {
        let lock = ground.lock(&format!("unlock-{fault:?}-{times}"));
        held_by_terraform(&lock);
        lock.proxy.on(look).times(times, fault);
        let removed = lock.tflock(["force-unlock", "--yes"]).run();
        removed.succeeded().with_stderr("removed the lock of");
        assert_eq!(lock.spoiled(), times);
        assert!(!lock.is_held());
    };
    let inside = |fault: &Fault, times: usize| {
        let lock = ground.lock(&format!("inside-{fault:?}-{times}"));
        lock.proxy.on(look).times(times, fault);
        let tflock = env!("CARGO_BIN_EXE_tflock");
        let nested = ["exec", "--", tflock, "exec", "--", "true"];
        assert_eq!(lock.tflock(nested).run(), Finished::silent(0));
        assert_eq!(lock.spoiled(), times);
        assert!(!lock.is_held());
    };
    once_and_three_times(faults(), status);
    once_and_three_times(faults(), force_unlock);
    once_and_three_times(faults(), inside);
}

#[test]
fn a_look_at_an_item_rides_over_what_may_pass() {
    rides_over_what_may_pass(&Ground::with_table(), "GetItem");
}

#[test]
fn a_look_at_an_object_rides_over_what_may_pass() {
    rides_over_what_may_pass(&Ground::with_bucket(), "GET *.tflock");
}
