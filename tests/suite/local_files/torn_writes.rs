//! Processes that die in the middle of a write: the kernel ends them at a given file size (`RLIMIT_FSIZE`).

use std::fs;
use std::os::unix::process::CommandExt;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use super::record;
use crate::support::limits::{Resource, limit};
use crate::support::lock_table::kill_witness;
use crate::support::waiting::wait_for_file;
use crate::support::workspace::Workspace;

/// Sizes at which a record, which has some hundred bytes, is torn.
const SIZES: [u64; 6] = [0, 1, 40, 100, 200, 300];

#[test]
fn a_record_that_is_half_written_when_its_writer_dies_is_no_lock() {
    let workspace = Workspace::new();
    workspace.tflock(["exec", "--", "true"]).run().succeeded();
    for size in SIZES {
        let mut run = workspace.tflock(["exec", "--", "true"]);
        // The process itself, before it becomes tflock.
        let limited = move || {
            limit(Pid::from_raw(0), Resource::FileSize, size);
            Ok(())
        };
        // SAFETY: between fork and exec it makes two system calls and allocates nothing.
        unsafe { run.command().pre_exec(limited) };
        run.run().died_of(Signal::SIGXFSZ);
        assert_eq!(record(&workspace), None, "torn after {size} bytes");
        workspace.tflock(["exec", "--", "true"]).run().succeeded();
    }
}

#[test]
fn a_renewal_that_is_half_written_when_its_writer_dies_leaves_the_record_whole() {
    let workspace = Workspace::new();
    let run = workspace.tflock([
        "--expire-after",
        "3s",
        "exec",
        "--",
        "sh",
        "-c",
        "echo $$ >begun; mv begun started; read -r line",
    ]);
    // The child ends with its input, which ends with the test.
    let run = run.open_stdin().start();
    wait_for_file(workspace.file("started"));
    // Else it gives back the lock.
    kill_witness(workspace.read("started").trim().parse().unwrap());
    limit(run.pid(), Resource::FileSize, 100);
    run.wait().died_of(Signal::SIGXFSZ);
    let left = fs::read_to_string(record(&workspace).unwrap()).unwrap();
    let whole: Value = serde_json::from_str(&left).unwrap();
    assert_eq!(whole["ExpireAfterSeconds"], 3);
    workspace.tflock(["exec", "--", "true"]).run().succeeded();
}
