//! `tflock list`: every lock of the table, the bucket or this machine, and nothing that is not one.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::backend::LockMode;
use crate::support::http::Message;
use crate::support::lock_table::{LOCK, LockTable};
use crate::support::mid_run::look_during;
use crate::support::odd_server::OddServer;
use crate::support::process::Finished;
use crate::support::proxy::{Fault, Proxy};
use crate::support::recorded::s3_workspace;
use crate::support::scene::Scene;
use crate::support::words::{text_of, without_changing_parts};
use crate::support::workspace::Workspace;

/// The names and statuses of the locks in the JSON that was printed.
#[track_caller]
fn locks(listed: &Finished) -> Vec<(String, String)> {
    assert_eq!(listed.stderr, "");
    let object: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(object["version"], 1);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let locks = object["locks"].as_array().expect("an array").iter();
    locks
        .map(|lock| (text(&lock["lock_id"]), text(&lock["status"])))
        .collect()
}

fn named(names: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, status): &(&str, &str)| ((*name).to_owned(), (*status).to_owned());
    names.iter().map(owned).collect()
}

/// A table with a lock of terraform's, one of tflock's, and much that is not a lock.
fn crowded() -> LockTable {
    let scene = LockTable::new();
    scene.put_terraforms();
    scene
        .table
        .put(&json!({ "LockID": { "S": "locks/app-md5" }, "Digest": { "S": "0f" } }));
    scene
        .table
        .put_lock("locks/app-tflock-queue", &json!({ "ID": "x" }));
    scene
        .table
        .put(&json!({ "LockID": { "S": "note" }, "Info": { "S": "by hand" } }));
    // More than a page of a scan, which is 1 MB.
    let large = "x".repeat(100_000);
    for number in 0..25 {
        let name = format!("other/{number}");
        scene
            .table
            .put(&json!({ "LockID": { "S": name }, "Text": { "S": large } }));
    }
    for number in 0..1000 {
        let name = format!("small/{number}");
        scene
            .table
            .put(&json!({ "LockID": { "S": name }, "Digest": { "S": "0f" } }));
    }
    // At last, so that its holder is alive when it is looked at.
    let info = scene.table.text(LOCK, "Info").expect("a lock");
    scene.table.put(&json!({
        "LockID": { "S": "locks/own" }, "Info": { "S": info }, "TflockVersion": { "S": "0.1.0" },
        "Command": { "S": "apply" }, "Reason": { "S": "friday" },
        "Heartbeat": { "N": "3" }, "HeartbeatAt": { "S": Utc::now().to_rfc3339() },
    }));
    scene
}

#[test]
fn every_lock_of_a_table_is_listed_by_name_whatever_else_is_in_it() {
    let scene = crowded();
    let proxy = Proxy::before(scene.dynamodb.url());
    let list = |arguments: [&str; 2]| {
        let run = scene.workspace.tflock([]).args(arguments);
        run.env("AWS_ENDPOINT_URL_DYNAMODB", proxy.url())
            .run()
            .succeeded()
    };
    let expected = named(&[(LOCK, "held"), ("locks/own", "held")]);
    assert_eq!(locks(&list(["list", "--json"])), expected);
    assert!(proxy.count("Scan") > 2, "{:?}", proxy.actions());
    let table = format!(
        "  in       DynamoDB table `{}` in us-east-1",
        scene.table.name()
    );
    let lines = [
        "held  locks/app",
        &table,
        "  held by  <who> (terraform apply, since <time>)",
        "  holder   unknown: this lock gives no heartbeat",
        "  lock ID  <ID>",
        "held  locks/own",
        &table,
        "  held by  <who> (apply, since <time>)",
        "  holder   alive, last heartbeat <age> ago",
        "  reason   friday",
        "  lock ID  <ID>",
    ];
    let shown = without_changing_parts(&list(["-q", "list"]).stdout);
    assert_eq!(shown, text_of(&lines));
}

