//! Services that refuse, fail or are unreachable.

use std::thread;

use serde_json::{Value, json};

use super::{Bench, Refusal, SECRET};
use crate::support::backend::Remote;
use crate::support::proxy::{Fault, Proxy};
use crate::support::server::refusing_url;

fn endpoints(remote: &Remote, dynamodb_url: &str, table: &str) -> Value {
    json!({
        "dynamodb_table": table,
        "endpoints": { "dynamodb": dynamodb_url, "s3": remote.s3.url() },
    })
}

/// The lock table behind a proxy that answers each request with that fault.
#[track_caller]
fn with_fault(pattern: &str, fault: Fault, code: i32, error: &str, hint: &str) {
    let remote = Remote::start();
    let proxy = Proxy::before(remote.dynamodb.url());
    proxy.on(pattern).every(fault);
    let table = remote.table.name();
    let bench = Bench::with_s3(endpoints(&remote, &proxy.url(), table));
    bench.refuses(
        |tflock| tflock.arg("plan"),
        &Refusal {
            code,
            error: &error.replace("<table>", table),
            hint: &hint.replace("<table>", table),
        },
    );
    assert_eq!(remote.locks(), Vec::<String>::new());
}

#[test]
fn expired_credentials_are_refused() {
    with_fault(
        "*",
        Fault::ExpiredToken,
        77,
        "cannot take the lock: PutItem on DynamoDB table `<table>` in us-east-1 failed: ExpiredTokenException: by the proxy",
        "log in again (`aws sso login`); `aws sts get-caller-identity` shows who you are",
    );
}

#[test]
fn a_denied_action_is_named_with_its_table() {
    with_fault(
        "PutItem",
        Fault::AccessDenied,
        77,
        "cannot take the lock: PutItem on DynamoDB table `<table>` in us-east-1 failed: AccessDeniedException: by the proxy",
        "allow `dynamodb:PutItem` on table `<table>`, or use credentials that have it: \
         `aws sts get-caller-identity` shows who you are",
    );
}

#[test]
fn a_table_that_does_not_exist_is_answered_with_the_command_that_makes_it() {
    let remote = Remote::start();
    let bench = Bench::with_s3(endpoints(&remote, remote.dynamodb.url(), "missing"));
    bench.refuses(
        |tflock| tflock.arg("plan"),
        &Refusal {
            code: 78,
            error: &format!(
                "cannot take the lock: PutItem on DynamoDB table `missing` in us-east-1 failed: \
                 ResourceNotFoundException: {}",
                // Only the code is the same in all engines.
                match std::env::var_os("TFLOCK_TEST_DYNAMODB") {
                    None => "Requested resource not found",
                    Some(_) => "Cannot do operations on a non-existent table",
                }
            ),
            hint: "name the table with `--table`, or create it: `tflock --table missing create-table`",
        },
    );
}

#[test]
fn a_table_with_another_key_is_told_which_key_it_has() {
    let remote = Remote::start();
    let table = remote.dynamodb.create_table_with_other_key("other");
    let bench = Bench::with_s3(endpoints(&remote, remote.dynamodb.url(), table.name()));
    bench.refuses(
        |tflock| tflock.arg("plan"),
        &Refusal {
            code: 78,
            error: &format!(
                "cannot take the lock: PutItem on DynamoDB table `{}` in us-east-1 failed: its key is `id` \
                 (partition S), where a lock table has one partition key `LockID` of type String",
                table.name()
            ),
            hint: "choose another table with `--table`, or create one: `tflock --table NAME \
                   create-table`",
        },
    );
    assert_eq!(table.items(), Vec::<Value>::new());
}

#[test]
fn a_store_that_cannot_be_reached_is_said_to_be_so() {
    let remote = Remote::start();
    let url = refusing_url();
    let bench = Bench::with_s3(endpoints(&remote, &url, remote.table.name()));
    let failure = format!(
        "PutItem on DynamoDB table `{}` in us-east-1 failed: Connection refused (os error 111)",
        remote.table.name()
    );
    // At once, because each tries for ten seconds.
    thread::scope(|scope| {
        scope.spawn(|| {
            bench.refuses_after(
                &format!("tflock: {failure}; trying again\n"),
                |tflock| tflock.arg("plan"),
                &Refusal {
                    code: 69,
                    error: &format!("cannot take the lock: {failure}"),
                    hint: "check the network and the endpoint, then run it again",
                },
            );
        });
        scope.spawn(|| {
            bench.refuses(
                |tflock| tflock.arg("status"),
                &Refusal {
                    code: 69,
                    error: &format!(
                        "cannot read the lock: {}",
                        failure.replace("PutItem", "GetItem")
                    ),
                    hint: "check the network and the endpoint, then run it again",
                },
            );
        });
    });
    assert_eq!(remote.locks(), Vec::<String>::new());
}

#[test]
fn runs_that_work_say_no_secret_however_much_they_say() {
    let remote = Remote::start();
    let bench = Bench::with_s3(endpoints(
        &remote,
        remote.dynamodb.url(),
        remote.table.name(),
    ));
    for arguments in [
        &["apply"][..],
        &["exec", "--", "true"],
        &["status"],
        &["status", "--json"],
        &["force-unlock"],
    ] {
        let finished = bench.tflock().arg("-v").args(arguments).run().succeeded();
        assert!(!finished.stdout.contains(SECRET), "{finished}");
        assert!(!finished.stderr.contains(SECRET), "{finished}");
    }
}

#[test]
fn a_proxy_that_is_no_url_is_not_quoted() {
    let proxy = json!({ "http_proxy": format!("user:{SECRET} at home") });
    Bench::with_s3(proxy).refuses(
        |tflock| tflock.arg("plan"),
        &Refusal {
            code: 78,
            error: "the backend's proxy is not a URL",
            hint: "correct `http_proxy` and `https_proxy` in the backend and run `tflock init`",
        },
    );
}
