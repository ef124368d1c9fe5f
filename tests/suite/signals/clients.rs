//! A `terraform` on PATH that is not terraform itself: a wrapper that ends before it, a client whose terraform runs
//! elsewhere.

use std::fs;
use std::process::{Child, Command};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::processes::wait_for_end;
use crate::support::backend::{LOCK_ID, LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::limits::{Resource, limit};
use crate::support::namespaces::own_mounts;
use crate::support::process::Running;
use crate::support::proxy::Proxy;
use crate::support::scene::Scene;
use crate::support::waiting::{wait_for_file, wait_until};
use crate::support::workspace::{Workspace, terraform_program};

/// A client that has its terraform started by another process, a container's daemon, and waits for its end.
fn client(scene: &Scene) -> FakeTerraform {
    let script = Script::new()
        .step("mkfifo answer; : >asked; cat answer >/dev/null")
        .exit(0);
    script.install(scene.workspace.home().join("client"))
}

/// The daemon's terraform: not a descendant of tflock, and with its own environment and session.
struct Elsewhere(Child);

impl Elsewhere {
    fn asked_by(scene: &Scene) -> Self {
        wait_for_file(scene.workspace.file("asked"));
        wait_until("a client that is told from terraform", || {
            let runs = fs::read_dir(scene.workspace.state_home().join("tflock/runs"));
            let mut runs = runs.into_iter().flatten().flatten();
            runs.any(|run| {
                let run = fs::read_to_string(run.path()).unwrap_or_default();
                run.contains("\"sighting\": \"unseen\"")
            })
        });
        let mut command = Command::new("setsid");
        command.args(["-w", "sleep", "600"]).env_clear();
        Self(command.spawn().expect("setsid"))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn started(scene: &Scene) -> (Running, FakeTerraform, Elsewhere) {
    let fake = client(scene);
    let run = scene.workspace.tflock(["apply"]);
    let run = run.first_on_path(fake.directory()).start();
    let elsewhere = Elsewhere::asked_by(scene);
    (run, fake, elsewhere)
}

fn kill_group(fake: &FakeTerraform) {
    let group = Pid::from_raw(-fake.only_call().pid);
    kill(group, Signal::SIGKILL).expect("the client's group");
}

#[test]
fn the_lock_of_a_client_that_is_killed_is_kept_and_named() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let (run, fake, _elsewhere) = started(&scene);
    // The witness too: whoever kills a container's processes does not choose.
    kill_group(&fake);
    let finished = run.wait().died_of(Signal::SIGKILL);
    let finished = finished
        .with_stderr("the lock is NOT released")
        .with_stderr("`tflock force-unlock ");
    assert_eq!(scene.remote.locks(), [LOCK_ID], "{finished}");
    let waiting = scene.tflock(["--wait", "1s", "plan"]).run();
    waiting.ended_with(75);
}

#[test]
fn the_lock_of_a_client_that_is_killed_with_its_tflock_is_kept_and_named() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let (run, fake, _elsewhere) = started(&scene);
    let client = Pid::from_raw(fake.only_call().pid);
    let group = super::processes::witness_of(client);
    run.signal(Signal::SIGKILL);
    kill(client, Signal::SIGKILL).expect("the client");
    scene
        .workspace
        .invocation("sh")
        .args(["-c", "exec 3<>answer; echo >&3"])
        .run();
    wait_for_end(group);
    let finished = run.wait().died_of(Signal::SIGKILL);
    let finished = finished
        .with_stderr("the lock is NOT released")
        .with_stderr("`tflock force-unlock ");
    assert_eq!(scene.remote.locks(), [LOCK_ID], "{finished}");
    let waiting = scene.tflock(["--wait", "1s", "plan"]).run();
    waiting.ended_with(75);
}

/// A real apply below a wrapper that ends at an interrupt, while the program behind it, under another name, still saves: that
/// this is waited for, in a tflock that is called by those words and cannot have more than so many files open meanwhile.
#[track_caller]
fn waits_for_what_is_behind_a_wrapper(called_by: &str, descriptors: Option<u64>) {
    let remote = Remote::start();
    let s3 = Proxy::before(remote.s3.url());
    let backend = remote.backend(LockMode::DynamodbTable).s3_url(s3.url());
    let workspace =
        Workspace::with(&Configuration::with_backend(&backend).waiting_resource("slow"));
    workspace.init();
    let behind = workspace.home().join(".terraform-wrapped");
    std::os::unix::fs::symlink(terraform_program(), &behind).expect("a link");
    let wrapper = Script::new()
        .step("trap 'exit 130' INT")
        .step(&format!("{} \"$@\" & wait", behind.display()))
        .install(workspace.home().join("wrapper"));
    let words = format!(
        "exec {called_by} {} apply -auto-approve",
        env!("CARGO_BIN_EXE_tflock")
    );
    let run = workspace.invocation("sh").args(["-c", &words]);
    let mut run = run.first_on_path(wrapper.directory()).start();
    workspace.wait_until_started();
    let usual = descriptors.map(|few| limit(run.pid(), Resource::Descriptors, few));
    let gate = s3.on("PUT *").hold();
    let pid = wrapper.only_call().pid;
    run.signal(Signal::SIGINT);
    gate.wait_until_reached();
    wait_until("the end of the wrapper", || {
        kill(Pid::from_raw(pid), None).is_err()
    });
    run.wait_for_output("waiting for leftover processes before releasing the lock: ");
    assert_eq!(remote.locks(), [LOCK_ID], "while it saves");
    if let Some(usual) = usual {
        limit(run.pid(), Resource::Descriptors, usual);
    }
    gate.open();
    let finished = run.wait().ended_with(130);
    assert_eq!(remote.locks(), Vec::<String>::new(), "{finished}");
}

#[test]
fn a_terraform_under_another_name_is_waited_for_when_its_wrapper_has_ended() {
    waits_for_what_is_behind_a_wrapper("", None);
}

#[test]
fn so_it_is_where_processes_cannot_be_looked_at() {
    if let Some(own_mounts) = own_mounts() {
        let script = "'mount -t tmpfs none /proc && exec \"$@\"'";
        waits_for_what_is_behind_a_wrapper(&format!("{own_mounts} sh -c {script} sh"), None);
    }
}

#[test]
fn so_it_is_where_no_descriptor_is_left_to_look_with() {
    waits_for_what_is_behind_a_wrapper("", Some(0));
}
