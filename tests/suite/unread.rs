//! Output that nobody reads, at an idle pager or a terminal stopped with Ctrl-S: it delays
//! nothing, and a later reader finds it whole and in order.

use std::fs::File;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;

use crate::support::configuration::{GO, STARTED};
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::lock_table::{LOCK, LockTable};
use crate::support::process::{Invocation, Status};
use crate::support::pty::{Size, Terminal};
use crate::support::waiting::{wait_for_file, wait_until};

/// A lock table, and a terraform that ends gracefully after its first signal.
struct Scene {
    table: LockTable,
    terraform: FakeTerraform,
}

impl Scene {
    fn new() -> Self {
        let table = LockTable::new();
        let script = Script::new()
            .catch([Signal::SIGINT, Signal::SIGTERM])
            .touch(STARTED)
            .wait_for_file_or_signal(GO);
        Self {
            terraform: script.install(table.workspace.home().join("graceful")),
            table,
        }
    }

    /// A run that renews its lock every two seconds, and says so.
    fn tflock(&self) -> Invocation {
        let run = self
            .table
            .workspace
            .tflock(["-v", "--expire-after", "6s", "apply"]);
        run.first_on_path(self.terraform.directory())
    }

    fn heartbeat(&self) -> Option<u64> {
        let item = self.table.table.item(LOCK)?;
        item["Heartbeat"]["N"].as_str()?.parse().ok()
    }

    #[track_caller]
    fn wait_for_heartbeat(&self, number: u64) {
        wait_until("a renewal", || self.heartbeat() >= Some(number));
    }
}

/// A full pipe, and its reader.
fn full_pipe() -> (PipeReader, File) {
    let (reader, writer) = io::pipe().expect("a pipe");
    let mut writer = File::from(OwnedFd::from(writer));
    let set = |flags| fcntl(writer.as_fd(), FcntlArg::F_SETFL(flags)).expect("flags");
    set(OFlag::O_NONBLOCK);
    let block = [b'.'; 4096];
    while (&writer).write(&block).is_ok() {}
    set(OFlag::empty());
    writer.flush().expect("a pipe has nothing to flush");
    (reader, writer)
}

#[test]
fn a_run_renews_its_lock_passes_a_signal_on_and_ends_though_nobody_reads() {
    let scene = Scene::new();
    let (mut reader, stderr) = full_pipe();
    let run = scene
        .tflock()
        .start_with(std::process::Stdio::null(), stderr);
    wait_for_file(scene.table.workspace.file(STARTED));
    scene.wait_for_heartbeat(3);
    run.signal(Signal::SIGTERM);
    run.wait().succeeded();
    assert_eq!(scene.terraform.events(), ["begin", "INT", "end"]);
    assert_eq!(scene.heartbeat(), None, "the lock is given back");
    let mut unread = String::new();
    reader.read_to_string(&mut unread).expect("text");
    assert!(unread.chars().all(|one| one == '.'), "nobody read");
}

#[test]
fn a_lost_lock_stops_the_child_though_nobody_reads() {
    let scene = Scene::new();
    let (_reader, stderr) = full_pipe();
    let run = scene
        .tflock()
        .start_with(std::process::Stdio::null(), stderr);
    wait_for_file(scene.table.workspace.file(STARTED));
    scene.table.table.delete(LOCK);
    run.wait().ended_with(76);
    assert_eq!(scene.terraform.events(), ["begin", "INT", "end"]);
}

#[test]
fn whoever_reads_in_the_end_reads_all_of_it_in_order() {
    let scene = Scene::new();
    let (mut reader, stderr) = full_pipe();
    let run = scene
        .tflock()
        .start_with(std::process::Stdio::null(), stderr);
    wait_for_file(scene.table.workspace.file(STARTED));
    scene.wait_for_heartbeat(2);
    scene.table.table.delete(LOCK);
    wait_until("a request to stop", || {
        scene.terraform.events().contains(&"INT".to_owned())
    });
    let mut read = String::new();
    reader.read_to_string(&mut read).expect("text");
    run.wait().ended_with(76);
    let mut rest = read.trim_start_matches('.');
    for expected in [
        "tflock: taking the lock `locks/app`",
        "tflock: holding `locks/app`",
        "tflock: starting `",
        "tflock: renewed the lock",
        "warning: the lock `locks/app` is gone",
        "error: the lock was lost",
        "hint: ",
    ] {
        let (_, behind) = rest.split_once(expected).expect(expected);
        rest = behind;
    }
}

#[test]
fn a_terminal_that_goes_on_after_ctrl_s_shows_what_was_said_meanwhile() {
    let scene = Scene::new();
    let mut terminal = Terminal::start(scene.tflock(), Size::default());
    terminal.wait_for_output("renewed the lock");
    terminal.send(b"\x13");
    let renewed = |terminal: &Terminal| terminal.output().matches("renewed the lock").count();
    // One may have been on its way to the terminal when it was stopped.
    let before = scene.heartbeat().expect("a lock");
    scene.wait_for_heartbeat(before + 3);
    let shown = renewed(&terminal);
    assert!(shown < 4, "{terminal} was not stopped");
    terminal.send(b"\x11");
    wait_until("what was said meanwhile", || renewed(&terminal) > shown + 1);
    scene.table.workspace.let_go();
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
}
