//! Processes that cannot be inspected: any of them may work under the lock of a killed run, so nothing is proven.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::users::{User, give};
use crate::support::lock_table::{LockTable, kill_if_ours, kill_witness};
use crate::support::passed_over::say_not_tested;
use crate::support::process::{Invocation, Status};
use crate::support::waiting::{wait_for_file, wait_until};

/// In a session of its own: a run of another user, and afterwards, until it may end, something of root's that nobody else may
/// look into.
const SESSION: &str = "setpriv --reuid \"$1\" --regid \"$2\" --clear-groups \"$0\" apply & \
                       echo $! >pid; mv pid tflock-pid; wait $!; \
                       (: >hidden; while [ ! -e end ]; do sleep 0.02; done)";

/// The same with a `/proc` that shows users only their own processes, in a separate mount namespace.
const HIDEPID: &str = "mount -t proc -o hidepid=2 proc /proc && \
                       exec setpriv --reuid \"$1\" --regid \"$2\" --clear-groups \"$0\" status --exit-code";

/// Whether nobody but root can look at others' processes here, so that nothing is ever proven.
fn is_hidden_already() -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("Linux");
    let is_hidden = mounts
        .lines()
        .any(|mount| mount.contains("hidepid=") && !mount.contains("hidepid=off"));
    if is_hidden {
        say_not_tested("`/proc` is mounted with hidepid");
    }
    is_hidden
}

#[test]
fn a_process_that_cannot_be_looked_at_keeps_a_killed_run_from_being_proven_dead() {
    let Some(user) = User::another() else { return };
    if is_hidden_already() {
        return;
    }
    let scene = LockTable::new();
    give(&scene.workspace, user);
    let as_user = |run: Invocation| {
        let run = run.first_on_path(scene.fake.directory());
        run.arg(env!("CARGO_BIN_EXE_tflock")).args(user.ids())
    };
    let session = scene.workspace.invocation("setsid");
    let session = as_user(session.args(["--wait", "sh", "-c", SESSION])).start();
    wait_for_file(scene.workspace.file("tflock-pid"));
    scene.workspace.wait_until_started();
    let status = || user.runs(scene.tflock(["status", "--exit-code"])).run();
    status().ended_with(75);

    let terraform = scene.fake.calls().pop().expect("a call").pid;
    kill_witness(terraform);
    let tflock = scene.workspace.read("tflock-pid");
    let tflock = Pid::from_raw(tflock.trim().parse().expect("a PID"));
    kill(tflock, Signal::SIGKILL).expect("a living process");
    kill_if_ours(terraform, &scene.fake);
    wait_for_file(scene.workspace.file("hidden"));
    wait_until("the end of the run", || {
        !user.runs_anything_in(&scene.workspace.path())
    });
    status().ended_with(75);

    scene.workspace.write("end", "");
    session.wait().succeeded();
    wait_until("the proof", || status().status == Status::Code(76));
    let hidden = scene.workspace.invocation("unshare");
    let hidden = hidden.args(["--mount", "--fork", "sh", "-c", HIDEPID]);
    as_user(hidden).run().ended_with(75);
    status().ended_with(76);
}
