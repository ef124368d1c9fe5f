//! `--lock-id`, `--store`, `--table`, and commands that name a state file, with an S3 backend.

use crate::support::backend::{LOCK_ID, LockMode};
use crate::support::mid_run::look_during;
use crate::support::process::Finished;
use crate::support::scene::{Scene, locks_in};

#[test]
fn another_lock_id_is_another_lock_and_leaves_terraform_its_own() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let by_option = scene.tflock(["--lock-id", "team/whole-network", "apply"]);
    let by_variable = scene.tflock(["apply"]);
    let by_variable = by_variable.env("TFLOCK_LOCK_ID", "team/whole-network");
    for run in [by_option, by_variable] {
        let glimpse = scene.glimpse(run);
        assert_eq!(glimpse.locks, ["team/whole-network"]);
        assert_eq!(glimpse.call.arguments, ["apply", "-lock-timeout=900s"]);
        assert_eq!(glimpse.finished.stderr, "");
    }
    let own_name = scene.glimpse(scene.tflock(["--lock-id", LOCK_ID, "apply"]));
    assert_eq!(own_name.locks, [LOCK_ID]);
    assert_eq!(own_name.call.arguments, ["apply", "-lock=false"]);
}

#[test]
fn another_table_is_another_lock_and_leaves_terraform_its_own() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let other = scene.remote.dynamodb.create_table("other");
    let run = scene.tflock(["--table", other.name(), "apply"]);
    let ((in_other, in_own), finished) = look_during(&scene.workspace, run, |_| {
        (other.locks(), scene.remote.locks())
    });
    assert_eq!(in_other, [LOCK_ID]);
    assert_eq!(in_own, Vec::<String>::new());
    assert_eq!(finished, Finished::silent(0));
    assert_eq!(other.locks(), Vec::<String>::new());
    assert_eq!(
        scene.fake.only_call().arguments,
        ["apply", "-lock-timeout=900s"]
    );

    let same = scene.tflock(["--table", scene.remote.table.name(), "apply"]);
    let glimpse = scene.glimpse(same);
    assert_eq!(glimpse.locks, [LOCK_ID]);
    assert_eq!(glimpse.call.arguments, ["apply", "-lock=false"]);
}

#[test]
fn of_two_configured_locks_one_alone_is_refused_because_terraform_would_take_neither() {
    let scene = Scene::new(LockMode::Both);
    for store in ["dynamodb", "s3"] {
        let refused = scene.tflock(["--store", store, "apply"]).run();
        let refused = refused.ended_with(78);
        assert!(
            refused.stderr.contains("the backend uses two locks"),
            "{}",
            refused.stderr
        );
    }
    assert!(scene.fake.calls().is_empty());
}

#[test]
fn the_local_store_can_be_chosen_and_leaves_terraform_its_own_lock() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let glimpse = scene.glimpse(scene.tflock(["--store", "local", "apply"]));
    assert_eq!(glimpse.locks, Vec::<String>::new());
    assert_eq!(glimpse.local_locks, [LOCK_ID]);
    assert_eq!(glimpse.call.arguments, ["apply", "-lock-timeout=900s"]);
    assert_eq!(
        glimpse.finished.stderr, "",
        "it was chosen, so nothing is said"
    );

    let directory = scene.workspace.home().join("locks");
    let run = scene
        .tflock(["apply"])
        .env("TFLOCK_STORE", "local")
        .env("TFLOCK_LOCAL_DIR", &directory);
    let (locks, finished) = look_during(&scene.workspace, run, |_| locks_in(&directory));
    assert_eq!(locks, [LOCK_ID]);
    assert_eq!(finished, Finished::silent(0));
    assert_eq!(locks_in(&directory), Vec::<String>::new());
}

#[test]
fn a_state_command_that_names_a_file_locks_that_file_and_not_the_backend() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let file = scene.workspace.file("other.tfstate");
    let file = file.canonicalize().unwrap_or(file);
    for line in [
        "state mv -state=other.tfstate a.b a.c",
        "state rm -state other.tfstate a.b",
        "state replace-provider -state=./other.tfstate a b",
    ] {
        let run = scene.tflock(["--wait", "0"]).args(line.split(' '));
        let glimpse = scene.glimpse(run);
        assert_eq!(glimpse.locks, Vec::<String>::new(), "{line}");
        assert_eq!(glimpse.local_locks, [file.to_str().unwrap()], "{line}");
        assert_eq!(glimpse.call.arguments.join(" "), line);
    }
    // `apply` ignores the flag where the backend is not local.
    let glimpse = scene.glimpse(scene.tflock(["apply", "-state=other.tfstate"]));
    assert_eq!(glimpse.locks, [LOCK_ID]);
}

#[test]
fn the_next_command_that_is_told_means_the_state_file_that_was_named() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let line = ["state", "rm", "-state=other.tfstate", "a.b"];
    let ((refused, status), finished) = look_during(&scene.workspace, scene.tflock(line), |_| {
        let refused = scene.tflock(line).env("TFLOCK_WAIT", "0").run();
        let (_, told) = refused.stderr.rsplit_once("see `tflock ").expect("a hint");
        let (told, _) = told.split_once('`').expect("a whole hint");
        let status = scene.tflock([]).args(told.split(' ')).run();
        (refused, status)
    });
    refused.ended_with(75);
    status
        .succeeded()
        .with_stdout("other.tfstate")
        .with_stdout("state rm");
    finished.succeeded();
}
