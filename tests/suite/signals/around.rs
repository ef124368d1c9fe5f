//! tflock inside other programs and in unusual environments: everything works as without it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::apply::{ARGUMENTS, Apply, line_of};
use super::console::Console;
use super::processes::{children_of, wait_for_end};
use super::shell::{Kind, Shell};
use crate::support::installed::is_installed;
use crate::support::process::Status;
use crate::support::workspace::terraform_program;

/// Presses Ctrl-C during an apply inside another program, which ends with that code.
#[track_caller]
fn ctrl_c_inside_of(apply: &Apply, line: &str, code: i32) {
    let console = Console::start(&apply.workspace, line);
    let terraform = apply.terraform();
    assert_eq!(console.terminal.foreground_group(), Some(terraform));
    console.terminal.press_ctrl_c();
    apply.stopped_once(&console.finish(code));
}

#[test]
fn ctrl_c_inside_of_make() {
    if !is_installed("make") {
        return;
    }
    let apply = Apply::local();
    let rule = format!("apply:\n\t{}\n", Apply::line());
    apply.workspace.write("Makefile", &rule);
    ctrl_c_inside_of(&apply, "make apply", 2);
}

#[test]
fn ctrl_c_inside_of_xargs() {
    let apply = Apply::local();
    apply.workspace.write("arguments", &ARGUMENTS.join(" "));
    let line = format!("xargs -a arguments {}", line_of([]));
    ctrl_c_inside_of(&apply, &line, 123);
}

#[test]
fn ctrl_c_inside_of_a_shell_inside_of_a_shell() {
    let line = format!("sh -c 'sh -c \"{}; exit 9\"'", Apply::line());
    ctrl_c_inside_of(&Apply::local(), &line, 9);
}

#[test]
fn ctrl_c_inside_of_another_terminal() {
    if !is_installed("script") {
        return;
    }
    let apply = Apply::local();
    let line = format!("script -qec '{}' /dev/null", Apply::line());
    let console = Console::start(&apply.workspace, &line);
    apply.terraform();
    console.terminal.press_ctrl_c();
    apply.stopped_once(&console.finish(1));
}

#[test]
fn ctrl_c_at_a_wrapper_script_of_terraform_is_the_same_with_and_without_tflock() {
    // Version switchers are such scripts, and terraform is not their only process.
    let codes = ["./wrapper apply -auto-approve -no-color".to_owned(), {
        let arguments = ["--terraform", "./wrapper"].into_iter().chain(ARGUMENTS);
        let arguments: Vec<&str> = arguments.collect();
        format!("{} {}", env!("CARGO_BIN_EXE_tflock"), arguments.join(" "))
    }]
    .map(|line| {
        let apply = Apply::local();
        let terraform = terraform_program();
        let wrapper = format!("#!/bin/sh\n{} \"$@\"\nexit 5\n", terraform.display());
        apply.workspace.write("wrapper", &wrapper);
        let console = Console::start(&apply.workspace, &format!("chmod +x wrapper; {line}"));
        apply.terraform();
        console.terminal.press_ctrl_c();
        let code = console.code();
        apply.stopped_once(&console.finish(code));
        code
    });
    assert_eq!(codes[0], codes[1]);
}

/// A tmux server for one test, which ends when this is dropped.
struct Tmux<'a>(&'a Apply);

impl Tmux<'_> {
    #[track_caller]
    fn run(&self, arguments: &[&str]) {
        let tmux = self.0.workspace.invocation("tmux");
        let socket = self.0.workspace.home().join("tmux");
        let socket = socket.to_str().expect("UTF-8").to_owned();
        let fixed = ["-S", &socket, "-f", "/dev/null"];
        // tmux runs commands in the user's shell, which may be none.
        tmux.env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .args(fixed)
            .args(arguments)
            .run()
            .succeeded();
    }
}

#[test]
fn a_tmux_window_that_is_closed_is_one_graceful_stop() {
    if !is_installed("tmux") {
        return;
    }
    for end in ["kill-window", "kill-server"] {
        let apply = Apply::local();
        let tmux = Tmux(&apply);
        let line = format!("{} >output 2>&1", Apply::line());
        tmux.run(&["new-session", "-d", &line]);
        let tflock = apply.process();
        tmux.run(&[end]);
        wait_for_end(tflock);
        apply.stopped_once(&apply.workspace.read("output"));
    }
}

#[test]
fn ctrl_c_in_a_tmux_window_is_one_graceful_stop() {
    if !is_installed("tmux") {
        return;
    }
    let apply = Apply::local();
    let tmux = Tmux(&apply);
    tmux.run(&[
        "new-session",
        "-d",
        &format!("{} >output 2>&1", Apply::line()),
    ]);
    let tflock = apply.process();
    tmux.run(&["send-keys", "C-c"]);
    wait_for_end(tflock);
    apply.stopped_once(&apply.workspace.read("output"));
}

