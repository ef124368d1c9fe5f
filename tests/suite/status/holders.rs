//! What is said of each kind of holder, and with which exit code.

use chrono::{SecondsFormat, TimeDelta, Utc};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::lock_table::{LOCK, LockTable, kill_with_terraform};
use crate::support::mid_run::look_during;
use crate::support::process::{Finished, Status};
use crate::support::proxy::Proxy;
use crate::support::scene::Scene;
use crate::support::waiting::wait_until;
use crate::support::words::{text_of, without_changing_parts};
use crate::support::workspace::Workspace;

/// Exactly this on stdout, and nothing on stderr.
#[track_caller]
fn says(finished: Finished, code: i32, lines: &[&str]) {
    let expected = Finished {
        stdout: text_of(lines),
        stderr: String::new(),
        status: Status::Code(code),
    };
    let stdout = without_changing_parts(&finished.stdout);
    assert_eq!(Finished { stdout, ..finished }, expected);
}

fn place(scene: &LockTable) -> String {
    format!("DynamoDB table `{}` in us-east-1", scene.table.name())
}

#[test]
fn a_lock_that_nobody_holds_is_free() {
    let scene = LockTable::new();
    let lines = ["free  locks/app", &format!("  in  {}", place(&scene))];
    says(scene.tflock(["status"]).run(), 0, &lines);
    says(scene.tflock(["status", "--exit-code"]).run(), 0, &lines);
}

#[test]
fn a_run_of_tflock_is_shown_whole_and_alive() {
    let scene = LockTable::new();
    let run = scene.hold(["--reason", "rotating the database password", "apply"]);
    let lines = [
        "held  locks/app",
        &format!("  in       {}", place(&scene)),
        "  held by  <who> (apply, since <time>)",
        "  holder   alive, last heartbeat <age> ago",
        "  reason   rotating the database password",
        "  lock ID  <ID>",
    ];
    says(scene.tflock(["status"]).run(), 0, &lines);
    says(scene.tflock(["status", "--exit-code"]).run(), 75, &lines);
    let info = scene.table.lock_info(LOCK).expect("a lock");
    let shown = scene.tflock(["status"]).run();
    for part in ["Who", "ID"] {
        shown.clone().with_stdout(info[part].as_str().expect(part));
    }
    scene.workspace.let_go();
    run.wait().succeeded();
    scene.tflock(["status", "--exit-code"]).run().succeeded();
}

#[test]
fn a_lock_of_plain_terraform_is_held_by_nobody_knows_how_alive() {
    let remote = Remote::start();
    let configuration = Configuration::with_backend(&remote.backend(LockMode::DynamodbTable));
    let workspace = Workspace::with(&configuration.waiting_resource("slow"));
    workspace.init();
    let lines = [
        "held  states/prod/app.tfstate",
        &format!(
            "  in       DynamoDB table `{}` in us-east-1",
            remote.table.name()
        ),
        "  held by  <who> (terraform apply, since <time>)",
        "  holder   unknown: this lock gives no heartbeat",
        "  lock ID  <ID>",
    ];
    let apply = workspace.terraform(["apply", "-auto-approve"]);
    let (shown, applied) = look_during(&workspace, apply, |_| {
        workspace.tflock(["status", "--exit-code"]).run()
    });
    says(shown, 75, &lines);
    applied.succeeded();
}

#[test]
fn a_lock_object_is_shown_alive_without_heartbeats_where_its_process_can_be_seen() {
    let scene = Scene::new(LockMode::Lockfile);
    let apply = scene.tflock(["apply"]);
    let (shown, applied) = look_during(&scene.workspace, apply, |_| {
        scene.tflock(["status", "--exit-code"]).run()
    });
    let lines = [
        "held  states/prod/app.tfstate.tflock",
        "  in       S3 object `states/prod/app.tfstate.tflock`",
        "  held by  <who> (apply, since <time>)",
        "  holder   alive on this machine",
        "  lock ID  <ID>",
    ];
    says(shown, 75, &lines);
    applied.succeeded();
}

#[test]
fn where_terraform_locks_in_two_places_both_are_shown() {
    let scene = Scene::new(LockMode::Both);
    let shown = scene.tflock(["status"]).run();
    let table = format!(
        "  in  DynamoDB table `{}` in us-east-1",
        scene.remote.table.name()
    );
    let lines = [
        "free  states/prod/app.tfstate.tflock",
        "  in  S3 object `states/prod/app.tfstate.tflock`",
        "free  states/prod/app.tfstate",
        &table,
    ];
    says(shown, 0, &lines);
}

