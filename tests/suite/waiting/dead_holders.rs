//! Holders that were killed together with their witnesses: on this machine their death can be proven, and only then is their lock taken over.

use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::support::backend::LockMode;
use crate::support::configuration::{Configuration, GO, STARTED};
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::lock_table::{
    LOCK, LockTable, kill_if_ours, kill_with_terraform, kill_witness,
};
use crate::support::mid_run::stopping_script;
use crate::support::process::{Invocation, Running};
use crate::support::processes::wait_for_end;
use crate::support::scene::Scene;
use crate::support::waiting::wait_until;
use crate::support::words::without_changing_parts;
use crate::support::workspace::{Workspace, terraform_program};

const TAKEN_OVER: &str = "tflock: took over a dead lock\n\
                          \x20 held by  <who> (apply, since <time>)\n\
                          \x20 holder   gone: it ran on this machine and its process has ended\n\
                          \x20 lock ID  <ID>\n";

#[test]
fn the_lock_of_a_killed_holder_is_taken_over_with_a_word() {
    let scene = LockTable::new();
    let holder = scene.hold(["apply"]);
    let dead = scene.held_id();
    kill_with_terraform(holder, &scene.fake);
    scene.workspace.let_go();
    let next = scene.tflock(["apply"]).run().succeeded();
    // Whatever the killed terraform had started may live a moment longer, and is waited for then.
    let words = without_changing_parts(&next.stderr);
    assert!(words.contains(TAKEN_OVER), "{next}");
    assert!(next.stderr.contains(&dead.expect("a lock")), "{next}");
    assert_eq!(scene.table.locks(), Vec::<String>::new());
}

#[test]
fn a_quiet_run_takes_over_without_a_word() {
    let scene = LockTable::new();
    let holder = scene.hold(["apply"]);
    kill_with_terraform(holder, &scene.fake);
    scene.workspace.let_go();
    let next = scene.tflock(["-q", "apply"]).run().succeeded();
    assert_eq!(next.stderr, "");
}

#[test]
fn a_lock_file_of_a_killed_holder_is_taken_over_too_whether_it_is_renewed_or_not() {
    for heartbeat in ["on", "off"] {
        let scene = Scene::new(LockMode::Lockfile);
        let run = || {
            scene
                .tflock(["apply"])
                .env("TFLOCK_S3_HEARTBEAT", heartbeat)
        };
        let holder = run().start();
        scene.workspace.wait_until_started();
        kill_with_terraform(holder, &scene.fake);
        scene.workspace.let_go();
        let next = run().run().succeeded();
        let words = without_changing_parts(&next.stderr);
        assert!(words.contains(TAKEN_OVER), "{next}");
        assert_eq!(scene.remote.s3.locks(), Vec::<String>::new());
    }
}

#[test]
fn a_local_lock_of_a_killed_holder_is_taken_over_too() {
    let workspace = Workspace::new();
    let fake = stopping_script().install(workspace.home().join("fake"));
    let run = || workspace.tflock(["apply"]).first_on_path(fake.directory());
    let holder = run().start();
    workspace.wait_until_started();
    kill_with_terraform(holder, &fake);
    workspace.let_go();
    let next = run().run().succeeded();
    let words = without_changing_parts(&next.stderr);
    assert!(words.contains(TAKEN_OVER), "{next}");
}

#[test]
fn a_run_that_waits_already_takes_over_as_soon_as_its_holder_is_dead() {
    let scene = LockTable::new();
    let holder = scene.hold(["apply"]);
    let mut waiting = scene.tflock(["apply"]).start();
    waiting.wait_for_output("is locked, waiting for it");
    kill_with_terraform(holder, &scene.fake);
    scene.workspace.let_go();
    let next = waiting.wait().succeeded();
    let words = without_changing_parts(&next.stderr);
    assert!(words.ends_with(TAKEN_OVER), "{next}");
    assert!(!words.contains("the lock is free"), "{next}");
}

/// A holder that was killed with its witness, while its terraform goes on, deaf to all signals.
struct Orphan<'scene> {
    scene: &'scene LockTable,
    terraform: FakeTerraform,
    pid: i32,
}

