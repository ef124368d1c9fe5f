//! `status --watch`: the picture stays, changes, and goes when it is told to.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::lock_table::LockTable;
use crate::support::process::Status;
use crate::support::pty::{Size, Terminal};

const SIZE: Size = Size {
    rows: 24,
    columns: 60,
};

#[test]
fn a_terminal_keeps_the_picture_until_q_or_ctrl_c() {
    let scene = LockTable::new();
    let holder = scene.hold(["apply"]);
    for keys in ["q", "\u{3}"] {
        let mut terminal = Terminal::start(scene.tflock(["status", "--watch"]), SIZE);
        terminal.wait_for_output("watching; q or Ctrl-C ends it");
        terminal.send(keys.as_bytes());
        assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
        let mut screen = vt100::Parser::new(SIZE.rows, SIZE.columns, 0);
        screen.process(terminal.output().as_bytes());
        let left = screen.screen().contents();
        assert_eq!(left.matches("held  locks/app").count(), 1, "{left}");
        assert!(left.lines().all(|line| line.chars().count() < 60), "{left}");
    }
    scene.workspace.let_go();
    holder.wait().succeeded();
}

#[test]
fn each_change_is_a_line_of_json() {
    let scene = LockTable::new();
    let holder = scene.hold(["apply"]);
    let mut watch = scene
        .tflock(["status", "--watch", "--json", "--exit-code"])
        .start();
    watch.wait_for_output("\"status\":\"held\"");
    scene.workspace.let_go();
    holder.wait().succeeded();
    watch.wait_for_output("\"status\":\"free\"");
    watch.signal(Signal::SIGINT);
    let ended = watch.wait().succeeded();
    let lines: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let status: Vec<_> = lines.iter().map(|line| line["status"].clone()).collect();
    assert_eq!(status, ["held", "free"]);
}
