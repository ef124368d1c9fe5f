//! Job control: Ctrl-Z, `fg` and `bg` work as without tflock, and a later Ctrl-C still arrives once.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::apply::{Apply, Requests, line_of, requests};
use super::console::{Console, wait_for_foreground};
use super::processes::{group_of, is_stopped, living_in, parent_of, wait_for_end};
use super::shell::{Kind, Shell};
use crate::support::installed::is_installed;
use crate::support::scene::local_locks;
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

#[track_caller]
fn suspended_and_brought_back(kind: Kind) {
    let apply = Apply::remote();
    let shell = Shell::start(kind, &apply.workspace);
    shell.enter(&Apply::line());
    let terraform = apply.terraform();
    for _ in 0..2 {
        shell.suspend(terraform);
        assert!(is_stopped(apply.process()), "the shell watches tflock");
        assert_eq!(apply.locks().len(), 1, "a suspended run keeps its lock");
        shell.foreground(terraform);
    }
    shell.terminal.press_ctrl_c();
    shell.terminal.wait_for_output("Interrupt received");
    apply.stopped_once(&shell.finish(1));
}

#[test]
fn ctrl_z_and_fg_and_ctrl_c_in_bash() {
    suspended_and_brought_back(Kind::Bash);
}

#[test]
fn ctrl_z_and_fg_and_ctrl_c_in_zsh() {
    if is_installed("zsh") {
        suspended_and_brought_back(Kind::Zsh);
    }
}

#[track_caller]
fn put_behind_and_brought_back(kind: Kind) {
    let apply = Apply::local();
    let shell = Shell::start(kind, &apply.workspace);
    shell.enter(&Apply::line());
    let (tflock, terraform) = (apply.process(), apply.terraform());
    shell.suspend(terraform);
    shell.background(terraform);
    shell.settle();
    shell.press_ctrl_c_at_the_prompt();
    shell.settle();
    let output = shell.terminal.output();
    assert_eq!(requests(&output), Requests::None, "{output}");
    shell.enter("fg");
    wait_until("the job in front", || {
        let front = shell.terminal.foreground_group();
        front == Some(terraform) || front == Some(group_of(tflock))
    });
    shell.terminal.press_ctrl_c();
    shell.terminal.wait_for_output("Interrupt received");
    apply.stopped_once(&shell.finish(1));
}

#[test]
fn ctrl_z_and_bg_and_ctrl_c_and_fg_and_ctrl_c_in_bash() {
    put_behind_and_brought_back(Kind::Bash);
}

#[test]
fn ctrl_z_and_bg_and_ctrl_c_and_fg_and_ctrl_c_in_zsh() {
    if is_installed("zsh") {
        put_behind_and_brought_back(Kind::Zsh);
    }
}

#[track_caller]
fn started_behind(kind: Kind) {
    let apply = Apply::local();
    let shell = Shell::start(kind, &apply.workspace);
    shell.enter(&format!("{} &", Apply::line()));
    let (tflock, terraform) = (apply.process(), apply.terraform());
    let front = shell.terminal.foreground_group();
    assert_eq!(
        front,
        Some(shell.terminal.pid()),
        "it takes nobody's terminal"
    );
    shell.enter("fg");
    wait_until("the job in front", || {
        let front = shell.terminal.foreground_group();
        front == Some(terraform) || front == Some(group_of(tflock))
    });
    shell.suspend(terraform);
    shell.foreground(terraform);
    shell.terminal.press_ctrl_c();
    shell.terminal.wait_for_output("Interrupt received");
    apply.stopped_once(&shell.finish(1));
}

#[test]
fn a_run_started_behind_is_brought_to_the_front_in_bash() {
    started_behind(Kind::Bash);
}

#[test]
fn a_run_started_behind_is_brought_to_the_front_in_zsh() {
    if is_installed("zsh") {
        started_behind(Kind::Zsh);
    }
}

#[test]
fn a_script_is_suspended_as_a_whole_and_brought_back() {
    for kind in Kind::installed() {
        let apply = Apply::local();
        let shell = Shell::start(kind, &apply.workspace);
        shell.enter(&format!("sh -c '{}; exit 7'", Apply::line()));
        let terraform = apply.terraform();
        shell.suspend(terraform);
        shell.foreground(terraform);
        shell.terminal.press_ctrl_c();
        shell.terminal.wait_for_output("Interrupt received");
        apply.stopped_once(&shell.finish(7));
    }
}

#[test]
fn a_pipeline_is_suspended_as_a_whole_and_brought_back() {
    for kind in Kind::installed() {
        let apply = Apply::local();
        let shell = Shell::start(kind, &apply.workspace);
        shell.enter(&format!(
            "{} | sh -c 'trap \"\" INT; cat; exit 7'",
            Apply::line()
        ));
        let (tflock, terraform) = (apply.process(), apply.terraform());
        shell.suspend(terraform);
        shell.enter("fg");
        wait_for_foreground(&shell.terminal, group_of(tflock));
        wait_until("the job going on", || !is_stopped(terraform));
        shell.terminal.press_ctrl_c();
        shell.terminal.wait_for_output("Interrupt received");
        apply.stopped_once(&shell.finish(7));
    }
}

