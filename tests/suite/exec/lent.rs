//! What `exec` lends: its lock, to one terraform at a time, and until the last of them has ended.

use crate::support::backend::{LOCK_KEY, LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::process::Invocation;
use crate::support::scene::{Scene, local_locks};
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

/// A script that begins once a first terraform is running, and lets it go at the end.
fn beside(script: &str) -> String {
    format!(
        "terraform apply & while [ ! -e started ]; do sleep 0.02; done; {script}; : >go; wait $!"
    )
}

fn exec(scene: &Scene, script: &str) -> Invocation {
    scene.tflock(["exec", "--", "sh", "-c", script])
}

/// Waits until the background run has said on `error` that it is waiting.
const UNTIL_IT_WAITS: &str =
    "while ! grep -q 'waiting for process' error; do kill -0 $! || exit 9; sleep 0.02; done";

#[test]
fn a_second_terraform_is_refused_at_once_whatever_the_store() {
    let tflock = env!("CARGO_BIN_EXE_tflock");
    for mode in [
        LockMode::DynamodbTable,
        LockMode::Lockfile,
        LockMode::Both,
        LockMode::None,
    ] {
        let scene = Scene::new(mode);
        for second in ["terraform plan", &format!("{tflock} plan")] {
            let script = beside(&format!("{second} 2>error; echo second $?"));
            let run = exec(&scene, &script).run().succeeded();
            run.with_stdout("second 75\n");
            let error = scene.workspace.read("error");
            let expected = "error: the state is locked: Error acquiring the state lock: the `tflock exec` around this run \
                            lends its lock to one terraform at a time, and process ";
            assert!(error.starts_with(expected), "{mode:?}: {error}");
            assert!(
                error.contains("\nhint: run one after the other, or "),
                "{error}"
            );
            let calls: Vec<_> = scene
                .fake
                .calls()
                .into_iter()
                .map(|call| call.arguments)
                .collect();
            assert!(calls.iter().all(|call| call[0] == "apply"), "{calls:?}");
            for marker in ["started", "go"] {
                std::fs::remove_file(scene.workspace.file(marker)).unwrap();
            }
        }
    }
}

#[test]
fn a_second_terraform_waits_as_long_as_it_is_told_to() {
    let tflock = env!("CARGO_BIN_EXE_tflock");
    for second in [
        "terraform plan -lock-timeout=1m".to_owned(),
        "TF_CLI_ARGS_plan=-lock-timeout=1m terraform plan".to_owned(),
        "TFLOCK_WAIT=1m terraform plan".to_owned(),
        format!("{tflock} --wait 1m plan"),
        format!("{tflock} --wait=15m plan"),
    ] {
        let scene = Scene::new(LockMode::DynamodbTable);
        let script = beside(&format!(
            "sh -c 'exec 2>error; exec env {second}' & {UNTIL_IT_WAITS}; echo waits; : >go; wait"
        ));
        let run = exec(&scene, &script).run().succeeded();
        run.with_stdout("waits\n");
        let log = scene.fake.log();
        let kinds: Vec<&str> = log
            .iter()
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert_eq!(kinds, ["begin", "end", "begin", "end"], "{second}");
    }
}

#[test]
fn a_wait_that_is_over_is_75() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let script = beside("terraform plan -lock-timeout=700ms 2>error; echo second $?");
    let run = exec(&scene, &script).run().succeeded();
    run.with_stdout("second 75\n");
    let error = scene.workspace.read("error");
    assert!(error.contains("locked, gave up after 700ms:"), "{error}");
}

#[test]
fn one_after_the_other_needs_no_wait_even_if_there_are_many() {
    let scene = Scene::new(LockMode::DynamodbTable);
    scene.workspace.write("go", "");
    let run = exec(
        &scene,
        "for i in 1 2 3 4 5; do terraform apply || exit; done",
    );
    assert_eq!(run.run().succeeded().stderr, "");
    assert_eq!(scene.fake.calls().len(), 5);
}

#[test]
fn of_two_real_applies_at_once_none_is_lost() {
    for mode in [LockMode::Lockfile, LockMode::None] {
        let remote = Remote::start();
        let configuration = Configuration::with_backend(&remote.backend(mode));
        let workspace = Workspace::with(&configuration.resource("one", "1").resource("two", "2"));
        workspace.init();
        let apply = "terraform apply -auto-approve -lock-timeout=1m -target=terraform_data";
        let script = format!("{apply}.one & {apply}.two || exit; wait $! && terraform state list");
        let run = workspace.tflock(["exec", "--", "sh", "-c", &script]);
        let run = run.run().succeeded();
        run.with_stdout("terraform_data.one\nterraform_data.two\n");
        assert_eq!(remote.locks(), Vec::<String>::new());
    }
}