#[test]
fn closed_streams_change_nothing() {
    for streams in ["<&-", "</dev/null", ">&-", "<&- 2>&-", "<&- >&- 2>&-"] {
        let apply = Apply::local();
        apply.workspace.let_go();
        let run = apply
            .script(&format!("exec {} {streams}", Apply::line()))
            .run();
        assert_eq!(run.status, Status::Code(0), "{streams}: {run}");
        let is_shown = run.stdout.contains("Apply complete!");
        let has_stdout = !streams.replace("2>&-", "").contains(">&-");
        assert_eq!(is_shown, has_stdout, "{streams}: {run}");
        assert_eq!(apply.saved(), ["first", "second"], "{streams}");
        assert_eq!(apply.locks(), Vec::<String>::new());
    }
}

#[test]
fn a_hang_up_under_nohup_is_nothing_and_a_sigterm_still_a_stop() {
    let apply = Apply::remote();
    let mut running = apply
        .script(&format!("exec nohup {}", Apply::line()))
        .start();
    apply.terraform();
    running.signal(Signal::SIGHUP);
    running.signal(Signal::SIGTERM);
    running.wait_for_output("asked to stop by SIGTERM");
    apply.stopped_once_as_one(&running.wait());
}

#[test]
fn a_job_that_a_script_puts_behind_is_stopped_though_sigint_is_ignored() {
    // Scripts start such jobs with SIGINT and SIGQUIT ignored; terraform takes them back into use.
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let apply = Apply::local();
        let script = format!("{} & wait $!", Apply::line());
        let running = apply.script(&script).start();
        kill(apply.process(), signal).expect("a living process");
        apply.stopped_once_as_one(&running.wait());
    }
}

/// Starts a program as the first process of a new PID namespace.
#[track_caller]
fn unshare(apply: &Apply) -> String {
    let ways = ["unshare -fp --mount-proc", "unshare -Urfp --mount-proc"];
    let works = |way: &&str| {
        let trial = apply.script(&format!("{way} true")).run();
        trial.status == Status::Code(0)
    };
    let way = ways.into_iter().find(works);
    way.expect("PID namespaces: run this as root, or allow user namespaces")
        .to_owned()
}

#[test]
fn the_first_process_of_a_container_stops_gracefully() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let apply = Apply::local();
        let script = format!("exec {} {}", unshare(&apply), Apply::line());
        let running = apply.script(&script).start();
        apply.workspace.wait_until_started();
        let first = only_child_of(running.pid());
        kill(first, signal).expect("a living process");
        apply.stopped_once_as_one(&running.wait());
    }
}

#[track_caller]
fn only_child_of(parent: Pid) -> Pid {
    let children = children_of(parent);
    let [child] = children[..] else {
        panic!("not one child of {parent}: {children:?}");
    };
    child
}

#[test]
fn a_suspended_container_leaves_the_terminal_to_the_shell() {
    let apply = Apply::local();
    let shell = Shell::start(Kind::Bash, &apply.workspace);
    // The echo of what is typed shows the halves apart. No process is started meanwhile: one that is stopped before its exec
    // keeps the shell that started it from stopping.
    let inside = "sh -c \"echo beg''un.; while [ ! -e go ]; do :; done\"";
    shell.enter(&format!(
        "{} {} exec -- {inside}",
        unshare(&apply),
        env!("CARGO_BIN_EXE_tflock")
    ));
    shell.terminal.wait_for_output("begun.");
    shell.terminal.send(b"\x1a");
    shell.wait_until_told_of_suspension();
    // Long enough for tflock to look twice: the first process of a container cannot be stopped.
    shell.enter("sleep 0.5");
    shell.settle();
    let front = shell.terminal.foreground_group();
    assert_eq!(front, Some(shell.terminal.pid()));
    apply.workspace.write("go", "");
    shell.enter("fg");
    shell.finish(0);
}

#[test]
fn the_first_process_of_a_container_can_be_stopped_while_it_waits() {
    // It is immune to signals that it does not handle, so it cannot die of one.
    let apply = Apply::local();
    let holder = apply.tflock().start();
    apply.terraform();
    let script = format!("exec {} {}", unshare(&apply), Apply::line());
    let mut waiting = apply.script(&script).start();
    waiting.wait_for_output("is locked, waiting for it");
    kill(only_child_of(waiting.pid()), Signal::SIGTERM).expect("a living process");
    let finished = waiting.wait();
    assert_eq!(finished.status, Status::Code(128 + 15), "{finished}");
    assert_eq!(apply.locks().len(), 1);
    apply.workspace.let_go();
    holder.wait().succeeded();
}
