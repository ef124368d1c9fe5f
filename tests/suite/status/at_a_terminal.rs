//! What `status` shows and asks at a terminal: the answer to its question is no unless the user types yes.

use chrono::TimeDelta;
use nix::sys::signal::Signal;

use crate::support::backend::{LOCK_ID, LOCK_KEY, LockMode};
use crate::support::lock_table::{LOCK, LockTable, kill_with_terraform};
use crate::support::process::{Invocation, Status};
use crate::support::pty::{Size, Terminal};
use crate::support::scene::Scene;
use crate::support::words::{without_changing_parts, without_escapes};

const WAIT: &str = "Wait until it is free? [y/N] ";
const RELEASE: &str = "Release it? [y/N] ";

fn at_a_terminal(run: Invocation) -> Terminal {
    Terminal::start(run, Size::default())
}

/// Runs to its end without any input.
#[track_caller]
fn shown(run: Invocation) -> (String, Status) {
    let mut terminal = at_a_terminal(run);
    let status = terminal.wait();
    (terminal.output(), status)
}

#[test]
fn the_words_are_the_same_at_any_width_with_and_without_colour() {
    let scene = LockTable::new();
    let run = scene.hold(["--reason", "rotating the database password", "apply"]);
    let piped = scene.tflock(["status"]).run().stdout;
    let expected = format!("{}{WAIT}\n", without_changing_parts(&piped));
    for columns in [60, 200] {
        for (colours, status) in [
            (true, scene.tflock(["status"])),
            (false, scene.tflock(["status"]).env("NO_COLOR", "1")),
        ] {
            let size = Size { rows: 24, columns };
            let mut terminal = Terminal::start(status, size);
            terminal.wait_for_output(WAIT);
            terminal.send(b"\r");
            assert_eq!(terminal.wait(), Status::Code(0));
            let output = terminal.output();
            assert_eq!(output.contains('\u{1b}'), colours, "{output:?}");
            assert_eq!(without_changing_parts(&without_escapes(&output)), expected);
        }
    }
    scene.workspace.let_go();
    run.wait().succeeded();
}

#[test]
fn whether_it_is_free_held_or_stale_is_told_by_colour_too() {
    let scene = LockTable::new();
    let word = || shown(scene.tflock(["--no-input", "status"])).0;
    assert!(word().starts_with("\u{1b}[32m\u{1b}[1mfree\u{1b}[0m "));
    scene.put_terraforms();
    assert!(word().starts_with("\u{1b}[33m\u{1b}[1mheld\u{1b}[0m "));
    scene.put_silent(TimeDelta::hours(1));
    // After a line that says what is watched for.
    assert!(word().contains("\n\u{1b}[31m\u{1b}[1mstale\u{1b}[0m "));
}

#[test]
fn a_free_lock_asks_nothing() {
    let scene = LockTable::new();
    let (output, status) = shown(scene.tflock(["status"]));
    assert_eq!(status, Status::Code(0));
    assert!(!output.contains('?'), "{output}");
}

#[test]
fn the_answer_is_no_unless_somebody_says_yes() {
    let scene = LockTable::new();
    scene.put_silent(TimeDelta::hours(1));
    // At once, because the holder is watched for a while before each question.
    let answers = ["\r", "n\r", "what\r", "\u{4}"];
    let status = || scene.tflock(["status", "--exit-code"]);
    let terminals = answers.map(|keys| (keys, at_a_terminal(status())));
    for (keys, mut terminal) in terminals {
        terminal.wait_for_output(RELEASE);
        terminal.send(keys.as_bytes());
        assert_eq!(terminal.wait(), Status::Code(76), "{keys:?}: {terminal}");
        assert_eq!(scene.table.locks(), [LOCK]);
    }
}

#[test]
fn a_stale_lock_is_released_on_yes() {
    let scene = LockTable::new();
    scene.put_silent(TimeDelta::hours(1));
    let mut terminal = at_a_terminal(scene.tflock(["status", "--exit-code"]));
    terminal.wait_for_output(RELEASE);
    terminal.send(b"y\r");
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    let output = without_escapes(&terminal.output());
    assert!(output.ends_with("tflock: released\n"), "{output}");
    assert_eq!(scene.table.locks(), Vec::<String>::new());
}

