//! A stale holder, seen at a terminal: the waiting run asks once whether to take over its lock, and the answer is no
//! unless the user types yes.

use std::fs;

use chrono::TimeDelta;
use nix::sys::signal::Signal;

use crate::support::beside::beside;
use crate::support::configuration::STARTED;
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::lock_table::{LOCK, LockTable};
use crate::support::process::{Invocation, Status};
use crate::support::proxy::Proxy;
use crate::support::pty::{Size, Terminal};
use crate::support::words::{without_changing_parts, without_escapes};

const QUESTION: &str = "Take the lock over? [y/N] ";

/// What is shown up to the question.
const SHOWN: &str = "tflock: `locks/app` is locked, waiting for it\n\
                     \x20 held by  <who> (apply, since <time>)\n\
                     \x20 holder   stale, last heartbeat <age> ago\n\
                     \x20 lock ID  <ID>\n\
                     If its holder is still running, the state can be lost. Take the lock over? [y/N] ";

/// A stale lock, and a proxy that sees how the run goes on.
struct Scene {
    table: LockTable,
    proxy: Proxy,
}

impl Scene {
    fn new() -> Self {
        let table = LockTable::new();
        table.put_silent(TimeDelta::hours(1));
        Self {
            proxy: Proxy::before(table.dynamodb.url()),
            table,
        }
    }

    fn tflock<const N: usize>(&self, arguments: [&str; N]) -> Invocation {
        let run = self.table.tflock(arguments);
        run.env("AWS_ENDPOINT_URL_DYNAMODB", self.proxy.url())
    }

    /// A terminal that shows the question.
    #[track_caller]
    fn asked(run: Invocation) -> Terminal {
        let terminal = Terminal::start(run, Size::default());
        terminal.wait_for_output(QUESTION);
        terminal
    }

    /// Waits until the run has looked at the lock twice more.
    #[track_caller]
    fn wait_for_two_looks(&self) {
        self.proxy
            .wait_for("PutItem", self.proxy.count("PutItem") + 2);
    }

    fn nothing_ran(&self) {
        assert!(!self.table.workspace.file(STARTED).exists());
        assert_eq!(self.table.table.locks(), [LOCK]);
    }
}

fn words_on(terminal: &Terminal) -> String {
    without_changing_parts(&without_escapes(&terminal.output()))
}

#[test]
fn yes_takes_over_exactly_the_lock_that_was_shown() {
    let scene = Scene::new();
    let shown = scene.table.table.item(LOCK).expect("a stale lock");
    let mut terminal = Scene::asked(scene.tflock(["apply"]));
    scene.table.workspace.let_go();
    terminal.send(b"y\r");
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    let expected = format!("{SHOWN}y\ntflock: took over the stale lock\n");
    assert_eq!(words_on(&terminal), expected);
    assert_eq!(scene.table.fake.events(), ["begin", "end"]);
    assert_eq!(scene.table.table.locks(), Vec::<String>::new());
    let take_over = scene
        .proxy
        .log()
        .into_iter()
        .rfind(|one| one.action == "PutItem");
    let values = take_over.expect("a put").input()["ExpressionAttributeValues"].to_string();
    assert!(
        values.contains(&shown["HeartbeatAt"]["S"].to_string()),
        "{values}"
    );
}

#[test]
fn every_other_answer_waits_on_and_is_not_asked_for_again() {
    let answered_with = |keys: &str| {
        let scene = Scene::new();
        let mut terminal = Scene::asked(scene.tflock(["apply"]));
        terminal.send(keys.as_bytes());
        terminal.wait_for_output("waiting for ");
        scene.wait_for_two_looks();
        scene.nothing_ran();
        scene.table.table.delete(LOCK);
        scene.table.workspace.let_go();
        assert_eq!(terminal.wait(), Status::Code(0), "{keys:?}: {terminal}");
        let shown = words_on(&terminal);
        assert_eq!(shown.matches(QUESTION).count(), 1, "{keys:?}: {shown}");
        assert!(
            shown.ends_with("tflock: the lock is free, going on\n"),
            "{shown}"
        );
    };
    std::thread::scope(|scope| {
        for keys in ["\r", "n\r", "what\r", "\u{4}"] {
            beside(scope, move || answered_with(keys));
        }
    });
}

