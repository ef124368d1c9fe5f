//! Sudden deaths: tflock or terraform is killed. If it is tflock, the witness releases the lock.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::apply::{Apply, Requests, requests, said};
use super::console::Console;
use super::processes::{wait_for_end, witness_of, witnesses_in};
use crate::support::fake_terraform::Script;
use crate::support::lock_table::LockTable;
use crate::support::process::{Running, Status};
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

#[test]
fn terraform_saves_its_state_when_tflock_is_killed_and_the_lock_is_released() {
    let apply = Apply::remote();
    let running = apply.tflock().start();
    let terraform = apply.terraform();
    running.signal(Signal::SIGKILL);
    // Its pipes stay open as long as terraform writes into them.
    let finished = running.wait();
    assert_eq!(finished.status, Status::Signal(Signal::SIGKILL));
    wait_for_end(terraform);
    assert_eq!(requests(&said(&finished)), Requests::One, "{finished}");
    // Its last words arrive in both pipes.
    assert!(
        finished.stderr.contains("local-exec provisioner error"),
        "{finished}"
    );
    assert_eq!(apply.saved(), ["first"]);
    assert!(finished.stderr.ends_with(RELEASED), "{finished}");
    assert_eq!(apply.locks(), Vec::<String>::new());
    assert_eq!(traces(&apply.workspace), Vec::<String>::new());

    let next = apply.workspace.tflock(["plan", "-no-color"]).run();
    assert_eq!(next.status, Status::Code(0), "{next}");
    assert!(!next.stderr.contains("took over"), "{next}");
    assert!(next.stdout.contains("must be replaced"), "{next}");
}

#[test]
fn the_lock_stays_until_it_is_proven_dead_if_the_witness_is_killed_too() {
    let apply = Apply::remote();
    let running = apply.tflock().start();
    let terraform = apply.terraform();
    let witness = witness_of(terraform);
    kill(witness, Signal::SIGKILL).expect("a living process");
    running.signal(Signal::SIGKILL);
    // Nobody reads what it would say.
    kill(terraform, Signal::SIGKILL).expect("a living process");
    apply.workspace.let_go();
    running.wait();
    wait_for_end(terraform);
    assert_eq!(apply.locks().len(), 1);
    let next = apply.workspace.tflock(["plan", "-no-color"]).run();
    assert_eq!(next.status, Status::Code(0), "{next}");
    assert!(next.stderr.contains("took over a dead lock"), "{next}");
    assert_eq!(apply.locks(), Vec::<String>::new());
}

#[test]
fn a_reader_that_goes_away_with_tflock_does_not_kill_terraform() {
    let apply = Apply::local();
    let script = format!(
        "{} 2>&1 | sh -c 'read line; echo $$ >reader; cat'",
        Apply::line()
    );
    let running = apply.script(&script).in_own_group().start();
    let terraform = apply.terraform();
    running.signal_group(Signal::SIGKILL);
    wait_for_end(terraform);
    // Cut off, it would have left its own lock behind, or half a state.
    assert!(
        !apply
            .workspace
            .file(".terraform.tfstate.lock.info")
            .exists()
    );
    assert_eq!(apply.saved(), ["first"]);
    apply.wait_until_released();
}

#[test]
fn terraform_saves_its_state_when_tflock_is_killed_at_a_terminal() {
    let apply = Apply::local();
    let console = Console::start_apply(&apply);
    let terraform = apply.terraform();
    kill(apply.process(), Signal::SIGKILL).expect("a living process");
    wait_for_end(terraform);
    console.terminal.wait_for_output("code=137.");
    console.terminal.wait_for_output("and the lock is released");
    let output = console.terminal.output();
    assert_eq!(requests(&output), Requests::One, "{output}");
    assert_eq!(apply.saved(), ["first"]);
    assert_eq!(apply.locks(), Vec::<String>::new());
}

#[test]
fn a_kill_that_follows_a_stop_is_not_a_second_request() {
    for first in [Signal::SIGTERM, Signal::SIGINT] {
        let apply = Apply::remote();
        let saving = apply.hold_saving();
        let mut running = apply.tflock().start();
        let terraform = apply.terraform();
        running.signal(first);
        saving.wait_until_reached();
        running.signal(Signal::SIGKILL);
        wait_until("the end of tflock", || !running.is_running());
        // Before that it makes a request of its own, if it makes one.
        wait_until("the witness taking over", || has_taken_over(terraform));
        assert_eq!(apply.locks().len(), 1, "terraform still saves");
        saving.open();
        saved_once(&apply, running, terraform);
    }
}

