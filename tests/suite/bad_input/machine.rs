//! What is missing or wrong on this machine: programs, directories, a home.

use super::{Bench, Refusal};

const INSTALL: &str = "install terraform or OpenTofu, or name the program with `--terraform PATH`";
const LOCAL_DIRECTORY: &str =
    "set TFLOCK_LOCAL_DIR to a writable directory that supports file locks";

#[test]
fn a_terraform_that_is_not_there_is_not_found() {
    let bench = Bench::new();
    bench.refuses(
        |tflock| tflock.args(["--terraform", "./nothing", "plan"]),
        &Refusal {
            code: 127,
            error: "`<directory>/./nothing` was not found",
            hint: INSTALL,
        },
    );
    bench.refuses(
        |tflock| tflock.arg("plan").env("PATH", "/nonexistent"),
        &Refusal {
            code: 127,
            error: "`terraform` was not found",
            hint: INSTALL,
        },
    );
}

#[test]
fn a_terraform_that_may_not_be_executed_is_answered_with_the_command_that_allows_it() {
    let bench = Bench::new();
    bench.workspace.write("program", "#!/bin/sh\n");
    bench.refuses(
        |tflock| tflock.args(["--terraform", "./program", "plan"]),
        &Refusal {
            code: 126,
            error: "`<directory>/./program` is not executable",
            hint: "run `chmod +x <directory>/./program`",
        },
    );
}

#[test]
fn a_local_directory_that_is_a_file_is_a_configuration_error() {
    let bench = Bench::new();
    bench.workspace.write("file", "");
    for directory in ["file", "file/locks"] {
        let absolute = bench.workspace.file(directory);
        bench.refuses(
            |tflock| tflock.arg("plan").env("TFLOCK_LOCAL_DIR", &absolute),
            &Refusal {
                code: 78,
                error: &format!(
                    "cannot take the lock: writing on the local lock file `<directory>/{directory}/<hash>.json` \
                     failed: Not a directory (os error 20)"
                ),
                hint: LOCAL_DIRECTORY,
            },
        );
    }
}

/// In `/sys` not even root makes a directory.
#[test]
fn a_local_directory_that_cannot_be_written_is_refused() {
    let bench = Bench::new();
    let finished = bench
        .tflock()
        .arg("plan")
        .env("TFLOCK_LOCAL_DIR", "/sys/tflock")
        .run();
    let reason = finished.stderr.split_once("failed: ").map(|(_, rest)| rest);
    let reason = reason.and_then(|rest| rest.lines().next());
    bench.refuses(
        |tflock| tflock.arg("plan").env("TFLOCK_LOCAL_DIR", "/sys/tflock"),
        &Refusal {
            code: 77,
            error: &format!(
                "cannot take the lock: writing on the local lock file `/sys/tflock/<hash>.json` failed: {}",
                reason.unwrap_or("?")
            ),
            hint: LOCAL_DIRECTORY,
        },
    );
}

#[test]
fn a_local_lock_without_any_home_is_a_configuration_error() {
    Bench::new().refuses(
        |tflock| {
            tflock
                .args(["--store", "local", "plan"])
                .without_env("HOME")
                .without_env("XDG_STATE_HOME")
        },
        &Refusal {
            code: 78,
            error: "there is no directory for local locks: neither TFLOCK_LOCAL_DIR, XDG_STATE_HOME nor HOME is set",
            hint: "set TFLOCK_LOCAL_DIR, or lock in a table with `--table NAME`",
        },
    );
}

#[test]
fn a_relative_local_directory_is_refused_because_each_directory_would_have_its_own_locks() {
    let finished = Bench::new()
        .tflock()
        .arg("plan")
        .env("TFLOCK_LOCAL_DIR", "locks")
        .run();
    let finished = finished.ended_with(78);
    finished.with_stderr("TFLOCK_LOCAL_DIR is `locks`, which is not an absolute path");
}
