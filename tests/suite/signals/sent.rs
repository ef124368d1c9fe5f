//! Signals sent by processes: to tflock, to its group, once or often. terraform gets one request in total.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};

use super::apply::{Apply, NOTICED, line_of, said};
use super::processes::{children_of, is_stopped};
use crate::support::configuration::{GO, STARTED};
use crate::support::fake_terraform::Script;
use crate::support::process::{Running, Status};
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

const STOPS: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

#[test]
fn each_signal_at_tflock_is_one_graceful_stop() {
    for signal in STOPS {
        let apply = Apply::local();
        let running = apply.tflock().start();
        apply.terraform();
        running.signal(signal);
        apply.stopped_once_as_one(&running.wait());
    }
}

#[test]
fn each_signal_at_the_group_of_tflock_is_one_graceful_stop() {
    for signal in STOPS {
        let apply = Apply::local();
        let running = apply.tflock().in_own_group().start();
        apply.terraform();
        running.signal_group(signal);
        apply.stopped_once_as_one(&running.wait());
    }
}

#[test]
fn a_stop_gives_back_an_item_of_dynamodb_as_well() {
    let apply = Apply::remote();
    let running = apply.tflock().start();
    apply.terraform();
    assert_eq!(apply.locks(), ["states/prod/app.tfstate"]);
    running.signal(Signal::SIGTERM);
    apply.stopped_once_as_one(&running.wait());
}

/// Sends signals one after the other, with something between, to a terraform that is still saving its state when the last one
/// comes.
#[track_caller]
fn send_while_saving(signals: &[Signal], between: impl Fn(&Running)) {
    let apply = Apply::remote();
    let saving = apply.hold_saving();
    let running = apply.tflock().start();
    apply.terraform();
    for (number, signal) in signals.iter().enumerate() {
        if number > 0 {
            between(&running);
        }
        running.signal(*signal);
    }
    // Which is the first is up to the kernel if they come at once.
    wait_until("word of all but one", || {
        let told = running.stderr().matches(NOT_PASSED_ON).count();
        told == signals.len() - 1
    });
    saving.wait_until_reached();
    saving.open();
    apply.stopped_once_as_one(&running.wait());
}

const NOT_PASSED_ON: &str = "the command is already stopping; a second signal";

/// How much later it comes makes no difference: see the table of `child::policy`.
#[test]
fn a_signal_that_comes_after_terraform_was_asked_is_not_passed_on() {
    for second in [Signal::SIGTERM, Signal::SIGINT] {
        send_while_saving(&[Signal::SIGINT, second], |running| {
            wait_until("the request", || running.stderr().contains(NOTICED));
        });
    }
}

#[test]
fn sigterm_right_after_sigint_is_not_passed_on() {
    send_while_saving(&[Signal::SIGINT, Signal::SIGTERM], |_| {});
}

/// While tflock waits to hear whether terraform already got the first one.
#[test]
fn the_same_signal_twice_in_a_tenth_of_a_second_is_passed_on_once() {
    let twice = [Signal::SIGINT, Signal::SIGINT];
    send_while_saving(&twice, |_| thread::sleep(Duration::from_millis(100)));
}

#[test]
fn four_different_signals_in_a_row_are_one_request() {
    send_while_saving(&STOPS, |_| thread::sleep(Duration::from_millis(20)));
}

/// Sends the signal to everything in `running`'s tree, in that order. Looking for the next one takes a moment.
fn send_to_everybody(running: &Running, apply: &Apply, order: Order) {
    let (tflock, terraform) = (running.pid(), apply.terraform());
    let witness = children_of(tflock)
        .into_iter()
        .filter(|child| *child != terraform);
    let mut everybody = vec![tflock, terraform];
    everybody.extend(witness);
    if order == Order::ChildFirst {
        everybody.reverse();
    }
    for pid in everybody {
        kill(pid, Signal::SIGTERM).expect("a living process");
        thread::sleep(Duration::from_millis(20));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    TflockFirst,
    ChildFirst,
}

#[test]
fn a_supervisor_that_signals_every_process_causes_one_request() {
    for order in [Order::TflockFirst, Order::ChildFirst] {
        let apply = Apply::remote();
        let saving = apply.hold_saving();
        let mut running = apply.tflock().start();
        send_to_everybody(&running, &apply, order);
        running.wait_for_output("asked to stop by SIGTERM");
        saving.wait_until_reached();
        // What it had to ask it has asked by then: nothing settles any more.
        running.signal(Signal::SIGINT);
        running.wait_for_output("ignored SIGINT");
        saving.open();
        apply.stopped_once_as_one(&running.wait());
    }
}

#[test]
fn timeout_stops_terraform_once_although_it_signals_the_group_too() {
    let apply = Apply::remote();
    let saving = apply.hold_saving();
    let script = format!("exec timeout 600 {}", Apply::line());
    let running = apply.script(&script).start();
    apply.terraform();
    // What its own timer sends when the time is up.
    running.signal(Signal::SIGALRM);
    saving.wait_until_reached();
    saving.open();
    let finished = running.wait();
    assert_eq!(finished.status, Status::Code(124), "{finished}");
    apply.stopped_once(&said(&finished));
}

#[test]
fn a_session_of_its_own_changes_nothing() {
    let apply = Apply::local();
    let running = apply
        .script(&format!("exec setsid --wait {}", Apply::line()))
        .start();
    apply.terraform();
    let tflock = apply.process();
    killpg(tflock, Signal::SIGTERM).expect("the leader of its session");
    apply.stopped_once_as_one(&running.wait());
}

#[test]
fn signals_that_were_ignored_or_held_back_at_the_start_stop_terraform_all_the_same() {
    // For terraform they count: Go takes SIGINT and SIGTERM into use whatever was inherited.
    for start in [
        "env --ignore-signal=INT --ignore-signal=TERM --ignore-signal=QUIT",
        "env --ignore-signal=CHLD",
        "env --block-signal",
    ] {
        let apply = Apply::local();
        let running = apply
            .script(&format!("exec {start} {}", Apply::line()))
            .start();
        apply.terraform();
        running.signal(Signal::SIGTERM);
        apply.stopped_once_as_one(&running.wait());
    }
}

#[test]
fn a_program_that_was_started_with_sigint_ignored_is_stopped_by_sigterm() {
    let workspace = Workspace::new();
    let fake = Script::new()
        .catch([Signal::SIGINT, Signal::SIGTERM])
        .touch(STARTED)
        .wait_for_file_or_signal(GO)
        .install(workspace.home().join("fake"));
    let tflock = line_of([
        "--terraform",
        &fake.program().display().to_string(),
        "apply",
    ]);
    let script = format!("exec env --ignore-signal=INT {tflock}");
    let running = workspace
        .invocation("/bin/sh")
        .args(["-c", &script])
        .start();
    workspace.wait_until_started();
    running.signal(Signal::SIGINT);
    running.wait().succeeded();
    assert_eq!(fake.events(), ["begin", "TERM", "end"]);
}

#[test]
fn a_terraform_that_somebody_stopped_is_not_followed_and_stops_gracefully_later() {
    let apply = Apply::local();
    let mut running = apply.tflock().start();
    let terraform = apply.terraform();
    kill(terraform, Signal::SIGSTOP).expect("a living process");
    wait_until("the stop", || is_stopped(terraform));
    running.signal(Signal::SIGTERM);
    // Which shows that tflock goes on.
    running.wait_for_output("asked to stop by SIGTERM");
    assert!(!is_stopped(running.pid()));
    kill(terraform, Signal::SIGCONT).expect("a living process");
    apply.stopped_once_as_one(&running.wait());
}
