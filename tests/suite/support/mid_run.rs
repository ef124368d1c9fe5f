//! A run whose scripted terraform waits, so that a test can look around while it runs.

use std::fs;

use super::configuration::{GO, STARTED};
use super::fake_terraform::Script;
use super::process::{Finished, Invocation, Running};
use super::waiting::wait_until;
use super::workspace::Workspace;

/// A terraform that says that it has begun and then waits for the test, like the waiting resource.
pub fn stopping_script() -> Script {
    Script::new().touch(STARTED).wait_for(GO)
}

/// Starts the run, looks while its [`stopping_script`] (or waiting resource) waits, lets it go, and waits for its
/// end. Runs can follow each other in one workspace.
#[track_caller]
pub fn look_during<T>(
    workspace: &Workspace,
    run: Invocation,
    look: impl FnOnce(&Running) -> T,
) -> (T, Finished) {
    let mut running = run.start();
    let started = workspace.file(STARTED);
    wait_until("the start of the child", || {
        started.exists() || !running.is_running()
    });
    assert!(started.exists(), "it ended too early: {running}");
    let seen = look(&running);
    workspace.let_go();
    let finished = running.wait();
    for marker in [STARTED, GO] {
        fs::remove_file(workspace.file(marker)).expect("a marker");
    }
    (seen, finished)
}
