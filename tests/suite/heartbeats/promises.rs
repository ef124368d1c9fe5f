//! `--expire-after`: an expired lock may be taken over, and its holder stops its child in time.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use nix::sys::signal::Signal;
use serde_json::json;

use super::Scene;
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::lock_table::{LOCK, LockTable};
use crate::support::mid_run::look_during;
use crate::support::process::{Finished, Running};
use crate::support::proxy::Fault;
use crate::support::waiting::{wait_for_file, wait_until};
use crate::support::words::without_changing_parts;

/// Another run for the same lock, whose terraform records its start and waits.
struct Next {
    run: Running,
    terraform: FakeTerraform,
}

impl Next {
    fn start(scene: &Scene) -> Self {
        let workspace = &scene.table.workspace;
        let terraform = Script::new()
            .touch("next-started")
            .wait_for("next-go")
            .install(workspace.home().join("next"));
        let run = workspace
            .tflock(["plan"])
            .first_on_path(terraform.directory());
        Self {
            run: run.start(),
            terraform,
        }
    }

    #[track_caller]
    fn wait_until_started(&self, scene: &Scene) {
        wait_for_file(scene.table.workspace.file("next-started"));
        assert_eq!(self.terraform.events(), ["begin"]);
    }

    #[track_caller]
    fn finish(self, scene: &Scene) -> Finished {
        scene.table.workspace.write("next-go", "");
        self.run.wait().succeeded()
    }
}

fn about_to_expire() -> String {
    format!(
        "warning: could not renew `{LOCK}`; it is about to expire\n\
         warning: stopping `terraform` gracefully; terraform still saves its state, but without the lock\n"
    )
}

/// What a holder says of its loss after it was stopped. A renewal that was under way then has run out when it goes on, and
/// that is said before.
fn told_of_the_loss(lost: &Finished) -> &str {
    let whole = lost.stderr.as_str();
    whole.strip_prefix(&about_to_expire()).unwrap_or(whole)
}

#[test]
fn a_stopped_holder_is_replaced_when_its_child_has_stopped_and_notices_when_it_wakes() {
    let scene = Scene::new();
    let holder = scene.hold_and_renew(["--expire-after", "5s", "plan"]);
    let first = scene.table.held_id().expect("a lock");
    holder.signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    let next = Next::start(&scene);
    scene.wait_until_stopped();
    assert!(!scene.table.workspace.file("next-started").exists());
    next.wait_until_started(&scene);
    assert!(
        stopped.elapsed() >= Duration::from_secs(7),
        "{:?}",
        stopped.elapsed()
    );
    let second = scene.item().expect("the next one's lock");

    holder.signal(Signal::SIGCONT);
    let lost = holder.wait().ended_with(76);
    scene.was_stopped_once();
    let words = format!("warning: the lock `{LOCK}` is no longer ours: ");
    assert!(told_of_the_loss(&lost).starts_with(&words), "{lost}");
    assert_eq!(scene.item().as_ref(), Some(&second), "not ours to touch");

    let next = next.finish(&scene);
    let taken = "tflock: took over an expired lock\n\
         \x20 held by  <who> (plan, since <time>)\n\
         \x20 holder   expired, last heartbeat <age> ago\n\
         \x20 lock ID  <ID>\n";
    assert!(
        without_changing_parts(&next.stderr).ends_with(taken),
        "{next}"
    );
    assert!(next.stderr.contains(&first), "{next}");
    assert_eq!(scene.item(), None);
}

#[test]
fn a_lock_that_was_taken_by_promise_and_given_back_is_not_said_to_be_stolen() {
    let scene = Scene::new();
    let holder = scene.hold_and_renew(["--expire-after", "5s", "plan"]);
    holder.signal(Signal::SIGSTOP);
    let next = Next::start(&scene);
    next.wait_until_started(&scene);
    next.finish(&scene);
    holder.signal(Signal::SIGCONT);
    let words = format!("warning: lost `{LOCK}`: not renewed in time, another run took it over\n");
    let lost = holder.wait().ended_with(76);
    assert!(told_of_the_loss(&lost).starts_with(&words), "{lost}");
    scene.was_stopped_once();
}

