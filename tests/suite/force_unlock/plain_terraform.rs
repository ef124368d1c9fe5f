//! Locks of the real terraform, in each of the places where it keeps them.

use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::mid_run::look_during;
use crate::support::workspace::Workspace;

#[test]
fn a_lock_of_terraforms_is_removed_from_the_table_and_the_next_terraform_goes_on() {
    a_lock_of_terraforms_is_removed(LockMode::DynamodbTable);
}

#[test]
fn a_lock_of_terraforms_is_removed_from_both_places_and_the_next_terraform_goes_on() {
    a_lock_of_terraforms_is_removed(LockMode::Both);
}

fn a_lock_of_terraforms_is_removed(mode: LockMode) {
    let remote = Remote::start();
    let configuration = Configuration::with_backend(&remote.backend(mode));
    let ana = Workspace::with(&configuration.waiting_resource("slow"));
    ana.init();
    let ben = ana.colleague();
    ben.init();
    let apply = ana.terraform(["apply", "-auto-approve"]);
    let (planned, applied) = look_during(&ana, apply, |_| {
        assert!(!remote.locks().is_empty());
        ben.terraform(["plan"]).run().ended_with(1);
        let id = id_in(&ben);
        ben.tflock(["force-unlock", "--yes", &id]).run().succeeded();
        assert_eq!(remote.locks(), Vec::<String>::new());
        ben.terraform(["plan"]).run()
    });
    planned.succeeded();
    // Its state is written by now, and its lock is not there to be released.
    applied
        .ended_with(1)
        .with_stderr("Error releasing the state lock");
}

/// The ID as a script would find it.
fn id_in(workspace: &Workspace) -> String {
    let status = workspace.tflock(["status", "--json"]).run().succeeded();
    let shown: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    let id = shown["locks"][0]["holder"]["info"]["ID"].as_str();
    id.expect("an ID").to_owned()
}
