//! Which directories are named, and how.

use super::{STOPS, Team, item};
use crate::support::backend::LockMode;
use crate::support::mid_run::look_during;
use crate::support::process::Finished;

#[test]
fn one_directory_is_as_if_the_run_were_there_and_the_program_stays_where_it_is() {
    let team = Team::new(LockMode::DynamodbTable);
    let run = team.exec(&["network"], &format!("pwd; {STOPS}"));
    let (locks, finished) = look_during(&team.workspace, run, |_| team.locks());
    assert_eq!(locks, [item("network")]);
    finished
        .succeeded()
        .with_stdout(&team.workspace.path().display().to_string());
    let below = team.workspace.tflock([
        "-chdir=network",
        "exec",
        "--dir",
        ".",
        "--dir",
        "../app",
        "--",
        "sh",
        "-c",
        "pwd",
    ]);
    let below = below.run().succeeded();
    below.with_stdout(&team.workspace.file("network").display().to_string());
    assert_eq!(team.proxy.count("PutItem"), 3);
}

#[test]
fn directories_with_the_same_state_are_one_lock() {
    let team = Team::new(LockMode::DynamodbTable);
    std::os::unix::fs::symlink("network", team.workspace.file("link")).expect("a link");
    let run = team.exec(
        &["network", "./network", "link", "app"],
        "terraform -chdir=link plan",
    );
    assert_eq!(run.run().succeeded().stderr, "");
    assert_eq!(
        (team.proxy.count("PutItem"), team.proxy.count("DeleteItem")),
        (2, 2)
    );
    assert_eq!(
        team.fake.only_call().arguments,
        ["-chdir=link", "plan", "-lock=false"]
    );
}

#[test]
fn what_is_wrong_with_a_directory_is_said_with_its_name_before_anything_is_asked() {
    let team = Team::new(LockMode::DynamodbTable);
    let file = team.workspace.file("app/main.tf");
    let uninitialised = std::fs::read_to_string(file).expect("a configuration");
    team.workspace.write("fresh/main.tf", &uninitialised);
    let refused = |directories: &[&str]| {
        let refused = team.exec(directories, ": >started").run().ended_with(78);
        assert_eq!(team.proxy.actions(), Vec::<String>::new());
        assert!(!team.workspace.file("started").exists());
        refused
    };
    let missing = refused(&["network", "nowhere"]);
    missing.with_stderr("error: `--dir nowhere`: there is no such directory\nhint: ");
    let fresh = refused(&["network", "fresh"]);
    fresh
        .with_stderr("error: `--dir fresh`: the backend `s3` of ")
        .with_stderr("\nhint: run `tflock -chdir=fresh init`\n");
}

#[test]
fn a_hold_that_is_named_cannot_be_that_of_several_locks() {
    let team = Team::new(LockMode::DynamodbTable);
    let run = team
        .exec(&["network", "app"], "true")
        .env("TFLOCK_HOLD", "4db125df");
    run.run()
        .ended_with(64)
        .with_stderr("error: `--hold` names the hold of one lock");
    assert_eq!(team.proxy.actions(), Vec::<String>::new());
}

#[test]
fn the_own_hold_on_one_of_them_is_worked_under_and_stays() {
    let team = Team::new(LockMode::DynamodbTable);
    let held = team
        .workspace
        .tflock(["-chdir=network", "hold"])
        .run()
        .succeeded();
    let run = team.exec(&["network", "app"], "terraform -chdir=network plan");
    assert_eq!(run.env("TFLOCK_WAIT", "0").run(), Finished::silent(0));
    assert_eq!(team.locks(), [item("network")]);
    let info = team
        .remote
        .table
        .lock_info(&item("network"))
        .expect("the hold");
    assert_eq!(info["ID"], held.stdout.trim_end());
}
