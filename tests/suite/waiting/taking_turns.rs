//! Two runs at once: the second begins when the first has ended, in every store.

use crate::support::backend::LockMode;
use crate::support::fake_terraform::FakeTerraform;
use crate::support::lock_table::LockTable;
use crate::support::mid_run::{look_during, stopping_script};
use crate::support::process::{Finished, Invocation, Running};
use crate::support::scene::Scene;
use crate::support::words::without_changing_parts;
use crate::support::workspace::Workspace;

/// Starts a run while another is running, and lets both go on once it has said that it is waiting.
#[track_caller]
fn second_of_two(
    workspace: &Workspace,
    fake: &FakeTerraform,
    run: impl Fn() -> Invocation,
) -> Finished {
    let (second, first) = look_during(workspace, run(), |_| {
        let mut second: Running = run().start();
        second.wait_for_output("is locked, waiting for it");
        assert_eq!(fake.events(), ["begin"]);
        second
    });
    assert_eq!(first.succeeded().stderr, "");
    workspace.let_go();
    let second = second.wait().succeeded();
    assert_eq!(fake.events(), ["begin", "end", "begin", "end"]);
    second
}

/// Everything that the second prints.
#[track_caller]
fn says_that_it_waited(second: &Finished, lock: &str, liveness: &str) {
    let expected = format!(
        "tflock: `{lock}` is locked, waiting for it\n\
         \x20 held by  <who> (apply, since <time>)\n\
         \x20 holder   {liveness}\n\
         \x20 lock ID  <ID>\n\
         tflock: the lock is free, going on\n"
    );
    assert_eq!(without_changing_parts(&second.stderr), expected);
    assert_eq!(second.stdout, "");
}

#[test]
fn in_a_table() {
    let scene = LockTable::new();
    let run = || scene.tflock(["apply"]);
    let second = second_of_two(&scene.workspace, &scene.fake, run);
    says_that_it_waited(&second, "locks/app", "alive, last heartbeat <age> ago");
    assert_eq!(scene.table.locks(), Vec::<String>::new());
}

#[test]
fn with_a_lock_object() {
    let scene = Scene::new(LockMode::Lockfile);
    let run = || scene.tflock(["apply"]);
    let second = second_of_two(&scene.workspace, &scene.fake, run);
    let lock = "states/prod/app.tfstate.tflock";
    says_that_it_waited(&second, lock, "alive on this machine");
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn on_this_machine() {
    let workspace = Workspace::new();
    let fake = stopping_script().install(workspace.home().join("fake"));
    let run = || workspace.tflock(["apply"]).first_on_path(fake.directory());
    let second = second_of_two(&workspace, &fake, run);
    let lock = workspace.file("terraform.tfstate").display().to_string();
    says_that_it_waited(&second, &lock, "alive, last heartbeat <age> ago");
}

#[test]
fn a_crowd_takes_turns() {
    let scene = LockTable::new();
    let runs = || (0..4).map(|_| scene.tflock(["apply"]).start());
    let (crowd, first) = look_during(&scene.workspace, scene.tflock(["apply"]), |_| {
        let mut crowd: Vec<Running> = runs().collect();
        for run in &mut crowd {
            run.wait_for_output("is locked, waiting for it");
        }
        crowd
    });
    first.succeeded();
    scene.workspace.let_go();
    for run in crowd {
        run.wait().succeeded();
    }
    let turns = ["begin", "end"].repeat(5);
    assert_eq!(scene.fake.events(), turns);
}
