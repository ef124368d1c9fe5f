//! What the program of `exec` gets, and how it ends.

use std::collections::BTreeSet;
use std::fs;

use crate::support::backend::{LOCK_ID, LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::fake_terraform::Script;
use crate::support::mid_run::{look_during, stopping_script};
use crate::support::process::{Finished, Invocation, Status};
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

#[test]
fn the_program_sees_what_it_was_given_and_a_shim_for_terraform() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let recorder = stopping_script().install(scene.workspace.home().join("recorder"));
    let arguments = ["two words\n", "", "-x", "--", "--help"];
    let odd = |run: Invocation| {
        let run = run.env("TF_CLI_ARGS_plan", "-no-color -lock=true");
        run.first_on_path(scene.fake.directory())
    };
    let program = scene.workspace.home().join("recorder/recorder");
    fs::rename(recorder.program(), &program).expect("another name");
    let look = |run: Invocation| {
        let (locks, finished) = look_during(&scene.workspace, run, |_| scene.remote.locks());
        assert_eq!(finished, Finished::silent(0));
        (locks, recorder.calls().pop().expect("a call"))
    };
    let alone = odd(scene.workspace.invocation(&program)).args(arguments);
    let (_, alone) = look(alone);
    let inside = scene.workspace.tflock(["exec", "--"]).arg(&program);
    let (locks, mut inside) = look(odd(inside).args(arguments));
    assert_eq!(locks, [LOCK_ID]);
    assert_eq!(inside.arguments, arguments);

    let path = inside.environment.remove("PATH").expect("a path");
    let shim = scene.workspace.state_home().join("tflock/shim/terraform");
    assert!(path.starts_with(&format!("{}:", shim.display())), "{path}");
    assert!(
        path.ends_with(&format!(":{}", alone.environment["PATH"])),
        "{path}"
    );
    let held = inside.environment.remove("TFLOCK_HELD");
    assert!(held.is_some_and(|held| held.contains(LOCK_ID)));
    for (option, value) in [
        ("NO_INPUT", "false"),
        ("QUIET", "false"),
        ("LOG", "false"),
        ("WAIT", "15m"),
    ] {
        let set = inside.environment.remove(&format!("TFLOCK_{option}"));
        assert_eq!(set.as_deref(), Some(value), "{option}");
    }
    let mut before = alone.environment;
    before.remove("PATH");
    assert_eq!(inside.environment, before);
}

#[test]
fn a_terraform_inside_keeps_its_own_lock_where_ours_is_another() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let program = scene.fake.program();
    let program = program.to_str().expect("a path that is text");
    for options in [["--lock-id", "team"], ["--store", "local"]] {
        let run = scene.tflock(options).args(["exec", program, "apply"]);
        let call = scene.glimpse(run).call;
        assert_eq!(call.arguments, ["apply"], "{call:?}");
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
fn a_workspace_that_does_not_exist_yet_is_created_by_the_terraform_inside() {
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
