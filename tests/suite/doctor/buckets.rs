//! What can be wrong with a bucket, and how a server treats conditions.

use super::{Found, before, workspace};
use crate::support::backend::{LockMode, Remote};
use crate::support::http::Message;
use crate::support::process::Status;
use crate::support::proxy::{Fault, Proxy};
use crate::support::pty::{Size, Terminal};
use crate::support::recorded::s3_workspace;
use crate::support::s3::{IfMatch, S3, Sort};
use crate::support::words::without_escapes;
use crate::support::workspace::Workspace;

fn behind(url: &str) -> Workspace {
    s3_workspace(&serde_json::json!({
        "region": "us-east-1", "use_lockfile": true, "endpoints": { "s3": url },
    }))
}

#[test]
fn each_permission_that_is_missing_is_named() {
    type Denied = fn(&Message) -> bool;
    let denials: [(Denied, &str, &str); 3] = [
        (
            |request| request.query().contains("list-type"),
            "s3:ListBucket",
            "`states`",
        ),
        (
            |request| request.method() == "HEAD",
            "s3:GetObject",
            "`states/prod/app.tfstate`",
        ),
        (
            |request| request.path().ends_with(".tflock"),
            "s3:GetObject",
            "`states/prod/app.tfstate.tflock`",
        ),
    ];
    for (is_denied, check, on) in denials {
        let s3 = S3::start();
        let server = before(s3.url(), move |request| {
            let document = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
            let document = if request.method() == "HEAD" {
                ""
            } else {
                document
            };
            let answer = Message::response(403, "Forbidden", document);
            is_denied(request).then(|| answer.with("content-type", "application/xml"))
        });
        let found = Found::by(&behind(&server.url()), 77);
        found.only_fault(check, "failed: ", &format!("allow `{check}` on {on}"));
    }
}

#[test]
fn a_bucket_in_another_region_is_told() {
    let s3 = S3::start();
    let server = before(s3.url(), |_| {
        let document = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong; expecting \
                        'eu-central-1'</Message></Error>";
        Some(
            Message::response(400, "Bad Request", document).with("content-type", "application/xml"),
        )
    });
    let found = Found::by(&behind(&server.url()), 78);
    found.only_fault(
        "bucket",
        "expecting 'eu-central-1'",
        "correct `region` in the backend",
    );
}

#[test]
fn a_bucket_that_is_not_there_is_told() {
    let s3 = S3::start();
    let proxy = Proxy::before(s3.url());
    proxy.on("*").every(Fault::NotFound);
    let found = Found::by(&behind(&proxy.url()), 78);
    found.only_fault("bucket", "NoSuchBucket", "backend's settings");
}

#[test]
fn a_versioned_bucket_gets_the_rule_that_clears_it() {
    let s3 = S3::start();
    let server = before(s3.url(), |request| {
        let document = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status>\
                        </VersioningConfiguration>";
        let answer = Message::response(200, "OK", document).with("content-type", "application/xml");
        request.query().contains("versioning").then_some(answer)
    });
    let found = Found::by(&behind(&server.url()), 0);
    found.has(
        "versions",
        "advice",
        "keeps old versions",
        "aws_s3_bucket_lifecycle_configuration",
    );
    let block = found.check("versions", "advice")["block"]
        .as_str()
        .expect("a block");
    assert!(block.starts_with("rule {\n"), "{block}");
    assert!(
        block.contains("prefix = \"prod/app.tfstate.tflock\"\n"),
        "{block}"
    );
}

/// What `doctor` at a terminal prints once its question is answered.
#[track_caller]
fn answered(workspace: &Workspace, keys: &[u8], exit_code: i32) -> String {
    let size = Size {
        columns: 300,
        ..Size::default()
    };
    let mut terminal = Terminal::start(workspace.tflock(["doctor"]), size);
    terminal.wait_for_output("[y/N]");
    terminal.send(keys);
    assert_eq!(terminal.wait(), Status::Code(exit_code), "{terminal}");
    without_escapes(&terminal.output())
}

