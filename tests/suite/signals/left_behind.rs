//! What terraform leaves running when it ends: tflock waits for it only if it may still write the state.

use std::fs;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::apply::{Apply, said};
use crate::support::configuration::{GO, STARTED};
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::process::{Running, Status};
use crate::support::scene::local_locks;
use crate::support::workspace::{Workspace, terraform_program};

/// A run of a scripted terraform in a separate workspace.
struct Run {
    workspace: Workspace,
    fake: FakeTerraform,
    running: Running,
}

impl Run {
    fn of(script: Script) -> Self {
        let workspace = Workspace::new();
        let fake = script.install(workspace.home().join("fake"));
        let running = workspace
            .tflock(["apply"])
            .first_on_path(fake.directory())
            .start();
        Self {
            workspace,
            fake,
            running,
        }
    }

    fn is_locked(&self) -> bool {
        !local_locks(&self.workspace).is_empty()
    }
}

/// Shell code that runs a loop under that name in the background, until the test ends it.
fn background(name: &str) -> String {
    format!(
        "cp \"$(command -v dash || command -v sh)\" ./{name}; \
         ./{name} -c 'trap \"\" INT; : >{STARTED}; while [ ! -e {GO} ] && [ -d \"$PWD\" ]; do sleep 0.02; done' &"
    )
}

#[test]
fn a_daemon_that_holds_the_output_open_is_not_waited_for() {
    let daemon = background("daemon");
    let run = Run::of(
        Script::new()
            .step(&daemon)
            .wait_for(STARTED)
            .print("last words")
            .exit(3),
    );
    let finished = run.running.wait();
    assert_eq!(finished.status, Status::Code(3), "{finished}");
    assert_eq!(finished.stdout, "last words");
    assert_eq!(local_locks(&run.workspace), Vec::<String>::new());
    run.workspace.let_go();
}

#[test]
fn a_terraform_that_its_wrapper_left_behind_is_waited_for_and_told_of() {
    for name in ["terraform", "tofu", "terraform_1.11.4", "terragrunt"] {
        let mut run = Run::of(Script::new().step(&background(name)).exit(3));
        run.workspace.wait_until_started();
        // As the kernel knows it.
        let shown: String = name.chars().take(15).collect();
        run.running.wait_for_output(&format!(" ({shown})\n"));
        assert!(run.is_locked(), "{name}");
        assert!(run.running.is_running(), "{name}");
        run.workspace.let_go();
        run.running.wait().ended_with(3);
        assert_eq!(local_locks(&run.workspace), Vec::<String>::new());
    }
}

#[test]
fn a_terraform_that_its_wrapper_left_behind_can_still_be_stopped() {
    let apply = Apply::local();
    let terraform = terraform_program();
    let wrapper = format!("#!/bin/sh\n{} \"$@\" &\nexit 3\n", terraform.display());
    apply.workspace.write("wrapper", &wrapper);
    let line = Apply::line().replace("-v ", "-v --terraform ./wrapper ");
    let mut running = apply
        .script(&format!("chmod +x wrapper; exec {line}"))
        .start();
    apply.terraform();
    running.wait_for_output(" (terraform)\n");
    assert_eq!(apply.locks().len(), 1);
    running.signal(Signal::SIGTERM);
    let finished = running.wait();
    assert_eq!(finished.status, Status::Code(3), "{finished}");
    apply.stopped_once(&said(&finished));
}

#[test]
fn a_provider_without_its_terraform_is_not_waited_for_even_if_that_was_killed() {
    let provider = background("terraform-provider-none");
    let run = Run::of(
        Script::new()
            .step(&provider)
            .wait_for(STARTED)
            .die_of(Signal::SIGKILL),
    );
    let workspace = run.workspace;
    let finished = run.running.wait();
    assert_eq!(
        finished.status,
        Status::Signal(Signal::SIGKILL),
        "{finished}"
    );
    assert_eq!(local_locks(&workspace), Vec::<String>::new());
    workspace.let_go();
}

#[test]
fn nothing_of_tflock_itself_is_left_behind() {
    // The witness lives in terraform's group, which has died out if it has ended as well.
    let run = Run::of(Script::new());
    let finished = run.running.wait();
    assert_eq!(finished.status, Status::Code(0), "{finished}");
    let terraform = Pid::from_raw(run.fake.only_call().pid);
    assert!(killpg(terraform, None).is_err());
    assert!(fs::metadata(format!("/proc/{terraform}")).is_err());
}

#[test]
fn a_program_that_an_exec_left_behind_is_waited_for_whatever_its_name() {
    let workspace = Workspace::new();
    let script = background("job");
    let mut running = workspace
        .tflock(["exec", "--", "sh", "-c", &script])
        .start();
    running.wait_for_output("waiting for leftover processes before releasing the lock: ");
    workspace.wait_until_started();
    assert!(running.is_running() && !local_locks(&workspace).is_empty());
    workspace.let_go();
    running.wait().succeeded();
    assert_eq!(local_locks(&workspace), Vec::<String>::new());
}
