//! A lock that is taken away: noticed at the next renewal, or at the latest at the release, and never restored.

use std::thread;

use serde_json::Value;

use super::Scene;
use crate::support::backend::{LOCK_KEY, LockMode};
use crate::support::beside::beside;
use crate::support::lock_table::LOCK;
use crate::support::mid_run::look_during;
use crate::support::process::{Finished, Status};
use crate::support::scene;

/// Another removes the lock.
fn removed(scene: &Scene) -> Option<Value> {
    scene.table.table.delete(LOCK);
    None
}

/// Another removes the lock, and a third one takes it.
fn replaced(scene: &Scene) -> Option<Value> {
    scene.table.put_terraforms();
    scene.item()
}

/// Both at the same time, in separate scenes.
fn either_way(run: impl Fn(fn(&Scene) -> Option<Value>) + Sync) {
    let run = &run;
    thread::scope(|scope| {
        for take_away in [removed, replaced] {
            beside(scope, move || run(take_away));
        }
    });
}

/// What is printed first.
fn first_words(now: Option<&Value>) -> String {
    let what = if now.is_some() {
        "is no longer ours: ana@laptop has it now"
    } else {
        "is gone: someone removed it while it was ours"
    };
    format!("warning: the lock `{LOCK}` {what}\n")
}

/// What is printed at the end.
fn last_words(scene: &Scene, code: i32) -> String {
    format!(
        "error: the lock was lost while the command ran (it ended with exit code {code})\n\
         hint: someone else may have changed the state meanwhile: run \
         `tflock --table {} --lock-id {LOCK} plan` and check it\n",
        scene.table.table.name()
    )
}

const STOPPING: &str = "warning: stopping `terraform` gracefully; terraform still saves its state, but without the lock\n";

#[test]
fn a_lock_that_is_taken_away_while_terraform_runs_stops_it_once() {
    either_way(|take_away| {
        let scene = Scene::new();
        let run = scene.hold(["--expire-after", "6s", "apply"]);
        let now = take_away(&scene);
        // Nobody but tflock stops this terraform.
        let expected = Finished {
            stdout: String::new(),
            stderr: [
                first_words(now.as_ref()),
                STOPPING.to_owned(),
                last_words(&scene, 1),
            ]
            .concat(),
            status: Status::Code(76),
        };
        assert_eq!(run.wait(), expected);
        scene.was_stopped_once();
        assert_eq!(scene.item(), now, "not ours to touch");
        assert_eq!(scene.proxy.count("DeleteItem"), 0);
    });
}

#[test]
fn a_lock_that_is_taken_away_just_before_its_release_is_missed() {
    either_way(|take_away| {
        let scene = Scene::new();
        let run = scene.hold(["apply"]);
        let now = take_away(&scene);
        scene.table.workspace.let_go();
        let expected = Finished {
            stdout: String::new(),
            stderr: first_words(now.as_ref()) + &last_words(&scene, 0),
            status: Status::Code(76),
        };
        assert_eq!(run.wait(), expected);
        assert_eq!(scene.terraform.events(), ["begin", "end"]);
        assert_eq!(scene.item(), now, "not ours to touch");
    });
}

#[test]
fn a_heartbeat_that_somebody_else_writes_into_our_record_does_not_lose_it() {
    let scene = Scene::new();
    let run = scene.hold(["apply"]);
    let mut item = scene.item().expect("a lock");
    item["Heartbeat"]["N"] = Value::from("77");
    scene.table.table.put(&item);
    scene.table.workspace.let_go();
    assert_eq!(run.wait(), Finished::silent(0));
    assert_eq!(scene.item(), None);
}

#[test]
fn a_lock_object_that_is_taken_away_is_missed_at_its_release() {
    let scene = scene::Scene::new(LockMode::Lockfile);
    for robber in [None, Some(r#"{"ID":"7","Who":"eve@desk"}"#)] {
        let ((), run) = look_during(
            &scene.workspace,
            scene.tflock(["apply"]),
            |_| match robber {
                None => scene.remote.s3.remove(LOCK_KEY),
                Some(info) => scene.remote.s3.put(LOCK_KEY, info),
            },
        );
        let words = match robber {
            None => "is gone: someone removed it while it was ours\n",
            Some(_) => "is no longer ours: eve@desk has it now\n",
        };
        run.ended_with(76).with_stderr(words);
        let now = scene.remote.s3.object(LOCK_KEY).map(|object| object.text());
        assert_eq!(now.as_deref(), robber);
    }
}
