//! At a terminal only a full `yes` removes a lock, and only the lock that was shown.

use chrono::TimeDelta;
use serde_json::json;

use crate::support::lock_table::{LOCK, LockTable};
use crate::support::process::Status;
use crate::support::pty::{Size, Terminal};
use crate::support::words::{without_changing_parts, without_escapes};

const QUESTION: &str = "Only `yes` is accepted: ";

#[track_caller]
fn start<const N: usize>(scene: &LockTable, arguments: [&str; N]) -> Terminal {
    Terminal::start(scene.tflock(arguments), Size::default())
}

/// A terminal that shows the question.
#[track_caller]
fn asked<const N: usize>(scene: &LockTable, arguments: [&str; N]) -> Terminal {
    let terminal = start(scene, arguments);
    terminal.wait_for_output(QUESTION);
    terminal
}

#[test]
fn the_lock_is_shown_and_yes_removes_it() {
    let scene = LockTable::new();
    scene.put_silent(TimeDelta::hours(1));
    let mut terminal = asked(&scene, ["-q", "force-unlock"]);
    terminal.send(b"yes\r");
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    let expected = format!(
        "tflock: `{LOCK}` is locked in DynamoDB table `{}` in us-east-1\n\
         \x20 held by  <who> (apply, since <time>)\n\
         \x20 holder   stale, last heartbeat <age> ago\n\
         \x20 lock ID  <ID>\n\
         If its holder is still running, the state can be lost.\n\
         Remove this lock? {QUESTION}yes\n",
        scene.table.name()
    );
    let shown = without_changing_parts(&without_escapes(&terminal.output()));
    assert_eq!(shown, expected);
    assert_eq!(scene.table.locks(), Vec::<String>::new());
}

#[test]
fn anything_but_yes_leaves_it_alone() {
    let scene = LockTable::new();
    scene.put_silent(TimeDelta::hours(1));
    // At once, because the holder is watched for a while before each question.
    let answers = ["y\r", "\r", "YES\r", "yes please\r", "\u{4}"];
    let terminals = answers.map(|keys| (keys, start(&scene, ["force-unlock"])));
    for (keys, mut terminal) in terminals {
        terminal.wait_for_output(QUESTION);
        terminal.send(keys.as_bytes());
        assert_eq!(terminal.wait(), Status::Code(77), "{keys:?}: {terminal}");
        let output = without_escapes(&terminal.output());
        let words = "error: not confirmed: the lock was left alone\n\
                     hint: type `yes` in full to remove it\n";
        assert!(output.ends_with(words), "{output}");
        assert_eq!(scene.table.locks(), [LOCK]);
    }
}

#[test]
fn whoever_forces_out_a_living_holder_is_told_that_it_lives() {
    let scene = LockTable::new();
    let run = scene.hold(["apply"]);
    let mut terminal = asked(&scene, ["force-unlock", "--force"]);
    terminal.send(b"no\r");
    assert_eq!(terminal.wait(), Status::Code(77), "{terminal}");
    let output = without_escapes(&terminal.output());
    let question = "Its holder is alive and will go on without the lock: the state can be lost.\n\
                    Remove this lock? Only `yes` is accepted: no\n";
    assert!(output.contains(question), "{output}");
    scene.workspace.let_go();
    run.wait().succeeded();
}

#[test]
fn without_questions_it_is_refused_at_a_terminal_too() {
    let scene = LockTable::new();
    scene.put_silent(TimeDelta::hours(1));
    let run = scene.tflock(["--no-input", "force-unlock"]);
    let mut terminal = Terminal::start(run, Size::default());
    assert_eq!(terminal.wait(), Status::Code(77));
    assert!(!terminal.output().contains('?'), "{terminal}");
    assert_eq!(scene.table.locks(), [LOCK]);
}

#[test]
fn another_lock_in_its_place_is_left_alone() {
    let scene = LockTable::new();
    scene.put_silent(TimeDelta::hours(1));
    let mut terminal = asked(&scene, ["force-unlock"]);
    let other = json!({ "ID": "another", "Who": "ben@desk", "Operation": "OperationTypePlan" });
    scene.table.put_lock(LOCK, &other);
    terminal.send(b"yes\r");
    assert_eq!(terminal.wait(), Status::Code(77), "{terminal}");
    let output = without_escapes(&terminal.output());
    assert!(
        output.contains(
            "error: the lock `locks/app` has changed since it was shown; it was left alone\n"
        ),
        "{output}"
    );
    assert_eq!(scene.table.lock_info(LOCK), Some(other));
}

#[test]
fn a_heartbeat_meanwhile_is_a_sign_of_life_that_only_force_ignores() {
    let cases = [
        (&["force-unlock"][..], 77, 1),
        (&["force-unlock", "--force"], 0, 0),
    ];
    // At once, because the holder is watched for a while before each question.
    let asking = cases.map(|(arguments, code, left)| {
        let scene = LockTable::new();
        scene.put_silent(TimeDelta::hours(1));
        let run = scene.tflock([]).args(arguments);
        (Terminal::start(run, Size::default()), scene, code, left)
    });
    for (mut terminal, scene, code, left) in asking {
        terminal.wait_for_output(QUESTION);
        scene.put_silent(TimeDelta::zero());
        terminal.send(b"yes\r");
        assert_eq!(terminal.wait(), Status::Code(code), "{terminal}");
        assert_eq!(scene.table.locks().len(), left);
    }
}

#[test]
fn a_lock_that_went_away_meanwhile_is_not_missed() {
    let scene = LockTable::new();
    scene.put_silent(TimeDelta::hours(1));
    let mut terminal = asked(&scene, ["force-unlock"]);
    scene.table.delete(LOCK);
    terminal.send(b"yes\r");
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
}
