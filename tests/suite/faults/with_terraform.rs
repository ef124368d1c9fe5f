//! Together with plain terraform: each waits for the other, whatever is lost between tflock and the table.

use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::mid_run::look_during;
use crate::support::proxy::{Fault, Proxy};
use crate::support::workspace::Workspace;

/// A table, a checkout that reaches it directly, and one that goes through a proxy.
struct Team {
    remote: Remote,
    proxy: Proxy,
    direct: Workspace,
    behind: Workspace,
}

impl Team {
    fn new() -> Self {
        let remote = Remote::start();
        let proxy = Proxy::before(remote.dynamodb.url());
        let checkout = |url: &str| {
            let backend = remote.backend(LockMode::DynamodbTable).dynamodb_url(url);
            let configuration = Configuration::with_backend(&backend);
            let workspace = Workspace::with(&configuration.waiting_resource("slow"));
            workspace.init();
            workspace
        };
        Self {
            direct: checkout(remote.dynamodb.url()),
            behind: checkout(&proxy.url()),
            proxy,
            remote,
        }
    }
}

#[test]
fn terraform_waits_for_a_run_that_loses_all_of_its_first_answers() {
    let team = Team::new();
    team.proxy.on("PutItem").times(2, &Fault::DropReply);
    team.proxy.on("DeleteItem").times(2, &Fault::DropReply);
    let apply = team.behind.tflock(["apply", "-auto-approve"]);
    let plan = ["plan", "-lock-timeout=20s"];
    let (waiting, applied) = look_during(&team.behind, apply, |_| {
        let refused = team.direct.terraform(["plan", "-lock-timeout=0s"]).run();
        refused
            .ended_with(1)
            .with_stderr("Error acquiring the state lock");
        team.direct.terraform(plan).start()
    });
    assert_eq!(applied.succeeded().stderr, "");
    let waited = team.direct.outwait(waiting, plan);
    waited.succeeded().with_stdout("No changes");
    assert_eq!(team.remote.locks(), Vec::<String>::new());
}

#[test]
fn a_run_that_loses_its_answers_waits_for_terraform_and_takes_its_turn() {
    let team = Team::new();
    let apply = team.direct.terraform(["apply", "-auto-approve"]);
    let (waiting, applied) = look_during(&team.direct, apply, |_| {
        // A refusal that is lost is not taken for a lock, and one that comes is not taken for its own.
        team.proxy.on("PutItem").nth(1, Fault::DropReply);
        team.proxy.on("PutItem").nth(3, Fault::DropReply);
        let mut waiting = team.behind.tflock(["plan", "-detailed-exitcode"]).start();
        waiting.wait_for_output("is locked, waiting for it");
        team.proxy.wait_for("PutItem", 4);
        team.proxy.on("DeleteItem").next(Fault::DropReply);
        waiting
    });
    applied.succeeded();
    let planned = waiting.wait().succeeded().with_stdout("No changes");
    assert!(
        planned
            .stderr
            .ends_with("tflock: the lock is free, going on\n"),
        "{planned}"
    );
    assert_eq!(team.remote.locks(), Vec::<String>::new());
}
