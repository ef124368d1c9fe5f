//! Machines made from one image, and clones of one memory snapshot: everything that identifies a machine is the same, even the random bytes
//! that they draw. A holder on one is never believed dead on another, and its lock never mistaken for another run's own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::backend::LockMode;
use crate::support::lock_table::{LOCK, LockTable, kill_with_terraform};
use crate::support::namespaces::with_own_mounts;
use crate::support::process::Invocation;
use crate::support::scene::Scene;
use crate::support::workspace::Workspace;

/// A tflock as a second machine of the same image runs it: with another boot ID and a state directory of its own.
fn on_a_twin<const N: usize>(workspace: &Workspace, arguments: [&str; N]) -> Option<Invocation> {
    let boot_id = workspace.home().join("boot_id");
    fs::write(&boot_id, "11111111-2222-3333-4444-555555555555\n").expect("a file");
    let script = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";
    let run = with_own_mounts(workspace, script)?
        .arg(boot_id)
        .arg(env!("CARGO_BIN_EXE_tflock"))
        .args(arguments)
        .env("XDG_STATE_HOME", workspace.home().join("twin"));
    Some(run)
}

/// A shared object that, when preloaded, gives every process the same random bytes.
fn equal_random_bytes(workspace: &Workspace) -> PathBuf {
    let source = workspace.home().join("random.c");
    let object = workspace.home().join("random.so");
    let text = "\
#include <string.h>
#include <sys/types.h>
ssize_t getrandom(void *buffer, size_t length, unsigned int flags) {
    (void)flags;
    memset(buffer, 42, length);
    return (ssize_t)length;
}
";
    fs::write(&source, text).expect("a file");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&object);
    let compiled = compiler.arg(&source).status();
    let compiled = compiled.expect("a C compiler: `apt-get install gcc`");
    assert!(compiled.success());
    object
}

#[test]
fn a_machine_that_draws_the_same_random_bytes_takes_nobody_s_lock_for_its_own() {
    let mut scene = LockTable::new();
    let preloaded = equal_random_bytes(&scene.workspace);
    let random = preloaded.display().to_string();
    scene.workspace = scene.workspace.env("LD_PRELOAD", random);
    let holder = scene.hold(["apply"]);
    let held = scene.table.lock_info(LOCK).expect("a lock");
    let asks = |wait| {
        let run = on_a_twin(&scene.workspace, ["--wait", wait, "apply"])?;
        Some(run.first_on_path(scene.fake.directory()))
    };
    for run in ["0", "2s"].into_iter().filter_map(asks) {
        run.run().ended_with(75);
        assert_eq!(scene.table.lock_info(LOCK), Some(held.clone()));
    }
    assert_eq!(scene.fake.calls().len(), 1);
    let waiting = asks("1m").map(Invocation::start);
    scene.workspace.let_go();
    holder.wait().succeeded();
    if let Some(waiting) = waiting {
        waiting.wait().succeeded();
        assert_eq!(scene.fake.calls().len(), 2);
    }
    assert_eq!(scene.table.lock_info(LOCK), None);
}

#[test]
fn a_holder_that_lives_on_a_machine_of_the_same_image_is_waited_for_on_s3_and_dynamodb() {
    for mode in [LockMode::Lockfile, LockMode::DynamodbTable] {
        let scene = Scene::new(mode);
        let glimpse = scene.glimpse_while(scene.tflock(["apply"]), || {
            if let Some(run) = on_a_twin(&scene.workspace, ["--wait", "1s", "plan"]) {
                let run = run.first_on_path(scene.fake.directory());
                run.run().ended_with(75);
            }
        });
        glimpse.finished.succeeded();
        assert_eq!(scene.fake.calls().len(), 1, "{mode:?}");
    }
}

#[test]
fn a_holder_from_before_a_boot_of_a_copied_disk_is_waited_for() {
    let scene = LockTable::new();
    let holder = scene.hold(["apply"]);
    // The trace of the run is there as well, as on a disk that was copied while it ran; nobody there keeps its place.
    let runs = scene.workspace.state_home().join("tflock/runs");
    let copy = scene.workspace.home().join("twin/tflock/runs");
    fs::create_dir_all(&copy).expect("a directory");
    for entry in fs::read_dir(runs).expect("the traces of runs") {
        let entry = entry.expect("a trace");
        fs::copy(entry.path(), copy.join(entry.file_name())).expect("a copy");
    }
    if let Some(run) = on_a_twin(&scene.workspace, ["--wait", "3s", "plan"]) {
        let run = run.first_on_path(scene.fake.directory());
        run.run().ended_with(75);
    }
    scene.workspace.let_go();
    holder.wait().succeeded();
}

#[test]
fn a_process_number_that_does_not_exist_here_proves_nothing_without_a_trace_of_the_run() {
    let scene = LockTable::new();
    let holder = scene.hold(["apply"]);
    let mut item = scene.table.item(LOCK).expect("a lock");
    scene.workspace.let_go();
    holder.wait().succeeded();
    // As a clone of this machine's memory wrote it, which goes on living.
    item["Holder"]["M"]["Pid"] = json!({ "N": "4194303" });
    scene.table.put(&item);
    scene
        .tflock(["--wait", "1s", "plan"])
        .run()
        .ended_with(75)
        .with_stderr("holder   ");
    assert_eq!(scene.table.item(LOCK), Some(item));
}

#[test]
fn a_run_leaves_its_trace_only_if_it_is_killed_and_without_it_nothing_is_proven() {
    let scene = LockTable::new();
    let runs = scene.workspace.state_home().join("tflock/runs");
    let traces = || fs::read_dir(&runs).expect("a directory").count();
    let holder = scene.hold(["apply"]);
    assert_eq!(traces(), 1);
    scene.workspace.let_go();
    holder.wait().succeeded();
    assert_eq!(traces(), 0);
    scene.workspace.take_back();
    let holder = scene.hold(["apply"]);
    kill_with_terraform(holder, &scene.fake);
    assert_eq!(traces(), 1);
    fs::remove_dir_all(&runs).expect("a directory");
    let waiting = scene.tflock(["--wait", "1s", "apply"]);
    waiting.run().ended_with(75);
}
