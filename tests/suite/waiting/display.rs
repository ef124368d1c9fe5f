//! What a wait shows: a line that moves at a terminal, plain lines elsewhere, nothing where nothing is wanted.

use std::fs;

use crate::support::configuration::{GO, STARTED};
use crate::support::lock_table::LockTable;
use crate::support::mid_run::look_during;
use crate::support::process::{Invocation, Status};
use crate::support::proxy::Proxy;
use crate::support::pty::{Size, Terminal};
use crate::support::words::{without_changing_parts, without_escapes};

/// What a terminal of that width shows of a run that waits until it sees `sign`, and then goes on.
#[track_caller]
fn shown(scene: &LockTable, run: Invocation, columns: u16, sign: Sign) -> String {
    let holder = scene.tflock(["apply"]);
    let (mut terminal, finished) = look_during(&scene.workspace, holder, |_| {
        let size = Size { rows: 24, columns };
        let terminal = Terminal::start(run, size);
        match sign {
            Sign::Line => terminal.wait_for_output("waiting for "),
            Sign::SecondAttempt(proxy) => proxy.wait_for("PutItem", 2),
        }
        terminal
    });
    finished.succeeded();
    scene.workspace.let_go();
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    for marker in [STARTED, GO] {
        fs::remove_file(scene.workspace.file(marker)).expect("a marker");
    }
    terminal.output()
}

/// By what it is known that the run waits.
#[derive(Clone, Copy)]
enum Sign<'a> {
    Line,
    SecondAttempt(&'a Proxy),
}

#[test]
fn a_terminal_shows_a_line_that_names_the_holder_and_is_gone_afterwards() {
    let scene = LockTable::new();
    let cases = [
        (35, "waiting (0 s of 15m): alive "),
        (60, "waiting for <who> (0 s of 15m): alive "),
        (
            200,
            "waiting for <who> (0 s of 15m): alive, last heartbeat <age> ago ",
        ),
    ];
    for (columns, holder) in cases {
        let output = shown(&scene, scene.tflock(["apply"]), columns, Sign::Line);
        let (introduction, rest) = output.split_once("\u{2801} ").expect("a moving line");
        let expected = "tflock: `locks/app` is locked, waiting for it\n\
                        \x20 held by  <who> (apply, since <time>)\n\
                        \x20 holder   alive, last heartbeat <age> ago\n\
                        \x20 lock ID  <ID>\n";
        let introduction = without_changing_parts(&without_escapes(introduction));
        assert_eq!(introduction, expected);
        let mut frames: Vec<&str> = rest.split("\r\u{1b}[2K").collect();
        let after = frames.pop();
        assert_eq!(after, Some("tflock: the lock is free, going on\r\n"));
        for frame in frames {
            let columns = usize::from(columns);
            assert!(frame.chars().count() <= columns, "{frame:?} is too long");
            assert!(frame.contains("waiting "), "{frame:?}");
        }
        let whole = without_changing_parts(rest);
        assert!(whole.contains(holder), "{whole}");
    }
}

#[test]
fn the_line_fits_the_narrowest_terminal() {
    let scene = LockTable::new();
    let output = shown(&scene, scene.tflock(["apply"]), 20, Sign::Line);
    for frame in output.split("\r\u{1b}[2K").skip(1) {
        let line = frame.lines().next().unwrap_or_default();
        let is_frame = line.contains("waiting for ");
        assert!(!is_frame || line.chars().count() <= 20, "{line:?}");
    }
}

#[test]
fn a_wait_without_a_limit_names_none() {
    let scene = LockTable::new();
    let run = scene.tflock(["--wait", "forever", "apply"]);
    let output = without_changing_parts(&shown(&scene, run, 80, Sign::Line));
    assert!(
        output.contains("waiting for <who> (0 s): alive"),
        "{output}"
    );
}

#[test]
fn a_quiet_run_waits_without_a_word() {
    let scene = LockTable::new();
    let proxy = Proxy::before(scene.dynamodb.url());
    let quiet = scene
        .tflock(["-q", "apply"])
        .env("AWS_ENDPOINT_URL_DYNAMODB", proxy.url());
    let output = shown(&scene, quiet, 80, Sign::SecondAttempt(&proxy));
    assert_eq!(output, "");
}
