//! Keys pressed at a terminal while terraform is in the foreground.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use super::apply::{Apply, NOTICED, Requests, requests};
use super::console::Console;

/// Later than this, a second press is a request of its own.
const LATER: Duration = Duration::from_millis(1200);

const STOPS: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

#[test]
fn ctrl_c_is_one_graceful_stop() {
    let apply = Apply::local();
    let console = Console::start_apply(&apply);
    console.terminal.press_ctrl_c();
    apply.stopped_once(&console.finish(1));
}

#[test]
fn each_signal_at_tflock_is_one_graceful_stop_on_a_terminal_too() {
    for signal in STOPS {
        let apply = Apply::local();
        let console = Console::start_apply(&apply);
        kill(apply.process(), signal).expect("a living process");
        apply.stopped_once(&console.finish(1));
    }
}

#[test]
fn a_signal_at_the_group_of_a_script_on_a_terminal_is_one_graceful_stop() {
    // The script survives SIGINT, and tflock is in its group.
    let apply = Apply::local();
    let console = Console::start_apply(&apply);
    nix::sys::signal::killpg(console.terminal.pid(), Signal::SIGINT).expect("a living group");
    apply.stopped_once(&console.finish(1));
}

/// Presses Ctrl-C while terraform takes long to save its state, and does something else meanwhile.
#[track_caller]
fn while_stopping(then: impl FnOnce(&Apply, &Console<'_>)) -> (Apply, String) {
    let apply = Apply::remote();
    let saving = apply.hold_saving();
    let console = Console::start_apply(&apply);
    let tflock = apply.process();
    console.terminal.press_ctrl_c();
    console.terminal.wait_for_output(NOTICED);
    saving.wait_until_reached();
    then(&apply, &console);
    kill(tflock, Signal::SIGTERM).expect("a living process");
    console
        .terminal
        .wait_for_output("ignored SIGTERM: the command");
    saving.open();
    let output = console.finish(1);
    (apply, output)
}

#[test]
fn sigterm_after_ctrl_c_is_not_passed_on() {
    let (apply, output) = while_stopping(|_, _| {});
    apply.stopped_once(&output);
}

#[test]
fn a_wrapper_that_passes_ctrl_c_on_does_not_double_it() {
    let (apply, output) = while_stopping(|apply, console| {
        kill(apply.process(), Signal::SIGINT).expect("a living process");
        console.terminal.wait_for_output("ignored SIGINT");
    });
    apply.stopped_once(&output);
}

#[test]
fn sigterm_at_the_same_moment_as_ctrl_c_is_one_request_with_it() {
    let apply = Apply::remote();
    let saving = apply.hold_saving();
    let console = Console::start_apply(&apply);
    let tflock = apply.process();
    console.terminal.press_ctrl_c();
    kill(tflock, Signal::SIGTERM).expect("a living process");
    saving.wait_until_reached();
    console.terminal.wait_for_output(NOTICED);
    // What it had to ask it has asked by then: nothing settles any more.
    kill(tflock, Signal::SIGHUP).expect("a living process");
    console.terminal.wait_for_output("ignored SIGHUP");
    saving.open();
    apply.stopped_once(&console.finish(1));
}

#[test]
fn the_key_of_sigquit_does_what_it_does_without_tflock_and_the_lock_is_given_back() {
    let apply = Apply::local();
    let console = Console::start_apply(&apply);
    console.terminal.send(b"\x1c");
    let output = console.finish(2);
    assert!(output.contains("SIGQUIT: quit"), "{output}");
    assert_eq!(requests(&output), Requests::None);
    assert_eq!(apply.locks(), Vec::<String>::new());
}

#[test]
fn ctrl_c_again_by_a_person_reaches_terraform() {
    let apply = Apply::remote();
    let saving = apply.hold_saving();
    let console = Console::start_apply(&apply);
    console.terminal.press_ctrl_c();
    console.terminal.wait_for_output("Interrupt received");
    saving.wait_until_reached();
    thread::sleep(LATER);
    console.terminal.press_ctrl_c();
    let output = console.finish(1);
    assert_eq!(requests(&output), Requests::Two, "{output}");
    assert_eq!(apply.saved(), Vec::<String>::new());
    assert_eq!(apply.locks(), Vec::<String>::new());
    saving.open();
}

/// The reader of the pipe survives Ctrl-C, and writes to the terminal what it reads.
const DEAF_READER: &str = "(trap '' INT; cat)";

#[test]
fn ctrl_c_in_a_pipeline_is_one_graceful_stop_and_once_more_if_a_person_insists() {
    for presses in [1, 2] {
        let apply = Apply::remote();
        let saving = apply.hold_saving();
        // The last of a pipeline tells the code, so it is written down.
        let line = format!(
            "(trap : INT; {}; echo \"its code: $?\") | {DEAF_READER}",
            Apply::line()
        );
        let console = Console::start(&apply.workspace, &line);
        apply.terraform();
        let front = console.terminal.foreground_group();
        assert_eq!(
            front,
            Some(console.terminal.pid()),
            "the keys are the pipe's"
        );
        console.terminal.press_ctrl_c();
        console.terminal.wait_for_output("Interrupt received");
        saving.wait_until_reached();
        if presses == 2 {
            thread::sleep(LATER);
            console.terminal.press_ctrl_c();
            console.terminal.wait_for_output("its code: 1");
        }
        saving.open();
        let output = console.finish(0);
        assert!(output.contains("its code: 1"), "{output}");
        if presses == 1 {
            apply.stopped_once(&output);
        } else {
            assert_eq!(requests(&output), Requests::Two, "{output}");
            assert_eq!(apply.locks(), Vec::<String>::new());
        }
    }
}

#[test]
fn two_quick_presses_in_a_pipeline_are_one_request() {
    let apply = Apply::remote();
    let saving = apply.hold_saving();
    let line = format!("{} | {DEAF_READER}", Apply::line());
    let console = Console::start(&apply.workspace, &line);
    apply.terraform();
    console.terminal.press_ctrl_c();
    console.terminal.wait_for_output(NOTICED);
    console.terminal.press_ctrl_c();
    saving.wait_until_reached();
    console.terminal.wait_for_output("ignored SIGINT");
    saving.open();
    apply.stopped_once(&console.finish(0));
}
