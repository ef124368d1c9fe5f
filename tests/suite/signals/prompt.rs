//! terraform's own question: answering it, or pressing a key, shows the same as without tflock.

use super::apply::Apply;
use super::console::Console;
use super::processes::children_of;
use super::shell::{Kind, Shell};
use crate::support::waiting::wait_until;
use crate::support::words::{without_changing_parts, without_escapes};
use crate::support::workspace::terraform_program;

const QUESTION: &str = "Enter a value:";

/// How the apply is typed with a question, with and without tflock.
fn lines() -> [String; 2] {
    let terraform = terraform_program();
    [
        format!("{} apply -no-color", terraform.display()),
        format!("{} apply -no-color", env!("CARGO_BIN_EXE_tflock")),
    ]
}

/// What is shown of an apply at whose question these keys are pressed, and its exit code.
#[track_caller]
fn conversation(line: &str, keys: &[u8], code: i32) -> (Apply, String) {
    let apply = Apply::local();
    apply.workspace.let_go();
    let console = Console::start(&apply.workspace, line);
    console.terminal.wait_for_output(QUESTION);
    console.terminal.send(keys);
    let output = console.finish(code);
    // Of a short time it depends on the moment how many whole seconds it seems to be.
    let output = without_escapes(&output).replace("complete after 1s", "complete after 0s");
    (apply, without_changing_parts(&output))
}

#[track_caller]
fn is_the_same_with_and_without_tflock(keys: &[u8], code: i32, saved: &[&str]) {
    let [alone, under] = lines().map(|line| conversation(&line, keys, code));
    assert_eq!(alone.1, under.1);
    assert_eq!(under.0.saved(), saved);
    assert_eq!(under.0.locks(), Vec::<String>::new());
}

#[test]
fn yes_is_the_same_with_and_without_tflock() {
    is_the_same_with_and_without_tflock(b"yes\r", 0, &["first", "second"]);
}

#[test]
fn no_is_the_same_with_and_without_tflock() {
    is_the_same_with_and_without_tflock(b"no\r", 1, &[]);
}

#[test]
fn the_end_of_input_is_the_same_with_and_without_tflock() {
    is_the_same_with_and_without_tflock(b"\x04", 1, &[]);
}

#[test]
fn ctrl_c_is_the_same_with_and_without_tflock() {
    let [alone, under] = lines().map(|line| {
        let (apply, shown) = conversation(&line, b"\x03", 1);
        assert_eq!(apply.saved(), Vec::<String>::new());
        assert_eq!(apply.locks(), Vec::<String>::new());
        // By itself, too, terraform ends now before and now after it has said this, and calls it now so and now so.
        shown
            .replace(INTERRUPTED, "")
            .replace("context canceled", "interrupted")
    });
    assert_eq!(alone, under);
}

const INTERRUPTED: &str = "\nInterrupt received.\nPlease wait for Terraform to exit or data loss may \
                           occur.\nGracefully shutting down...\n\n";

#[test]
fn a_question_that_was_suspended_can_be_answered() {
    for kind in Kind::installed() {
        let apply = Apply::local();
        apply.workspace.let_go();
        let shell = Shell::start(kind, &apply.workspace);
        shell.enter(&lines()[1]);
        shell.terminal.wait_for_output(QUESTION);
        let terraform = shell
            .terminal
            .foreground_group()
            .expect("somebody in front");
        shell.suspend(terraform);
        shell.foreground(terraform);
        shell.enter("yes");
        shell.terminal.wait_for_output("Apply complete!");
        shell.finish(0);
        assert_eq!(apply.saved(), ["first", "second"]);
        assert_eq!(apply.locks(), Vec::<String>::new());
    }
}

#[test]
fn a_question_in_a_pipeline_can_be_answered() {
    let apply = Apply::local();
    apply.workspace.let_go();
    let line = format!("{} | cat", lines()[1]);
    let console = Console::start(&apply.workspace, &line);
    console.terminal.wait_for_output(QUESTION);
    console.terminal.send(b"yes\r");
    let output = console.finish(0);
    assert!(output.contains("Apply complete!"), "{output}");
    assert_eq!(apply.saved(), ["first", "second"]);
}

#[test]
fn a_question_of_a_job_behind_stops_it_until_it_is_brought_to_the_front() {
    for kind in Kind::installed() {
        let apply = Apply::local();
        apply.workspace.let_go();
        let shell = Shell::start(kind, &apply.workspace);
        shell.enter(&format!("{} &", lines()[1]));
        shell.terminal.wait_for_output(QUESTION);
        shell.wait_until_told_of_suspension();
        let tflock = children_of(shell.terminal.pid());
        shell.enter("fg");
        wait_until("terraform in front", || {
            let front = shell.terminal.foreground_group().expect("somebody");
            front != shell.terminal.pid() && !tflock.contains(&front)
        });
        shell.enter("yes");
        shell.terminal.wait_for_output("Apply complete!");
        shell.finish(0);
        assert_eq!(apply.saved(), ["first", "second"]);
        assert_eq!(apply.locks(), Vec::<String>::new());
    }
}
