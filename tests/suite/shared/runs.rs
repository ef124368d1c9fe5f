//! How a plan without a lock runs: terraform's flags, workspaces, signals, an unreachable store, an `exec` around it.

use std::fs;
use std::thread;

use nix::sys::signal::Signal;

use crate::support::backend::{LOCK_ID, LockMode, Remote, STATE_KEY};
use crate::support::beside::beside;
use crate::support::configuration::Configuration;
use crate::support::fake_terraform::Script;
use crate::support::proxy::{Fault, Proxy};
use crate::support::scene::Scene;
use crate::support::workspace::Workspace;

const STATE: &str = "HEAD /states/prod/app.tfstate";

fn workspace(remote: &Remote, mode: LockMode) -> Workspace {
    let configuration = Configuration::with_backend(&remote.backend(mode)).resource("one", "1");
    let workspace = Workspace::with(&configuration);
    workspace.init();
    workspace
}

#[test]
fn terraform_is_told_not_to_lock_and_nothing_is_locked_meanwhile() {
    let modes = [
        LockMode::DynamodbTable,
        LockMode::Lockfile,
        LockMode::Both,
        LockMode::None,
    ];
    for mode in modes {
        let scene = Scene::new(mode);
        let glimpse = scene.glimpse(scene.tflock(["--shared", "plan", "-lock-timeout=3s"]));
        assert_eq!(glimpse.locks, Vec::<String>::new(), "{mode:?}");
        assert_eq!(glimpse.local_locks, Vec::<String>::new());
        let arguments = ["plan", "-lock=false", "-lock-timeout=3s"];
        assert_eq!(glimpse.call.arguments, arguments);
        assert_eq!(glimpse.finished.succeeded().stderr, "");
    }
}

#[test]
fn the_variable_is_for_plans_alone() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let shared = |arguments: [&str; 1]| scene.tflock(arguments).env("TFLOCK_SHARED", "1");
    let plan = scene.glimpse(shared(["plan"]));
    assert_eq!(plan.locks, Vec::<String>::new());
    let apply = scene.glimpse(shared(["apply"]));
    assert_eq!(apply.locks, [LOCK_ID]);
}

#[test]
fn a_lock_costs_two_looks_and_the_state_two() {
    let remote = Remote::start();
    let [items, objects] = [remote.dynamodb.url(), remote.s3.url()].map(Proxy::before);
    let lock = "GET /states/prod/app.tfstate.tflock";
    let expected: [(LockMode, &[&str], &[&str]); 3] = [
        (LockMode::DynamodbTable, &["GetItem"; 4], &[]),
        (LockMode::Lockfile, &[], &[lock, STATE, lock, STATE]),
        (LockMode::Both, &["GetItem"; 4], &[lock, lock]),
    ];
    for (mode, of_items, of_objects) in expected {
        let backend = remote.backend(mode).s3_url(objects.url());
        let workspace = Workspace::with(&Configuration::with_backend(
            &backend.dynamodb_url(items.url()),
        ));
        workspace.init();
        let fake = Script::new().install(workspace.home().join("fake"));
        let plan = workspace.tflock(["--shared", "plan"]);
        let plan = plan.first_on_path(fake.directory());
        items.clear_log();
        objects.clear_log();
        plan.run().succeeded();
        assert_eq!(items.actions(), of_items, "{mode:?}");
        assert_eq!(objects.actions(), of_objects, "{mode:?}");
    }
}

