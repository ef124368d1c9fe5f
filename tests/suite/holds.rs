//! `tflock hold` and `release`: a lock that stays while nothing runs, and that its owner's runs use.

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::lock_table::{LOCK, LockTable};
use crate::support::process::{Finished, Invocation};
use crate::support::processes::witness_of;
use crate::support::scene::Scene;
use crate::support::waiting::wait_until;
use crate::support::words::without_changing_parts;
use crate::support::workspace::Workspace;

/// The lock ID that `hold` has printed.
#[track_caller]
fn id_of(held: &Finished) -> String {
    let id = held.stdout.trim_end();
    assert_eq!(held.stdout, format!("{id}\n"));
    assert_eq!(id.len(), 36, "{id}");
    id.to_owned()
}

/// The same lock from another machine: another directory and home.
fn elsewhere(scene: &LockTable) -> Workspace {
    Workspace::new()
        .env("AWS_ENDPOINT_URL_DYNAMODB", scene.dynamodb.url())
        .env("AWS_REGION", "us-east-1")
        .env("TFLOCK_TABLE", scene.table.name())
        .env("TFLOCK_LOCK_ID", LOCK)
}

fn operation(scene: &LockTable) -> Option<String> {
    let info = scene.table.lock_info(LOCK)?;
    info["Operation"].as_str().map(str::to_owned)
}

#[test]
fn a_hold_stays_keeps_others_out_and_is_released_by_its_owner() {
    let scene = LockTable::new();
    let held = scene
        .tflock(["--reason", "database migration", "hold"])
        .run()
        .succeeded();
    let id = id_of(&held);
    assert_eq!(scene.held_id(), Some(id.clone()));
    assert_eq!(operation(&scene).as_deref(), Some("hold"));
    let info = scene.table.lock_info(LOCK).expect("a lock");
    assert_eq!(info["Info"], "database migration");

    let status = scene.tflock(["status", "--exit-code"]).run().ended_with(75);
    let status = without_changing_parts(&status.stdout);
    assert!(
        status.contains("  held by  <who> (hold, since <time>)\n"),
        "{status}"
    );
    assert!(
        status.contains("on hold: nothing runs under it"),
        "{status}"
    );
    let list = scene.tflock(["list", "--json"]).run().succeeded();
    let list: Value = serde_json::from_str(&list.stdout).expect("JSON");
    assert_eq!(list["locks"][0]["holder"]["liveness"], "hold");

    let colleague = elsewhere(&scene);
    let refused = colleague
        .tflock(["--wait", "0", "apply"])
        .first_on_path(scene.fake.directory());
    let refused = refused.run().ended_with(75);
    assert!(refused.stderr.contains("Operation: hold"), "{refused:?}");
    assert_eq!(scene.held_id(), Some(id));

    scene.tflock(["release"]).run().succeeded();
    assert_eq!(scene.held_id(), None);
    scene.tflock(["release"]).run().succeeded();
}

#[test]
fn a_run_of_its_owner_works_under_it_and_gives_it_back() {
    let scene = LockTable::new();
    let id = id_of(&scene.tflock(["hold"]).run().succeeded());
    let run = scene.hold(["apply"]);
    assert_ne!(scene.held_id(), Some(id.clone()));
    let second = scene.tflock(["--wait", "0", "apply"]).run().ended_with(75);
    assert!(second.stderr.contains("the state is locked"), "{second:?}");
    let refused = scene.tflock(["release"]).run().ended_with(75);
    assert!(refused.stderr.contains("is using the hold"), "{refused:?}");
    scene.workspace.let_go();
    run.wait().succeeded();
    assert_eq!(
        (scene.held_id(), operation(&scene)),
        (Some(id), Some("hold".into()))
    );
}

#[test]
fn a_tflock_that_is_killed_under_a_hold_leaves_the_hold() {
    let scene = LockTable::new();
    let id = id_of(&scene.tflock(["hold"]).run().succeeded());
    let mut run = scene.hold(["apply"]);
    let terraform = scene.fake.calls().pop().expect("a call").pid;
    // Without it nobody would give anything back.
    let _witness = witness_of(Pid::from_raw(terraform));
    run.signal(Signal::SIGKILL);
    wait_until("the end of tflock", || !run.is_running());
    scene.workspace.let_go();
    wait_until("the hold", || scene.held_id().as_ref() == Some(&id));
    assert_eq!(operation(&scene).as_deref(), Some("hold"));
    run.wait().died_of(Signal::SIGKILL);
}