#[test]
fn a_silence_that_no_clock_explains_makes_a_lock_stale() {
    let scene = LockTable::new();
    scene.put_silent(TimeDelta::minutes(30));
    let lines = [
        "stale  locks/app",
        &format!("  in       {}", place(&scene)),
        "  held by  <who> (apply, since <time>)",
        "  holder   stale, last heartbeat <age> ago",
        "  lock ID  <ID>",
    ];
    // At once, because each watches the holder for a while.
    let plain = scene.tflock(["status"]).start();
    says(scene.tflock(["status", "--exit-code"]).run(), 76, &lines);
    let plain = plain.wait().succeeded();
    plain.with_stdout("last heartbeat 30 min ago");
}

#[test]
fn a_silence_that_a_wrong_clock_may_explain_is_only_remarked() {
    let scene = LockTable::new();
    scene.put_silent(TimeDelta::minutes(5));
    scene
        .tflock(["status", "--exit-code"])
        .run()
        .ended_with(75)
        .with_stdout("  holder   silent, last heartbeat 5 min ago\n");
}

#[test]
fn a_holder_of_this_machine_that_is_silent_is_named_by_its_processes() {
    let scene = LockTable::new();
    let run = scene.hold(["apply"]);
    run.signal(Signal::SIGSTOP);
    let mut item = scene.table.item(LOCK).expect("the lock");
    let before = Utc::now() - TimeDelta::seconds(46);
    item["HeartbeatAt"]["S"] = before.to_rfc3339_opts(SecondsFormat::Secs, true).into();
    scene.table.put(&item);
    let shown = scene.tflock(["status", "--exit-code"]).run().ended_with(75);
    let process = format!("  process  {}\n", run.pid());
    shown
        .with_stdout("alive on this machine, but suspended or killed: last heartbeat 4")
        .with_stdout(&process);
    run.signal(Signal::SIGCONT);
    scene.workspace.let_go();
    run.wait().succeeded();
}

#[test]
fn a_holder_that_was_killed_on_this_machine_is_gone() {
    let scene = LockTable::new();
    let run = scene.hold(["apply"]);
    kill_with_terraform(run, &scene.fake);
    let mut last = scene.tflock(["status", "--exit-code"]).run();
    wait_until("the end of all that it started", || {
        last = scene.tflock(["status", "--exit-code"]).run();
        last.status == Status::Code(76)
    });
    let lines = [
        "stale  locks/app",
        &format!("  in       {}", place(&scene)),
        "  held by  <who> (apply, since <time>)",
        "  holder   gone: it ran on this machine and its process has ended",
        "  lock ID  <ID>",
    ];
    says(last, 76, &lines);
}

#[test]
fn an_info_that_is_no_lock_info_is_shown_and_cannot_steer_a_terminal() {
    let scene = LockTable::new();
    scene.table.put(&json!({
        "LockID": { "S": LOCK },
        "Info": { "S": "by hand\u{1b}[2J, ask ben" },
    }));
    let lines = [
        "held  locks/app",
        &format!("  in       {}", place(&scene)),
        "  held by  unknown: its `Info` is not a lock info",
        "  Info     by hand\u{fffd}[2J, ask ben",
    ];
    says(scene.tflock(["status", "--exit-code"]).run(), 75, &lines);
}

#[test]
fn an_item_without_an_info_is_a_lock_too() {
    let scene = LockTable::new();
    scene.table.put(&json!({ "LockID": { "S": LOCK } }));
    let lines = [
        "held  locks/app",
        &format!("  in       {}", place(&scene)),
        "  held by  unknown: its `Info` is not a lock info",
    ];
    says(scene.tflock(["status", "--exit-code"]).run(), 75, &lines);
}

#[test]
fn status_reads_the_lock_and_its_queue_once_and_changes_nothing() {
    let scene = LockTable::new();
    let proxy = Proxy::before(scene.dynamodb.url());
    scene.put_terraforms();
    let before = scene.table.items();
    scene
        .tflock(["status"])
        .env("AWS_ENDPOINT_URL_DYNAMODB", proxy.url())
        .run()
        .succeeded();
    assert_eq!(proxy.actions(), ["GetItem", "GetItem"]);
    assert_eq!(scene.table.items(), before);
}
