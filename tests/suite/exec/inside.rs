//! What the program of `exec` is given, and how it ends.

use std::collections::BTreeSet;

use crate::support::backend::{LOCK_ID, LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::fake_terraform::Script;
use crate::support::mid_run::look_during;
use crate::support::process::{Finished, Status};
use crate::support::proxy::Proxy;
use crate::support::scene::Scene;
use crate::support::workspace::Workspace;

#[test]
fn two_applies_run_under_one_lock_that_is_held_in_between() {
    let remote = Remote::start();
    let dynamodb = Proxy::before(remote.dynamodb.url());
    let backend = remote
        .backend(LockMode::DynamodbTable)
        .dynamodb_url(dynamodb.url());
    let configuration = Configuration::with_backend(&backend).resource("one", "1");
    let workspace = Workspace::with(&configuration);
    workspace.init();
    let colleague = workspace.colleague();
    colleague.init();
    dynamodb.clear_log();

    let script = "terraform apply -auto-approve && touch started && \
                  while [ ! -e go ]; do sleep 0.02; done && terraform apply -auto-approve";
    let run = workspace.tflock(["exec", "--", "sh", "-c", script]);
    let ((item, refused), finished) = look_during(&workspace, run, |_| {
        let refused = colleague.terraform(["plan", "-input=false"]).run();
        (remote.table.item(LOCK_ID), refused)
    });
    let finished = finished
        .succeeded()
        .with_stdout("1 added, 0 changed")
        .with_stdout("0 added, 0 changed");
    assert_eq!(finished.stderr, "");
    refused.ended_with(1).with_stderr("Operation: exec");
    let item = item.expect("a lock between the two");
    assert_eq!(item["Command"]["S"], "exec sh");
    assert_eq!(remote.locks(), Vec::<String>::new());

    // Renewals are puts of the same lock; the colleague's attempt is one of another, which failed.
    let log = dynamodb.log();
    let puts = log.iter().filter(|exchange| exchange.action == "PutItem");
    let items = puts.map(|exchange| exchange.input()["Item"].clone());
    let locks =
        items.filter(|item| item["LockID"]["S"] == LOCK_ID && item.get("Command").is_some());
    let holders: BTreeSet<String> = locks
        .map(|item| item["Info"]["S"].as_str().expect("a string").to_owned())
        .collect();
    assert_eq!(holders.len(), 1, "{holders:?}");
}

/// Each locking command's own variable, by which a terraform inside is told that its lock is held.
const VARIABLES: [&str; 11] = [
    "TF_CLI_ARGS_apply",
    "TF_CLI_ARGS_destroy",
    "TF_CLI_ARGS_import",
    "TF_CLI_ARGS_plan",
    "TF_CLI_ARGS_refresh",
    "TF_CLI_ARGS_state_mv",
    "TF_CLI_ARGS_state_push",
    "TF_CLI_ARGS_state_replace_provider",
    "TF_CLI_ARGS_state_rm",
    "TF_CLI_ARGS_taint",
    "TF_CLI_ARGS_untaint",
];

#[test]
fn every_locking_command_inside_is_told_that_its_lock_is_held_and_nothing_else_is_changed() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let program = scene.fake.program();
    let program = program.to_str().expect("a path that is text");
    let run = scene
        .tflock([
            "exec",
            "--",
            program,
            "two words\n",
            "",
            "-x",
            "--",
            "--help",
        ])
        .env("TF_CLI_ARGS_plan", "-no-color -lock=true")
        .env("TF_CLI_ARGS_init", "-upgrade")
        .env("TF_CLI_ARGS", "-lock=true -input=false");
    let glimpse = scene.glimpse(run);
    assert_eq!(glimpse.locks, [LOCK_ID]);
    assert_eq!(glimpse.finished, Finished::silent(0));
    let call = glimpse.call;
    assert_eq!(call.arguments, ["two words\n", "", "-x", "--", "--help"]);
    let environment = call.environment;
    for variable in VARIABLES {
        let expected = match variable {
            "TF_CLI_ARGS_plan" => "-lock=false '-no-color'",
            _ => "-lock=false",
        };
        assert_eq!(environment[variable], expected, "{variable}");
    }
    assert_eq!(environment["TF_CLI_ARGS"], "'-input=false'");
    assert_eq!(environment["TF_CLI_ARGS_init"], "-upgrade");
    assert!(environment["TFLOCK_HELD"].contains(LOCK_ID));
}

