//! What can be wrong with a table, and with the connection to it.

use chrono::{TimeDelta, Utc};
use serde_json::json;

use super::{Found, before, workspace};
use crate::support::backend::{LOCK_ID, LockMode, Remote};
use crate::support::dynamodb::Dynamodb;
use crate::support::http::{self, Message};
use crate::support::lock_table::LockTable;
use crate::support::odd_server::OddServer;
use crate::support::proxy::{Fault, Proxy};
use crate::support::recorded::s3_workspace;
use crate::support::s3::S3;
use crate::support::server::refusing_url;
use crate::support::tls::TlsEndpoint;
use crate::support::workspace::Workspace;

/// A directory whose DynamoDB is behind that URL.
fn behind(url: &str, s3: &S3, table: &str) -> Workspace {
    s3_workspace(&json!({
        "region": "us-east-1", "dynamodb_table": table, "endpoints": { "dynamodb": url, "s3": s3.url() },
    }))
}

#[test]
fn each_permission_that_is_missing_is_named() {
    for action in ["DescribeTable", "GetItem", "PutItem", "DeleteItem"] {
        let remote = Remote::start();
        let proxy = Proxy::before(remote.dynamodb.url());
        let workspace = behind(&proxy.url(), &remote.s3, remote.table.name());
        proxy.on(action).every(Fault::AccessDenied);
        let found = Found::by(&workspace, 77);
        let check = format!("dynamodb:{action}");
        let next = format!(
            "allow `dynamodb:{action}` on table `{}`",
            remote.table.name()
        );
        found.only_fault(&check, "AccessDenied", &next);
        assert_eq!(remote.table.items(), Vec::<serde_json::Value>::new());
    }
}

#[test]
fn a_policy_for_the_lock_alone_is_enough() {
    let remote = Remote::start();
    let server = before(remote.dynamodb.url(), |request| {
        let document =
            r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"no"}"#;
        let answer = Message::response(400, "Bad Request", document);
        let answer = answer.with("content-type", "application/x-amz-json-1.0");
        request.text().contains("-tflock-").then_some(answer)
    });
    let workspace = behind(&server.url(), &remote.s3, remote.table.name());
    let held = json!({ "ID": "x", "Who": "ana@laptop", "Operation": "OperationTypeApply" });
    for held in [None, Some(held)] {
        if let Some(held) = &held {
            remote.table.put_lock(LOCK_ID, held);
        }
        let items = remote.table.items();
        let found = Found::by(&workspace, 0);
        for check in ["dynamodb:PutItem", "dynamodb:DeleteItem"] {
            let next = format!("allow `{check}` on all names that begin with the lock's");
            found.has(check, "advice", "allowed on the lock only", &next);
        }
        assert_eq!(remote.table.items(), items);
    }
}

#[test]
fn a_table_with_another_key_is_named_with_the_key() {
    let dynamodb = Dynamodb::start();
    let table = dynamodb.create_table_with_other_key("locks");
    let found = Found::by(&behind(dynamodb.url(), &S3::start(), table.name()), 78);
    found.only_fault("table", "its key is `id`", "create-table");
}

#[test]
fn a_table_that_is_not_there_or_in_another_region_can_be_created() {
    let dynamodb = Dynamodb::start();
    let found = Found::by(&behind(dynamodb.url(), &S3::start(), "missing"), 78);
    found.only_fault(
        "table",
        "`missing` in us-east-1",
        "create it with `tflock create-table`",
    );
}

#[test]
fn an_endpoint_that_does_not_answer_is_named() {
    let found = Found::by(&behind(&refusing_url(), &S3::start(), "locks"), 69);
    found.only_fault("dynamodb", "refused", "check the network and the endpoint");
}

#[test]
fn a_certificate_that_is_not_trusted_is_told() {
    let remote = Remote::start();
    let tls = TlsEndpoint::before(remote.dynamodb.url());
    let workspace = behind(&tls.url(), &remote.s3, remote.table.name());
    let found = Found::by(&workspace, 69);
    found.only_fault(
        "dynamodb",
        "certificate",
        "set the backend's `custom_ca_bundle` or AWS_CA_BUNDLE",
    );
    let trusting = workspace.env("AWS_CA_BUNDLE", tls.ca_file().display().to_string());
    Found::by(&trusting, 0).has("dynamodb", "ok", "https://", "");
}

