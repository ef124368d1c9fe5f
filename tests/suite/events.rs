//! `--on-event`: a program is told what happens, and tflock does not wait for it.

use std::fs;

use serde_json::Value;

use crate::support::installed::install_program;
use crate::support::lock_table::{LOCK, LockTable};
use crate::support::mid_run::look_during;
use crate::support::waiting::wait_until;

/// A program that records what it is told.
fn program(scene: &LockTable, script: &str) -> String {
    let path = scene.workspace.home().join("hook");
    let source = path.with_extension("sh");
    fs::write(&source, format!("#!/bin/sh\n{script}\n")).expect("a file");
    install_program(&source, &path);
    path.display().to_string()
}

fn told(scene: &LockTable) -> Vec<Value> {
    let text = fs::read_to_string(scene.workspace.home().join("told")).unwrap_or_default();
    let mut told: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    // Each is told by a program of its own.
    told.sort_by_key(|event| event["time"].as_str().unwrap_or_default().to_owned());
    told
}

#[test]
fn a_program_is_told_of_the_wait_the_lock_and_its_release() {
    let scene = LockTable::new();
    let hook = program(&scene, "cat >>\"$HOME/told\"");
    let (waiting, first) = look_during(&scene.workspace, scene.tflock(["apply"]), |_| {
        let run = scene.tflock(["--reason", "why", "--on-event", &hook, "apply"]);
        let mut waiting = run.start();
        waiting.wait_for_output("is locked, waiting for it");
        waiting
    });
    first.succeeded();
    scene.workspace.let_go();
    waiting.wait().succeeded();
    wait_until("three events", || told(&scene).len() == 3);
    let told = told(&scene);
    let names: Vec<_> = told.iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names, ["waiting", "acquired", "released"]);
    for event in &told {
        assert_eq!(event["lock"]["name"], LOCK, "{event}");
        assert_eq!(event["run"]["reason"], "why", "{event}");
        assert_eq!(event["version"], 1, "{event}");
    }
    assert_eq!(told[0]["holder"]["command"], "apply");
    assert_eq!(told[0]["holder"]["liveness"], "alive");
}

#[test]
fn a_program_that_hangs_holds_nothing_up_and_its_failure_is_a_detail() {
    let scene = LockTable::new();
    scene.workspace.let_go();
    let hook = program(&scene, "exec sleep 30");
    let run = scene.tflock(["--on-event", &hook, "apply"]).run();
    assert_eq!(run.succeeded().stderr, "");
    assert_eq!(scene.table.locks(), Vec::<String>::new());
    let missing = scene.tflock(["-v", "--on-event", "/nowhere/hook", "apply"]);
    missing
        .run()
        .succeeded()
        .with_stderr("`--on-event /nowhere/hook`: No such file");
}
