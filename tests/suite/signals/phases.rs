//! Signals while no terraform runs: before the lock is held, before terraform starts, and during the release.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::apply::line_of;
use super::console::Console;
use super::processes::{children_of, is_stopped};
use super::shell::{Kind, Shell};
use crate::support::fake_terraform::Script;
use crate::support::lock_table::{LOCK, LockTable};
use crate::support::process::{Invocation, Status};
use crate::support::proxy::{Fault, Proxy};
use crate::support::pty::{Size, Terminal};

const STOPS: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// What a waiting run prints.
const WAITS: &str = "is locked, waiting for it";

#[test]
fn a_signal_ends_a_wait_at_once_and_by_itself() {
    for signal in STOPS {
        let scene = LockTable::new();
        scene.put_terraforms();
        let before = scene.table.items();
        let mut waiting = scene.tflock(["apply"]).start();
        waiting.wait_for_output(WAITS);
        waiting.signal(signal);
        waiting.wait().died_of(signal);
        assert_eq!(scene.table.items(), before, "the lock of somebody else");
        assert_eq!(scene.fake.calls(), []);
    }
}

#[test]
fn ctrl_c_ends_a_wait_at_a_terminal_at_once() {
    let scene = LockTable::new();
    scene.put_terraforms();
    let before = scene.table.items();
    let line = line_of(["--terraform", "/bin/true", "apply"]);
    let console = Console::start(&scene.workspace, &line);
    console.terminal.wait_for_output(WAITS);
    console.terminal.press_ctrl_c();
    let output = console.finish(128 + Signal::SIGINT as i32);
    let [hidden, shown] = ["\u{1b}[?25l", "\u{1b}[?25h"].map(|code| output.matches(code).count());
    assert_eq!(hidden, shown, "the cursor: {output:?}");
    assert_eq!(scene.table.items(), before);
}

#[test]
fn a_closed_terminal_ends_a_wait() {
    let scene = LockTable::new();
    scene.put_terraforms();
    let line = line_of(["--terraform", "/bin/true", "apply"]);
    let run = scene.workspace.invocation("/bin/sh");
    let run = run.args(["-c", &format!("exec {line}")]);
    let mut terminal = Terminal::start(run, Size::default());
    terminal.wait_for_output(WAITS);
    terminal.close();
    assert_eq!(terminal.wait(), Status::Signal(Signal::SIGHUP));
}

#[test]
fn a_wait_can_be_suspended_and_brought_back() {
    for kind in Kind::installed() {
        let scene = LockTable::new();
        scene.put_terraforms();
        let shell = Shell::start(kind, &scene.workspace);
        shell.enter(&line_of(["--terraform", "/bin/true", "apply"]));
        shell.terminal.wait_for_output(WAITS);
        let waiting = children_of(shell.terminal.pid());
        let [tflock] = waiting[..] else {
            panic!("not one job: {waiting:?}");
        };
        shell.suspend(tflock);
        assert!(is_stopped(tflock));
        scene.table.delete(LOCK);
        shell.enter("fg");
        shell.terminal.wait_for_output("the lock is free, going on");
        shell.finish(0);
        assert_eq!(scene.table.locks(), Vec::<String>::new());
    }
}

/// A run whose DynamoDB is behind that proxy.
fn behind(proxy: &Proxy, run: Invocation) -> Invocation {
    run.env("AWS_ENDPOINT_URL_DYNAMODB", proxy.url())
}

#[test]
fn a_signal_while_the_lock_is_being_taken_leaves_nothing_behind_and_starts_nothing() {
    for signal in STOPS {
        let scene = LockTable::new();
        let proxy = Proxy::before(scene.dynamodb.url());
        let taking = proxy.on("PutItem").hold();
        let running = behind(&proxy, scene.tflock(["apply"])).start();
        taking.wait_until_reached();
        running.signal(signal);
        taking.open();
        running.wait().died_of(signal);
        assert_eq!(proxy.actions(), ["PutItem", "DeleteItem"]);
        assert_eq!(scene.table.locks(), Vec::<String>::new());
        assert_eq!(scene.fake.calls(), []);
    }
}

#[test]
fn a_second_request_to_end_does_not_wait_for_a_store_that_never_answers() {
    let scene = LockTable::new();
    let proxy = Proxy::before(scene.dynamodb.url());
    proxy.on("*").every(Fault::Hang(Duration::from_mins(1)));
    let mut running = behind(&proxy, scene.tflock(["apply"])).start();
    proxy.wait_for("PutItem", 1);
    running.signal(Signal::SIGINT);
    running.wait_for_output("a second signal ends tflock at once");
    running.signal(Signal::SIGTERM);
    let finished = running.wait().died_of(Signal::SIGINT);
    finished
        .with_stderr("may have been left behind")
        .with_stderr("force-unlock ");
    assert_eq!(scene.fake.calls(), []);
}

#[test]
fn a_signal_whose_put_found_the_lock_held_ends_the_run_at_once() {
    let scene = LockTable::new();
    scene.put_terraforms();
    let before = scene.table.items();
    let proxy = Proxy::before(scene.dynamodb.url());
    let taking = proxy.on("PutItem").hold();
    let running = behind(&proxy, scene.tflock(["apply"])).start();
    taking.wait_until_reached();
    running.signal(Signal::SIGTERM);
    taking.open();
    running.wait().died_of(Signal::SIGTERM);
    assert_eq!(scene.table.items(), before);
}

#[test]
fn a_signal_during_the_release_waits_for_it_and_changes_nothing() {
    for code in [0, 3] {
        let scene = LockTable::new();
        let proxy = Proxy::before(scene.dynamodb.url());
        let releasing = proxy.on("DeleteItem").hold();
        let fake = Script::new().exit(code);
        let fake = fake.install(scene.workspace.home().join("brief"));
        let run = scene.workspace.tflock(["apply"]);
        let mut running = behind(&proxy, run.first_on_path(fake.directory())).start();
        releasing.wait_until_reached();
        for signal in STOPS {
            running.signal(signal);
            running.wait_for_output(&format!("got {signal}; releasing the lock first"));
        }
        releasing.open();
        running.wait().ended_with(code);
        assert_eq!(scene.table.locks(), Vec::<String>::new());
    }
}

#[test]
fn ctrl_c_during_the_release_waits_for_it_too() {
    let scene = LockTable::new();
    let proxy = Proxy::before(scene.dynamodb.url());
    let releasing = proxy.on("DeleteItem").hold();
    let line = format!(
        "AWS_ENDPOINT_URL_DYNAMODB={} {}",
        proxy.url(),
        line_of(["--terraform", "/bin/true", "apply"])
    );
    let console = Console::start(&scene.workspace, &line);
    releasing.wait_until_reached();
    console.terminal.press_ctrl_c();
    console
        .terminal
        .wait_for_output("got SIGINT; releasing the lock first");
    releasing.open();
    console.finish(0);
    assert_eq!(scene.table.locks(), Vec::<String>::new());
}
