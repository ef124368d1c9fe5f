//! `tflock release --mine`, after a CI system has ended a job in its own way.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::support::backend::LockMode;
use crate::support::configuration::{GO, STARTED};
use crate::support::fake_terraform::Script;
use crate::support::lock_table::{LOCK, LockTable, kill_with_terraform};
use crate::support::mid_run::stopping_script;
use crate::support::process::{Finished, Invocation, Running, Status};
use crate::support::proxy::{Fault, Proxy};
use crate::support::scene::Scene;
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

/// The variable by which a CI system recognises what its jobs have started.
const COOKIE: &str = "CI_COOKIE";

/// A table, and a terraform that ignores signals.
fn deaf() -> LockTable {
    let script = Script::new().ignore([Signal::SIGINT, Signal::SIGTERM]);
    let script = script.touch(STARTED).wait_for(GO);
    let mut scene = LockTable::new();
    scene.fake = script.install(scene.workspace.home().join("ci"));
    scene
}

/// A step of a job that runs this line in a shell.
fn step(scene: &LockTable, line: &str) -> Running {
    let tflock = env!("CARGO_BIN_EXE_tflock");
    let shell = scene.workspace.invocation("bash");
    let shell = shell.args(["-c", &line.replace("tflock", tflock)]);
    let shell = shell.env(COOKIE, scene.workspace.path());
    let step = shell.first_on_path(scene.fake.directory()).in_own_group();
    let step = step.start();
    scene.workspace.wait_until_started();
    step
}

/// The living processes that the job has started.
fn of_job(scene: &LockTable) -> Vec<Pid> {
    let cookie = format!("{COOKIE}={}", scene.workspace.path().display());
    let processes = fs::read_dir("/proc").expect("/proc");
    let processes = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_of_job = |process: &i32| {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == cookie.as_bytes())
    };
    processes.filter(is_of_job).map(Pid::from_raw).collect()
}

fn signal_job(scene: &LockTable, signal: Signal) {
    for process in of_job(scene) {
        // It can end in between.
        let _ = kill(process, signal);
    }
}

fn kill_job(scene: &LockTable) {
    wait_until("the end of the job", || {
        signal_job(scene, Signal::SIGKILL);
        of_job(scene).is_empty()
    });
}

/// The step that always runs. It has no backend, and a different directory.
fn always(scene: &LockTable) -> Invocation {
    let step = scene.workspace.tflock(["release", "--mine"]);
    let step = step
        .without_env("TFLOCK_TABLE")
        .without_env("TFLOCK_LOCK_ID");
    step.in_directory(scene.workspace.home())
}

/// What has not ended within a second is killed, and that step releases its lock.
#[track_caller]
fn killed_and_released(scene: &LockTable, run: Running) {
    std::thread::sleep(Duration::from_secs(1));
    kill_job(scene);
    drop(run);
    let released = always(scene).run().succeeded();
    assert_eq!(scene.held_id(), None, "{released:?}");
}

#[track_caller]
fn nothing_to_do(finished: &Finished) {
    assert_eq!(finished.stdout, "");
    assert_eq!(
        finished.stderr,
        "tflock: none of your runs has left a lock\n"
    );
}

#[test]
fn github_cancels_a_step_whose_shell_has_become_tflock() {
    let scene = deaf();
    let mut run = step(&scene, "exec tflock apply");
    let shell = run.pid();
    kill(shell, Signal::SIGINT).expect("the step");
    std::thread::sleep(Duration::from_millis(7500));
    kill(shell, Signal::SIGTERM).expect("the step");
    std::thread::sleep(Duration::from_millis(2500));
    run.signal(Signal::SIGKILL);
    wait_until("its end", || !run.is_running());

    // terraform is still at work, and its witness waits for it.
    let busy = always(&scene).env("TFLOCK_WAIT", "1s").run().succeeded();
    assert!(busy.stderr.contains("alone: it is running"), "{busy:?}");
    assert!(scene.held_id().is_some());
    let waiting = always(&scene).start();
    scene.workspace.let_go();
    waiting.wait().succeeded();
    assert_eq!(scene.held_id(), None);
    nothing_to_do(&always(&scene).run().succeeded());
    run.wait().died_of(Signal::SIGKILL);
}