#[test]
fn a_terraform_inside_keeps_its_own_lock_where_ours_is_another() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let program = scene.fake.program();
    let program = program.to_str().expect("a path that is text");
    for options in [["--lock-id", "team"], ["--store", "local"]] {
        let run = scene.tflock(options).args(["exec", program]);
        let environment = scene.glimpse(run).call.environment;
        let set = environment
            .keys()
            .filter(|name| name.starts_with("TF_CLI_ARGS"));
        assert_eq!(set.count(), 0, "{options:?}");
    }
}

#[test]
fn the_program_runs_in_the_directory_of_chdir_with_the_input_of_the_caller() {
    let workspace = Workspace::new();
    workspace.write("deep/inside/file", "");
    workspace
        .tflock([
            "-chdir=deep",
            "exec",
            "--",
            "sh",
            "-c",
            "cd inside; ls; cat",
        ])
        .stdin("from stdin")
        .run()
        .succeeded()
        .with_stdout("file\nfrom stdin");
}

#[test]
fn the_ending_of_the_program_is_passed_on_and_the_lock_is_given_back() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let run = |script: &str| {
        let finished = scene.tflock(["exec", "--", "sh", "-c", script]).run();
        assert_eq!(scene.remote.locks(), Vec::<String>::new(), "{script}");
        finished
    };
    for code in [0, 1, 2, 42, 255] {
        let expected = Finished {
            stdout: "out\n".to_owned(),
            stderr: "err\n".to_owned(),
            status: Status::Code(code),
        };
        let script = format!("echo out; echo err >&2; exit {code}");
        assert_eq!(run(&script), expected);
    }
    run("kill -TERM $$").died_of(nix::sys::signal::Signal::SIGTERM);
    run("kill -USR1 $$").died_of(nix::sys::signal::Signal::SIGUSR1);
}

#[test]
fn a_program_that_cannot_be_started_has_the_exit_code_that_shells_give_it() {
    let scene = Scene::new(LockMode::DynamodbTable);
    scene.workspace.write("text", "no program");
    for (program, code) in [("no-such-program", 127), ("./text", 126)] {
        let finished = scene.tflock(["exec", "--", program]).run().ended_with(code);
        assert!(finished.stderr.starts_with("error: "), "{finished}");
        let finished = finished.with_stderr(program).with_stderr("\nhint: ");
        assert_eq!(finished.stdout, "");
        assert_eq!(scene.remote.locks(), Vec::<String>::new());
    }
}

#[test]
fn without_a_program_nothing_is_locked() {
    let workspace = Workspace::new();
    workspace
        .tflock(["exec"])
        .run()
        .ended_with(64)
        .with_stderr("error: ")
        .with_stderr("hint: see `tflock --help`");
}

#[test]
fn a_workspace_that_does_not_exist_yet_is_created_before_the_lock_is_taken() {
    let remote = Remote::start();
    let configuration = Configuration::with_backend(&remote.backend(LockMode::Both));
    let workspace = Workspace::with(&configuration.resource("one", "1"));
    workspace.init();
    let workspace = workspace.env("TF_WORKSPACE", "ghost");
    workspace
        .tflock(["exec", "--", "terraform", "apply", "-auto-approve"])
        .run()
        .succeeded()
        .with_stdout("1 added");
    assert_eq!(remote.locks(), Vec::<String>::new());
}

#[test]
fn a_script_of_that_name_is_recorded_in_the_lock() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let deploy = Script::new()
        .touch("started")
        .wait_for("go")
        .install(scene.workspace.home().join("deploy"));
    let run = scene.tflock(["--reason", "deploying", "exec"]);
    let run = run.arg(deploy.program());
    let (info, finished) = look_during(&scene.workspace, run, |_| {
        scene.remote.table.lock_info(LOCK_ID).expect("a lock")
    });
    finished.succeeded();
    assert_eq!(info["Operation"], "exec");
    assert_eq!(info["Info"], "deploying");
}
