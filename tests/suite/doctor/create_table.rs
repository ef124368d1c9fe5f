//! `create-table`: asks first, and creates a table that can keep locks.

use serde_json::json;

use crate::support::dynamodb::Dynamodb;
use crate::support::odd_server::OddServer;
use crate::support::process::Status;
use crate::support::pty::{Size, Terminal};
use crate::support::recorded::s3_workspace;
use crate::support::words::without_escapes;
use crate::support::workspace::Workspace;

fn workspace(dynamodb: &str, table: &str) -> Workspace {
    s3_workspace(&json!({
        "region": "us-east-1", "dynamodb_table": table, "endpoints": { "dynamodb": dynamodb, "s3": "http://127.0.0.1:9" },
    }))
}

#[test]
fn it_asks_and_the_table_keeps_locks() {
    let dynamodb = Dynamodb::start();
    let name = format!("created-{}", std::process::id());
    let workspace = workspace(dynamodb.url(), &name);
    let refused = workspace.tflock(["create-table"]).run().ended_with(77);
    refused
        .with_stderr(&format!(
            "tflock: about to create DynamoDB table `{name}` in us-east-1\n"
        ))
        .with_stderr("deletion  protected")
        .with_stderr("no point-in-time recovery")
        .with_stderr("confirm with `--yes`");
    for (keys, code) in [(&b"\r"[..], 77), (b"y\r", 0)] {
        let mut terminal = Terminal::start(workspace.tflock(["create-table"]), Size::default());
        terminal.wait_for_output("Create this table? [y/N]");
        terminal.send(keys);
        assert_eq!(terminal.wait(), Status::Code(code), "{terminal}");
    }
    let exec = workspace.tflock(["exec", "--", "true"]);
    exec.run().succeeded();
    let again = workspace.tflock(["create-table", "--yes"]).run();
    again
        .ended_with(77)
        .with_stderr(&format!(
            "the table `{name}` exists already; it was left alone"
        ))
        .with_stderr("with `tflock doctor`");
}

#[test]
fn the_table_is_paid_by_request_protected_and_tagged() {
    let dynamodb = Dynamodb::start();
    let engine = dynamodb.url().to_owned();
    let server: OddServer = super::before(&engine, |_| None);
    let name = format!("asked-for-{}", std::process::id());
    let run = Workspace::new()
        .env("AWS_ENDPOINT_URL_DYNAMODB", server.url())
        .env("AWS_REGION", "us-east-1");
    let run = run
        .tflock(["--table", &name, "create-table", "--yes"])
        .run();
    let run = run.succeeded();
    assert_eq!(run.stdout, "");
    assert_eq!(
        without_escapes(&run.stderr),
        format!("tflock: created `{name}`; it is active\n")
    );
    let requests = server.requests();
    let is_creation = |target: &str| target.ends_with(".CreateTable");
    let created = requests
        .iter()
        .find(|request| request.header("x-amz-target").is_some_and(is_creation));
    let created: serde_json::Value =
        serde_json::from_str(&created.expect("a creation").text()).expect("JSON");
    assert_eq!(created["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(created["DeletionProtectionEnabled"], true);
    assert_eq!(
        created["KeySchema"],
        json!([{ "AttributeName": "LockID", "KeyType": "HASH" }])
    );
    assert_eq!(created["Tags"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_directory_that_names_no_table_is_told_how_to() {
    let workspace = Workspace::new();
    let refused = workspace
        .tflock(["create-table", "--yes"])
        .run()
        .ended_with(78);
    refused.with_stderr("hint: name it: `tflock --table terraform-locks create-table`");
}