#[test]
fn terraforms_flags_mean_what_they_mean() {
    let remote = Remote::start();
    let workspace = workspace(&remote, LockMode::DynamodbTable);
    let plan = |arguments: &[&str]| {
        let run = workspace.tflock(["--shared", "plan", "-input=false"]);
        run.args(arguments).run()
    };
    plan(&["-detailed-exitcode", "-out=new.plan"]).ended_with(2);
    workspace
        .tflock(["apply", "new.plan"])
        .run()
        .succeeded()
        .with_stdout("1 added");
    plan(&["-detailed-exitcode"]).succeeded();
    plan(&["-refresh-only"])
        .succeeded()
        .with_stdout("No changes");
    plan(&["-destroy"]).succeeded().with_stdout("1 to destroy");
    let json = plan(&["-json"]).succeeded();
    let lines = json.stdout.lines();
    let types = lines.map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).expect("JSON");
        message["type"].as_str().unwrap_or_default().to_owned()
    });
    assert!(!types.into_iter().any(|name| name.starts_with("state_lock")));
    assert_eq!(json.stderr, "");
    let failed = plan(&["-var", "nowhere=1"]).ended_with(1);
    assert!(!failed.stderr.contains("outdated"), "{failed}");
}

#[test]
fn a_saved_plan_that_is_outdated_is_refused_by_terraform() {
    let remote = Remote::start();
    let workspace = workspace(&remote, LockMode::Lockfile);
    let plan = ["--shared", "plan", "-out=saved.plan"];
    workspace.tflock(plan).run().succeeded();
    let apply = ["apply", "-auto-approve"];
    workspace.tflock(apply).run().succeeded();
    let refused = workspace.tflock(["apply", "saved.plan"]).run();
    refused.ended_with(1).with_stderr("Saved plan is stale");
}

#[test]
fn a_workspace_without_a_state_is_created_under_the_lock() {
    let modes = [
        LockMode::DynamodbTable,
        LockMode::Lockfile,
        LockMode::Both,
        LockMode::None,
    ];
    thread::scope(|scope| {
        for mode in modes {
            beside(scope, move || {
                let remote = Remote::start();
                let workspace = workspace(&remote, mode).env("TF_WORKSPACE", "ghost");
                let plan = ["--shared", "plan", "-input=false"];
                let planned = workspace.tflock(plan).run().succeeded();
                assert_eq!(
                    planned.stderr,
                    "tflock: the workspace has no state yet, and terraform creates it under its lock: this plan takes \
                     the lock too\n",
                    "{mode:?}"
                );
                let state = format!("env:/ghost/{STATE_KEY}");
                assert_eq!(remote.s3.keys(), [state], "{mode:?}");
                // From then on it is one like any other.
                let planned = workspace.tflock(plan).run().succeeded();
                assert_eq!(planned.stderr, "", "{mode:?}");
                assert_eq!(remote.locks(), Vec::<String>::new());
            });
        }
    });
}

#[test]
fn the_default_workspace_needs_no_state() {
    for mode in [LockMode::DynamodbTable, LockMode::Lockfile] {
        let remote = Remote::start();
        let workspace = workspace(&remote, mode);
        let planned = workspace.tflock(["--shared", "plan"]).run().succeeded();
        assert_eq!(planned.stderr, "");
        assert_eq!(remote.s3.keys(), Vec::<String>::new());
    }
}

#[test]
fn a_local_workspace_without_a_state_stays_without() {
    let workspace = Workspace::with(&Configuration::without_backend().resource("one", "1"));
    let plan = workspace.tflock(["--shared", "plan"]);
    let planned = plan.env("TF_WORKSPACE", "ghost").run().succeeded();
    assert_eq!(planned.stderr, "");
    assert!(
        !workspace
            .file("terraform.tfstate.d/ghost/terraform.tfstate")
            .exists()
    );
}

#[test]
fn a_workspace_that_terraform_locks_for_each_plan_is_locked() {
    let scene = Scene::with(|remote| remote.backend(LockMode::Lockfile).key("./x"));
    let plan = scene.tflock(["--shared", "plan"]);
    let glimpse = scene.glimpse(plan.env("TF_WORKSPACE", "stg"));
    assert_eq!(glimpse.locks, ["env:/stg/x-tflock-turn.tflock"]);
    glimpse
        .finished
        .succeeded()
        .with_stderr("takes the lock despite `--shared`");
}

