//! Output that goes into a pipe passes through tflock: bytes, order and volume are unchanged, and a reader that goes
//! away does no harm.

use std::fs;
use std::io::{self, Read as _};
use std::process::Stdio;

use nix::sys::signal::Signal;

use super::apply::{Apply, line_of};
use super::console::Console;
use crate::support::fake_terraform::Script;
use crate::support::lock_table::LockTable;
use crate::support::process::{Invocation, Status};
use crate::support::proxy::Proxy;
use crate::support::scene::local_locks;
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

/// A workspace with a scripted terraform, and a tflock that runs it.
struct Scripted {
    workspace: Workspace,
    line: String,
}

impl Scripted {
    fn new(script: Script) -> Self {
        let workspace = Workspace::new();
        let fake = script.install(workspace.home().join("fake"));
        let program = fake.program();
        let program = program.to_str().expect("UTF-8");
        Self {
            line: line_of(["--terraform", program, "apply"]),
            workspace,
        }
    }

    fn shell(&self, script: &str) -> Invocation {
        self.workspace.invocation("/bin/sh").args(["-c", script])
    }

    fn is_free(&self) -> bool {
        local_locks(&self.workspace).is_empty()
    }
}

#[test]
fn an_apply_whose_reader_goes_away_goes_on_to_its_end() {
    let apply = Apply::local();
    let script = format!(
        "(set -e; {}; : >succeeded) | sh -c 'head -2; exec <&-; : >gone'",
        Apply::line()
    );
    let running = apply.script(&script).start();
    apply.terraform();
    wait_until("the end of the reader", || {
        apply.workspace.file("gone").exists()
    });
    apply.workspace.let_go();
    let finished = running.wait().succeeded();
    assert_eq!(finished.stdout.lines().count(), 2, "{finished}");
    assert!(apply.workspace.file("succeeded").exists(), "{finished}");
    assert_eq!(apply.saved(), ["first", "second"]);
    assert_eq!(apply.locks(), Vec::<String>::new());
}

#[test]
fn a_pager_that_is_quit_stops_nothing_and_ctrl_c_still_does() {
    let apply = Apply::local();
    let line = format!("{} | sh -c 'head -2; exec <&-; : >gone'", Apply::line());
    let console = Console::start(&apply.workspace, &line);
    apply.terraform();
    wait_until("the end of the reader", || {
        apply.workspace.file("gone").exists()
    });
    console.terminal.press_ctrl_c();
    console.finish(0);
    assert_eq!(apply.saved(), ["first"]);
    assert_eq!(apply.locks(), Vec::<String>::new());
}

#[test]
fn stdout_and_stderr_in_one_pipe_keep_their_order() {
    let lines =
        "i=0; while [ $i -lt 2000 ]; do echo \"out $i\"; echo \"err $i\" >&2; i=$((i+1)); done";
    let scene = Scripted::new(Script::new().step(lines));
    let finished = scene.shell(&format!("exec {} 2>&1", scene.line)).run();
    let expected: Vec<String> = (0..2000)
        .flat_map(|number| [format!("out {number}"), format!("err {number}")])
        .collect();
    assert_eq!(finished.status, Status::Code(0), "{finished}");
    assert!(finished.stdout.lines().eq(expected.iter()), "{finished}");
}

#[test]
fn every_byte_of_a_large_volume_arrives_in_each_of_two_pipes() {
    // All byte values, over and over: 20 MB to each.
    let bytes = "i=0; b=; while [ $i -lt 256 ]; do b=\"$b\\\\$(printf %03o $i)\"; i=$((i+1)); done; \
                 printf \"$b\" >all; i=0; while [ $i -lt 8 ]; do cat all all all all >more; \
                 mv more all; i=$((i+1)); done; cat all; cat all >&2";
    let scene = Scripted::new(Script::new().step(bytes));
    let script = format!(
        "{{ {{ {} 3>&-; echo $? >code; }} | cksum >out; }} 3>&1 2>&1 >/dev/null | cksum >err",
        scene.line
    );
    let finished = scene.shell(&script).run();
    assert_eq!(finished.status, Status::Code(0), "{finished}");
    assert_eq!(scene.workspace.read("code"), "0\n");
    let expected = scene.shell("cksum <all").run().stdout;
    assert!(expected.ends_with(" 16777216\n"), "{expected}");
    for stream in ["out", "err"] {
        assert_eq!(scene.workspace.read(stream), expected, "{stream}");
    }
}

/// What the child can write without being read, and what its reader's pipe cannot take alone: two pipes of 64 KiB are
/// on the way.
const BETWEEN_ONE_PIPE_AND_TWO: &str = "head -c 100000 /dev/zero";

#[test]
fn a_reader_that_stalls_holds_up_the_output_but_not_the_lock() {
    let scene = Scripted::new(Script::new().step(BETWEEN_ONE_PIPE_AND_TWO).exit(4));
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let script = format!("exec {}", scene.line);
    let running = scene.shell(&script).start_with(writer, Stdio::piped());
    let record = scene.workspace.home().join("fake/record/log");
    wait_until("the end of terraform's script", || {
        let log = fs::read_to_string(&record).unwrap_or_default();
        log.contains("end ")
    });
    wait_until("the release of the lock", || scene.is_free());
    let mut received = Vec::new();
    reader.read_to_end(&mut received).expect("a pipe");
    assert_eq!(received.len(), 100_000);
    running.wait().ended_with(4);
}

#[test]
fn a_signal_ends_the_wait_for_a_reader_that_stalls() {
    let scene = Scripted::new(Script::new().step(BETWEEN_ONE_PIPE_AND_TWO).exit(4));
    let (reader, writer) = io::pipe().expect("a pipe");
    let mut running = scene
        .shell(&format!("exec {}", scene.line))
        .start_with(writer, Stdio::piped());
    wait_until("the taking of the lock", || {
        !scene.is_free() || !running.is_running()
    });
    wait_until("the release of the lock", || scene.is_free());
    running.signal(Signal::SIGTERM);
    running.wait().ended_with(4);
    drop(reader);
}

#[test]
fn a_signal_during_the_release_ends_the_wait_for_a_reader_too() {
    let scene = LockTable::new();
    let proxy = Proxy::before(scene.dynamodb.url());
    let releasing = proxy.on("DeleteItem").hold();
    let script = Script::new().step(BETWEEN_ONE_PIPE_AND_TWO).exit(4);
    let fake = script.install(scene.workspace.home().join("talkative"));
    let (reader, writer) = io::pipe().expect("a pipe");
    let run = scene.workspace.tflock(["apply"]);
    let mut running = run
        .first_on_path(fake.directory())
        .env("AWS_ENDPOINT_URL_DYNAMODB", proxy.url())
        .start_with(writer, Stdio::piped());
    releasing.wait_until_reached();
    running.signal(Signal::SIGTERM);
    running.wait_for_output("got SIGTERM; releasing the lock first");
    releasing.open();
    running.wait().ended_with(4);
    assert_eq!(scene.table.locks(), Vec::<String>::new());
    drop(reader);
}