#[test]
fn where_nothing_is_locked_it_says_so_and_succeeds() {
    let scene = LockTable::new();
    let shown = scene.tflock(["list"]).run().succeeded();
    let expected = format!(
        "no locks in DynamoDB table `{}` in us-east-1\n",
        scene.table.name()
    );
    assert_eq!((shown.stdout, shown.stderr), (expected, String::new()));
    assert_eq!(
        locks(&scene.tflock(["list", "--json"]).run().succeeded()),
        vec![]
    );
}

#[test]
fn a_permission_that_is_missing_is_named() {
    let scene = LockTable::new();
    let proxy = Proxy::before(scene.dynamodb.url());
    proxy.on("Scan").every(Fault::AccessDenied);
    let run = scene.tflock(["list"]);
    let refused = run
        .env("AWS_ENDPOINT_URL_DYNAMODB", proxy.url())
        .run()
        .ended_with(77);
    let table = scene.table.name();
    let expected = format!(
        "error: cannot list the locks: Scan on DynamoDB table `{table}` in us-east-1 failed: AccessDeniedException: by the proxy\n\
         hint: allow `dynamodb:Scan` on table `{table}`, or use credentials that have it: `aws sts get-caller-identity` shows who you are\n"
    );
    assert_eq!((refused.stdout, refused.stderr), (String::new(), expected));
}

#[test]
fn a_bucket_that_may_not_be_listed_is_named() {
    let server = OddServer::answering(|_, wire| {
        let document = "<Error><Code>AccessDenied</Code><Message>not you</Message></Error>";
        let answer = Message::response(403, "Forbidden", document);
        wire.write(&answer.with("content-type", "application/xml").to_bytes())
    });
    let workspace = s3_workspace(&json!({
        "region": "us-east-1", "use_lockfile": true, "endpoints": { "s3": server.url() },
    }));
    let refused = workspace.tflock(["list"]).run().ended_with(77);
    assert_eq!(refused.stdout, "");
    for words in ["cannot list the locks", "not you", "allow `s3:ListBucket`"] {
        assert!(refused.stderr.contains(words), "{refused:?}");
    }
}

#[test]
fn where_terraform_locks_in_two_places_both_are_listed() {
    let scene = Scene::new(LockMode::Both);
    let table = &scene.remote.table;
    let info = json!({ "ID": "4db125df-d950-b194-cf41-df3ed13f0cf1", "Who": "ana@laptop" });
    table.put_lock("states/another", &info);
    let apply = scene.tflock(["apply"]);
    let (listed, applied) = look_during(&scene.workspace, apply, |_| {
        scene.workspace.tflock(["list", "--json"]).run().succeeded()
    });
    applied.succeeded();
    let expected = [
        ("states/prod/app.tfstate.tflock", "held"),
        ("states/another", "held"),
        ("states/prod/app.tfstate", "held"),
    ];
    assert_eq!(locks(&listed), named(&expected));
}

#[test]
fn a_holder_with_a_wrong_clock_is_watched_before_it_is_called_stale() {
    let scene = LockTable::new();
    scene.put_silent(TimeDelta::hours(1));
    let listed = scene.tflock(["list", "--json"]).run().succeeded();
    assert_eq!(locks(&listed), named(&[(LOCK, "stale")]));
}

#[test]
fn all_locks_of_this_machine_are_listed_from_any_directory() {
    let workspace = Workspace::new();
    let empty = workspace.tflock(["list"]).run().succeeded();
    assert!(
        empty.stdout.starts_with("no locks in the local locks in `"),
        "{empty:?}"
    );
    let name = |name: &str| {
        workspace
            .tflock(["--lock-id"])
            .arg(name)
            .args(["exec", "--"])
    };
    let shown = name("b")
        .arg(env!("CARGO_BIN_EXE_tflock"))
        .args(["list", "--json"]);
    let shown = shown.run().succeeded();
    assert_eq!(locks(&shown), named(&[("b", "held")]));
}
