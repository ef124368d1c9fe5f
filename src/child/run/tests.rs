//! What a run remembers between two events, with a real child and no terminal.

use std::fs;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use nix::sys::signal::kill;

use super::*;
use crate::child::ONE_AT_A_TIME;
use crate::system::process::Stat;

const TERMINATE: Signal = Signal {
    kind: Kind::Terminate,
    origin: Origin::Process(4711),
};

/// Notes each request to stop, and ends with its directory.
const NOTES_REQUESTS: &str =
    "trap 'echo asked >>requests' INT; : >started; while [ -e started ]; do sleep 0.02; done";

/// Runs a script in a new directory, and looks.
fn with_run(script: &str, look: impl FnOnce(&mut Run<'_>, &Path)) {
    let _alone: MutexGuard<'_, ()> = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut signals = Signals::install().unwrap();
        let mut command = Command::new("sh");
        command.arguments = vec!["-c".into(), script.into()];
        command.directory = Some(directory.path().to_owned());
        command.hand_over = HandOver::OnDemand;
        let mut run = Run::start(&command, &mut signals, None, None).unwrap();
        wait_until(|| directory.path().join("started").exists());
        look(&mut run, directory.path());
        let _ = fs::remove_file(directory.path().join("started"));
        run.job.send(Number::SIGCONT);
        while !matches!(run.next().await, Event::Ended(_)) {}
        if let (_, Some(witness)) = run.into_parts() {
            witness.dismiss();
        }
    });
}

#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(std::time::Instant::now() < until, "it did not come true");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn stop(run: &mut Run<'_>) {
    kill(run.child, Number::SIGSTOP).unwrap();
    let id = run.id();
    wait_until(|| Stat::read(id).is_ok_and(|stat| stat.state == 'T'));
    run.reap();
}

#[test]
fn a_suspended_child_that_is_asked_to_stop_goes_on_at_once() {
    let ways: [fn(&mut Run<'_>); 2] = [
        |run| run.interrupt(),
        |run| run.act(Recipient::Child, TERMINATE),
    ];
    for ask in ways {
        with_run(NOTES_REQUESTS, |run, _| {
            run.job.resume_soon();
            ask(run);
            assert_eq!(run.job.continue_at, None);
        });
    }
}

#[test]
fn a_process_s_request_waits_a_fifth_of_a_second_for_a_copy_that_the_child_got_itself() {
    with_run(NOTES_REQUESTS, |run, directory| {
        let before = Instant::now();
        run.act(Recipient::Tflock, TERMINATE);
        let settling = Duration::from_millis(200);
        let due = run.stop_request.due().expect("a time");
        assert!((before + settling..=Instant::now() + settling).contains(&due));
        run.act(Recipient::Child, TERMINATE);
        assert_eq!(run.stop_request.due(), None);
        // Whatever it was sent before, it notes this one last.
        run.job.send(Number::SIGINT);
        let noted = || fs::read_to_string(directory.join("requests")).unwrap_or_default();
        wait_until(|| !noted().is_empty());
        assert_eq!(noted(), "asked\n");
    });
}

#[test]
fn the_witness_goes_on_with_the_limit_after_a_stop() {
    with_run(NOTES_REQUESTS, |run, directory| {
        run.set_limit(Some(Duration::from_millis(300)));
        stop(run);
        run.job.send(Number::SIGCONT);
        // The run is not polled meanwhile, as if it hung.
        let requests = directory.join("requests");
        wait_until(|| fs::read_to_string(&requests).is_ok_and(|text| text == "asked\n"));
    });
}

#[test]
fn output_whose_reader_stalls_for_a_second_is_not_waited_for() {
    with_run(": >started", |run, _| {
        let before = Instant::now();
        let id = run.id();
        wait_until(|| Stat::read(id).is_ok_and(|stat| stat.has_ended()));
        // Once for a process that was just forked, once for what it has become.
        while !matches!(run.state, State::Draining { .. }) {
            run.reap();
            run.look_for_leftovers();
        }
        let State::Draining { stalled_at, .. } = run.state else {
            unreachable!()
        };
        let second = Duration::from_secs(1);
        assert!((before + second..=Instant::now() + second).contains(&stalled_at));
    });
}