#[test]
fn keys_that_have_expired_are_named_once() {
    let remote = Remote::start();
    let proxy = Proxy::before(remote.dynamodb.url());
    proxy.on("*").every(Fault::ExpiredToken);
    let found = Found::by(&behind(&proxy.url(), &remote.s3, remote.table.name()), 77);
    found.only_fault("credentials", "ExpiredToken", "log in again");
}

fn sts(status: u16, body: &'static str) -> OddServer {
    before("", move |_| {
        Some(Message::response(status, "STS", body).with("content-type", "text/xml"))
    })
}

#[test]
fn whose_credentials_they_are_is_told() {
    let remote = Remote::start();
    let sts = sts(
        200,
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::123456789012:user/ana</Arn><UserId>AIDA</UserId><Account>123456789012</Account>\
         </GetCallerIdentityResult></GetCallerIdentityResponse>",
    );
    let workspace =
        workspace(&remote, LockMode::DynamodbTable).env("AWS_ENDPOINT_URL_STS", sts.url());
    let found = Found::by(&workspace, 0);
    found.has(
        "credentials",
        "ok",
        "`arn:aws:iam::123456789012:user/ana`, account 123456789012",
        "",
    );
}

#[test]
fn credentials_that_sts_does_not_know_are_a_fault_and_nothing_else_is_tried() {
    let remote = Remote::start();
    let sts = sts(
        403,
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>InvalidClientTokenId</Code><Message>no such key</Message></Error></ErrorResponse>",
    );
    let proxy = Proxy::before(remote.dynamodb.url());
    let workspace = behind(&proxy.url(), &remote.s3, remote.table.name());
    let workspace = workspace.env("AWS_ENDPOINT_URL_STS", sts.url());
    let found = Found::by(&workspace, 77);
    found.only_fault("credentials", "InvalidClientTokenId", "log in again");
    assert_eq!(proxy.actions(), Vec::<String>::new());
}

/// A server in front of an engine; its clock is that many minutes ahead.
fn ahead_by(minutes: i64, engine: &str) -> OddServer {
    let engine = engine.to_owned();
    before("", move |request| {
        let mut answer = http::send(&engine, request).ok()?;
        answer.remove_header("date");
        answer.remove_header("connection");
        let now = Utc::now() + TimeDelta::minutes(minutes);
        Some(answer.with("date", now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()))
    })
}

#[test]
fn a_clock_that_is_off_is_told_by_how_much() {
    for (ahead, words) in [(30, "30 min behind"), (-30, "30 min ahead of")] {
        let remote = Remote::start();
        let [dynamodb, s3] =
            [remote.dynamodb.url(), remote.s3.url()].map(|url| ahead_by(ahead, url));
        let workspace = s3_workspace(&json!({
            "region": "us-east-1", "dynamodb_table": remote.table.name(),
            "endpoints": { "dynamodb": dynamodb.url(), "s3": s3.url() },
        }));
        let found = Found::by(&workspace, 77);
        found.only_fault("clock", words, "timedatectl set-ntp true");
    }
}

#[test]
fn a_stale_lock_is_told_with_the_command_that_removes_it() {
    let scene = LockTable::new();
    let id = scene.put_silent(TimeDelta::hours(1));
    let found = Found::by(&scene.workspace, 76);
    found.only_fault(
        "lock",
        "is held by ana@laptop",
        &format!("force-unlock {id}"),
    );
}

#[test]
fn a_living_holder_is_no_fault() {
    let remote = Remote::start();
    let workspace = workspace(&remote, LockMode::DynamodbTable);
    remote.table.put_lock(
        LOCK_ID,
        &json!({ "ID": "x", "Who": "ana@laptop", "Operation": "OperationTypeApply" }),
    );
    let found = Found::by(&workspace, 0);
    found.has("lock", "ok", "is held by ana@laptop", "");
}
