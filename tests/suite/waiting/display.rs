//! What a waiting run shows: a moving line at a terminal, plain lines elsewhere, nothing with `--quiet`.

use nix::sys::signal::Signal;

use crate::support::fake_terraform::Script;
use crate::support::lock_table::LockTable;
use crate::support::mid_run::look_during;
use crate::support::process::{Invocation, Status};
use crate::support::proxy::Proxy;
use crate::support::pty::{Size, Terminal};
use crate::support::words::{without_changing_parts, without_escapes};

/// What a terminal of that width shows of a run that waits until `sign` appears, and then goes on.
#[track_caller]
fn shown(scene: &LockTable, run: Invocation, columns: u16, sign: Sign) -> String {
    let at_once = Script::new().install(scene.workspace.home().join("at-once"));
    let run = run.first_on_path(at_once.directory());
    let holder = scene.tflock(["apply"]);
    let (mut terminal, finished) = look_during(&scene.workspace, holder, |_| {
        let size = Size { rows: 24, columns };
        let terminal = Terminal::start(run, size);
        match sign {
            Sign::Line => terminal.wait_for_output("\u{2801} waiting "),
            Sign::SecondAttempt(proxy) => proxy.wait_for("PutItem", 2),
        }
        terminal
    });
    finished.succeeded();
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    terminal.output()
}

/// How we know that the run is waiting.
#[derive(Clone, Copy)]
enum Sign<'a> {
    Line,
    SecondAttempt(&'a Proxy),
}

/// What a terminal of that width showed over time: every state of the moving line.
fn lines_shown(output: &str, columns: u16) -> Vec<String> {
    let mut screen = vt100::Parser::new(24, columns, 0);
    let mut lines = Vec::new();
    for written in output.split_inclusive('\r') {
        screen.process(written.as_bytes());
        let screen = screen.screen();
        let (row, _) = screen.cursor_position();
        let line = screen.rows(0, columns).nth(row.into()).unwrap_or_default();
        if is_moving(&line) {
            let last = screen.cell(row, columns - 1).expect("a cell");
            assert!(!last.has_contents(), "the last column is taken: {line}");
            lines.push(line);
        }
    }
    lines
}

/// What a terminal of that width shows at the end.
fn left(output: &str, columns: u16) -> String {
    let mut screen = vt100::Parser::new(24, columns, 0);
    screen.process(output.as_bytes());
    screen.screen().contents()
}

/// The line as if it had been shown at once: on a busy machine that takes a few seconds.
fn as_at_once(line: &str) -> String {
    (1..10).fold(line.to_owned(), |line, late| {
        line.replace(&format!("({late} s"), "(0 s")
    })
}

/// A spinner precedes it.
fn is_moving(line: &str) -> bool {
    line.starts_with(|first| ('\u{2801}'..='\u{28ff}').contains(&first))
}

#[test]
fn a_terminal_shows_a_line_that_names_the_holder_and_is_gone_afterwards() {
    let scene = LockTable::new();
    let cases = [
        (20, "waiting (0 s of 1"),
        (30, "waiting (0 s of 15m): alive"),
        (60, "waiting for <who> (0 s of 15m): alive"),
        (80, "waiting for <who> (0 s of 15m): alive"),
        (
            100,
            "waiting for <who> (0 s of 15m): alive, last heartbeat <age> ago",
        ),
        (
            200,
            "waiting for <who> (0 s of 15m): alive, last heartbeat <age> ago",
        ),
    ];
    for (columns, expected) in cases {
        let output = shown(&scene, scene.tflock(["apply"]), columns, Sign::Line);
        let lines = lines_shown(&output, columns);
        let tells_command = lines.iter().any(|line| line.contains(" [apply, "));
        assert!(tells_command || columns < 200, "{lines:?}");
        let first = as_at_once(&without_changing_parts(lines.first().expect("a line")));
        assert!(first.contains(expected), "{columns}: {first}");
        let left = left(&output, columns);
        assert!(!left.lines().any(is_moving), "{columns}: {left}");
        let plain = without_changing_parts(&without_escapes(&output));
        let introduction = "tflock: `locks/app` is locked, waiting for it\n\
                            \x20 held by  <who> (apply, since <time>)\n\
                            \x20 holder   alive, last heartbeat <age> ago\n\
                            \x20 lock ID  <ID>\n";
        assert!(plain.starts_with(introduction), "{plain}");
        assert!(output.ends_with("\x1b[2Ktflock: the lock is free, going on\r\n"));
    }
}

#[test]
fn ctrl_c_ends_the_wait_and_takes_its_line_away_at_any_width() {
    let scene = LockTable::new();
    scene.put_terraforms();
    for columns in [30, 60, 80, 100, 200] {
        let size = Size { rows: 24, columns };
        let mut terminal = Terminal::start(scene.tflock(["apply"]), size);
        terminal.wait_for_output("\u{2802} waiting ");
        terminal.press_ctrl_c();
        assert_eq!(terminal.wait(), Status::Signal(Signal::SIGINT));
        let left = left(&terminal.output(), columns);
        assert!(!left.contains("waiting for ana"), "{columns}: {left}");
        assert!(!left.lines().any(is_moving), "{columns}: {left}");
    }
}

#[test]
fn a_wait_without_a_limit_names_none() {
    let scene = LockTable::new();
    let run = scene.tflock(["--wait", "forever", "apply"]);
    let output = as_at_once(&without_changing_parts(&shown(&scene, run, 80, Sign::Line)));
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