/// What `doctor` at a terminal prints about such a server, once its question is answered.
#[track_caller]
fn conditions(sort: Sort, heartbeat: &str, keys: &[u8], exit_code: i32) -> String {
    let s3 = S3::of_sort(sort);
    let workspace = behind(s3.url()).env("TFLOCK_S3_HEARTBEAT", heartbeat);
    s3.put(
        "prod/app.tfstate.tflock",
        "{\"ID\":\"x\",\"Who\":\"ana@laptop\"}",
    );
    let shown = answered(&workspace, keys, exit_code);
    // The lock is as it was, and nothing else is left.
    assert_eq!(s3.keys(), ["prod/app.tfstate.tflock"]);
    let lines = shown
        .lines()
        .skip_while(|line| !line.contains("conditional writes"));
    lines.take(2).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_server_that_compares_may_be_renewed_on() {
    let shown = conditions(Sort::default(), "auto", b"y\r", 0);
    assert!(shown.starts_with("advice"), "{shown}");
    assert!(shown.contains(
        "`If-None-Match` on writes is honoured, `If-Match` on writes honoured, on removals honoured"
    ));
    assert!(
        shown.contains("next: locks can be renewed here: `export TFLOCK_S3_HEARTBEAT=on`"),
        "{shown}"
    );
    let shown = conditions(Sort::default(), "on", b"y\r", 0);
    assert!(shown.starts_with("ok"), "{shown}");
}

#[test]
fn a_server_that_does_not_compare_must_not_be_renewed_on() {
    for (on_put, word) in [
        (IfMatch::Ignored, "ignored"),
        (IfMatch::NotImplemented, "not supported"),
        (IfMatch::AlwaysFails, "refused although met"),
        (IfMatch::Feigned, "feigned"),
    ] {
        let words = format!("`If-Match` on writes {word},");
        let shown = conditions(Sort::overwriting(on_put), "auto", b"y\r", 0);
        assert!(shown.starts_with("ok") && shown.contains(&words), "{shown}");
        let shown = conditions(Sort::overwriting(on_put), "on", b"y\r", 78);
        assert!(
            shown.starts_with("fault") && shown.contains(&words),
            "{shown}"
        );
        assert!(shown.contains("`unset TFLOCK_S3_HEARTBEAT`"), "{shown}");
    }
}

#[test]
fn a_server_that_does_not_compare_on_removals_is_told_as_it_is() {
    for (on_delete, word) in [
        (IfMatch::Ignored, "ignored"),
        (IfMatch::NotImplemented, "not supported"),
        (IfMatch::AlwaysFails, "refused although met"),
        (IfMatch::Feigned, "feigned"),
    ] {
        let shown = conditions(Sort::deleting(on_delete), "auto", b"y\r", 0);
        assert!(shown.contains(&format!("on removals {word}")), "{shown}");
    }
}

#[test]
fn without_a_yes_nothing_is_written() {
    let shown = conditions(Sort::default(), "auto", b"\r", 0);
    assert!(
        shown.starts_with("skipped") && shown.contains("declined"),
        "{shown}"
    );
    let remote = Remote::start();
    let proxy = Proxy::before(remote.s3.url());
    let found = Found::by(&behind(&proxy.url()), 0);
    found.has(
        "conditional writes",
        "skipped",
        "would write and remove",
        "",
    );
    let writes = proxy.count("PUT *") + proxy.count("DELETE *");
    assert_eq!(writes, 0);
    let found = Found::by(&workspace(&remote, LockMode::Lockfile), 0);
    found.has(
        "conditional writes",
        "skipped",
        "prod/app.tfstate.tflock-tflock-doctor`",
        "",
    );
}

#[test]
fn a_server_that_ignores_if_none_match_cannot_keep_a_lock() {
    let s3 = S3::start();
    let engine = s3.url().to_owned();
    let server = before("", move |request| {
        let mut request = request.clone();
        request.remove_header("if-none-match");
        let mut answer = crate::support::http::send(&engine, &request).ok()?;
        answer.remove_header("connection");
        Some(answer)
    });
    let workspace = behind(&server.url());
    let shown = answered(&workspace, b"y\r", 78);
    assert!(
        shown.contains("`If-None-Match` on writes is ignored"),
        "{shown}"
    );
    assert!(
        shown.contains("this server cannot keep a lock object"),
        "{shown}"
    );
    assert_eq!(s3.keys(), Vec::<String>::new());
}

#[test]
fn a_server_that_only_says_that_it_has_overwritten_is_found_out() {
    let s3 = S3::start();
    let server = before(s3.url(), |request| {
        let is_right = request
            .header("if-match")
            .is_some_and(|tag| !tag.contains("doctor"));
        let answer = Message::response(200, "OK", "").with("etag", "\"0123\"");
        (request.method() == "PUT" && is_right).then_some(answer)
    });
    let workspace = behind(&server.url());
    let shown = answered(&workspace, b"y\r", 0);
    assert!(
        shown.contains("`If-Match` on writes feigned, on removals honoured"),
        "{shown}"
    );
}

#[test]
fn writes_that_are_denied_are_named_where_they_are_tried() {
    for (method, check) in [("PUT", "s3:PutObject"), ("DELETE", "s3:DeleteObject")] {
        let s3 = S3::start();
        let proxy = Proxy::before(s3.url());
        let pattern = format!("{method} *");
        proxy.on(&pattern).every(Fault::AccessDenied);
        let shown = answered(&behind(&proxy.url()), b"y\r", 77);
        let next =
            format!("next: allow `{check}` on `states/prod/app.tfstate.tflock-tflock-doctor`");
        assert!(shown.contains(&next), "{shown}");
    }
}
