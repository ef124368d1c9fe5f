//! Workspaces whose state terraform does not find in its list: it takes a lock of its own before all else, and so locks for
//! itself; runs of ours come one after the other all the same.

use std::thread;

use nix::sys::signal::Signal;

use crate::support::backend::{LockMode, Remote, STATE_KEY};
use crate::support::beside::beside;
use crate::support::configuration::Configuration;
use crate::support::mid_run::look_during;
use crate::support::process::Finished;
use crate::support::proxy::{Fault, Proxy};
use crate::support::scene::Scene;
use crate::support::workspace::Workspace;

const APPLY: [&str; 3] = ["apply", "-auto-approve", "-no-color"];

/// Keys and prefixes that are not clean paths, and where the state of the workspace `stg` is.
const RAW: [(&str, &str, &str); 5] = [
    ("env:", "./x/a.tfstate", "env:/stg/x/a.tfstate"),
    ("env:", "../x/a.tfstate", "env:/x/a.tfstate"),
    ("env:", "a/./b.tfstate", "env:/stg/a/b.tfstate"),
    ("./p", "a.tfstate", "p/stg/a.tfstate"),
    ("p/..", "a.tfstate", "stg/a.tfstate"),
];

fn workspace_of(remote: &Remote, mode: LockMode, prefix: &str, key: &str) -> Workspace {
    let prefix = format!("{prefix:?}");
    let backend = remote.backend(mode).key(key);
    let backend = backend.setting("workspace_key_prefix", &prefix);
    let configuration = Configuration::with_backend(&backend).resource("one", "1");
    let workspace = Workspace::with(&configuration);
    workspace.init();
    workspace.env("TF_WORKSPACE", "stg")
}

/// A workspace that does not exist yet, with a resource that waits.
fn ghost(remote: &Remote, mode: LockMode) -> Workspace {
    let configuration = Configuration::with_backend(&remote.backend(mode));
    let workspace = Workspace::with(&configuration.waiting_resource("one"));
    workspace.init();
    workspace.env("TF_WORKSPACE", "ghost")
}

fn colleague_of(workspace: &Workspace) -> Workspace {
    let colleague = workspace.colleague();
    colleague.init();
    colleague.env("TF_WORKSPACE", "ghost")
}

#[test]
fn keys_and_prefixes_that_are_no_clean_paths_work_as_in_terraform() {
    thread::scope(|scope| {
        for (index, (prefix, key, path)) in RAW.into_iter().enumerate() {
            beside(scope, move || {
                let mode = LockMode::LOCKING[index % LockMode::LOCKING.len()];
                let remote = Remote::start();
                let workspace = workspace_of(&remote, mode, prefix, key);
                for words in [["1 added"], ["0 added"]] {
                    let run = workspace.tflock(APPLY).run().succeeded();
                    let run = run.with_stdout(words[0]);
                    assert_eq!(run.stderr, "", "{key}");
                }
                let plan = ["plan", "-detailed-exitcode", "-lock-timeout=5s"];
                workspace.tflock(plan).run().succeeded();
                assert_eq!(remote.s3.keys(), [path], "{mode:?}");
                assert_eq!(remote.locks(), Vec::<String>::new());
            });
        }
    });
}

#[test]
fn a_terraform_that_locks_for_itself_waits_as_long_as_is_left() {
    let scene = Scene::with(|remote| remote.backend(LockMode::Both).key("./x"));
    let turn = "env:/stg/x-tflock-turn.tflock";
    let call = |options: &[&str]| {
        let run = scene.tflock([]).args(options).env("TF_WORKSPACE", "stg");
        let glimpse = scene.glimpse(run);
        assert_eq!(glimpse.locks, [turn]);
        assert_eq!(glimpse.finished, Finished::silent(0));
        glimpse.call.arguments
    };
    let timeout = |words: &str| ["apply".to_owned(), format!("-lock-timeout={words}")];
    assert_eq!(call(&["--wait", "0", "apply"]), timeout("0s"));
    assert_eq!(call(&["--wait", "forever", "apply"]), timeout("31536000s"));
    // Some seconds may have gone by on a machine that is busy.
    for options in [
        &["--wait", "50s", "apply"][..],
        &["apply", "-lock-timeout", "50s"],
    ] {
        let arguments = call(options);
        let left = (30..=50).map(|left| timeout(&format!("{left}s")));
        assert!(
            left.into_iter().any(|one| arguments == one),
            "{arguments:?}"
        );
    }
}