#[test]
fn github_cancels_a_step_whose_shell_hides_tflock() {
    let scene = deaf();
    let mut run = step(&scene, "tflock apply; true");
    let shell = run.pid();
    kill(shell, Signal::SIGINT).expect("the step");
    std::thread::sleep(Duration::from_secs(1));
    kill(shell, Signal::SIGTERM).expect("the step");
    wait_until("its end", || !run.is_running());

    // Nobody has told tflock.
    let busy = always(&scene).run().succeeded();
    assert!(busy.stderr.contains("alone: it is running"), "{busy:?}");
    assert!(scene.held_id().is_some());
    kill_job(&scene);
    let released = always(&scene).run().succeeded();
    assert!(
        released.stderr.contains("released the lock of"),
        "{released:?}"
    );
    assert_eq!(scene.held_id(), None);
    nothing_to_do(&always(&scene).run().succeeded());
    run.wait().died_of(Signal::SIGTERM);
}

#[test]
fn gitlab_ends_the_group_of_a_script_and_then_the_container() {
    let scene = deaf();
    let run = step(&scene, "tflock apply; true");
    let group = Pid::from_raw(-run.pid().as_raw());
    kill(group, Signal::SIGTERM).expect("the script");
    killed_and_released(&scene, run);
}

#[test]
fn jenkins_ends_everything_that_bears_its_cookie() {
    let scene = deaf();
    let run = step(&scene, "tflock apply; true");
    signal_job(&scene, Signal::SIGTERM);
    killed_and_released(&scene, run);
}

#[test]
fn a_run_that_was_killed_while_it_waited_has_left_nothing_and_the_holder_is_left_alone() {
    let scene = deaf();
    let id = scene.put_terraforms();
    let waiting = scene.tflock(["apply"]).env(COOKIE, scene.workspace.path());
    let waiting = waiting.start();
    wait_until("the wait", || waiting.stderr().contains("waiting for it"));
    kill_job(&scene);
    waiting.wait().died_of(Signal::SIGKILL);
    nothing_to_do(&always(&scene).run().succeeded());
    assert_eq!(scene.held_id().as_deref(), Some(id));
}

#[test]
fn each_place_of_a_dead_run_s_lock_is_found_without_its_backend() {
    for mode in LockMode::LOCKING {
        let scene = Scene::new(mode);
        let run = scene.tflock(["apply"]).start();
        scene.workspace.wait_until_started();
        kill_with_terraform(run, &scene.fake);
        assert!(!scene.remote.locks().is_empty());
        for gone in [".terraform", "main.tf"] {
            let gone = scene.workspace.file(gone);
            let _ = fs::remove_dir_all(&gone).or_else(|_| fs::remove_file(&gone));
        }
        let elsewhere = scene.workspace.tflock(["release", "--mine"]);
        let released = elsewhere.in_directory(scene.workspace.home()).run();
        released.succeeded();
        assert_eq!(scene.remote.locks(), Vec::<String>::new(), "{mode:?}");
    }
}

#[test]
fn a_lock_of_this_machine_is_released_as_well() {
    let workspace = Workspace::new();
    let fake = stopping_script().install(workspace.home().join("fake"));
    workspace.write("main.tf", "");
    let run = workspace.tflock(["apply"]).first_on_path(fake.directory());
    let run = run.start();
    workspace.wait_until_started();
    kill_with_terraform(run, &fake);
    let status = ["status", "--exit-code"];
    workspace.tflock(["release", "--mine"]).run().succeeded();
    workspace.tflock(status).run().succeeded();
}

