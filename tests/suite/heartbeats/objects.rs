//! A lock object in S3: checked all the time, and renewed if the server compares.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::backend::{LOCK_ID, LOCK_KEY, LockMode};
use crate::support::beside::beside;
use crate::support::configuration::{GO, STARTED};
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::mid_run::look_during;
use crate::support::process::{Finished, Invocation};
use crate::support::scene::Scene;
use crate::support::waiting::wait_until;
use crate::support::words::without_changing_parts;

/// An expiry so short that the lock is renewed every two seconds.
const PROMISE: &str = "6s";

fn renewing(run: Invocation) -> Invocation {
    run.env("TFLOCK_S3_HEARTBEAT", "on")
}

/// The metadata of the lock object.
fn lease(scene: &Scene) -> Value {
    let object = scene.remote.s3.object(LOCK_KEY).expect("a lock object");
    serde_json::from_str(&object.metadata["tflock-lease"]).expect("JSON")
}

/// A scripted terraform that ends with 1 after the first signal.
fn stopping_gracefully(scene: &Scene) -> FakeTerraform {
    let script = Script::new().catch([Signal::SIGINT, Signal::SIGTERM]);
    let script = script.touch(STARTED).wait_for_file_or_signal(GO);
    let script = script.step("[ -z \"$stopped\" ] || { note \"end $$\"; exit 1; }");
    script.install(scene.workspace.home().join("graceful"))
}