/// How a script leaves a terraform behind: in another session, without any inherited descriptor.
const LEFT_BEHIND: &str = "setsid sh -c 'for n in 3 4 5 6 7 8 9; do eval \"exec $n>&-\"; done; terraform apply' \
                           </dev/null >/dev/null 2>&1 & while [ ! -e started ]; do sleep 0.02; done";

#[test]
fn the_lock_is_kept_until_a_terraform_that_left_the_group_has_ended() {
    for (mode, store) in [
        (LockMode::DynamodbTable, "auto"),
        (LockMode::Lockfile, "auto"),
        (LockMode::DynamodbTable, "local"),
    ] {
        let scene = Scene::new(mode);
        let run = exec(&scene, LEFT_BEHIND).env("TFLOCK_STORE", store);
        let running = run.start();
        wait_until("the word of what is waited for", || {
            running.stderr().contains(
                "waiting for processes that still run under the lock before releasing it: ",
            )
        });
        let locks = (scene.remote.locks(), local_locks(&scene.workspace));
        let expected = if store == "local" { (0, 1) } else { (1, 0) };
        assert_eq!((locks.0.len(), locks.1.len()), expected, "{locks:?}");
        scene.workspace.let_go();
        running.wait().succeeded();
        assert_eq!(scene.remote.locks(), Vec::<String>::new());
        assert_eq!(local_locks(&scene.workspace), Vec::<String>::new());
        let left = std::fs::read_dir(scene.workspace.state_home().join("tflock/runs")).unwrap();
        assert_eq!(left.count(), 0);
    }
}

#[test]
fn a_daemon_of_another_session_that_runs_no_terraform_is_not_waited_for() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let daemon = "setsid sh -c ': >started; while [ -e started ] && [ ! -e go ]; do sleep 0.02; done' </dev/null >/dev/null 2>&1 & \
                  while [ ! -e started ]; do sleep 0.02; done";
    let finished = exec(&scene, daemon).run().succeeded();
    assert_eq!(finished.stderr, "");
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
    scene.workspace.let_go();
}

#[test]
fn a_workspace_that_is_selected_while_a_turn_is_waited_for_is_not_worked_on() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let second = "sh -c 'exec 2>error; exec terraform plan -lock-timeout=1m'";
    let script = beside(&format!(
        "{second} & {UNTIL_IT_WAITS}; printf stg >.terraform/environment; : >go; wait $!; echo second $?"
    ));
    let run = exec(&scene, &script).run().ended_with(78);
    run.with_stdout("second 78\n");
    let error = scene.workspace.read("error");
    let expected =
        "error: the backend or the workspace was changed while the lock was being taken\n";
    assert!(error.contains(expected), "{error}");
    assert_eq!(scene.fake.calls().len(), 1);
}

#[test]
fn a_lock_that_is_removed_while_a_turn_is_waited_for_is_not_borrowed() {
    for mode in [LockMode::DynamodbTable, LockMode::Lockfile] {
        let scene = Scene::new(mode);
        let second = "sh -c 'exec 2>error; exec terraform plan -lock-timeout=1m'";
        let script = beside(&format!(
            "{second} & {UNTIL_IT_WAITS}; : >waits; while [ ! -e removed ]; do sleep 0.02; done; : >go; wait $!; echo second $?"
        ));
        let running = exec(&scene, &script).start();
        wait_until("the second to wait for its turn", || {
            scene.workspace.file("waits").exists()
        });
        match mode {
            LockMode::Lockfile => scene.remote.s3.remove(LOCK_KEY),
            _ => scene.remote.table.delete(&scene.remote.locks()[0]),
        }
        scene.workspace.write("removed", "");
        let run = running.wait().ended_with(76);
        run.with_stdout("second 75\n");
        let error = scene.workspace.read("error");
        let (lost, nothing) = (
            "the `tflock exec` around this run lost the lock on `",
            "` while this run waited for its turn, and nothing was started\n",
        );
        assert!(
            error.contains(lost) && error.contains(nothing),
            "{mode:?}: {error}"
        );
        assert_eq!(scene.fake.calls().len(), 1);
    }
}