#[test]
fn runs_that_want_such_a_workspace_at_once_come_one_after_the_other() {
    for mode in LockMode::LOCKING {
        let remote = Remote::start();
        let workspace = workspace_of(&remote, mode, "env:", "./x");
        let colleague = workspace.colleague();
        colleague.init();
        let colleague = colleague.env("TF_WORKSPACE", "stg");
        let runs = [&workspace, &colleague, &workspace];
        let runs = runs.map(|workspace| workspace.tflock(APPLY).start());
        let added = runs.map(|run| {
            let run = run.wait().succeeded();
            run.stdout.matches("1 added").count()
        });
        assert_eq!(added.iter().sum::<usize>(), 1, "{mode:?}: {added:?}");
        assert_eq!(remote.locks(), Vec::<String>::new());
    }
}

#[test]
fn whoever_comes_while_a_new_workspace_is_filled_waits_for_its_lock() {
    for mode in LockMode::LOCKING {
        comes_while_a_new_workspace_is_filled(mode);
    }
}

fn comes_while_a_new_workspace_is_filled(mode: LockMode) {
    let remote = Remote::start();
    let first = ghost(&remote, mode);
    let second = colleague_of(&first);
    let third = colleague_of(&first);
    let running = first.tflock(APPLY).start();
    first.wait_until_started();
    let refused = second.tflock(["--wait", "0", "plan"]).run();
    refused
        .ended_with(75)
        .with_stderr("Operation: OperationTypeApply");
    let mut ours = second.tflock(APPLY).start();
    ours.wait_for_output("is locked, waiting for it");
    let [apply, approve, color] = APPLY;
    let waiting = [apply, approve, color, "-lock-timeout=60s"];
    let plain = third.terraform(waiting).start();
    first.let_go();
    running.wait().succeeded().with_stdout("1 added");
    ours.wait().succeeded().with_stdout("0 added");
    let plain = third.outwait(plain, waiting);
    plain.succeeded().with_stdout("0 added");
    assert_eq!(remote.locks(), Vec::<String>::new());
}

#[test]
fn a_state_that_is_there_costs_no_turn_and_one_more_look() {
    let remote = Remote::start();
    let s3 = Proxy::before(remote.s3.url());
    let backend = remote.backend(LockMode::Lockfile).s3_url(s3.url());
    let workspace = Workspace::with(&Configuration::with_backend(&backend));
    workspace.init();
    remote.s3.put(&format!("env:/stg/{STATE_KEY}"), "{}");
    s3.clear_log();
    let run = |name: &str| {
        s3.clear_log();
        let run = workspace.tflock(["--terraform", "/bin/true", "apply"]);
        run.env("TF_WORKSPACE", name).run().succeeded();
        let mut actions = s3.actions();
        actions.sort_unstable();
        actions
    };
    let object = |name: &str| format!("/states/env%3A/stg/{STATE_KEY}{name}");
    assert_eq!(
        run("stg"),
        [
            format!("DELETE {}", object(".tflock")),
            format!("GET {}", object(".tflock")),
            format!("HEAD {}", object("")),
            format!("PUT {}", object(".tflock")),
        ]
    );
    assert!(
        !run("default")
            .iter()
            .any(|action| action.starts_with("HEAD"))
    );
}

#[test]
fn a_state_that_may_not_be_looked_at_is_not_taken_for_missing() {
    let remote = Remote::start();
    let s3 = Proxy::before(remote.s3.url());
    let backend = remote.backend(LockMode::DynamodbTable).s3_url(s3.url());
    let scene = Scene::with(|_| backend);
    remote.s3.put(&format!("env:/stg/{STATE_KEY}"), "{}");
    s3.on("HEAD *").every(Fault::AccessDenied);
    let run = scene.tflock(["apply"]).env("TF_WORKSPACE", "stg");
    let (locks, finished) = look_during(&scene.workspace, run, |_| remote.locks());
    assert_eq!(finished, Finished::silent(0));
    assert_eq!(locks, [format!("states/env:/stg/{STATE_KEY}")]);
    assert_eq!(scene.fake.only_call().arguments, ["apply", "-lock=false"]);
}

