//! `tflock history`: the last holders of a lock, recorded at their release.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::backend::LockMode;
use crate::support::lock_table::{LockTable, kill_with_terraform};
use crate::support::process::Invocation;
use crate::support::processes::witness_of;
use crate::support::proxy::{Fault, Proxy};
use crate::support::scene::Scene;
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

fn on(run: Invocation) -> Invocation {
    run.env("TFLOCK_HISTORY", "on")
}

/// The entries, the last one first.
#[track_caller]
fn entries(workspace: &Workspace) -> Vec<Value> {
    let shown = workspace.tflock(["history", "--json"]).run().succeeded();
    let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(shown["version"], 1);
    shown["entries"].as_array().expect("entries").clone()
}

#[track_caller]
fn only_entry(workspace: &Workspace) -> Value {
    let mut entries = entries(workspace);
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.remove(0)
}

#[test]
fn a_run_is_remembered_with_what_it_did_and_how_it_ended() {
    let scene = LockTable::new();
    let nothing = scene.tflock(["history"]).run().succeeded();
    assert!(
        nothing.stderr.contains("there is no history"),
        "{nothing:?}"
    );
    scene.workspace.let_go();
    let run = on(scene.tflock(["--reason", "new keys", "apply"]));
    run.env("GITHUB_RUN_ID", "42")
        .env("GITHUB_SHA", "1f0c5d2")
        .run()
        .succeeded();
    let entry = only_entry(&scene.workspace);
    for (name, value) in [
        ("command", "apply"),
        ("reason", "new keys"),
        ("commit", "1f0c5d2"),
        ("ended", "released"),
    ] {
        assert_eq!(entry[name], value, "{entry}");
    }
    assert_eq!(entry["exit_code"], 0);
    assert_eq!(entry["by"], Value::Null);
    assert!(entry["from"].as_str() < entry["until"].as_str(), "{entry}");

    on(scene.tflock(["plan"])).run().succeeded();
    scene.tflock(["refresh"]).run().succeeded();
    let commands = entries(&scene.workspace);
    let commands: Vec<_> = commands.iter().map(|entry| &entry["command"]).collect();
    assert_eq!(
        commands,
        ["plan", "apply"],
        "the last comes first, and off is off"
    );
    let last = scene.tflock(["history", "-n", "1"]).run().succeeded();
    assert!(
        last.stdout.contains("plan: released, exit code 0\n"),
        "{last:?}"
    );
    assert_eq!(last.stdout.lines().count(), 1, "{last:?}");
    let list = scene.tflock(["list"]).run().succeeded();
    assert!(!list.stdout.contains("history"), "{list:?}");
}

#[test]
fn every_store_has_a_history() {
    for mode in LockMode::LOCKING {
        let scene = Scene::new(mode);
        scene.workspace.let_go();
        on(scene.tflock(["apply"])).run().succeeded();
        assert_eq!(only_entry(&scene.workspace)["command"], "apply", "{mode:?}");
    }
    let workspace = Workspace::new();
    workspace.write("main.tf", "");
    on(workspace.tflock(["exec", "--", "sh", "-c", "exit 3"]))
        .run()
        .ended_with(3);
    let entry = only_entry(&workspace);
    assert_eq!(
        (&entry["exit_code"], &entry["ended"]),
        (&3.into(), &"released".into())
    );
}

#[test]
fn a_lock_that_was_removed_says_by_whom_and_with_what_code_its_run_ended() {
    let scene = LockTable::new();
    let run = on(scene.tflock(["apply"])).start();
    scene.workspace.wait_until_started();
    on(scene.tflock(["force-unlock", "--force", "--yes"]))
        .run()
        .succeeded();
    scene.workspace.let_go();
    run.wait().ended_with(76);
    let entry = only_entry(&scene.workspace);
    assert_eq!(entry["ended"], "force-unlocked", "{entry}");
    assert!(
        entry["by"].as_str().is_some_and(|by| by.contains('@')),
        "{entry}"
    );
    assert_eq!(entry["exit_code"], 0);
}

#[test]
fn a_dead_holder_is_remembered_by_whoever_takes_its_place_or_gives_it_back() {
    let scene = LockTable::new();
    kill_with_terraform(scene.hold(["apply"]), &scene.fake);
    scene.workspace.let_go();
    on(scene.tflock(["plan"])).run().succeeded();
    let two = entries(&scene.workspace);
    assert_eq!(
        (&two[0]["ended"], &two[1]["ended"]),
        (&"released".into(), &"taken over".into())
    );

    scene.workspace.take_back();
    kill_with_terraform(scene.hold(["refresh"]), &scene.fake);
    on(scene.tflock(["release", "--mine"])).run().succeeded();
    assert_eq!(entries(&scene.workspace)[0]["ended"], "died");
}

#[test]
fn a_witness_writes_what_became_of_a_killed_tflock() {
    let scene = LockTable::new();
    let mut run = on(scene.tflock(["apply"])).start();
    scene.workspace.wait_until_started();
    let terraform = scene.fake.calls().pop().expect("a call").pid;
    let _witness = witness_of(Pid::from_raw(terraform));
    run.signal(Signal::SIGKILL);
    wait_until("the end of tflock", || !run.is_running());
    scene.workspace.let_go();
    run.wait().died_of(Signal::SIGKILL);
    assert_eq!(only_entry(&scene.workspace)["ended"], "killed");
}

#[test]
fn a_hold_is_remembered_beside_its_runs() {
    let scene = LockTable::new();
    scene.workspace.let_go();
    on(scene.tflock(["hold"])).run().succeeded();
    on(scene.tflock(["apply"])).run().succeeded();
    on(scene.tflock(["release"])).run().succeeded();
    let entries = entries(&scene.workspace);
    let commands: Vec<_> = entries.iter().map(|entry| &entry["command"]).collect();
    assert_eq!(commands, ["hold", "apply"]);
}

/// A table behind a proxy, with a terraform that need not wait.
fn behind_proxy() -> (LockTable, Proxy) {
    let scene = LockTable::new();
    let proxy = Proxy::before(scene.dynamodb.url());
    scene.workspace.let_go();
    (scene, proxy)
}

#[test]
fn a_history_costs_two_requests() {
    let (scene, proxy) = behind_proxy();
    let run = |history| {
        let run = scene.tflock(["apply"]).env("TFLOCK_HISTORY", history);
        let run = run.env("AWS_ENDPOINT_URL_DYNAMODB", proxy.url());
        proxy.clear_log();
        run.run().succeeded();
        proxy.log().len()
    };
    assert_eq!((run("off"), run("on"), run("on")), (2, 4, 4));
}

#[test]
fn a_history_that_is_forbidden_or_silent_is_not_worth_a_word_and_at_most_a_second() {
    for fault in [Fault::AccessDenied, Fault::Hang(Duration::from_mins(1))] {
        let (scene, proxy) = behind_proxy();
        // The history's alone: the lock is put and deleted.
        proxy.on("GetItem").every(fault);
        let run = on(scene.tflock(["apply"]));
        let run = run.env("AWS_ENDPOINT_URL_DYNAMODB", proxy.url());
        let begun = Instant::now();
        let finished = run.run().succeeded();
        assert_eq!(proxy.count("GetItem"), 1);
        assert_eq!(finished.stderr, "");
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(scene.held_id(), None);
    }
}