#[test]
fn a_stale_lock_in_two_places_is_released_in_both() {
    let scene = Scene::new(LockMode::Both);
    let run = scene.tflock(["apply"]).start();
    scene.workspace.wait_until_started();
    kill_with_terraform(run, &scene.fake);
    assert_eq!(scene.remote.locks(), [LOCK_ID, LOCK_KEY]);
    let mut terminal = at_a_terminal(scene.tflock(["status", "--exit-code"]));
    terminal.wait_for_output(RELEASE);
    terminal.send(b"y\r");
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn a_stale_lock_that_changed_meanwhile_is_left_alone() {
    let scene = LockTable::new();
    scene.put_silent(TimeDelta::hours(1));
    let mut terminal = at_a_terminal(scene.tflock(["status"]));
    terminal.wait_for_output(RELEASE);
    scene.put_silent(TimeDelta::zero());
    let heartbeat = scene.table.items();
    terminal.send(b"y\r");
    assert_eq!(terminal.wait(), Status::Code(77), "{terminal}");
    let output = without_escapes(&terminal.output());
    let words = format!(
        "error: the lock `{LOCK}` has changed since it was shown; it was left alone\n\
         hint: look again with `tflock --table {} --lock-id {LOCK} status`\n",
        scene.table.name()
    );
    assert!(output.ends_with(&words), "{output}");
    assert_eq!(scene.table.items(), heartbeat);
}

#[test]
fn yes_waits_until_a_held_lock_is_free() {
    let scene = LockTable::new();
    let run = scene.hold(["apply"]);
    let mut terminal = at_a_terminal(scene.tflock(["status", "--exit-code"]));
    terminal.wait_for_output(WAIT);
    terminal.send(b"y\r");
    terminal.wait_for_output("waiting for ");
    assert!(terminal.is_running());
    scene.workspace.let_go();
    run.wait().succeeded();
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    let output = terminal.output();
    assert!(
        output.ends_with("\u{1b}[2Ktflock: the lock is free\r\n"),
        "{output:?}"
    );
}

#[test]
fn the_wait_ends_when_its_time_is_up() {
    let scene = LockTable::new();
    scene.put_terraforms();
    let mut terminal = at_a_terminal(scene.tflock(["--wait", "300ms", "status"]));
    terminal.wait_for_output(WAIT);
    terminal.send(b"yes\r");
    assert_eq!(terminal.wait(), Status::Code(75), "{terminal}");
    assert!(
        terminal.output().contains("the lock is still held"),
        "{terminal}"
    );
}

#[test]
fn a_wait_is_ended_by_ctrl_c() {
    let scene = LockTable::new();
    scene.put_terraforms();
    let mut terminal = at_a_terminal(scene.tflock(["status"]));
    terminal.wait_for_output(WAIT);
    terminal.send(b"y\r");
    terminal.wait_for_output("waiting for ");
    terminal.press_ctrl_c();
    assert_eq!(terminal.wait(), Status::Signal(Signal::SIGINT));
    assert_eq!(scene.table.locks(), [LOCK]);
}

#[test]
fn nobody_is_asked_who_wants_no_questions() {
    let scene = LockTable::new();
    scene.put_terraforms();
    for run in [
        scene.tflock(["status", "--json"]),
        scene.tflock(["--no-input", "status"]),
        scene.tflock(["status"]).env("TFLOCK_NO_INPUT", "1"),
    ] {
        let (output, status) = shown(run);
        assert_eq!(status, Status::Code(0));
        assert!(!output.contains('?'), "{output}");
    }
}

#[test]
fn nobody_is_asked_who_is_not_at_the_terminal_altogether() {
    let scene = LockTable::new();
    scene.put_terraforms();
    for command in [
        "\"$0\" status | cat",
        "\"$0\" status </dev/null",
        "\"$0\" status 2>&1 >/dev/null | cat",
    ] {
        let shell = scene.workspace.invocation("/bin/sh");
        let tflock = env!("CARGO_BIN_EXE_tflock");
        let (output, status) = shown(shell.args(["-c", command, tflock]));
        assert_eq!(status, Status::Code(0));
        assert!(!output.contains('?'), "{command}: {output}");
    }
}
