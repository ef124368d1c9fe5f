//! Faults on each request for a lock object in S3: PUT takes it, DELETE releases it, GET reads the holder.

use std::thread;

use super::{Fault, Ground, Lock, once_and_three_times, passing_faults, whatever_took_long};
use crate::support::process::Finished;

const PUT: &str = "PUT *.tflock";
const GET: &str = "GET *.tflock";
const DELETE: &str = "DELETE *.tflock";

/// Runs with these faults from the start, and with others for the release.
#[track_caller]
fn ends_as_if_nothing_had_happened(lock: &Lock<'_>, at_the_release: impl FnOnce()) {
    let run = lock.start(lock.run([]));
    assert!(lock.is_held(), "{run}");
    at_the_release();
    lock.let_go();
    let log = || format!("{:#?}", lock.proxy.log());
    let finished = whatever_took_long(run.wait());
    assert_eq!(finished, Finished::silent(0), "{}", log());
    assert_eq!(lock.children(), 1);
    assert!(!lock.is_held(), "{}", log());
}

#[test]
fn whatever_befalls_the_requests_for_a_lock_object_the_run_ends_as_if_it_had_not() {
    let ground = Ground::with_bucket();
    let write = |fault: &Fault, times: usize| {
        let lock = ground.lock(&format!("writes-{fault:?}-{times}"));
        lock.proxy.on(PUT).times(times, fault);
        ends_as_if_nothing_had_happened(&lock, || {
            lock.proxy.on(DELETE).times(times, fault);
        });
        // What was carried out at the first deletion is seen by the look before the second.
        let spoiled = match fault {
            Fault::DropReply | Fault::HangReply(_) | Fault::TruncateReply => times + 1..=times + 1,
            Fault::Straggle(_) => times + 1..=2 * times,
            _ => 2 * times..=2 * times,
        };
        assert!(spoiled.contains(&lock.spoiled()), "{}", lock.spoiled());
    };
    let look = |fault: &Fault, times: usize| {
        let lock = ground.lock(&format!("looks-{fault:?}-{times}"));
        let lost_and_looked_for = |write: &str| {
            lock.proxy.on(write).next(Fault::DropReply);
            lock.proxy.on(GET).times(times, fault);
        };
        lost_and_looked_for(PUT);
        ends_as_if_nothing_had_happened(&lock, || lost_and_looked_for(DELETE));
        assert_eq!(lock.spoiled(), 2 * (1 + times));
    };
    // A look has no condition that could be in conflict.
    let of_looks = |fault: &Fault| !matches!(fault, Fault::Conflict);
    thread::scope(|scope| {
        scope.spawn(|| once_and_three_times(passing_faults(), write));
        scope.spawn(|| once_and_three_times(passing_faults().into_iter().filter(of_looks), look));
    });
}