#[test]
fn a_suspended_run_that_is_killed_by_its_shell_stops_gracefully() {
    for kind in Kind::installed() {
        let apply = Apply::local();
        let shell = Shell::start(kind, &apply.workspace);
        shell.enter(&Apply::line());
        shell.suspend(apply.terraform());
        shell.enter("kill %1");
        shell.terminal.wait_for_output("Interrupt received");
        apply.wait_until_released();
        apply.stopped_once(&shell.terminal.output());
    }
}

#[test]
fn a_script_that_leads_its_session_cannot_be_suspended_and_is_not_harmed() {
    let apply = Apply::local();
    let console = Console::start_apply(&apply);
    console.terminal.send(b"\x1a");
    console.terminal.wait_for_output("^Z");
    wait_for_foreground(&console.terminal, apply.terraform());
    console.terminal.press_ctrl_c();
    console.terminal.wait_for_output("Interrupt received");
    apply.stopped_once(&console.finish(1));
}

#[test]
fn sigtstp_at_tflock_suspends_the_whole_job() {
    let apply = Apply::local();
    let shell = Shell::start(Kind::Bash, &apply.workspace);
    shell.enter(&Apply::line());
    let terraform = apply.terraform();
    kill(apply.process(), Signal::SIGTSTP).expect("a living process");
    wait_for_foreground(&shell.terminal, shell.terminal.pid());
    assert!(is_stopped(terraform));
    shell.foreground(terraform);
    shell.terminal.press_ctrl_c();
    shell.terminal.wait_for_output("Interrupt received");
    apply.stopped_once(&shell.finish(1));
}

#[test]
fn a_shell_inside_that_suspends_itself_takes_tflock_with_it() {
    let workspace = Workspace::new();
    let shell = Shell::start(Kind::Bash, &workspace);
    shell.enter(&line_of(["exec", "--", "bash", "--norc", "--noprofile"]));
    wait_until("the shell inside", || {
        let front = shell.terminal.foreground_group();
        front.is_some_and(|front| front != shell.terminal.pid())
            && !local_locks(&workspace).is_empty()
    });
    shell.settle();
    let inside = shell.terminal.foreground_group().expect("somebody");
    shell.enter("suspend");
    wait_for_foreground(&shell.terminal, shell.terminal.pid());
    assert_eq!(local_locks(&workspace).len(), 1);
    shell.settle();
    shell.foreground(inside);
    shell.settle();
    shell.enter("exit 6");
    shell.finish(6);
    assert_eq!(local_locks(&workspace), Vec::<String>::new());
}

#[test]
fn a_job_that_nobody_looks_after_and_that_wants_the_terminal_can_still_be_stopped() {
    let workspace = Workspace::new();
    let shell = Shell::start(Kind::Bash, &workspace);
    let line = line_of(["-v", "exec", "--", "sh", "-c"]);
    shell.enter(&format!(
        "(sh -c 'exec {line} \"echo \\$\\$ >inside; exec cat </dev/tty\"' &)"
    ));
    let inside = || fs::read_to_string(workspace.file("inside")).unwrap_or_default();
    wait_until("the program inside", || inside().ends_with('\n'));
    let inside = Pid::from_raw(inside().trim().parse().expect("a PID"));
    wait_until("the stop for want of a terminal", || is_stopped(inside));
    let tflock = parent_of(inside);
    assert!(!is_stopped(tflock));
    shell.settle();
    kill(tflock, Signal::SIGTERM).expect("a living process");
    wait_for_end(tflock);
    assert_eq!(local_locks(&workspace), Vec::<String>::new());
}

#[test]
fn a_terraform_behind_that_somebody_stopped_does_not_take_its_pipeline_with_it() {
    let apply = Apply::local();
    let shell = Shell::start(Kind::Bash, &apply.workspace);
    shell.enter(&format!("{} | cat", Apply::line()));
    let (tflock, terraform) = (apply.process(), apply.terraform());
    kill(terraform, Signal::SIGSTOP).expect("a living process");
    wait_until("the stop", || is_stopped(terraform));
    kill(tflock, Signal::SIGTERM).expect("a living process");
    // Which shows that tflock goes on.
    shell.terminal.wait_for_output("asked to stop by SIGTERM");
    kill(terraform, Signal::SIGCONT).expect("a living process");
    apply.stopped_once(&shell.finish(0));
}

#[test]
fn a_terminal_that_was_left_to_a_group_that_has_died_out_is_taken_back() {
    let workspace = Workspace::new();
    // Its job has the terminal when it is stopped, and has ended.
    let shell = "echo $$ >pid; mv pid started; set -m; sh -c \"kill -STOP \\$PPID\"; :";
    let tflock = env!("CARGO_BIN_EXE_tflock");
    let console = Console::start(&workspace, &format!("{tflock} exec -- bash -c '{shell}'"));
    workspace.wait_until_started();
    let shell = workspace.read("started").trim().parse();
    let shell = Pid::from_raw(shell.expect("a PID"));
    wait_until("a shell that is stopped behind its dead job", || {
        let front = console.terminal.foreground_group();
        front.is_some_and(|front| front != shell && living_in(front).is_empty())
            && is_stopped(shell)
    });
    kill(shell, Signal::SIGKILL).expect("a living process");
    console.finish(137);
}