#[test]
fn a_question_that_nobody_answers_does_not_keep_the_run_from_its_turn() {
    let scene = Scene::new();
    let mut terminal = Scene::asked(scene.tflock(["apply"]));
    scene.wait_for_two_looks();
    scene.table.table.delete(LOCK);
    scene.table.workspace.let_go();
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    let expected = format!("{SHOWN}\ntflock: the lock is free, going on\n");
    assert_eq!(words_on(&terminal), expected);
}

#[test]
fn the_wait_ends_although_nobody_answers() {
    let scene = Scene::new();
    let mut terminal = Scene::asked(scene.tflock(["--wait", "1s", "apply"]));
    assert_eq!(terminal.wait(), Status::Code(75), "{terminal}");
    let shown = words_on(&terminal);
    let error = format!(
        "{SHOWN}\nerror: the state is locked, gave up after 1s: Error acquiring the state lock\n"
    );
    assert!(shown.starts_with(&error), "{shown}");
    scene.nothing_ran();
}

#[test]
fn ctrl_c_at_the_question_ends_the_run() {
    let scene = Scene::new();
    let mut terminal = Scene::asked(scene.tflock(["apply"]));
    terminal.press_ctrl_c();
    assert_eq!(
        terminal.wait(),
        Status::Signal(Signal::SIGINT),
        "{terminal}"
    );
    assert_eq!(words_on(&terminal), format!("{SHOWN}^C\n"));
    scene.nothing_ran();
}

#[test]
fn a_holder_that_falls_silent_during_the_wait_is_shown_again_with_the_question() {
    let scene = Scene::new();
    scene.table.put_silent(TimeDelta::zero());
    let terminal = Terminal::start(scene.tflock(["apply"]), Size::default());
    terminal.wait_for_output("waiting for ");
    scene.table.put_silent(TimeDelta::hours(1));
    terminal.wait_for_output(QUESTION);
    let shown = words_on(&terminal);
    let expected = "tflock: `locks/app` has a holder that stopped sending heartbeats\n\
                    \x20 held by  <who> (apply, since <time>)\n\
                    \x20 holder   stale, last heartbeat <age> ago\n\
                    \x20 lock ID  <ID>\n\
                    If its holder is still running, the state can be lost. Take the lock over? [y/N] ";
    assert!(shown.ends_with(expected), "{shown}");
    scene.nothing_ran();
}

/// Gives the stale lock a heartbeat.
fn heartbeat(scene: &Scene) -> serde_json::Value {
    let mut item = scene.table.table.item(LOCK).expect("a stale lock");
    item["Heartbeat"]["N"] = "4".into();
    item["HeartbeatAt"]["S"] = chrono::Utc::now().to_rfc3339().into();
    scene.table.table.put(&item);
    item
}

#[test]
fn a_holder_that_lives_after_all_takes_the_question_back() {
    let scene = Scene::new();
    let mut terminal = Scene::asked(scene.tflock(["apply"]));
    terminal.send(b"y");
    heartbeat(&scene);
    terminal.wait_for_output("the holder is alive; still waiting");
    // What was typed at the question answers nothing else.
    terminal.send(b"\r");
    scene.wait_for_two_looks();
    scene.nothing_ran();
    terminal.press_ctrl_c();
    let status = terminal.wait();
    assert_eq!(status, Status::Signal(Signal::SIGINT), "{terminal}");
}

#[test]
fn what_was_typed_at_a_question_that_was_taken_back_is_not_left_to_terraform() {
    let scene = Scene::new();
    let terraform = reading(&scene);
    let run = scene.tflock(["apply"]).first_on_path(terraform.directory());
    let mut terminal = Scene::asked(run);
    terminal.send(b"ye");
    heartbeat(&scene);
    terminal.wait_for_output("the holder is alive; still waiting");
    terminal.send(b"s, next\r");
    scene.table.table.delete(LOCK);
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    assert_eq!(terraform.events(), ["begin", "read s, next", "end"]);
}

