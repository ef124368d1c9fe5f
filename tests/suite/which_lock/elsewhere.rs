//! Backends other than S3, with a table: tflock's own item, with the same name on every machine.

use serde_json::{Value, json};

use crate::support::backend::Remote;
use crate::support::dynamodb::Table;
use crate::support::fake_terraform::FakeTerraform;
use crate::support::mid_run::{look_during, stopping_script};
use crate::support::process::Invocation;
use crate::support::recorded::record;
use crate::support::workspace::Workspace;

/// Backends as `terraform init` records them, each with the name of its lock in the workspace `default`. None of
/// the secrets becomes part of a name.
fn backends() -> [(&'static str, Value, &'static str); 4] {
    [
        (
            "gcs",
            json!({ "bucket": "acme", "prefix": "net/prod", "credentials": "secret" }),
            "gcs/acme/net/prod/default",
        ),
        (
            "http",
            json!({ "address": "https://user:secret@Git.Example/api/state/net?token=secret", "lock_address": null }),
            "http/git.example/api/state/net",
        ),
        (
            "pg",
            json!({ "conn_str": "postgres://user:secret@db.example:5432/terraform" }),
            "pg/db.example:5432/terraform/terraform_remote_state/default",
        ),
        (
            "azurerm",
            json!({ "storage_account_name": "acme", "container_name": "net", "key": "k", "access_key": "secret" }),
            "azurerm/acme/net/k/default",
        ),
    ]
}

/// A directory with the record that `init` would have written, and a scripted terraform.
fn checkout(remote: &Remote, type_name: &str, config: &Value) -> (Workspace, FakeTerraform) {
    let workspace = Workspace::new()
        .env("AWS_ENDPOINT_URL_DYNAMODB", remote.dynamodb.url())
        .env("AWS_REGION", "eu-central-1");
    record(&workspace, type_name, config);
    let fake = stopping_script().install(workspace.home().join("fake"));
    (workspace, fake)
}

fn apply(checkout: &(Workspace, FakeTerraform), table: &Table) -> Invocation {
    let (workspace, fake) = checkout;
    let run = workspace.tflock(["--wait", "0", "--table", table.name(), "apply"]);
    run.first_on_path(fake.directory())
}

#[test]
fn with_a_table_any_backend_has_one_lock_for_all_checkouts_and_terraform_keeps_its_own() {
    let remote = Remote::start();
    for (type_name, config, lock_id) in backends() {
        let ana = checkout(&remote, type_name, &config);
        let ben = checkout(&remote, type_name, &config);
        let ((names, bens), anas) = look_during(&ana.0, apply(&ana, &remote.table), |_| {
            let refused = apply(&ben, &remote.table).run();
            (remote.table.locks(), refused)
        });
        assert_eq!(names, [lock_id]);
        bens.ended_with(75)
            .with_stderr("error: the state is locked: Error acquiring the state lock\n")
            .with_stderr(lock_id);
        let anas = anas.succeeded();
        assert_eq!((anas.stdout, anas.stderr), (String::new(), String::new()));
        assert_eq!(ana.1.only_call().arguments, ["apply"]);
        assert_eq!(ben.1.calls(), []);

        let (names, bens) =
            look_during(&ben.0, apply(&ben, &remote.table), |_| remote.table.locks());
        assert_eq!(names, [lock_id]);
        bens.succeeded();
        assert_eq!(remote.locks(), Vec::<String>::new());
    }
}

#[test]
fn another_workspace_of_the_same_backend_is_another_lock() {
    let remote = Remote::start();
    let (type_name, config, _) = &backends()[0];
    let ana = checkout(&remote, type_name, config);
    let run = apply(&ana, &remote.table).env("TF_WORKSPACE", "stg");
    let (names, finished) = look_during(&ana.0, run, |_| remote.table.locks());
    assert_eq!(names, ["gcs/acme/net/prod/stg"]);
    finished.succeeded();
}

#[test]
fn a_backend_that_tells_no_name_needs_one() {
    let remote = Remote::start();
    let ana = checkout(&remote, "artifactory", &json!({ "url": "https://x" }));
    apply(&ana, &remote.table)
        .run()
        .ended_with(78)
        .with_stderr("artifactory")
        .with_stderr("hint: ")
        .with_stderr("--lock-id");
    let run = apply(&ana, &remote.table).env("TFLOCK_LOCK_ID", "network");
    let (names, finished) = look_during(&ana.0, run, |_| remote.table.locks());
    assert_eq!(names, ["network"]);
    finished.succeeded();
}
