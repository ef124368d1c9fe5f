//! Processes that die in the middle of a write: the kernel ends them at a given size of a file (`RLIMIT_FSIZE`).

use std::os::unix::process::CommandExt;
use std::{fs, io};

use nix::libc;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::record;
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
        let limit = move || limit_file_size(0, size);
        // SAFETY: between fork and exec it makes one system call and allocates nothing.
        unsafe { run.command().pre_exec(limit) };
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
    limit_file_size(run.pid().as_raw(), 100).unwrap();
    run.wait().died_of(Signal::SIGXFSZ);
    let left = fs::read_to_string(record(&workspace).unwrap()).unwrap();
    let whole: Value = serde_json::from_str(&left).unwrap();
    assert_eq!(whole["ExpireAfterSeconds"], 3);
    workspace.tflock(["exec", "--", "true"]).run().succeeded();
}

/// Lets that process (0: the calling one) die of a write beyond so many bytes.
fn limit_file_size(pid: libc::pid_t, bytes: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: a system call that reads the limit and writes nothing.
    let set = unsafe {
        libc::prlimit(
            pid,
            libc::RLIMIT_FSIZE,
            &raw const limit,
            std::ptr::null_mut(),
        )
    };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
