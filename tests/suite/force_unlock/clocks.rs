//! Holders whose own clock is wrong: whether they live is told by their next heartbeat, never by the time of their last.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::beside::beside;
use crate::support::lock_table::{LOCK, LockTable};

/// A holder on another machine whose wall clock is that much ahead, with as many heartbeats.
fn item(ahead: TimeDelta, heartbeats: u32) -> Value {
    let info = json!({
        "ID": "4db125df-d950-b194-cf41-df3ed13f0cf1",
        "Operation": "OperationTypeApply",
        "Info": "",
        "Who": "ana@laptop",
        "Version": "1.11.4",
        "Created": "2026-01-02T03:04:05.6Z",
        "Path": LOCK,
    });
    let at = (Utc::now() + ahead).to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({
        "LockID": { "S": LOCK },
        "Info": { "S": info.to_string() },
        "TflockVersion": { "S": "0.1.0" },
        "Command": { "S": "apply" },
        "Heartbeat": { "N": heartbeats.to_string() },
        "HeartbeatAt": { "S": at },
        // A fifth of what is usual.
        "RenewedEverySeconds": { "N": "2" },
    })
}

/// What `look` sees while a holder with such a clock renews its lock.
fn while_it_lives(ahead: TimeDelta, look: impl FnOnce(&LockTable)) {
    let scene = LockTable::new();
    scene.table.put(&item(ahead, 0));
    let (over, is_over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let table = &scene.table;
        beside(scope, move || {
            let pause = Duration::from_secs(2);
            let mut heartbeats = 1..;
            while is_over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                table.put(&item(ahead, heartbeats.next().expect("another")));
            }
        });
        look(&scene);
        drop(over);
    });
    assert_eq!(scene.table.locks(), [LOCK]);
}

#[test]
fn a_living_holder_whose_clock_is_wrong_is_not_removed_without_force_and_is_never_stale() {
    let clocks = [
        TimeDelta::seconds(-45),
        TimeDelta::minutes(-9),
        TimeDelta::minutes(-20),
        TimeDelta::hours(6),
    ];
    thread::scope(|scope| {
        for ahead in clocks {
            beside(scope, move || {
                while_it_lives(ahead, |scene| {
                    let refused = scene.tflock(["force-unlock", "--yes"]).run();
                    refused
                        .ended_with(77)
                        .with_stderr("error: the holder is alive");
                    let status = scene.tflock(["status", "--exit-code"]).run();
                    status.ended_with(75).with_stdout("holder   alive");
                });
            });
        }
    });
}

#[test]
fn a_dead_lock_with_a_heartbeat_from_the_future_or_in_garbage_can_be_removed() {
    let garbage = |mut item: Value| {
        item["HeartbeatAt"] = json!({ "S": "garbage" });
        item
    };
    let dead = [
        item(TimeDelta::hours(6), 3),
        garbage(item(TimeDelta::zero(), 3)),
    ];
    thread::scope(|scope| {
        for item in dead {
            beside(scope, move || {
                let scene = LockTable::new();
                scene.table.put(&item);
                scene.tflock(["force-unlock", "--yes"]).run().succeeded();
                assert_eq!(scene.table.locks(), Vec::<String>::new());
            });
        }
    });
}

#[test]
fn a_lock_of_three_hundred_attributes_can_be_removed() {
    let scene = LockTable::new();
    let mut item = item(TimeDelta::days(-3), 3);
    for number in 0..300 {
        item[format!("SomebodysAttribute{number}")] = json!({ "BOOL": true });
    }
    scene.table.put(&item);
    scene.tflock(["force-unlock", "--yes"]).run().succeeded();
    assert_eq!(scene.table.locks(), Vec::<String>::new());
}