impl<'scene> Orphan<'scene> {
    #[track_caller]
    fn of_a_killed_holder(scene: &'scene LockTable) -> Self {
        let terraform = Script::new()
            .ignore([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
            .touch(STARTED)
            .wait_for(GO)
            .install(scene.workspace.home().join("deaf"));
        let run: Invocation = scene.workspace.tflock(["apply"]);
        let run = run.first_on_path(terraform.directory());
        // With pipes somebody would go on reading them for as long as the orphan writes.
        let holder: Running = run.start_with(Stdio::null(), Stdio::null());
        scene.workspace.wait_until_started();
        let pid = terraform.only_call().pid;
        kill_witness(pid);
        holder.signal(Signal::SIGKILL);
        holder.wait().died_of(Signal::SIGKILL);
        Self {
            scene,
            terraform,
            pid,
        }
    }

    fn let_go(&self) {
        self.scene.workspace.let_go();
        wait_until("the end of the orphan", || {
            self.terraform.events().contains(&"end".to_owned())
        });
    }
}

impl Drop for Orphan<'_> {
    fn drop(&mut self) {
        kill_if_ours(self.pid, &self.terraform);
    }
}

#[test]
fn a_lock_is_not_taken_over_while_the_child_of_its_killed_holder_lives() {
    let scene = LockTable::new();
    let orphan = Orphan::of_a_killed_holder(&scene);
    let id = scene.held_id();
    scene
        .tflock(["--wait", "1s", "apply"])
        .run()
        .ended_with(75)
        .with_stderr("holder   alive, last heartbeat ");
    scene.tflock(["force-unlock", "--yes"]).run().ended_with(77);
    assert_eq!(scene.held_id(), id);
    assert_eq!(scene.fake.calls(), []);
    let mut waiting = scene.tflock(["apply"]).start();
    waiting.wait_for_output("is locked, waiting for it");
    orphan.let_go();
    let next = waiting.wait().succeeded();
    let words = without_changing_parts(&next.stderr);
    assert!(words.ends_with(TAKEN_OVER), "{next}");
    assert_eq!(scene.table.locks(), Vec::<String>::new());
}

/// The real terraform, whose wrapper is killed as well, with nothing in its environment that tells of its run, and with or
/// without the place in the run that it has inherited.
#[test]
fn a_terraform_with_a_cleared_environment_keeps_its_killed_run_from_being_taken_for_dead() {
    let closing = "for n in $(ls /proc/$$/fd); do [ $n -le 2 ] || eval \"exec $n>&-\"; done;";
    for first in ["", closing] {
        let scene = LockTable::new();
        let slow = Configuration::without_backend().waiting_resource("slow");
        scene.workspace.configure(&slow);
        let real = terraform_program().display().to_string();
        let runs = format!(
            "bash -c '{first} exec env -i PATH=\"$PATH\" \"$@\"' sh {real} \"$@\" & echo $! >pid; wait $!"
        );
        let cleared = Script::new()
            .step(&runs)
            .install(scene.workspace.home().join("cleared"));
        let apply = || {
            let run = scene.workspace.tflock(["apply", "-auto-approve"]);
            run.first_on_path(cleared.directory())
        };
        let holder = apply().start_with(Stdio::null(), Stdio::null());
        scene.workspace.wait_until_started();
        let wrapper = cleared.only_call().pid;
        kill_witness(wrapper);
        holder.signal(Signal::SIGKILL);
        holder.wait().died_of(Signal::SIGKILL);
        kill_if_ours(wrapper, &cleared);
        wait_for_end(Pid::from_raw(wrapper));
        let id = scene.held_id();
        let status = scene.tflock(["status", "--exit-code"]).run();
        status.ended_with(75);
        scene.tflock(["--wait", "1s", "plan"]).run().ended_with(75);
        assert_eq!(
            (scene.held_id(), scene.fake.calls()),
            (id, vec![]),
            "{first}"
        );
        scene.workspace.let_go();
        let terraform = scene.workspace.read("pid").trim().parse();
        wait_for_end(Pid::from_raw(terraform.expect("a PID")));
        let next = apply().run().succeeded().with_stdout("0 added");
        let words = without_changing_parts(&next.stderr);
        assert!(words.contains(TAKEN_OVER), "{next}");
    }
}

#[test]
fn a_silent_holder_elsewhere_is_waited_for_however_long_it_is_silent() {
    let scene = LockTable::new();
    scene.put_silent(chrono::TimeDelta::days(3));
    scene
        .tflock(["--wait", "1s", "apply"])
        .run()
        .ended_with(75)
        .with_stderr("holder   stale, last heartbeat 3 days ago");
    assert_eq!(scene.table.locks(), [LOCK]);
}