#[test]
fn a_run_that_is_killed_before_its_child_starts_or_while_it_gives_back_has_left_its_lock() {
    let silence = Duration::from_mins(2);
    for (request, fault) in [
        ("PutItem", Fault::HangReply(silence)),
        ("DeleteItem", Fault::Hang(silence)),
    ] {
        let scene = LockTable::new();
        scene.workspace.let_go();
        let proxy = Proxy::before(scene.dynamodb.url());
        proxy.on(request).every(fault);
        let here = |run: Invocation| run.env("AWS_ENDPOINT_URL_DYNAMODB", proxy.url());
        let run = here(scene.tflock(["apply"])).env(COOKIE, scene.workspace.path());
        let run = run.start();
        proxy.wait_for(request, 1);
        wait_until("the lock", || scene.held_id().is_some());
        kill_job(&scene);
        run.wait().died_of(Signal::SIGKILL);
        proxy.heal();
        let released = here(always(&scene)).run().succeeded();
        assert_eq!(scene.held_id(), None, "{request}: {released:?}");
        nothing_to_do(&here(always(&scene)).run().succeeded());
    }
}

#[test]
fn what_a_dead_run_has_left_is_released_without_a_question() {
    let scene = LockTable::new();
    kill_with_terraform(scene.hold(["apply"]), &scene.fake);
    wait_until("its proven end", || {
        scene.tflock(["status", "--exit-code"]).run().status == Status::Code(76)
    });
    let released = scene.tflock(["release"]).run().succeeded();
    assert!(
        released.stderr.contains("a dead run had left"),
        "{released:?}"
    );
    assert_eq!(scene.held_id(), None);
}

#[test]
fn a_dead_run_under_a_hold_leaves_the_hold() {
    let scene = LockTable::new();
    let held = scene.tflock(["hold"]).run().succeeded();
    kill_with_terraform(scene.hold(["apply"]), &scene.fake);
    assert_ne!(scene.held_id().as_deref(), Some(held.stdout.trim_end()));
    always(&scene).run().succeeded();
    assert_eq!(scene.held_id().as_deref(), Some(held.stdout.trim_end()));
    scene.tflock(["release"]).run().succeeded();
    assert_eq!(scene.held_id(), None);
}

#[test]
fn a_store_that_cannot_be_reached_is_an_error_and_the_trace_stays() {
    let scene = LockTable::new();
    kill_with_terraform(scene.hold(["apply"]), &scene.fake);
    let lost = always(&scene).env("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1");
    let lost = lost.run().ended_with(78);
    assert!(lost.stderr.contains("now select another lock"), "{lost:?}");
    always(&scene).run().succeeded();
    assert_eq!(scene.held_id(), None);
}

/// The lock of another job on another machine that fell silent an hour ago.
fn put_of_run(scene: &LockTable, run: &str) {
    let an_hour_ago = (chrono::Utc::now() - chrono::TimeDelta::hours(1)).to_rfc3339();
    scene.put_silent(chrono::TimeDelta::hours(1));
    let info = scene.table.lock_info(LOCK).expect("a lock");
    scene.table.put(&json!({
        "LockID": { "S": LOCK },
        "Info": { "S": info.to_string() },
        "TflockVersion": { "S": "0.1.0" },
        "Command": { "S": "apply" },
        "Heartbeat": { "N": "3" },
        "HeartbeatAt": { "S": an_hour_ago },
        "RenewedEverySeconds": { "N": "1" },
        "Origin": { "M": {
            "CI": { "S": "GitHub Actions" },
            "RunId": { "S": run },
            "Repository": { "S": "team/infra" },
        } },
    }));
}

#[test]
fn a_stale_lock_of_this_ci_run_on_another_machine_is_released_and_no_other() {
    for (run, is_released) in [("41", false), ("42", true)] {
        let scene = LockTable::new();
        put_of_run(&scene, run);
        let always = scene.workspace.tflock(["release", "--mine"]);
        let always = always.env("GITHUB_ACTIONS", "true");
        let always = always.env("GITHUB_RUN_ID", "42");
        let always = always.env("GITHUB_REPOSITORY", "team/infra");
        always.run().succeeded();
        assert_eq!(scene.held_id().is_none(), is_released, "{run}");
    }
}
