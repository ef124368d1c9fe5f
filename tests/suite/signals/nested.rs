//! A tflock inside another one that holds a different lock: two witnesses, two groups, and still one request.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::apply::{Apply, NOTICED};
use super::console::Console;
use super::processes::{is_stopped, parent_of, wait_for_end};
use super::shell::{Kind, Shell};

/// The apply under a second lock, which an outer tflock holds.
fn line() -> String {
    format!(
        "env TFLOCK_STORE=local TFLOCK_LOCK_ID=outer {} -v exec -- \
         env -u TFLOCK_STORE -u TFLOCK_LOCK_ID {}",
        env!("CARGO_BIN_EXE_tflock"),
        Apply::line()
    )
}

/// The outer tflock; its child `env` becomes the inner one.
#[track_caller]
fn outer(apply: &Apply) -> Pid {
    parent_of(apply.process())
}

#[test]
fn ctrl_c_reaches_the_innermost_terraform_once() {
    let apply = Apply::local();
    let console = Console::start(&apply.workspace, &line());
    outer(&apply);
    let front = console.terminal.foreground_group();
    assert_eq!(front, Some(apply.terraform()));
    console.terminal.press_ctrl_c();
    apply.stopped_once(&console.finish(1));
}

#[test]
fn a_signal_at_the_outer_one_is_one_request() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let apply = Apply::local();
        let running = apply.script(&format!("exec {}", line())).start();
        assert_eq!(outer(&apply), running.pid());
        running.signal(signal);
        apply.stopped_once_as_one(&running.wait());
    }
}

#[test]
fn sigterm_at_the_outer_one_after_ctrl_c_is_not_a_second_request() {
    let apply = Apply::remote();
    let saving = apply.hold_saving();
    let console = Console::start(&apply.workspace, &line());
    let outer = outer(&apply);
    console.terminal.press_ctrl_c();
    console.terminal.wait_for_output(NOTICED);
    saving.wait_until_reached();
    kill(outer, Signal::SIGTERM).expect("a living process");
    console.terminal.wait_for_output("ignored SIGINT");
    saving.open();
    apply.stopped_once(&console.finish(1));
}

#[test]
fn a_closed_terminal_is_one_request_though_both_notice_it() {
    let apply = Apply::remote();
    let line = format!("{} >output 2>&1", line());
    let mut console = Console::start(&apply.workspace, &line);
    let outer = outer(&apply);
    console.terminal.close();
    wait_for_end(outer);
    apply.stopped_once(&apply.workspace.read("output"));
}

/// The apply as a plain terraform inside an `exec` that holds another state's lock.
fn line_as_terraform(apply: &Apply) -> String {
    apply.another_state("around");
    format!(
        "{} -chdir=around exec -- sh -c 'cd .. && exec terraform apply -auto-approve -no-color'",
        env!("CARGO_BIN_EXE_tflock")
    )
}

#[test]
fn ctrl_c_reaches_a_terraform_inside_that_has_its_own_lock_once() {
    let apply = Apply::remote();
    let console = Console::start(&apply.workspace, &line_as_terraform(&apply));
    let inner = apply.process();
    assert_eq!(apply.locks().len(), 2);
    let front = console.terminal.foreground_group();
    assert_eq!(front, Some(inner), "others beside it want the key too");
    console.terminal.press_ctrl_c();
    apply.stopped_once(&console.finish(1));
}

#[test]
fn a_signal_at_an_exec_reaches_a_terraform_inside_that_has_its_own_lock_once() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let apply = Apply::remote();
        let line = line_as_terraform(&apply);
        let running = apply.script(&format!("exec {line}")).start();
        assert_eq!(outer(&apply), running.pid());
        running.signal(signal);
        apply.stopped_once_as_one(&running.wait());
    }
}

#[test]
fn the_whole_nest_is_suspended_and_brought_back() {
    for kind in Kind::installed() {
        let apply = Apply::local();
        let shell = Shell::start(kind, &apply.workspace);
        shell.enter(&line());
        let (outer, terraform) = (outer(&apply), apply.terraform());
        shell.suspend(terraform);
        assert!(is_stopped(outer));
        shell.foreground(terraform);
        shell.terminal.press_ctrl_c();
        shell.terminal.wait_for_output("Interrupt received");
        apply.stopped_once(&shell.finish(1));
    }
}
