//! The local store with real processes: crowds, sudden deaths, and file systems that lack what it needs.

#[cfg(target_os = "linux")]
mod hidden;
mod intruders;
mod no_place;
#[cfg(target_os = "linux")]
pub mod refused_calls;
#[cfg(target_os = "linux")]
mod torn_writes;
pub mod users;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::process::{Invocation, Status};
use crate::support::workspace::Workspace;

/// A run that holds the lock while a small script runs.
fn run(workspace: &Workspace, script: &str) -> Invocation {
    workspace.tflock(["exec", "--", "sh", "-c", script])
}

/// The record of the only lock.
fn record(workspace: &Workspace) -> Option<PathBuf> {
    let entries = fs::read_dir(workspace.state_home().join("tflock"));
    let mut files = entries.ok()?.map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|end| end == "json"))
}

#[test]
fn thirty_processes_at_once_count_to_thirty() {
    let workspace = Workspace::new();
    workspace.write("count", "0");
    let script = "read -r count <count || :; echo $((count + 1)) >count";
    let runs: Vec<_> = (0..30).map(|_| run(&workspace, script).start()).collect();
    for run in runs {
        run.wait().succeeded();
    }
    assert_eq!(workspace.read("count"), "30\n");
    assert_eq!(record(&workspace), None);
}

#[test]
fn a_run_killed_at_any_moment_leaves_the_lock_free_or_proven_dead() {
    const ENOUGH: usize = 12;
    // They wait for the disk more than they work. Each has a lock of its own.
    const AT_ONCE: u32 = 4;
    let (left_free, left_dead) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let seen = || [&left_free, &left_dead].map(|count| count.load(Ordering::Relaxed));
    let killed_at_many_moments = |first: u32| {
        let workspace = Workspace::new();
        let started = Instant::now();
        workspace.tflock(["exec", "--", "true"]).run().succeeded();
        let whole_run = started.elapsed();
        // Moments spread over a run and a little beyond, until both ends were seen often enough.
        for attempt in (first..40 * 12).step_by(AT_ONCE as usize) {
            if seen().iter().all(|count| *count >= ENOUGH) {
                break;
            }
            let run = workspace.tflock(["exec", "--", "true"]).start();
            thread::sleep(whole_run.mul_f64(f64::from(attempt * 7 % 40) / 32.0));
            run.signal(Signal::SIGKILL);
            run.wait();
            match record(&workspace) {
                None => left_free.fetch_add(1, Ordering::Relaxed),
                Some(record) => {
                    let text = fs::read_to_string(&record).unwrap();
                    let whole: Value = serde_json::from_str(&text).unwrap();
                    assert!(whole["Holder"]["Pid"].is_u64(), "{text}");
                    left_dead.fetch_add(1, Ordering::Relaxed)
                }
            };
            // Its child may live for a moment longer and is then waited for.
            let next = workspace.tflock(["--wait", "10s", "exec", "--", "true"]);
            let next = next.run().succeeded();
            assert!(!next.stderr.contains("error"), "{next}");
            assert_eq!(record(&workspace), None);
        }
    };
    thread::scope(|scope| {
        for first in 0..AT_ONCE {
            let killed_at_many_moments = &killed_at_many_moments;
            scope.spawn(move || killed_at_many_moments(first));
        }
    });
    let [free, dead] = seen();
    assert!(
        free >= ENOUGH && dead >= ENOUGH,
        "{free} left free, {dead} left dead"
    );
}

#[test]
fn a_run_that_took_over_from_a_killed_one_says_so() {
    let workspace = Workspace::new();
    // Else the witness gives back the lock.
    let script = "until witness=$(pgrep -x lock-witness -g $$); do sleep 0.01; done; \
                  kill -9 $witness $PPID; exec sleep 0";
    let killed = run(&workspace, script).run();
    assert_eq!(killed.status, Status::Signal(Signal::SIGKILL), "{killed}");
    assert!(record(&workspace).is_some());
    let next = workspace.tflock(["exec", "--", "true"]).run();
    next.succeeded().with_stderr("took over a dead lock");
    assert_eq!(record(&workspace), None);
}

#[test]
fn a_half_written_record_is_no_lock() {
    let workspace = Workspace::new();
    run(&workspace, "cp -r \"$XDG_STATE_HOME/tflock\" copy")
        .run()
        .succeeded();
    let directory = workspace.state_home().join("tflock");
    for entry in fs::read_dir(workspace.file("copy")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(stem) = name.strip_suffix(".json") {
            fs::write(directory.join(format!("{stem}.new")), "{\"LockID\":\"ha").unwrap();
        }
    }
    workspace.write("main.tf", "");
    let status = workspace.tflock(["status", "--exit-code"]).run();
    status.ended_with(0).with_stdout("free");
    workspace.tflock(["exec", "--", "true"]).run().succeeded();
}

#[test]
fn a_record_of_this_machine_alone_can_be_read_by_its_owner_only() {
    let workspace = Workspace::new();
    let modes = "stat -c '%a %F' \"$XDG_STATE_HOME/tflock\" \"$XDG_STATE_HOME\"/tflock/*";
    let shown = run(&workspace, &format!("umask 022; {modes}")).run();
    let mut lines: Vec<_> = shown.stdout.lines().collect();
    lines.sort_unstable();
    let expected = [
        "600 regular empty file",
        "600 regular file",
        "700 directory",
        "700 directory",
        "700 directory",
    ];
    assert_eq!(lines, expected);
}
