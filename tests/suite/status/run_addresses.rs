//! The address of a CI run, as everybody sees it.

use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::mid_run::look_during;
use crate::support::workspace::Workspace;

#[test]
fn what_is_secret_in_the_address_of_a_run_is_neither_recorded_nor_shown() {
    let remote = Remote::start();
    let workspace = Workspace::with(
        &Configuration::with_backend(&remote.backend(LockMode::Both)).waiting_resource("slow"),
    );
    workspace.init();
    let run = workspace
        .tflock(["--reason", "friday", "apply", "-auto-approve"])
        .env(
            "CI_JOB_URL",
            "https://oauth2:hunter2@git.example/job/1?private_token=hunter2#hunter2",
        );
    let (seen, finished) = look_during(&workspace, run, |_| {
        let record = format!("{:?}", remote.table.items());
        let status = workspace.tflock(["status"]).run().succeeded();
        let json = workspace.tflock(["status", "--json"]).run().succeeded();
        let plain = workspace
            .terraform(["plan", "-no-color"])
            .run()
            .ended_with(1);
        [record, status.stdout, json.stdout, plain.stderr]
    });
    finished.succeeded();
    for seen in seen {
        assert!(seen.contains("https://git.example/job/1"), "{seen}");
        assert!(!seen.contains("hunter2"), "{seen}");
        assert!(!seen.contains("oauth2"), "{seen}");
    }
}
