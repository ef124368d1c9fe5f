//! How a record is renewed: by conditional puts that change nothing of terraform's part, about every ten seconds.

use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::Scene;
use crate::support::backend::{LOCK_ID, LOCK_KEY, LockMode};
use crate::support::beside::beside;
use crate::support::configuration::{GO, STARTED};
use crate::support::fake_terraform::Script;
use crate::support::lock_table::LOCK;
use crate::support::mid_run::look_during;
use crate::support::process::Finished;
use crate::support::proxy::{Delay, Exchange};
use crate::support::scene;
use crate::support::waiting::wait_until;
use crate::support::words::without_changing_parts;

/// An expiry so short that the lock is renewed every two seconds, and long enough for a busy machine.
const PROMISE: &str = "6s";

/// The attributes of the item that a put writes.
fn written(put: &Exchange) -> Value {
    put.input()["Item"].clone()
}

/// When the holder wrote it.
fn written_at(put: &Exchange) -> DateTime<Utc> {
    let item = written(put);
    let time = item["HeartbeatAt"]["S"].as_str().expect("a time");
    time.parse().expect("a time")
}

fn number(item: &Value, attribute: &str) -> u64 {
    let text = item[attribute]["N"].as_str().expect(attribute);
    text.parse().expect("a number")
}

#[track_caller]
fn wait_for_heartbeat(scene: &Scene, count: u64) {
    wait_until("a heartbeat", || {
        number(&scene.item().expect("a lock"), "Heartbeat") >= count
    });
}

/// The names and values that a put compares: those of the item that it expects.
fn compared(put: &Exchange) -> Value {
    let input = put.input();
    let terms = input["ConditionExpression"].as_str().expect("a condition");
    let mut expected = json!({});
    for term in terms.split(" AND ") {
        if let Some((name, value)) = term.split_once(" = ") {
            let name = input["ExpressionAttributeNames"][name].as_str();
            let value = &input["ExpressionAttributeValues"][value];
            expected[name.expect("a name")] = value.clone();
        }
    }
    expected
}

#[test]
fn a_holder_renews_its_item_about_every_ten_seconds_without_being_asked_to() {
    // Two at once, because it takes long.
    thread::scope(|scope| {
        for _ in 0..2 {
            beside(scope, || {
                let scene = Scene::new();
                let run = scene.hold(["apply"]);
                wait_for_heartbeat(&scene, 1);
                scene.table.workspace.let_go();
                assert_eq!(run.wait(), Finished::silent(0));
                // An engine may have closed the idle connection: then the deletion is sent again.
                let mut actions = scene.proxy.actions();
                actions.dedup_by(|next, last| next == last && *last == "DeleteItem");
                assert_eq!(actions, ["PutItem", "PutItem", "DeleteItem"]);
                let [taken, renewed] = [0, 1].map(|at| written_at(&scene.puts()[at]));
                let pause = (renewed - taken).to_std().unwrap();
                let (shortest, longest) = (Duration::from_millis(6500), Duration::from_secs(12));
                assert!((shortest..longest).contains(&pause), "{pause:?}");
            });
        }
    });
}

#[test]
fn a_renewal_is_conditional_on_the_whole_item_and_changes_nothing_of_terraform_s() {
    let scene = Scene::new();
    let run = scene.hold([
        "--reason",
        "<why> & so on",
        "--expire-after",
        PROMISE,
        "apply",
    ]);
    scene.proxy.wait_for("PutItem", 5);
    scene.table.workspace.let_go();
    assert_eq!(run.wait(), Finished::silent(0));

    let puts = scene.puts();
    for (before, after) in puts.iter().zip(&puts[1..]) {
        let (before, after, compared) = (written(before), written(after), compared(after));
        assert_eq!(after["Info"], before["Info"]);
        assert_eq!(
            number(&after, "Heartbeat"),
            number(&before, "Heartbeat") + 1
        );
        let at = |item: &Value| item["HeartbeatAt"]["S"].as_str().map(str::to_owned);
        assert!(at(&before) < at(&after), "{before} {after}");
        let mut expected = before;
        expected.as_object_mut().expect("an item").remove("LockID");
        assert_eq!(compared, expected);
    }
    // By the holder's own clock: on the way to the proxy a busy machine brings some of them together.
    let times: Vec<_> = puts.iter().map(written_at).collect();
    let pauses = times.windows(2).map(|two| two[1] - two[0]);
    let mut pauses: Vec<Duration> = pauses.map(|pause| pause.to_std().unwrap()).collect();
    pauses.sort_unstable();
    let (shortest, longest) = (pauses[0], pauses[pauses.len() - 1]);
    assert!(shortest > Duration::from_millis(1200), "{pauses:?}");
    assert!(
        longest - shortest > Duration::from_millis(5),
        "in step: {pauses:?}"
    );
}