#[test]
fn a_holder_that_cannot_renew_stops_its_child_before_its_time_is_up() {
    let scene = Scene::new();
    let holder = scene.hold_and_renew(["--expire-after", "5s", "plan"]);
    scene.proxy.on("*").every(Fault::DropRequest);
    scene.wait_until_stopped();
    let puts = scene.puts();
    let known = puts.iter().rfind(|put| put.fault.is_none()).expect("a put");
    let silence = puts.last().expect("a put").at - known.at;
    assert!(silence < Duration::from_secs(5), "{silence:?}");
    assert!(silence > Duration::from_secs(3), "too early: {silence:?}");
    scene.proxy.heal();
    let lost = holder.wait().ended_with(76);
    assert!(lost.stderr.starts_with(&about_to_expire()), "{lost}");
    scene.was_stopped_once();
    assert_eq!(scene.item(), None, "given back, for all that");
}

/// The lock of a tflock on another machine, whose last heartbeat is that old by its own clock.
fn put_promise(scene: &Scene, promise: u32, silence: TimeDelta) {
    scene.table.put_silent(silence);
    let mut item = scene.item().expect("the lock");
    item["ExpireAfterSeconds"] = json!({ "N": promise.to_string() });
    scene.table.table.put(&item);
}

#[test]
fn a_promise_is_relied_on_after_a_silence_that_was_watched_whatever_the_holder_s_clock_says() {
    let scene = Scene::new();
    put_promise(&scene, 3, TimeDelta::days(3));
    scene.table.workspace.let_go();
    let began = Instant::now();
    let run = scene.tflock(["plan"]).run().succeeded();
    assert!(
        began.elapsed() >= Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    run.with_stderr("tflock: took over an expired lock\n");
    assert_eq!(scene.item(), None);
}

#[test]
fn a_promise_that_is_still_kept_is_waited_for() {
    let scene = Scene::new();
    let holder = scene.hold(["--expire-after", "5s", "apply"]);
    // For longer than the promise and its margin.
    let refused = scene.table.tflock(["--wait", "7500ms", "apply"]).run();
    let words = without_changing_parts(&refused.ended_with(75).stderr);
    let alive = "  holder   alive, last heartbeat <age> ago\n";
    assert!(words.contains(alive), "{words}");
    scene.table.workspace.let_go();
    assert_eq!(holder.wait(), Finished::silent(0));
}

#[test]
fn a_heartbeat_after_the_wake_up_in_time_keeps_the_lock() {
    let scene = Scene::new();
    let holder = scene.hold_and_renew(["--expire-after", "8s", "plan"]);
    holder.signal(Signal::SIGSTOP);
    let before = scene.puts().len();
    let mut waiting = scene.table.tflock(["--wait", "0", "plan"]).start();
    waiting.wait_for_output("the state is locked");
    holder.signal(Signal::SIGCONT);
    wait_until("a renewal at the wake-up", || scene.puts().len() > before);
    scene.table.workspace.let_go();
    assert_eq!(holder.wait(), Finished::silent(0));
    waiting.wait().ended_with(75);
}

#[test]
fn only_a_plan_promises_anything_unless_it_is_told_otherwise() {
    let table = LockTable::new();
    for (arguments, promise) in [
        (&["plan"][..], Some("60")),
        (&["apply"], None),
        (&["destroy"], None),
        (&["exec", "--", "terraform", "apply"], None),
        (&["--expire-after", "never", "plan"], None),
        (&["--expire-after", "never", "apply"], None),
        (&["--expire-after", "90s", "plan"], Some("90")),
        (&["--expire-after", "90s", "apply"], Some("90")),
        (
            &["--expire-after", "90s", "exec", "--", "terraform", "apply"],
            Some("90"),
        ),
    ] {
        let run = table.tflock([]).args(arguments);
        let (item, finished) = look_during(&table.workspace, run, |_| table.table.item(LOCK));
        finished.succeeded();
        let item = item.expect("a lock");
        let promised = item["ExpireAfterSeconds"]["N"].as_str();
        assert_eq!(promised, promise, "{arguments:?}");
    }
}
