//! Faults on each request to a table: the put that takes the lock, those that renew it, the deletion.

use serde_json::Value;

use super::{Fault, Ground, once_and_three_times, passing_faults, whatever_took_long};
use crate::support::process::Finished;
use crate::support::proxy::Exchange;

/// It is renewed at least every ten seconds, and even on a busy machine it does not come near its expiry.
const PROMISE: [&str; 2] = ["--expire-after", "5m"];

#[test]
fn whatever_befalls_the_requests_of_a_run_it_ends_as_if_it_had_not() {
    let ground = Ground::with_table();
    once_and_three_times(passing_faults(), |fault, times| {
        let lock = ground.lock(&format!("{fault:?}-{times}"));
        lock.proxy.on("PutItem").times(times, fault);
        let mut run = lock.start(lock.run(PROMISE));
        assert_eq!(lock.spoiled(), times);
        lock.spoil_renewals(&mut run, times, fault);
        assert!(lock.is_held(), "{run}");
        lock.proxy.on("DeleteItem").times(times, fault);
        lock.let_go();
        let log = || format!("{:#?}", lock.proxy.log());
        let finished = whatever_took_long(run.wait());
        assert_eq!(finished, Finished::silent(0), "{}", log());
        assert_eq!(lock.children(), 1);
        assert_eq!(lock.spoiled(), 3 * times, "{}", log());
        assert!(!lock.is_held(), "{}", log());
    });
}

#[test]
fn a_put_that_the_network_repeats_is_one_put() {
    let ground = Ground::with_table();
    let lock = ground.lock("repeated");
    lock.proxy.on("PutItem").next(Fault::Repeat);
    let run = lock.start(lock.run([]));
    lock.let_go();
    assert_eq!(run.wait(), Finished::silent(0));
    assert_eq!(lock.children(), 1);
    assert!(!lock.is_held());

    let lock = ground.lock("repeated-renewal");
    let mut run = lock.start(lock.run(PROMISE));
    lock.spoil_renewals(&mut run, 1, &Fault::Repeat);
    lock.let_go();
    assert_eq!(run.wait(), Finished::silent(0), "{:#?}", lock.proxy.log());
    assert!(!lock.is_held());
}

#[test]
fn a_lost_reply_costs_one_request_more_under_the_same_lock_id() {
    let ground = Ground::with_table();
    let lock = ground.lock("own");
    lock.let_go();
    lock.proxy.on("PutItem").next(Fault::DropReply);
    lock.proxy.on("DeleteItem").next(Fault::DropReply);
    assert_eq!(lock.run([]).run(), Finished::silent(0));
    let actions = ["PutItem", "PutItem", "DeleteItem", "DeleteItem"];
    assert_eq!(lock.proxy.actions(), actions);
    let log = lock.proxy.log();
    let [first, second] = [&log[0], &log[1]].map(lock_id);
    assert_eq!(first, second);
    assert_eq!(lock.children(), 1);
    assert!(!lock.is_held());
}

/// The ID of the lock that a put wants to write.
fn lock_id(put: &Exchange) -> Value {
    let info = put.input()["Item"]["Info"]["S"].clone();
    let info: Value = serde_json::from_str(info.as_str().unwrap()).unwrap();
    info["ID"].clone()
}