#[test]
fn a_store_that_is_away_at_the_end_leaves_the_plan_in_doubt() {
    let remote = Remote::start();
    let items = Proxy::before(remote.dynamodb.url());
    let backend = remote.backend(LockMode::DynamodbTable);
    let scene = Scene::of(
        remote,
        Workspace::with(&Configuration::with_backend(
            &backend.dynamodb_url(items.url()),
        )),
    );
    scene.workspace.init();
    let run = scene.tflock(["--shared", "plan"]);
    let glimpse = scene.glimpse_while(run, || items.on("*").every(Fault::AccessDenied));
    let finished = glimpse.finished.ended_with(77);
    finished.with_stderr("error: the plan may be outdated: cannot read the lock: GetItem on ");
    items.heal();
    let run = scene.tflock(["--shared", "plan"]);
    let glimpse = scene.glimpse_while(run, || items.on("*").times(3, &Fault::Throttled));
    assert_eq!(glimpse.finished.succeeded().stderr, "");
}

#[test]
fn a_signal_ends_the_wait_and_the_comparison() {
    let remote = Remote::start();
    let items = Proxy::before(remote.dynamodb.url());
    let backend = remote.backend(LockMode::DynamodbTable);
    let workspace = Workspace::with(&Configuration::with_backend(
        &backend.dynamodb_url(items.url()),
    ));
    workspace.init();
    let fake = Script::new().install(workspace.home().join("fake"));
    let start = || {
        let plan = workspace.tflock(["--shared", "plan"]);
        plan.first_on_path(fake.directory()).start()
    };
    for nth in 1..=4 {
        let gate = items.on("GetItem").hold_nth(nth);
        let running = start();
        gate.wait_until_reached();
        running.signal(Signal::SIGTERM);
        running.wait().died_of(Signal::SIGTERM);
        gate.open();
        let calls = fs::read_dir(fake.directory().join("record")).map_or(0, Iterator::count);
        assert_eq!(calls > 0, nth > 2, "{nth}");
    }
}

#[test]
fn inside_of_an_exec_it_runs_under_the_lock_that_is_held_around_it() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let tflock = env!("CARGO_BIN_EXE_tflock");
    let run = scene.tflock(["exec", "--", tflock, "--shared", "--wait", "0", "plan"]);
    let glimpse = scene.glimpse(run);
    assert_eq!(glimpse.locks, [LOCK_ID]);
    assert_eq!(glimpse.call.arguments, ["plan", "-lock=false"]);
    assert_eq!(glimpse.finished.succeeded().stderr, "");
}

#[test]
fn what_a_dead_run_has_left_does_not_keep_it_waiting() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let info = r#"{"ID":"4db125df-d950-b194-cf41-df3ed13f0cf1","Operation":"OperationTypePlan","Info":"","Who":"ana@laptop","Version":"1.11.4","Created":"2026-01-02T03:04:05.6Z","Path":"x"}"#;
    let dead = serde_json::json!({
        "LockID": { "S": LOCK_ID }, "Info": { "S": info }, "TflockVersion": { "S": "0.1.0" }, "Command": { "S": "plan" },
        "Heartbeat": { "N": "3" }, "HeartbeatAt": { "S": "2026-01-02T03:04:05Z" }, "ExpireAfterSeconds": { "N": "3" },
    });
    scene.remote.table.put(&dead);
    let plan = scene.tflock(["--shared", "plan"]).start();
    scene.workspace.wait_until_started();
    scene.workspace.let_go();
    plan.wait()
        .succeeded()
        .with_stderr("the lock is free, going on");
    assert_eq!(scene.remote.table.item(LOCK_ID), Some(dead));
}

#[test]
fn a_hold_that_is_named_and_gone_starts_nothing() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let held = scene.tflock(["hold"]).run().succeeded();
    let id = held.stdout.trim();
    scene.tflock(["release"]).run().succeeded();
    let plan = scene.tflock(["--wait", "0", "--shared", "--hold", id, "plan"]);
    plan.run().ended_with(76).with_stderr("is gone");
    assert_eq!(scene.fake.calls().len(), 0);
}
