//! A workspace that another process selects in the very moment when terraform reads it.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::backend::{LOCK_ID, LockMode, Remote};
use crate::support::beside::beside;
use crate::support::configuration::{Configuration, STARTED};
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::process::Finished;
use crate::support::scene::Scene;
use crate::support::waiting::wait_for_file;
use crate::support::workspace::{Workspace, terraform_program};

/// A scripted terraform that begins with another workspace being selected, and reads it, however late that is.
fn selecting_meanwhile(scene: &Scene, then: impl FnOnce(Script) -> Script) -> FakeTerraform {
    let selects = Script::new()
        .catch([Signal::SIGINT])
        .step("printf stg >.terraform/environment; cat .terraform/environment >seen");
    then(selects).install(scene.workspace.home().join("selecting"))
}

#[track_caller]
fn apply(scene: &Scene, fake: &FakeTerraform) -> Finished {
    let run = scene.workspace.tflock(["apply"]);
    let finished = run.first_on_path(fake.directory()).run().ended_with(76);
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
    finished
}

fn last_words(code: i32) -> String {
    format!(
        "error: the backend or the workspace was changed while the command was starting (it ended with exit code \
         {code}): it may have worked on a state that was not locked\n\
         hint: see what is selected with `tflock workspace show`, then run `tflock plan` and check it\n"
    )
}

#[test]
fn a_terraform_that_may_work_on_another_state_is_stopped_once() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let fake = selecting_meanwhile(&scene, |script| {
        script.wait_for_file_or_signal("never").exit(1)
    });
    let words = "warning: the backend or the workspace was changed while terraform was starting: it may work on a \
                 state that is not locked\n\
                 warning: stopping `terraform` gracefully; terraform still saves its state, but without the lock\n";
    let finished = apply(&scene, &fake);
    assert_eq!(finished.stderr, words.to_owned() + &last_words(1));
    assert_eq!(fake.events(), ["begin", "INT", "end"]);
}

#[test]
fn a_terraform_that_may_have_worked_on_another_state_is_told_of() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let fake = selecting_meanwhile(&scene, |script| script);
    assert_eq!(apply(&scene, &fake).stderr, last_words(0));
}

/// What is done during the wait, and what is printed about it.
type Change = (fn(&Scene), &'static str);

#[test]
fn whatever_is_selected_during_the_wait_is_not_worked_on() {
    let another_workspace = |scene: &Scene| scene.workspace.write(".terraform/environment", "stg");
    let another_backend = |scene: &Scene| {
        let backend = scene.remote.backend(LockMode::DynamodbTable);
        let configuration = Configuration::with_backend(&backend.key("prod/other.tfstate"));
        scene.workspace.configure(&configuration);
        let init = scene.workspace.terraform(["init", "-reconfigure"]);
        init.run().succeeded();
    };
    let garbage = |scene: &Scene| {
        let record = ".terraform/terraform.tfstate";
        scene.workspace.write(record, "{\"version\": 3");
    };
    let changed = "the backend or the workspace was changed while the lock was being taken";
    let unreadable =
        "the backend and the workspace could not be read again once the lock was taken";
    let changes: [Change; 3] = [
        (another_workspace, changed),
        (another_backend, changed),
        (garbage, unreadable),
    ];
    for (change, words) in changes {
        let scene = Scene::new(LockMode::DynamodbTable);
        let info = json!({ "ID": "7", "Operation": "OperationTypeApply", "Who": "ben@desk" });
        scene.remote.table.put_lock(LOCK_ID, &info);
        let mut waiting = scene.tflock(["apply"]).start();
        waiting.wait_for_output("is locked, waiting for it");
        change(&scene);
        scene.remote.table.delete(LOCK_ID);
        let words = format!(
            "error: {words}\nhint: see what is selected with `tflock workspace show`, then run it again\n"
        );
        let refused = waiting.wait().ended_with(78);
        assert!(refused.stderr.ends_with(&words), "{refused}");
        assert_eq!(scene.fake.calls(), []);
        assert_eq!(scene.remote.locks(), Vec::<String>::new());
    }
}

#[test]
fn a_workspace_that_is_selected_later_is_none_of_its_business() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let selects = Script::new()
        .step("sleep 3")
        .step("printf stg >.terraform/environment");
    let fake = selects.install(scene.workspace.home().join("late"));
    let run = scene.workspace.tflock(["apply"]);
    let finished = run.first_on_path(fake.directory()).run();
    assert_eq!(finished, Finished::silent(0));
}