#[test]
fn a_heartbeat_between_answer_and_take_over_keeps_the_lock() {
    let scene = Scene::new();
    let mut terminal = Scene::asked(scene.tflock(["apply"]));
    // The look that comes next still sees the silence, and the answer after it; the put after that is the take-over.
    let look = scene.proxy.on("PutItem").hold();
    look.wait_until_reached();
    terminal.send(b"y\r");
    let take_over = scene.proxy.on("PutItem").hold();
    look.open();
    take_over.wait_until_reached();
    let alive = heartbeat(&scene);
    take_over.open();
    terminal.wait_for_output("tflock: the lock has changed in the meantime; leaving it alone");
    scene.nothing_ran();
    assert_eq!(scene.table.table.item(LOCK), Some(alive));
    terminal.press_ctrl_c();
    let status = terminal.wait();
    assert_eq!(status, Status::Signal(Signal::SIGINT), "{terminal}");
}

/// A terraform that records the line that it reads.
fn reading(scene: &Scene) -> FakeTerraform {
    let script = Script::new().touch(STARTED).read_line();
    script.install(scene.table.workspace.home().join("reading"))
}

#[test]
fn what_is_typed_after_the_answer_is_terraform_s() {
    let scene = Scene::new();
    let terraform = reading(&scene);
    let run = scene.tflock(["apply"]).first_on_path(terraform.directory());
    let mut terminal = Scene::asked(run);
    terminal.send(b"y\ryes\r");
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    assert_eq!(terraform.events(), ["begin", "read yes", "end"]);
}

#[test]
fn what_was_typed_before_the_question_is_terraform_s_and_no_answer() {
    let scene = Scene::new();
    let terraform = reading(&scene);
    let run = scene.tflock(["apply"]).first_on_path(terraform.directory());
    let first = scene.proxy.on("PutItem").hold();
    let mut terminal = Terminal::start(run, Size::default());
    first.wait_until_reached();
    terminal.send(b"yes\r");
    terminal.wait_for_output("yes\r\n");
    first.open();
    scene.wait_for_two_looks();
    scene.nothing_ran();
    scene.table.table.delete(LOCK);
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    assert!(!terminal.output().contains('?'), "{terminal}");
    assert_eq!(terraform.events(), ["begin", "read yes", "end"]);
}

#[test]
fn nobody_is_asked_who_wants_no_questions_or_is_not_there() {
    let runs: [fn(&Scene) -> Invocation; 6] = [
        |scene| scene.tflock(["--no-input", "apply"]),
        |scene| scene.tflock(["-q", "apply"]),
        |scene| scene.tflock(["apply", "-input=false"]),
        |scene| scene.tflock(["apply"]).env("TF_INPUT", "0"),
        |scene| in_shell(scene, "\"$0\" apply | cat"),
        |scene| in_shell(scene, "\"$0\" apply </dev/null"),
    ];
    std::thread::scope(|scope| {
        for run in runs {
            beside(scope, move || {
                let scene = Scene::new();
                let mut terminal = Terminal::start(run(&scene), Size::default());
                scene.proxy.wait_for("PutItem", 3);
                scene.table.table.delete(LOCK);
                scene.table.workspace.let_go();
                assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
                assert!(!terminal.output().contains('?'), "{terminal}");
            });
        }
    });
}

/// A shell on the terminal that runs tflock.
fn in_shell(scene: &Scene, command: &str) -> Invocation {
    let workspace = &scene.table.workspace;
    let shell = workspace.invocation("/bin/sh");
    let shell = shell.env("AWS_ENDPOINT_URL_DYNAMODB", scene.proxy.url());
    let shell = shell.first_on_path(scene.table.fake.directory());
    shell.args(["-c", command, env!("CARGO_BIN_EXE_tflock")])
}

#[test]
fn a_run_that_stands_behind_asks_when_it_is_brought_to_the_front() {
    let scene = Scene::new();
    let workspace = &scene.table.workspace;
    let script = "set -m; \"$0\" apply & while [ ! -e front ]; do sleep 0.02; done; fg";
    let mut terminal = Terminal::start(in_shell(&scene, script), Size::default());
    scene.proxy.wait_for("PutItem", 3);
    assert!(!terminal.output().contains(QUESTION), "{terminal}");
    workspace.let_go();
    workspace.write("front", "");
    terminal.wait_for_output(QUESTION);
    terminal.send(b"y\r");
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    assert!(
        terminal.output().contains("took over the stale lock"),
        "{terminal}"
    );
    fs::metadata(workspace.file(STARTED)).expect("terraform ran");
}