#[test]
fn a_signal_while_the_state_is_looked_for_ends_the_run_at_once() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let remote = Remote::start();
        let s3 = Proxy::before(remote.s3.url());
        let backend = remote.backend(LockMode::DynamodbTable).s3_url(s3.url());
        let workspace = Workspace::with(&Configuration::with_backend(&backend));
        workspace.init();
        let looking = s3.on("HEAD *").hold();
        let run = workspace.tflock(["--terraform", "/bin/false", "apply"]);
        let running = run.env("TF_WORKSPACE", "stg").start();
        looking.wait_until_reached();
        running.signal(signal);
        let finished = running.wait().died_of(signal);
        assert_eq!(finished.stderr, "");
        assert_eq!(remote.locks(), Vec::<String>::new());
        looking.open();
    }
}

#[test]
fn a_lock_that_is_held_is_told_at_once_although_the_look_for_the_state_takes_long() {
    let remote = Remote::start();
    let s3 = Proxy::before(remote.s3.url());
    let backend = remote.backend(LockMode::DynamodbTable).s3_url(s3.url());
    let workspace = Workspace::with(&Configuration::with_backend(&backend));
    workspace.init();
    let info = serde_json::json!({ "ID": "7", "Who": "ben@desk" });
    let lock = format!("states/env:/stg/{STATE_KEY}");
    remote.table.put_lock(&lock, &info);
    let looking = s3.on("HEAD *").hold();
    let run = workspace.tflock(["--wait", "0", "apply"]);
    let run = run.env("TF_WORKSPACE", "stg").run();
    run.ended_with(75).with_stderr("ben@desk");
    looking.open();
}

#[test]
fn where_a_turn_may_not_be_taken_terraforms_own_lock_is_enough() {
    let remote = Remote::start();
    let s3 = Proxy::before(remote.s3.url());
    let backend = remote.backend(LockMode::Lockfile).key("./x");
    let configuration = Configuration::with_backend(&backend.s3_url(s3.url()));
    let workspace = Workspace::with(&configuration.resource("one", "1"));
    workspace.init();
    s3.on("PUT *-tflock-turn.tflock").every(Fault::AccessDenied);
    let run = workspace.tflock(APPLY).env("TF_WORKSPACE", "stg").run();
    let run = run.succeeded().with_stdout("1 added");
    assert_eq!(run.stderr, "");
    assert_eq!(remote.locks(), Vec::<String>::new());
}

#[test]
fn a_turn_that_was_left_behind_is_named_by_its_own_name() {
    let scene = Scene::with(|remote| remote.backend(LockMode::DynamodbTable).key("./x"));
    let turn = "states/env:/stg/x-tflock-turn";
    let info =
        serde_json::json!({ "ID": "7", "Operation": "OperationTypeApply", "Who": "ben@desk" });
    scene.remote.table.put_lock(turn, &info);
    let run = scene.tflock(["--wait", "0", "apply"]);
    let hint = format!("`tflock --lock-id {turn} force-unlock 7`");
    let run = run.env("TF_WORKSPACE", "stg").run();
    run.ended_with(75)
        .with_stderr("ben@desk")
        .with_stderr(&hint);
    let line = ["--lock-id", turn, "force-unlock", "--yes", "7"];
    let removal = scene.tflock(line).env("TF_WORKSPACE", "stg");
    removal.run().succeeded();
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn under_exec_each_terraform_locks_for_itself() {
    let remote = Remote::start();
    let workspace = workspace_of(&remote, LockMode::Both, "env:", "./x");
    let script = "terraform apply -auto-approve && tflock plan -detailed-exitcode && terraform apply -auto-approve";
    let run = workspace.tflock(["exec", "--", "sh", "-c", script]);
    let tflock = std::path::Path::new(env!("CARGO_BIN_EXE_tflock"));
    let run = run.first_on_path(tflock.parent().expect("a directory"));
    run.run()
        .succeeded()
        .with_stdout("1 added")
        .with_stderr("terraform must lock this workspace itself");
    assert_eq!(remote.locks(), Vec::<String>::new());
}