#[test]
fn another_machine_names_the_hold_and_one_that_is_gone_runs_nothing() {
    let scene = LockTable::new();
    let id = id_of(&scene.tflock(["hold"]).run().succeeded());
    let colleague = elsewhere(&scene);
    let run = |arguments: &[&str]| {
        let run = colleague.tflock([]).args(arguments).env("TFLOCK_HOLD", &id);
        run.first_on_path(scene.fake.directory())
    };
    colleague.let_go();
    run(&["apply"]).run().succeeded();
    assert_eq!(scene.held_id(), Some(id.clone()));
    run(&["release"]).run().succeeded();
    assert_eq!(scene.held_id(), None);
    let calls = scene.fake.calls().len();
    let refused = run(&["apply"]).run().ended_with(76);
    assert!(refused.stderr.contains("is gone"), "{refused:?}");
    assert_eq!(scene.fake.calls().len(), calls, "nothing was started");
    assert_eq!(scene.held_id(), None);
}

#[test]
fn another_s_hold_is_shown_and_asked_for() {
    let scene = LockTable::new();
    let id = id_of(&scene.tflock(["hold"]).run().succeeded());
    let colleague = elsewhere(&scene);
    let refused = colleague.tflock(["release"]).run().ended_with(77);
    assert!(
        refused.stderr.contains("cannot ask for confirmation"),
        "{refused:?}"
    );
    colleague
        .tflock(["release", "4db125df"])
        .run()
        .ended_with(77);
    assert_eq!(scene.held_id(), Some(id));
    colleague.tflock(["release", "--yes"]).run().succeeded();
    assert_eq!(scene.held_id(), None);
}

#[test]
fn a_second_hold_of_the_same_owner_is_refused_at_once() {
    let scene = LockTable::new();
    let id = id_of(&scene.tflock(["hold", "--for", "2h"]).run().succeeded());
    let refused = scene.tflock(["hold"]).run().ended_with(75);
    assert!(refused.stderr.contains(&id), "{refused:?}");
    scene.tflock(["hold", "--for", "0s"]).run().ended_with(64);
    let status = scene.tflock(["status"]).run().succeeded();
    assert!(status.stdout.contains("  until "), "{status:?}");
}

