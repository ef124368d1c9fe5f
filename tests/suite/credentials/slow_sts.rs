//! A Security Token Service that takes its time: terraform waits for its credentials between reading the record of the backend
//! and the file of the workspace, and whatever is selected meanwhile is what it works on.

use std::thread::{self, sleep};
use std::time::Duration;

use super::sts::Sts;
use crate::support::backend::{LockMode, Remote};
use crate::support::beside::beside;
use crate::support::configuration::{Configuration, STARTED};
use crate::support::process::Running;
use crate::support::proxy::{Gate, Proxy};
use crate::support::waiting::wait_for_file;
use crate::support::workspace::Workspace;

/// A directory whose credentials come from `sts`, with the workspaces `default` and `stg`.
fn two_workspaces(remote: &Remote, sts: &Proxy) -> Workspace {
    let backend = remote.backend(LockMode::DynamodbTable).setting(
        "assume_role",
        "{ role_arn = \"arn:aws:iam::123456789012:role/locker\" }",
    );
    let configuration = Configuration::with_backend(&backend).waiting_resource("slow");
    let workspace = Workspace::with(&configuration).env("AWS_ENDPOINT_URL_STS", sts.url());
    workspace.init();
    let new = workspace.terraform(["workspace", "new", "stg"]);
    new.run().succeeded();
    select(&workspace, "default");
    workspace
}

/// Like `workspace select`, which would ask the service too.
fn select(workspace: &Workspace, name: &str) {
    workspace.write(".terraform/environment", name);
}

/// A run, alone or inside an `exec`, whose terraform is waiting for its credentials.
fn waits_for_credentials(workspace: &Workspace, sts: &Proxy, is_inside: bool) -> (Running, Gate) {
    if is_inside {
        let script = ": >ready; while [ ! -e begin ]; do sleep 0.02; done; exec terraform apply -auto-approve";
        let run = workspace.tflock(["exec", "--", "sh", "-c", script]).start();
        wait_for_file(workspace.file("ready"));
        // Asked first by the shim, which looks whether the lock around it is held.
        let gate = sts.on("*").hold_nth(2);
        workspace.write("begin", "");
        gate.wait_until_reached();
        return (run, gate);
    }
    let gate = sts.on("*").hold_nth(2);
    let run = workspace.tflock(["apply", "-auto-approve"]).start();
    gate.wait_until_reached();
    (run, gate)
}

#[test]
fn a_workspace_that_is_selected_while_terraform_waits_for_its_credentials_is_not_worked_on() {
    thread::scope(|scope| {
        for is_inside in [false, true] {
            for pause in [0, 2_200] {
                beside(scope, move || {
                    let (remote, service) = (Remote::start(), Sts::start());
                    let sts = Proxy::before(service.url());
                    let workspace = two_workspaces(&remote, &sts);
                    let (run, gate) = waits_for_credentials(&workspace, &sts, is_inside);
                    sleep(Duration::from_millis(pause));
                    select(&workspace, "stg");
                    gate.open();
                    let finished = run.wait().ended_with(76);
                    finished.with_stderr("stopping `terraform` gracefully");
                    assert!(!workspace.file(STARTED).exists(), "{is_inside}, {pause}");
                    assert_eq!(remote.locks(), Vec::<String>::new());
                });
            }
        }
    });
}

#[test]
fn credentials_that_come_late_are_no_reason_to_stop_anything() {
    thread::scope(|scope| {
        for is_inside in [false, true] {
            beside(scope, move || {
                let (remote, service) = (Remote::start(), Sts::start());
                let sts = Proxy::before(service.url());
                let workspace = two_workspaces(&remote, &sts);
                let (run, gate) = waits_for_credentials(&workspace, &sts, is_inside);
                sleep(Duration::from_millis(2_200));
                gate.open();
                workspace.wait_until_started();
                select(&workspace, "stg");
                workspace.let_go();
                let finished = run.wait().succeeded();
                assert_eq!(finished.stderr, "", "{is_inside}");
                assert_eq!(remote.locks(), Vec::<String>::new());
            });
        }
    });
}