#[test]
fn a_lock_object_that_is_taken_away_stops_terraform_once_within_fifteen_seconds() {
    let robbers = [None, Some(r#"{"ID":"7","Who":"eve@desk"}"#)];
    let modes = [LockMode::Lockfile, LockMode::Both];
    thread::scope(|scope| {
        for (robber, mode) in robbers
            .into_iter()
            .zip(modes)
            .chain(robbers.into_iter().zip(modes.into_iter().rev()))
        {
            beside(scope, move || {
                let scene = Scene::new(mode);
                let terraform = stopping_gracefully(&scene);
                let run = scene
                    .workspace
                    .tflock(["apply"])
                    .first_on_path(terraform.directory());
                let run = run.start();
                scene.workspace.wait_until_started();
                match robber {
                    None => scene.remote.s3.remove(LOCK_KEY),
                    Some(info) => scene.remote.s3.put(LOCK_KEY, info),
                }
                let taken = Instant::now();
                let words = match robber {
                    None => {
                        "is gone: someone removed it while it was ours\nwarning: stopping `terraform` gracefully"
                    }
                    Some(_) => {
                        "is no longer ours: eve@desk has it now\nwarning: stopping `terraform` gracefully"
                    }
                };
                run.wait().ended_with(76).with_stderr(words);
                assert!(
                    taken.elapsed() < Duration::from_secs(15),
                    "{:?}",
                    taken.elapsed()
                );
                assert_eq!(terraform.events(), ["begin", "INT", "end"]);
                let now = scene.remote.s3.object(LOCK_KEY).map(|object| object.text());
                assert_eq!(now.as_deref(), robber, "not ours to touch");
                assert_eq!(scene.remote.table.item(LOCK_ID), None);
            });
        }
    });
}

#[test]
fn a_holder_renews_its_object_and_is_told_to_be_alive() {
    let scene = Scene::new(LockMode::Lockfile);
    let run = renewing(scene.tflock(["--expire-after", PROMISE, "apply"]));
    let (status, run) = look_during(&scene.workspace, run, |_| {
        let first = scene.remote.s3.object(LOCK_KEY).expect("a lock object");
        assert_eq!(lease(&scene)["Heartbeat"], 0);
        assert_eq!(lease(&scene)["RenewedEverySeconds"], 2);
        wait_until("three renewals", || {
            lease(&scene)["Heartbeat"].as_u64() >= Some(3)
        });
        assert!(lease(&scene)["Holder"]["Child"]["Pid"].is_u64());
        let last = scene.remote.s3.object(LOCK_KEY).expect("a lock object");
        assert_eq!(last.body, first.body);
        let status = scene.tflock(["status"]).run().succeeded();
        let json = scene.tflock(["status", "--json"]).run().succeeded();
        (
            status.stdout,
            serde_json::from_str::<Value>(&json.stdout).expect("JSON"),
        )
    });
    assert_eq!(run, Finished::silent(0));
    assert_eq!(scene.remote.s3.locks(), Vec::<String>::new());
    let (text, json) = status;
    let text = without_changing_parts(&text);
    assert!(
        text.contains("  holder   alive, last heartbeat <age> ago\n"),
        "{text}"
    );
    let holder = &json["locks"][0]["holder"];
    assert_eq!(holder["liveness"], "alive");
    assert_eq!(holder["tflock"]["RenewedEverySeconds"], 2);
    assert!(holder["silent_for_seconds"].is_u64(), "{holder}");
}

#[test]
fn a_holder_that_promised_and_was_stopped_is_replaced() {
    let scene = Scene::new(LockMode::Lockfile);
    let terraform = stopping_gracefully(&scene);
    let run = scene.workspace.tflock(["--expire-after", PROMISE, "plan"]);
    let holder = renewing(run.first_on_path(terraform.directory())).start();
    scene.workspace.wait_until_started();
    wait_until("a renewal", || {
        lease(&scene)["Heartbeat"].as_u64() >= Some(1)
    });
    holder.signal(Signal::SIGSTOP);
    let next = renewing(scene.workspace.tflock(["exec", "--", "true"]))
        .run()
        .succeeded();
    assert!(next.stderr.contains("took over an expired lock"), "{next}");
    assert_eq!(terraform.events(), ["begin", "INT", "end"]);
    holder.signal(Signal::SIGCONT);
    holder.wait().ended_with(76);
}

#[test]
fn a_plan_promises_five_minutes_on_an_object_alone_and_one_beside_an_item() {
    let scene = Scene::new(LockMode::Lockfile);
    let (lease, run) = look_during(&scene.workspace, renewing(scene.tflock(["plan"])), |_| {
        lease(&scene)
    });
    run.succeeded();
    assert_eq!(lease["ExpireAfterSeconds"], 300);
    assert_eq!(lease["RenewedEverySeconds"], 60);

    let scene = Scene::new(LockMode::Both);
    let (item, run) = look_during(&scene.workspace, renewing(scene.tflock(["plan"])), |_| {
        scene.remote.table.item(LOCK_ID).expect("an item")
    });
    run.succeeded();
    assert_eq!(item["ExpireAfterSeconds"]["N"], "60");
    assert!(item.get("RenewedEverySeconds").is_none(), "{item}");
}

#[test]
fn objects_of_other_servers_are_renewed_only_if_that_was_declared() {
    let scene = Scene::new(LockMode::Lockfile);
    for (value, is_renewed) in [
        (None, false),
        (Some("auto"), false),
        (Some("off"), false),
        (Some("on"), true),
    ] {
        let run = scene.tflock(["apply"]);
        let run = match value {
            Some(value) => run.env("TFLOCK_S3_HEARTBEAT", value),
            None => run,
        };
        let (lease, run) = look_during(&scene.workspace, run, |_| lease(&scene));
        run.succeeded();
        assert_eq!(
            lease["Heartbeat"].is_u64(),
            is_renewed,
            "{value:?}: {lease}"
        );
    }
    let refused = scene
        .tflock(["apply"])
        .env("TFLOCK_S3_HEARTBEAT", "yes")
        .run();
    refused
        .ended_with(64)
        .with_stderr("`TFLOCK_S3_HEARTBEAT` is `yes`, but must be `auto`, `on` or `off`");
    assert_eq!(scene.remote.s3.locks(), Vec::<String>::new());
}

#[test]
fn an_expiry_that_was_asked_for_and_cannot_be_kept_is_said_to_have_no_effect() {
    let scene = Scene::new(LockMode::Lockfile);
    let run = scene.tflock(["--expire-after", "5m", "apply"]);
    let (lease, run) = look_during(&scene.workspace, run, |_| lease(&scene));
    run.succeeded().with_stderr(
        "`--expire-after` has no effect: this lock is not renewed; see TFLOCK_S3_HEARTBEAT",
    );
    assert!(lease.get("ExpireAfterSeconds").is_none(), "{lease}");
}