#[test]
fn both_places_of_a_lock_are_held_with_one_id() {
    let scene = Scene::new(LockMode::Both);
    let tflock = |arguments: &[&str]| {
        let run = scene.tflock([]).args(arguments);
        run.env("TFLOCK_S3_HEARTBEAT", "on")
    };
    let id = id_of(&tflock(&["hold"]).run().succeeded());
    assert_eq!(scene.remote.locks().len(), 2);
    let plain = scene
        .workspace
        .terraform(["plan", "-no-color"])
        .run()
        .ended_with(1);
    assert!(plain.stderr.contains("Operation: hold"), "{plain:?}");
    scene.workspace.let_go();
    tflock(&["apply"]).run().succeeded();
    assert_eq!(scene.remote.locks().len(), 2);
    let status = tflock(&["status"]).run().succeeded();
    assert_eq!(status.stdout.matches(&id).count(), 2, "{status:?}");
    tflock(&["release"]).run().succeeded();
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn a_hold_is_refused_on_a_server_that_is_not_known_to_compare() {
    let scene = Scene::new(LockMode::Lockfile);
    let refused = scene.tflock(["hold"]).run().ended_with(78);
    assert!(
        refused.stderr.contains("set TFLOCK_S3_HEARTBEAT=on"),
        "{refused:?}"
    );
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
    let on = |run: Invocation| run.env("TFLOCK_S3_HEARTBEAT", "on");
    let id = id_of(&on(scene.tflock(["hold"])).run().succeeded());
    let refused = scene.tflock(["apply"]).run().ended_with(78);
    assert!(
        refused.stderr.contains("set TFLOCK_S3_HEARTBEAT=on"),
        "{refused:?}"
    );
    let status = scene.tflock(["status"]).run().succeeded();
    assert!(status.stdout.contains(&id), "{status:?}");
    on(scene.tflock(["--reason", &"x".repeat(2000), "release"]))
        .run()
        .succeeded();
    let long = on(scene.tflock(["--reason", &"x".repeat(2000), "hold"])).run();
    let long = long.ended_with(78);
    assert!(long.stderr.contains("shorter `--reason`"), "{long:?}");
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn a_local_hold_works_without_anything_installed() {
    let workspace = Workspace::new();
    workspace.write("main.tf", "");
    let id = id_of(&workspace.tflock(["hold"]).run().succeeded());
    workspace.tflock(["exec", "--", "true"]).run().succeeded();
    let status = workspace.tflock(["status"]).run().succeeded();
    assert!(status.stdout.contains(&id), "{status:?}");
    workspace.tflock(["release"]).run().succeeded();
    workspace
        .tflock(["status", "--exit-code"])
        .run()
        .succeeded();
}

#[test]
fn a_plan_that_is_looked_at_is_applied_under_its_hold_and_plain_terraform_is_kept_out() {
    let remote = Remote::start();
    let configuration = Configuration::with_backend(&remote.backend(LockMode::DynamodbTable));
    let ours = Workspace::with(&configuration.resource("x", "1"));
    ours.init();
    let held = ours.tflock(["--reason", "a migration", "hold", "--for", "2h"]);
    let id = id_of(&held.run().succeeded());
    ours.tflock(["plan", "-out=x.tfplan"]).run().succeeded();

    let colleague = ours.colleague();
    colleague.init();
    let refused = colleague.terraform(["apply", "-auto-approve", "-no-color"]);
    let refused = refused.run().ended_with(1);
    for word in [&id, "Operation: hold", "Info:      a migration"] {
        assert!(refused.stderr.contains(word), "{word}: {refused:?}");
    }

    ours.tflock(["apply", "x.tfplan"]).run().succeeded();
    ours.tflock(["release"]).run().succeeded();
    colleague
        .terraform(["plan", "-detailed-exitcode"])
        .run()
        .succeeded();
}

#[test]
fn two_jobs_on_two_machines_plan_and_apply_under_one_hold() {
    let remote = Remote::start();
    let configuration = Configuration::with_backend(&remote.backend(LockMode::Lockfile));
    let job = |job: Workspace| job.env("TFLOCK_S3_HEARTBEAT", "on");
    let plans = job(Workspace::with(&configuration.resource("x", "1")));
    let applies = job(plans.colleague());
    plans.init();
    let id = id_of(&plans.tflock(["hold", "--for", "6h"]).run().succeeded());
    let under = |job: &Workspace, arguments: &[&str]| {
        let run = job.tflock([]).args(arguments);
        run.env("TFLOCK_HOLD", &id).run()
    };
    under(&plans, &["plan", "-out=x.tfplan"]).succeeded();
    applies.init();
    std::fs::copy(plans.file("x.tfplan"), applies.file("x.tfplan")).expect("the plan");
    applies
        .tflock(["--wait", "0", "apply", "x.tfplan"])
        .run()
        .ended_with(75);
    under(&applies, &["apply", "x.tfplan"]).succeeded();
    under(&applies, &["release"]).succeeded();
    assert_eq!(remote.locks(), Vec::<String>::new());
    under(&applies, &["plan"]).ended_with(76);
}

#[test]
fn a_hold_of_a_local_state_says_that_plain_terraform_is_not_kept_out() {
    let workspace = Workspace::with(&Configuration::without_backend());
    workspace.init();
    let held = workspace.tflock(["hold"]).run().succeeded();
    assert!(held.stderr.contains("does not keep out plain"), "{held:?}");
    workspace.terraform(["plan"]).run().succeeded();
    workspace.tflock(["plan"]).run().succeeded();
    workspace.tflock(["release"]).run().succeeded();
}

#[test]
fn a_new_workspace_is_not_held_before_it_has_a_state() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let hold = |scene: &Scene| scene.tflock(["hold"]).env("TF_WORKSPACE", "new").run();
    let refused = hold(&scene).ended_with(78);
    assert!(refused.stderr.contains("no state yet"), "{refused:?}");
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn a_shared_plan_goes_on_beside_its_owner_s_hold_and_waits_for_another_s() {
    let remote = Remote::start();
    let backend = remote.backend(LockMode::DynamodbTable);
    let configuration = Configuration::with_backend(&backend).resource("one", "1");
    let [ana, ben] = [&configuration; 2].map(|configuration| {
        let workspace = Workspace::with(configuration);
        workspace.init();
        workspace
    });
    ana.terraform(["apply", "-auto-approve"]).run().succeeded();
    let id = id_of(&ana.tflock(["hold"]).run().succeeded());
    ana.tflock(["--shared", "plan", "-input=false"])
        .run()
        .succeeded();
    let refused = ben.tflock(["--shared", "--wait", "0", "plan"]);
    let refused = refused.run().ended_with(75);
    assert!(refused.stderr.contains(&id), "{refused:?}");
    ana.tflock(["release"]).run().succeeded();
}