/// A directory with the workspaces `default` and `stg`, and an apply that waits.
fn two_workspaces(remote: &Remote) -> Workspace {
    let backend = remote.backend(LockMode::DynamodbTable);
    let configuration = Configuration::with_backend(&backend).waiting_resource("slow");
    let workspace = Workspace::with(&configuration);
    workspace.init();
    workspace
        .terraform(["workspace", "new", "stg"])
        .run()
        .succeeded();
    workspace
}

fn select(workspace: &Workspace, name: &str) {
    let select = workspace.terraform(["workspace", "select", name]);
    select.run().succeeded();
}

#[test]
fn a_workspace_that_is_selected_once_terraform_has_read_it_is_nobodys_business() {
    let apply = ["apply", "-auto-approve"];
    let inside = ["exec", "terraform", "apply", "-auto-approve"];
    thread::scope(|scope| {
        for words in [&apply[..], &inside] {
            beside(scope, move || {
                let remote = Remote::start();
                let workspace = two_workspaces(&remote);
                std::fs::remove_file(workspace.file(".terraform/environment")).unwrap();
                for (from, to) in [("default", "stg"), ("stg", "default")] {
                    let run = workspace.tflock([]).args(words).start();
                    workspace.wait_until_started();
                    thread::sleep(Duration::from_millis(500));
                    select(&workspace, to);
                    workspace.let_go();
                    let finished = run.wait().succeeded();
                    assert_eq!(finished.stderr, "", "{words:?}, from {from}: {finished}");
                    workspace.take_back();
                }
            });
        }
    });
}

#[test]
fn a_workspace_that_is_selected_while_a_version_manager_downloads_is_not_worked_on() {
    let remote = Remote::start();
    let workspace = two_workspaces(&remote);
    select(&workspace, "default");
    let downloads = Script::new()
        .touch("downloading")
        .wait_for("downloaded")
        .step(&format!("exec {} \"$@\"", terraform_program().display()));
    let downloads = downloads.install(workspace.home().join("manager"));
    let run = workspace.tflock(["apply", "-auto-approve"]);
    let run = run.first_on_path(downloads.directory()).start();
    wait_for_file(workspace.file("downloading"));
    thread::sleep(Duration::from_secs(3));
    select(&workspace, "stg");
    workspace.write("downloaded", "");
    let finished = run.wait().ended_with(76);
    finished.with_stderr("stopping `terraform` gracefully");
    assert!(!workspace.file(STARTED).exists());
}

/// Between its reads and its write a `workspace select` on a busy machine takes longer than a script's reading may pause.
#[test]
fn a_slow_selection_while_a_version_manager_downloads_is_not_taken_for_the_script_s_reading() {
    let scene = Scene::new(LockMode::DynamodbTable);
    scene.workspace.write(".terraform/environment", "default");
    let downloads = Script::new()
        .catch([Signal::SIGINT])
        .touch("downloading")
        .wait_for("downloaded")
        .step("cat .terraform/environment >seen")
        .wait_for_file_or_signal("never")
        .exit(1)
        .install(scene.workspace.home().join("manager"));
    let run = scene.workspace.tflock(["apply"]);
    let run = run.first_on_path(downloads.directory()).start();
    wait_for_file(scene.workspace.file("downloading"));
    let slowly =
        "cat .terraform/environment >/dev/null; sleep 3; printf stg >.terraform/environment";
    let select = scene.workspace.invocation("bash");
    let words = "exec -a terraform sh -c \"$0\" terraform workspace select stg";
    select.args(["-c", words, slowly]).run().succeeded();
    scene.workspace.write("downloaded", "");
    let finished = run.wait().ended_with(76);
    finished.with_stderr("stopping `terraform` gracefully");
}

#[test]
fn a_script_that_reads_the_workspace_late_is_stopped_and_one_that_has_read_it_is_not() {
    let scene = Scene::new(LockMode::DynamodbTable);
    scene.workspace.write(".terraform/environment", "default");
    let late = Script::new()
        .catch([Signal::SIGINT])
        .step("sleep 3; printf stg >.terraform/environment; sleep 0.2; cat .terraform/environment >seen")
        .wait_for_file_or_signal("never")
        .exit(1)
        .install(scene.workspace.home().join("late"));
    apply(&scene, &late);
    scene.workspace.write(".terraform/environment", "default");
    let early = Script::new()
        .step("cat .terraform/environment >seen; sleep 1.5; printf stg >.terraform/environment; sleep 0.6")
        .install(scene.workspace.home().join("early"));
    let run = scene.workspace.tflock(["apply"]);
    let run = run.first_on_path(early.directory()).run();
    assert_eq!(run, Finished::silent(0));
}

#[test]
fn a_program_of_exec_selects_what_it_wants() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let script = "printf stg >.terraform/environment";
    let run = scene.tflock(["exec", "--", "sh", "-c", script]).run();
    assert_eq!(run, Finished::silent(0));
}