#[test]
fn a_kill_right_after_a_stop_does_not_swallow_it() {
    for (first, pause) in [
        (Signal::SIGTERM, Duration::ZERO),
        (Signal::SIGTERM, Duration::from_millis(3)),
        (Signal::SIGINT, Duration::from_millis(3)),
    ] {
        let apply = Apply::remote();
        let running = apply.tflock().start();
        let terraform = apply.terraform();
        running.signal(first);
        thread::sleep(pause);
        running.signal(Signal::SIGKILL);
        saved_once(&apply, running, terraform);
    }
}

/// Whether that child's witness has become the tflock that releases the lock: its arguments are numbers then.
fn has_taken_over(child: Pid) -> bool {
    witnesses_in(child).iter().any(|witness| {
        let line = fs::read(format!("/proc/{witness}/cmdline")).unwrap_or_default();
        let second = line.split(|byte| *byte == 0).nth(1);
        second.is_some_and(|word| word.iter().any(u8::is_ascii_digit))
    })
}

/// Fails unless terraform stopped as after one Ctrl-C once its tflock was killed.
#[track_caller]
fn saved_once(apply: &Apply, running: Running, terraform: Pid) {
    let finished = running.wait();
    assert_eq!(finished.status, Status::Signal(Signal::SIGKILL));
    wait_for_end(terraform);
    assert_eq!(requests(&said(&finished)), Requests::One, "{finished}");
    assert_eq!(apply.saved(), ["first"]);
    assert!(finished.stderr.ends_with(RELEASED), "{finished}");
    assert_eq!(apply.locks(), Vec::<String>::new());
}

/// How a run ends if its tflock is killed.
const RELEASED: &str = "tflock: tflock was killed; terraform has ended and the lock is released\n";

/// The traces that runs have left.
fn traces(workspace: &Workspace) -> Vec<String> {
    let entries = fs::read_dir(workspace.state_home().join("tflock/runs"));
    let entries = entries.into_iter().flatten();
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect()
}

#[test]
fn the_lock_of_a_killed_terraform_is_kept_until_all_that_it_ran_has_ended() {
    let apply = Apply::local();
    let mut running = apply.tflock().start();
    kill(apply.terraform(), Signal::SIGKILL).expect("a living process");
    running.wait_for_output("waiting for leftover processes before releasing the lock:");
    assert_eq!(apply.locks().len(), 1);
    apply.workspace.let_go();
    let finished = running.wait();
    assert_eq!(
        finished.status,
        Status::Signal(Signal::SIGKILL),
        "{finished}"
    );
    assert_eq!(apply.locks(), Vec::<String>::new());
}

#[test]
fn tflock_dies_of_the_signal_that_terraform_died_of() {
    for signal in [
        Signal::SIGSEGV,
        Signal::SIGKILL,
        Signal::SIGABRT,
        Signal::SIGTERM,
    ] {
        let scene = LockTable::new();
        let fake = Script::new()
            .die_of(signal)
            .install(scene.workspace.home().join("dying"));
        let run = scene.workspace.tflock(["apply"]);
        let finished = run.first_on_path(fake.directory()).run();
        assert_eq!(finished.status, Status::Signal(signal), "{finished}");
        assert_eq!(scene.table.locks(), Vec::<String>::new());
    }
}

#[test]
fn the_terminal_is_put_right_after_a_terraform_that_was_killed_in_the_middle_of_a_question() {
    let apply = Apply::local();
    let fake = Script::new()
        .step("stty raw -echo </dev/tty")
        .die_of(Signal::SIGKILL)
        .install(apply.workspace.home().join("dying"));
    let line = format!(
        "PATH={}:$PATH {}",
        fake.directory().display(),
        Apply::line()
    );
    let console = Console::start(&apply.workspace, &line);
    // Compares the modes, among others.
    console.finish(137);
    assert_eq!(apply.locks(), Vec::<String>::new());
}
