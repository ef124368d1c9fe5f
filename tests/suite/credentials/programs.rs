//! `credential_process`: a program that may have to ask a person, and so may be slow.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;

use super::{Scene, Signer, exec, without_keys};
use crate::support::waiting::{wait_for_file, wait_until};
use crate::support::workspace::Workspace;

/// A directory whose user has a profile with that program; it runs where terraform would work.
fn with_program(scene: &Scene, command: &str) -> Workspace {
    let workspace = scene.workspace(json!({ "region": "eu-west-1" }));
    let answer = r#"{"Version":1,"AccessKeyId":"PROGRAM","SecretAccessKey":"s"}"#;
    workspace.write("answer", answer);
    let directory = workspace.home().join(".aws");
    fs::create_dir_all(&directory).unwrap();
    let config = format!("[default]\ncredential_process = {command}\n");
    fs::write(directory.join("config"), config).unwrap();
    workspace
}

#[test]
fn a_program_that_takes_longer_than_a_request_may_is_waited_for_and_run_once() {
    let scene = Scene::new();
    let workspace = with_program(&scene, "echo run >> runs; sleep 11; cat answer");
    let signer = scene.signer(without_keys(exec(&workspace)));
    assert_eq!(signer, Signer::dynamodb("PROGRAM", "eu-west-1"));
    assert_eq!(workspace.read("runs"), "run\n");
}

#[test]
fn a_program_that_fails_is_the_one_error_and_nothing_is_sent() {
    let scene = Scene::new();
    let workspace = with_program(&scene, "echo run >> runs; exit 3");
    let run = without_keys(exec(&workspace)).run().ended_with(77);
    let expected = "error: `credential_process` of the profile `default` failed (exit status: 3)\n\
                    hint: fix that program, or use other credentials; no request was sent to AWS yet\n";
    assert_eq!(run.stderr, expected);
    assert_eq!(workspace.read("runs"), "run\n");
    assert_eq!(scene.proxy.connections(), 0);
}

#[test]
fn a_program_ends_with_us_however_we_end() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let scene = Scene::new();
        let workspace = with_program(&scene, "echo $$ > new; mv new pid; exec sleep 600");
        let run = without_keys(exec(&workspace)).start();
        wait_for_file(workspace.file("pid"));
        let pid = workspace.read("pid").trim().to_owned();
        run.signal(signal);
        run.wait().died_of(signal);
        // Whoever inherits it may leave it unreaped.
        let stat = format!("/proc/{pid}/stat");
        wait_until("the end of the program", || {
            fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
        });
        assert_eq!(scene.proxy.connections(), 0);
    }
}
