//! How such a run ends: with its program, when it loses one of the locks, or when it is killed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use super::{STOPS, Team, item};
use crate::support::backend::LockMode;
use crate::support::lock_table::kill_witness;
use crate::support::process::{Running, Status};
use crate::support::processes::{living_in, wait_for_witness};
use crate::support::proxy::Fault;
use crate::support::waiting::wait_until;

/// A program that records each request to stop, and ends a moment after the first.
const STOPPABLE: &str = "trap 'echo asked >>requests' INT TERM; : >started; \
                         while [ ! -e requests ]; do sleep 0.02; done; sleep 0.5; exit 3";

#[test]
fn the_loss_of_one_stops_the_program_once_and_the_others_are_given_back() {
    for lost in ["app", "network"] {
        let team = Team::new(LockMode::DynamodbTable);
        let run = team.exec(&["network", "app"], STOPPABLE);
        let run = run.env("TFLOCK_EXPIRE_AFTER", "6s").start();
        team.workspace.wait_until_started();
        team.remote.table.delete(&item(lost));
        run.wait()
            .ended_with(76)
            .with_stderr(&format!("warning: the lock `{}` is gone", item(lost)))
            .with_stderr(
                "error: the lock was lost while the command ran (it ended with exit code 3)",
            )
            .with_stderr(&format!("run `tflock -chdir={lost} plan`"));
        assert_eq!(team.workspace.read("requests"), "asked\n");
        assert_eq!(team.locks(), Vec::<String>::new());
    }
}

#[test]
fn one_that_cannot_be_given_back_keeps_no_other_and_is_named_with_the_command_for_it() {
    let team = Team::new(LockMode::DynamodbTable);
    let run = team.exec(&["network", "app"], STOPS).start();
    team.workspace.wait_until_started();
    // They are given back at once.
    team.proxy.on("DeleteItem").nth(1, Fault::AccessDenied);
    team.workspace.let_go();
    let finished = run.wait().ended_with(73);
    let [left] = <[String; 1]>::try_from(team.locks()).expect("one lock");
    let directory = if left == item("app") {
        "app"
    } else {
        "network"
    };
    let id = team.remote.table.lock_info(&left).expect("a lock")["ID"].clone();
    let id = id.as_str().expect("an ID");
    finished
        .with_stderr("warning: the lock is NOT released: ")
        .with_stderr(&format!("`tflock -chdir={directory} force-unlock {id}`"));
}

fn kill_tflock(team: &Team, running: &mut Running) {
    team.workspace.wait_until_started();
    wait_for_witness(running.pid());
    running.signal(Signal::SIGKILL);
    wait_until("the end of tflock", || !running.is_running());
}

#[test]
fn the_witness_of_a_killed_tflock_gives_all_of_them_back() {
    for mode in [LockMode::DynamodbTable, LockMode::Lockfile, LockMode::Both] {
        let team = Team::new(mode);
        let mut running = team.exec(&["network", "app"], STOPPABLE).start();
        kill_tflock(&team, &mut running);
        wait_until("the release", || team.locks().is_empty());
        let finished = running.wait();
        assert_eq!(finished.status, Status::Signal(Signal::SIGKILL));
        for name in ["network", "app"] {
            assert!(
                finished.stderr.contains(&format!("{name}.tfstate")),
                "{finished}"
            );
        }
        assert_eq!(
            finished.stderr.matches("is released\n").count(),
            2,
            "{finished}"
        );
        let runs = team.workspace.state_home().join("tflock/runs");
        assert_eq!(fs::read_dir(runs).unwrap().count(), 0);
    }
}

#[test]
fn what_a_run_has_left_whose_witness_died_too_is_given_back_by_release_mine() {
    let team = Team::new(LockMode::DynamodbTable);
    let script = format!("echo $$ >child; {STOPS}");
    let mut running = team.exec(&["network", "app"], &script).start();
    team.workspace.wait_until_started();
    let child = team
        .workspace
        .read("child")
        .trim()
        .parse()
        .expect("a process ID");
    kill_witness(child);
    running.signal(Signal::SIGKILL);
    wait_until("the end of tflock", || !running.is_running());
    team.workspace.let_go();
    wait_until("the end of the group", || {
        living_in(Pid::from_raw(child)).is_empty()
    });
    drop(running);
    let mine = team.workspace.tflock(["release", "--mine"]);
    let mine = mine.in_directory(team.workspace.home()).run().succeeded();
    for name in ["network", "app"] {
        assert!(
            mine.stderr
                .contains(&format!("released the lock of `{}`", item(name))),
            "{mine}"
        );
    }
    assert_eq!(team.locks(), Vec::<String>::new());
    let runs = team.workspace.state_home().join("tflock/runs");
    assert_eq!(fs::read_dir(runs).unwrap().count(), 0);
}

#[test]
fn events_and_history_are_told_for_each_of_them() {
    let team = Team::new(LockMode::DynamodbTable);
    let hook = team.workspace.home().join("hook");
    fs::write(&hook, "#!/bin/sh\ncat >>\"$HOME/told\"\n").expect("a file");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("an executable");
    let run = team
        .exec(&["network", "app"], "true")
        .env("TFLOCK_HISTORY", "on");
    run.env("TFLOCK_ON_EVENT", &hook).run().succeeded();
    let told = || fs::read_to_string(team.workspace.home().join("told")).unwrap_or_default();
    wait_until("four events", || told().lines().count() == 4);
    let mut told: Vec<String> = told()
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(event["run"]["path"], event["lock"]["name"], "{event}");
            format!("{} {}", event["event"], event["lock"]["name"])
        })
        .collect();
    told.sort();
    let expected = ["acquired", "released"]
        .map(|event| ["app", "network"].map(|name| format!("\"{event}\" \"{}\"", item(name))));
    assert_eq!(told, expected.concat());
    for name in ["network", "app"] {
        let history = team
            .workspace
            .tflock([&format!("-chdir={name}"), "history"]);
        history.run().succeeded().with_stdout("exec sh");
    }
}
