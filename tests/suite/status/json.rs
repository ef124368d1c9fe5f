//! `tflock status --json`: one object with the same keys whatever stands there.

use serde_json::{Value, json};

use crate::support::lock_table::{LOCK, LockTable};
use crate::support::process::Finished;

/// The object that was printed, with what differs from run to run checked and taken out.
#[track_caller]
fn object(finished: &Finished) -> Value {
    assert_eq!(finished.stderr, "");
    let mut object: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    for lock in object["locks"].as_array_mut().expect("an array") {
        let place = lock["place"].take();
        assert!(
            place
                .as_str()
                .is_some_and(|place| place.starts_with("DynamoDB table `locks-"))
        );
    }
    object
}

#[test]
fn a_free_lock_has_no_holder() {
    let scene = LockTable::new();
    let shown = scene
        .tflock(["status", "--json", "--exit-code"])
        .run()
        .succeeded();
    let expected = json!({
        "version": 1,
        "status": "free",
        "locks": [{ "status": "free", "lock_id": LOCK, "store": "dynamodb", "place": null, "holder": null, "queue": [] }],
    });
    assert_eq!(object(&shown), expected);
}

#[test]
fn a_lock_of_terraforms_has_its_info_and_nothing_of_ours() {
    let scene = LockTable::new();
    scene.put_terraforms();
    let shown = scene
        .tflock(["status", "--json", "--exit-code"])
        .run()
        .ended_with(75);
    let expected = json!({
        "version": 1,
        "status": "held",
        "locks": [{
            "status": "held",
            "lock_id": LOCK,
            "store": "dynamodb",
            "place": null,
            "holder": {
                "liveness": "unknown",
                "process": null,
                "silent_for_seconds": null,
                "info": scene.table.lock_info(LOCK),
                "raw_info": null,
                "tflock": null,
            },
            "queue": [],
        }],
    });
    assert_eq!(object(&shown), expected);
}

#[test]
fn a_run_of_tflock_has_both_and_is_alive() {
    let scene = LockTable::new();
    let run = scene.hold(["--reason", "why", "plan"]);
    let shown = scene.tflock(["status", "--json"]).run().succeeded();
    let shown = object(&shown);
    let holder = &shown["locks"][0]["holder"];
    assert_eq!(holder["liveness"], "alive");
    assert!(holder["silent_for_seconds"].is_u64(), "{shown}");
    assert_eq!(Some(holder["info"].clone()), scene.table.lock_info(LOCK));
    let ours = &holder["tflock"];
    assert_eq!(
        [
            &ours["Command"],
            &ours["Reason"],
            &ours["ExpireAfterSeconds"]
        ],
        [&json!("plan"), &json!("why"), &json!(60)]
    );
    assert_eq!(ours["Holder"]["Pid"], json!(run.pid().as_raw()));
    scene.workspace.let_go();
    run.wait().succeeded();
}

#[test]
fn an_info_that_is_no_lock_info_is_given_raw() {
    let scene = LockTable::new();
    scene
        .table
        .put(&json!({ "LockID": { "S": LOCK }, "Info": { "S": "by hand" } }));
    let shown = scene.tflock(["status", "--json"]).run().succeeded();
    let holder = object(&shown)["locks"][0]["holder"].take();
    assert_eq!(
        [&holder["info"], &holder["raw_info"]],
        [&Value::Null, &json!("by hand")]
    );
}
