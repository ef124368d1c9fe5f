//! A record that somebody wrote in order to deceive or to disturb: nothing of it steers the terminal, hides, makes rows of
//! its own or fills the screen, whoever shows it.

use serde_json::{Value, json};

use crate::support::lock_table::{LOCK, LockTable};
use crate::support::process::{Finished, Status};
use crate::support::pty::{Size, Terminal};

/// Clears the screen in two ways, turns the text around, hides a tag, and goes on with a row that is none.
fn hostile() -> String {
    let steering = "\u{1b}[2J\u{9b}2J\u{7f}\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}";
    let row = format!("\n  holder   stale{}Holder: gone", " ".repeat(100));
    format!("eve{steering}{row}{}", "x".repeat(30_000))
}

fn scene() -> LockTable {
    let scene = LockTable::new();
    let info = json!({
        "ID": hostile(),
        "Operation": hostile(),
        "Info": hostile(),
        "Who": hostile(),
        "Version": hostile(),
        "Created": hostile(),
        "Path": hostile(),
    });
    scene.table.put_lock(LOCK, &info);
    scene
}

fn steers(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\r'))
        || matches!(
            character,
            '\u{202e}' | '\u{2066}' | '\u{200b}' | '\u{feff}' | '\u{e0041}'
        )
}

#[track_caller]
fn is_harmless(text: &str) {
    let steering = text.chars().find(|one| steers(*one));
    assert_eq!(steering, None, "{text}");
    assert!(text.len() < 8_000, "{} bytes", text.len());
    assert!(!text.contains("   Holder: gone"), "{text}");
    let mut rows = text.lines().filter(|line| line.starts_with("  holder"));
    assert!(rows.all(|row| row.contains("unknown")), "{text}");
}

#[test]
fn no_command_lets_it_steer_the_terminal() {
    let scene = scene();
    for (arguments, code) in [
        (&["status"][..], 0),
        (&["force-unlock"], 77),
        (&["force-unlock", "-force", "7"], 77),
        (&["--wait", "0", "plan"], 75),
        (&["-v", "--wait", "1s", "plan"], 75),
    ] {
        let run = scene.tflock([]).args(arguments).env("NO_COLOR", "1").run();
        let Finished { stdout, stderr, .. } = run.ended_with(code);
        is_harmless(&(stdout + &stderr));
    }
}

#[test]
fn a_waiting_line_and_a_question_do_not_either() {
    let scene = scene();
    let size = Size::default();
    let run = scene.tflock(["apply"]).env("NO_COLOR", "1");
    let mut terminal = Terminal::start(run, size);
    terminal.wait_for_output("\u{2802} waiting ");
    terminal.press_ctrl_c();
    terminal.wait();
    is_harmless(&terminal.output().replace("\u{1b}[2K", ""));
    let run = scene.tflock(["force-unlock"]).env("NO_COLOR", "1");
    let mut terminal = Terminal::start(run, size);
    terminal.wait_for_output("Only `yes` is accepted: ");
    terminal.send(b"no\r");
    assert_eq!(terminal.wait(), Status::Code(77));
    is_harmless(&terminal.output());
}

#[test]
fn json_has_all_of_it_escaped() {
    let scene = scene();
    let finished = scene.tflock(["status", "--json"]).run().succeeded();
    assert_eq!(finished.stdout.chars().find(|one| steers(*one)), None);
    let status: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    let holder = &status["locks"][0]["holder"];
    assert_eq!(holder["info"]["Who"], hostile());
}