#[test]
fn the_child_is_named_in_the_item_from_the_first_renewal_on() {
    let scene = Scene::new();
    let run = scene.hold(["--expire-after", PROMISE, "apply"]);
    wait_for_heartbeat(&scene, 1);
    let holder = scene.item().expect("a lock")["Holder"]["M"].clone();
    let first = written(&scene.puts()[0])["Holder"]["M"].clone();
    assert_eq!(first.get("Child"), None);
    assert_eq!(first["Pid"]["N"], run.pid().to_string());
    assert_eq!(first["Pid"], holder["Pid"]);
    let child = &holder["Child"]["M"];
    let pid = scene.terraform.only_call().pid;
    assert_eq!(child["Pid"]["N"], pid.to_string());
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a living child");
    let start_time = stat
        .rsplit_once(')')
        .expect("a name")
        .1
        .split_whitespace()
        .nth(19);
    assert_eq!(child["StartTime"]["N"].as_str(), start_time);

    let status = scene.tflock(["status"]).run().succeeded();
    let shown = without_changing_parts(&status.stdout);
    let alive = "  holder   alive, last heartbeat <age> ago\n";
    assert!(shown.contains(alive), "{shown}");
    scene.table.workspace.let_go();
    assert_eq!(run.wait(), Finished::silent(0));
}

#[test]
fn of_two_places_the_item_is_renewed_and_the_object_is_written_once() {
    let scene = scene::Scene::new(LockMode::Both);
    let promising = scene.tflock(["--expire-after", PROMISE, "apply"]);
    let (objects, run) = look_during(&scene.workspace, promising, |_| {
        let first = scene.remote.s3.object(LOCK_KEY);
        wait_until("three heartbeats", || {
            let item = scene.remote.table.item(LOCK_ID).expect("an item");
            number(&item, "Heartbeat") >= 3
        });
        [first, scene.remote.s3.object(LOCK_KEY)]
    });
    assert_eq!(run, Finished::silent(0));
    let [first, last] = objects.map(|object| object.expect("a lock object"));
    // The time of the last change is a part of it.
    assert_eq!(first, last);
    let lease = &first.metadata["tflock-lease"];
    for word in ["Heartbeat", "ExpireAfter"] {
        assert!(!lease.contains(word), "{lease}");
    }
}

#[test]
fn a_local_lock_is_renewed_in_its_file() {
    let scene = Scene::new();
    let run = scene
        .tflock(["--store", "local", "--expire-after", PROMISE, "apply"])
        .start();
    scene.table.workspace.wait_until_started();
    let directory = scene.table.workspace.state_home().join("tflock");
    let records = || {
        let entries = std::fs::read_dir(&directory).expect("a directory");
        let files = entries.map(|entry| entry.expect("an entry").path());
        let records = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
        records
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .map(|text| serde_json::from_str::<Value>(&text).expect("JSON"))
            .collect::<Vec<_>>()
    };
    let first = records();
    assert_eq!(first[0]["LockID"], LOCK);
    wait_until("two heartbeats", || {
        records()[0]["Heartbeat"].as_u64() >= Some(2)
    });
    assert_eq!(records()[0]["Info"], first[0]["Info"]);
    scene.table.workspace.let_go();
    assert_eq!(run.wait(), Finished::silent(0));
    assert_eq!(records(), Vec::<Value>::new());
    assert_eq!(scene.proxy.actions(), Vec::<String>::new());
}

/// Some supervisors repeat a signal many times a second.
#[test]
fn a_flood_of_signals_stops_no_renewal() {
    let scene = Scene::new();
    let deaf = Script::new().ignore([Signal::SIGINT, Signal::SIGTERM]);
    let deaf = deaf.touch(STARTED).wait_for(GO);
    let deaf = deaf.install(scene.table.workspace.home().join("deaf"));
    scene
        .proxy
        .set_delay(Delay::requests_only(Duration::from_millis(100)));
    let run = scene.tflock(["--expire-after", PROMISE, "apply"]);
    let run = run.first_on_path(deaf.directory()).start();
    scene.table.workspace.wait_until_started();
    // The first takes the lock.
    wait_until("three renewals in the flood", || {
        run.signal(Signal::SIGTERM);
        thread::sleep(Duration::from_millis(60));
        scene.puts().len() >= 4
    });
    scene.table.workspace.let_go();
    let run = run.wait().succeeded();
    assert!(!run.stderr.contains("could not be renewed"), "{run}");
}

#[test]
fn what_others_add_to_a_record_is_no_lost_lock_and_survives_renewals() {
    let scene = Scene::new();
    let run = scene.hold(["--expire-after", PROMISE, "plan"]);
    let table = &scene.table.table;
    let add = json!({
        "TableName": table.name(),
        "Key": { "LockID": { "S": LOCK } },
        "UpdateExpression": "SET ExpiresAt = :at",
        "ExpressionAttributeValues": { ":at": { "N": "1800000000" } },
    });
    table.call("UpdateItem", &add).expect("an update");
    let heartbeats = || {
        let item = scene.item().expect("a lock");
        item["Heartbeat"]["N"]
            .as_str()
            .and_then(|text| text.parse::<u32>().ok())
    };
    let before = heartbeats();
    wait_until("three renewals", || {
        heartbeats() > before.map(|count| count + 2)
    });
    wait_until("the attribute to be there", || {
        scene.item().expect("a lock")["ExpiresAt"]["N"] == "1800000000"
    });
    scene.table.workspace.let_go();
    run.wait().succeeded();
    assert_eq!(scene.item(), None);
}
