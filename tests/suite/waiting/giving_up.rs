//! A wait that ends without the lock: `--wait` runs out, or a signal ends it. terraform is not started.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::lock_table::{LOCK, LockTable};
use crate::support::mid_run::look_during;
use crate::support::process::{Finished, Invocation, Status};
use crate::support::proxy::Proxy;
use crate::support::words::without_changing_parts;

/// A lock that is held, with a reason, and a run that finds it.
#[track_caller]
fn meets_the_lock<T>(scene: &LockTable, meet: impl FnOnce() -> T) -> T {
    let holder = scene.tflock(["--reason", "rotating the database password", "apply"]);
    let (seen, finished) = look_during(&scene.workspace, holder, |_| {
        let seen = meet();
        assert_eq!(scene.fake.events(), ["begin"], "only the holder's");
        assert_eq!(scene.table.locks(), [LOCK]);
        seen
    });
    finished.succeeded();
    seen
}

/// The whole error of a run that gives up.
fn locked(scene: &LockTable, gave_up: &str, longer: &str) -> Finished {
    let options = format!("tflock --table {} --lock-id {LOCK}", scene.table.name());
    Finished {
        stdout: String::new(),
        stderr: format!(
            "error: the state is locked{gave_up}: Error acquiring the state lock\n\
             Lock Info:\n\
             \x20 ID:        <ID>\n\
             \x20 Path:      {LOCK}\n\
             \x20 Operation: OperationTypeApply\n\
             \x20 Who:       <who>\n\
             \x20 Version:   tflock 0.1.0\n\
             \x20 Created:   <time>\n\
             \x20 Info:      rotating the database password\n\
             Holder:      alive, last heartbeat <age> ago\n\
             hint: wait longer with `{options} {longer}`, or see `{options} status`\n"
        ),
        status: Status::Code(75),
    }
}

fn in_words(finished: Finished) -> Finished {
    let stderr = without_changing_parts(&finished.stderr);
    Finished { stderr, ..finished }
}

#[test]
fn a_wait_of_zero_is_one_attempt_that_says_who_what_since_when_and_why() {
    let scene = LockTable::new();
    let proxy = Proxy::before(scene.dynamodb.url());
    let behind = |run: Invocation| run.env("AWS_ENDPOINT_URL_DYNAMODB", proxy.url());
    let runs = [
        (scene.tflock(["--wait", "0", "plan"]), "--wait 1h plan"),
        (
            scene.tflock([
                "-v",
                "--wait=0s",
                "plan",
                "-target=module.db[\"a b\"]",
                "-refresh=false",
            ]),
            "-v --wait 1h plan '-target=module.db[\"a b\"]' -refresh=false",
        ),
        (
            scene.tflock(["--wait", "0", "exec", "--", "make", "-j2", "it all"]),
            "--wait 1h exec -- make -j2 'it all'",
        ),
        (
            scene.tflock(["plan"]).env("TFLOCK_WAIT", "0s"),
            "--wait 1h plan",
        ),
        (
            scene.tflock(["plan", "-lock-timeout=0s", "-out=p"]),
            "plan -lock-timeout=1h -out=p",
        ),
    ];
    meets_the_lock(&scene, || {
        for (run, longer) in runs {
            proxy.clear_log();
            let mut refused = in_words(behind(run).run());
            // What `-v` says comes before it.
            let error = refused.stderr.find("error: ").expect("an error");
            refused.stderr.drain(..error);
            assert_eq!(refused, locked(&scene, "", longer));
            // Refused, and a look at who else waits.
            assert_eq!(proxy.actions(), ["PutItem", "GetItem"]);
        }
    });
}

#[test]
fn a_wait_lasts_as_long_as_it_was_told_to() {
    let scene = LockTable::new();
    let (waited, refused) = meets_the_lock(&scene, || {
        let begun = Instant::now();
        let refused = scene.tflock(["-q", "--wait", "2s", "plan"]).run();
        (begun.elapsed(), refused)
    });
    let expected = locked(&scene, ", gave up after 2s", "-q --wait 1h plan");
    assert_eq!(in_words(refused), expected);
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
    // Generous, since the machine may be busy: it is not the default of 15 minutes.
    assert!(waited < Duration::from_secs(20), "{waited:?}");
}

#[test]
fn terraforms_lock_timeout_beats_the_wait_of_ours() {
    let scene = LockTable::new();
    meets_the_lock(&scene, || {
        let long_wait = || scene.tflock(["--wait", "1h", "plan"]);
        for run in [
            long_wait().arg("-lock-timeout=0s"),
            long_wait().env("TF_CLI_ARGS_plan", "-lock-timeout 0s"),
        ] {
            let expected = locked(&scene, "", "plan -lock-timeout=1h");
            assert_eq!(in_words(run.run()), expected);
        }
        let mut patient = scene
            .tflock(["--wait", "0", "plan", "-lock-timeout=1h"])
            .start();
        patient.wait_for_output("is locked, waiting for it");
        patient.signal(Signal::SIGTERM);
        patient.wait().died_of(Signal::SIGTERM);
    });
}

#[test]
fn a_lock_without_a_sign_of_life_is_answered_with_the_command_that_removes_it() {
    let scene = LockTable::new();
    let id = scene.put_terraforms();
    let options = format!("tflock --table {} --lock-id {LOCK}", scene.table.name());
    scene
        .tflock(["--wait", "0", "plan"])
        .run()
        .ended_with(75)
        .with_stderr(&format!(
            "hint: wait longer with `{options} --wait 1h plan`, or make sure that the holder is dead, then type \
             `{options} force-unlock {id}`\n"
        ));
    scene.put_silent(chrono::TimeDelta::hours(1));
    scene
        .tflock(["--wait", "0", "plan"])
        .run()
        .ended_with(75)
        .with_stderr(&format!(
            "hint: make sure that the holder is dead, then type `{options} force-unlock {id}`; or wait longer with \
             `{options} --wait 1h plan`\n"
        ));
}

#[test]
fn a_signal_ends_the_wait_and_leaves_no_trace() {
    let scene = LockTable::new();
    let holder_s = || scene.held_id();
    meets_the_lock(&scene, || {
        let before = holder_s();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            let mut waiting = scene.tflock(["apply"]).start();
            waiting.wait_for_output("is locked, waiting for it");
            waiting.signal(signal);
            waiting.wait().died_of(signal);
            assert_eq!(holder_s(), before);
        }
    });
    assert_eq!(scene.table.items(), Vec::<serde_json::Value>::new());
}
