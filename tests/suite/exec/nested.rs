//! A tflock inside a tflock: it runs under the lock that the outer one holds, if that is still held.

use crate::support::backend::{LOCK_ID, LockMode};
use crate::support::mid_run::look_during;
use crate::support::process::{Finished, Invocation};
use crate::support::scene::{Scene, local_locks};

/// `tflock exec` of the same tflock with `inner` as its command line, which never waits.
fn nested<const N: usize>(scene: &Scene, inner: [&str; N]) -> Invocation {
    scene
        .tflock(["exec", "--", env!("CARGO_BIN_EXE_tflock")])
        .args(inner)
        .env("TFLOCK_WAIT", "0")
}

#[test]
fn a_run_inside_does_not_wait_for_itself() {
    for mode in [
        LockMode::DynamodbTable,
        LockMode::Lockfile,
        LockMode::Both,
        LockMode::None,
    ] {
        let scene = Scene::new(mode);
        let alone = scene.glimpse(scene.tflock(["--wait", "0", "plan", "-out=p"]));
        let inside = scene.glimpse(nested(&scene, ["plan", "-out=p"]));
        assert_eq!(inside.locks, alone.locks, "{mode:?}");
        assert_eq!(inside.finished, Finished::silent(0), "{mode:?}");
        assert_eq!(inside.call.arguments, alone.call.arguments, "{mode:?}");
    }
}

#[test]
fn a_run_inside_of_a_run_inside_does_not_wait_either() {
    let scene = Scene::new(LockMode::Both);
    let tflock = env!("CARGO_BIN_EXE_tflock");
    let run = nested(&scene, ["exec", tflock, "exec", tflock, "apply"]);
    let glimpse = scene.glimpse(run);
    assert_eq!(glimpse.locks.len(), 2);
    assert_eq!(glimpse.finished, Finished::silent(0));
    assert_eq!(scene.fake.calls().len(), 1);
}

#[test]
fn a_run_inside_of_the_local_store_does_not_wait() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let run = nested(&scene, ["apply"]).env("TFLOCK_STORE", "local");
    let glimpse = scene.glimpse(run);
    assert_eq!(glimpse.local_locks, [LOCK_ID]);
    assert_eq!(glimpse.finished, Finished::silent(0));
    assert_eq!(glimpse.call.arguments, ["apply"]);
}

#[test]
fn a_run_inside_that_needs_another_lock_takes_it_besides() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let run = nested(&scene, ["--lock-id", "other", "apply"]);
    let glimpse = scene.glimpse(run);
    let mut locks = glimpse.locks;
    locks.sort_unstable();
    assert_eq!(locks, ["other", LOCK_ID]);
    assert_eq!(glimpse.finished, Finished::silent(0));
    let held = &glimpse.call.environment["TFLOCK_HELD"];
    for key in ["other", LOCK_ID] {
        assert!(held.contains(&format!("\"{key}\"")), "{key} in {held}");
    }
}

/// What a run left in the environment of a process that outlived it.
fn stale_variable(scene: &Scene) -> String {
    let glimpse = scene.glimpse(scene.tflock(["apply"]));
    glimpse.call.environment["TFLOCK_HELD"].clone()
}

#[test]
fn a_variable_whose_lock_was_given_back_is_not_believed() {
    for mode in LockMode::LOCKING {
        let scene = Scene::new(mode);
        let stale = stale_variable(&scene);
        let run = scene.tflock(["apply"]).env("TFLOCK_HELD", &stale);
        let glimpse = scene.glimpse(run);
        let expected = if mode == LockMode::Both { 2 } else { 1 };
        assert_eq!(glimpse.locks.len(), expected, "it takes a lock of its own");
        assert_ne!(glimpse.call.environment["TFLOCK_HELD"], stale);
    }
}

#[test]
fn a_variable_whose_lock_is_now_somebody_elses_is_not_believed() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let stale = stale_variable(&scene);
    let announced: serde_json::Value = serde_json::from_str(&stale).expect("JSON");
    // One of them was drawn with the same random bytes.
    for id in [&serde_json::json!("another"), &announced[0]["id"]] {
        let holder = serde_json::json!({ "ID": id, "Who": "ben@desk" });
        scene.remote.table.put_lock(LOCK_ID, &holder);
        scene
            .tflock(["--wait", "0", "apply"])
            .env("TFLOCK_HELD", &stale)
            .run()
            .ended_with(75)
            .with_stderr("error: the state is locked: Error acquiring the state lock\n");
        assert_eq!(scene.fake.calls().len(), 1, "only the first run");
        assert_eq!(scene.remote.table.lock_info(LOCK_ID), Some(holder));
    }
}

#[test]
fn a_variable_that_is_not_ours_is_not_believed() {
    let scene = Scene::new(LockMode::Both);
    for value in ["", "1", "true", "[]", "{\"key\":1}"] {
        let run = scene.tflock(["apply"]).env("TFLOCK_HELD", value);
        assert_eq!(scene.glimpse(run).locks.len(), 2, "{value}");
    }
}

#[test]
fn what_an_exec_left_in_the_environment_takes_no_lock_away() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let left = scene.glimpse(scene.tflock(["exec", "terraform"])).call;
    let variables = left.environment.into_iter();
    let variables = variables.filter(|(name, _)| name.starts_with("TF"));
    let mut run = scene.tflock(["apply"]);
    for (name, value) in variables {
        run = run.env(name, value);
    }
    let glimpse = scene.glimpse(run);
    assert_eq!(glimpse.locks, [LOCK_ID]);
    assert_eq!(glimpse.finished, Finished::silent(0));
    // The user's own word counts inside as well, where it can be told from that of the `exec`.
    let unlocked = nested(&scene, ["apply", "-lock=false"]);
    let ((), finished) = look_during(&scene.workspace, unlocked, |_| ());
    finished.succeeded().with_stderr("running without a lock");
}

#[test]
fn the_local_lock_is_seen_by_others_while_a_run_inside_works() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let run = nested(&scene, ["apply"]).env("TFLOCK_STORE", "local");
    let other = || {
        let run = scene.tflock(["--store", "local", "--wait", "0", "apply"]);
        run.run()
    };
    let (refused, finished) = look_during(&scene.workspace, run, |_| other());
    refused.ended_with(75).with_stderr("exec tflock");
    finished.succeeded();
    assert_eq!(local_locks(&scene.workspace), Vec::<String>::new());
}
