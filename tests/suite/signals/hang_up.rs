//! Closed terminals, lost connections, killed shells: one graceful stop, where terraform
//! alone would die without saving anything.

use std::fs;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use super::apply::{Apply, NOTICED, Requests, requests};
use super::console::Console;
use super::processes::wait_for_end;
use super::shell::{Kind, Shell};
use crate::support::configuration::{GO, STARTED};
use crate::support::fake_terraform::Script;
use crate::support::process::Status;
use crate::support::pty::{Size, Terminal};
use crate::support::waiting::wait_until;

/// By then a request would have been passed on.
const SETTLED: Duration = Duration::from_millis(400);

/// The output goes to this file, because a closed terminal shows nothing.
const OUTPUT: &str = "output";

/// The apply, whose output goes into a file: neither a terminal nor a pipe.
fn line_into_file() -> String {
    format!("{} >{OUTPUT} 2>&1", Apply::line())
}

/// Fails unless everything ended as after one Ctrl-C, although nobody can see it.
#[track_caller]
fn stopped_once_unseen(apply: &Apply) {
    apply.wait_until_released();
    apply.stopped_once(&apply.workspace.read(OUTPUT));
}

/// Closes the terminal of an apply, and fails unless that saved its state and gave its lock back.
#[track_caller]
fn close_and_look(apply: &Apply, mut console: Console<'_>) {
    let tflock = apply.process();
    console.terminal.close();
    wait_for_end(tflock);
    assert_eq!(apply.saved(), ["first"]);
    assert_eq!(apply.locks(), Vec::<String>::new());
}

#[test]
fn a_closed_terminal_is_one_graceful_stop() {
    let apply = Apply::local();
    let mut console = Console::start(&apply.workspace, &line_into_file());
    let tflock = apply.process();
    console.terminal.close();
    stopped_once_unseen(&apply);
    wait_for_end(tflock);
}

#[test]
fn a_closed_terminal_that_terraform_writes_to_is_one_graceful_stop() {
    let apply = Apply::remote();
    close_and_look(&apply, Console::start_apply(&apply));
}

#[test]
fn an_interactive_shell_whose_terminal_closes_takes_nothing_down_with_it() {
    for kind in Kind::installed() {
        let apply = Apply::local();
        let mut shell = Shell::start(kind, &apply.workspace);
        shell.enter(&line_into_file());
        let tflock = apply.process();
        shell.terminal.close();
        stopped_once_unseen(&apply);
        wait_for_end(tflock);
    }
}

#[test]
fn a_killed_shell_is_one_graceful_stop() {
    for kind in Kind::installed() {
        let apply = Apply::local();
        let shell = Shell::start(kind, &apply.workspace);
        shell.enter(&line_into_file());
        let tflock = apply.process();
        kill(shell.terminal.pid(), Signal::SIGKILL).expect("a living shell");
        stopped_once_unseen(&apply);
        wait_for_end(tflock);
    }
}

#[test]
fn a_terminal_that_closes_after_ctrl_c_is_not_a_second_request() {
    let apply = Apply::remote();
    let saving = apply.hold_saving();
    let mut console = Console::start(&apply.workspace, &line_into_file());
    let tflock = apply.process();
    let says = |text: &str| wait_until(text, || apply.workspace.read(OUTPUT).contains(text));
    console.terminal.press_ctrl_c();
    says(NOTICED);
    saving.wait_until_reached();
    console.terminal.close();
    says("ignored SIGHUP");
    saving.open();
    wait_for_end(tflock);
    apply.stopped_once(&apply.workspace.read(OUTPUT));
}

#[test]
fn a_suspended_apply_whose_terminal_closes_is_stopped_gracefully_too() {
    for kind in Kind::installed() {
        let apply = Apply::local();
        let mut shell = Shell::start(kind, &apply.workspace);
        shell.enter(&line_into_file());
        let tflock = apply.process();
        shell.suspend(apply.terraform());
        shell.terminal.close();
        stopped_once_unseen(&apply);
        wait_for_end(tflock);
    }
}

#[test]
fn a_pipeline_whose_terminal_closes_is_stopped_gracefully_too() {
    let apply = Apply::remote();
    let line = format!("{} | cat", Apply::line());
    close_and_look(&apply, Console::start(&apply.workspace, &line));
}

#[test]
fn the_request_that_a_closed_terminal_becomes_is_a_single_sigint() {
    let apply = Apply::local();
    let fake = Script::new()
        .catch([Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT])
        // A shell cannot catch what was ignored at its start; this shows what terraform would get.
        .step("grep SigIgn /proc/$$/status >ignored")
        .touch(STARTED)
        .wait_for(GO)
        .install(apply.workspace.home().join("fake"));
    let line = format!(
        "PATH={}:$PATH {}",
        fake.directory().display(),
        Apply::line()
    );
    let mut console = Console::start(&apply.workspace, &line);
    apply.workspace.wait_until_started();
    console.terminal.close();
    wait_until("the request", || fake.events().len() > 1);
    // Later copies of it have had their chance when the lock is gone.
    apply.workspace.let_go();
    apply.wait_until_released();
    assert_eq!(fake.events(), ["begin", "INT", "end"]);
    let ignored = fs::read_to_string(apply.workspace.file("ignored")).expect("a mask");
    let mask = ignored.trim().rsplit_once('\t').expect("a column").1;
    let mask = u64::from_str_radix(mask, 16).expect("a mask in hex");
    assert_eq!(mask & 1, 1, "SIGHUP is ignored");
}

#[test]
fn under_nohup_a_closed_terminal_means_nothing() {
    let apply = Apply::local();
    let line = format!("nohup {}", line_into_file());
    let mut console = Console::start(&apply.workspace, &line);
    let tflock = apply.process();
    console.terminal.close();
    wait_for_end(console.terminal.pid());
    thread::sleep(SETTLED);
    apply.workspace.let_go();
    wait_for_end(tflock);
    let output = apply.workspace.read(OUTPUT);
    assert_eq!(requests(&output), Requests::None, "{output}");
    assert_eq!(apply.saved(), ["first", "second"]);
    assert_eq!(apply.locks(), Vec::<String>::new());
}

#[test]
fn a_job_behind_is_stopped_gracefully_by_its_shell_when_that_hangs_up() {
    for kind in Kind::installed() {
        let apply = Apply::local();
        let mut shell = Shell::start(kind, &apply.workspace);
        shell.enter(&format!("{} &", line_into_file()));
        let tflock = apply.process();
        shell.terminal.close();
        wait_for_end(tflock);
        apply.stopped_once(&apply.workspace.read(OUTPUT));
    }
}

#[test]
fn a_job_that_its_shell_gave_up_survives_the_terminal() {
    let apply = Apply::local();
    let mut shell = Shell::start(Kind::Bash, &apply.workspace);
    shell.enter(&format!("{} & disown", line_into_file()));
    let tflock = apply.process();
    shell.settle();
    shell.terminal.close();
    wait_for_end(shell.terminal.pid());
    thread::sleep(SETTLED);
    apply.workspace.let_go();
    wait_for_end(tflock);
    let output = apply.workspace.read(OUTPUT);
    assert_eq!(requests(&output), Requests::None, "{output}");
    assert_eq!(apply.saved(), ["first", "second"]);
}

#[test]
fn a_tflock_that_leads_its_session_stops_gracefully_when_the_terminal_closes() {
    // As the only program of a container with a terminal, or of an `ssh -t`.
    let apply = Apply::remote();
    let mut terminal = Terminal::start(apply.tflock(), Size::default());
    apply.terraform();
    terminal.close();
    assert_eq!(terminal.wait(), Status::Code(1), "{terminal}");
    assert_eq!(apply.saved(), ["first"]);
    assert_eq!(apply.locks(), Vec::<String>::new());
}

#[test]
fn a_suspended_run_whose_tflock_is_killed_saves_its_state_too() {
    let apply = Apply::remote();
    let shell = Shell::start(Kind::Bash, &apply.workspace);
    shell.enter(&line_into_file());
    let (tflock, terraform) = (apply.process(), apply.terraform());
    shell.suspend(terraform);
    kill(tflock, Signal::SIGKILL).expect("a living process");
    wait_for_end(terraform);
    let output = apply.workspace.read(OUTPUT);
    assert_eq!(requests(&output), Requests::One, "{output}");
    assert_eq!(apply.saved(), ["first"]);
    apply.wait_until_released();
}
