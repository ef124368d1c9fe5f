//! A digest that does not match the state: explained, and repaired only after a typed `yes`.

use serde_json::{Value, json};

use super::{Found, before, workspace};
use crate::support::backend::{LOCK_ID, LockMode, Remote, STATE_KEY};
use crate::support::http::Message;
use crate::support::process::Status;
use crate::support::pty::{Size, Terminal};
use crate::support::words::without_escapes;
use crate::support::workspace::Workspace;

const DIGEST: &str = "states/prod/app.tfstate-md5";
const SAID: &str = "terraform will say `state data in S3 does not have the expected content`";

/// A state that was rewritten by a tool that writes no digest.
fn rewritten() -> (Remote, Workspace, String) {
    let remote = Remote::start();
    let workspace = workspace(&remote, LockMode::DynamodbTable);
    workspace
        .tflock(["apply", "-auto-approve"])
        .run()
        .succeeded();
    let digest = remote.table.text(DIGEST, "Digest").expect("a digest");
    let state = remote.s3.object(STATE_KEY).expect("a state");
    let mut state: Value = state.json();
    state["serial"] = json!(7);
    remote.s3.put(STATE_KEY, state.to_string());
    (remote, workspace, digest)
}

#[test]
fn a_digest_of_another_state_is_explained() {
    let (remote, workspace, digest) = rewritten();
    let found = Found::by(&workspace, 78);
    found.only_fault(
        "digest",
        &format!("the digest {digest} does not match the state"),
        "type `tflock doctor` at a terminal",
    );
    found.has("digest", "fault", "serial 7, written ", "");
    found.has(
        "digest",
        "fault",
        "without bucket versions it is unknown which is newer",
        "",
    );
    found.has("digest", "fault", SAID, "");
    let refused = workspace
        .terraform(["plan", "-input=false"])
        .run()
        .ended_with(1);
    let words = refused.stderr.replace("│ ", "").replace('\n', " ");
    assert!(
        words.contains("state data in S3 does not have the expected content"),
        "{words}"
    );
    assert_eq!(remote.table.text(DIGEST, "Digest"), Some(digest));
}

#[test]
fn the_versions_of_the_bucket_tell_which_is_newer() {
    for (has_it, words) in [
        (
            true,
            "the state is newer: the digest belongs to its version of 2026-11-26 10:00:00 UTC",
        ),
        (false, "the digest belongs to no version in the bucket"),
    ] {
        let (remote, workspace, digest) = rewritten();
        let old = if has_it {
            digest.clone()
        } else {
            "0".repeat(32)
        };
        let server = before(remote.s3.url(), move |request| {
            let version = |tag: &str, latest: bool, day: u32| {
                format!(
                    "<Version><Key>{STATE_KEY}</Key><VersionId>{day}</VersionId><IsLatest>{latest}</IsLatest>\
                     <LastModified>2026-11-{day}T10:00:00.000Z</LastModified><ETag>&quot;{tag}&quot;</ETag></Version>"
                )
            };
            let document = format!(
                "<ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}{}</ListVersionsResult>",
                version("new", true, 27),
                version(&old, false, 26)
            );
            let answer =
                Message::response(200, "OK", document).with("content-type", "application/xml");
            request.query().contains("versions").then_some(answer)
        });
        let backend = remote.backend(LockMode::DynamodbTable).s3_url(server.url());
        workspace.configure(&crate::support::configuration::Configuration::with_backend(
            &backend,
        ));
        workspace.init();
        Found::by(&workspace, 78).only_fault("digest", words, "");
    }
}

#[test]
fn only_a_typed_yes_repairs_it() {
    for (keys, exit_code) in [(&b"y\r"[..], 78), (b"\r", 78), (b"yes\r", 0)] {
        let (remote, workspace, digest) = rewritten();
        let doctor = workspace.tflock(["doctor"]);
        let mut terminal = Terminal::start(doctor, Size::default());
        terminal.wait_for_output("Only `yes` is accepted: ");
        terminal.send(keys);
        assert_eq!(terminal.wait(), Status::Code(exit_code), "{terminal}");
        let now = remote.table.text(DIGEST, "Digest").expect("a digest");
        assert_eq!(now == digest, exit_code != 0, "{terminal}");
        let plan = workspace.terraform(["plan", "-input=false"]);
        if exit_code == 0 {
            plan.run().succeeded();
            Found::by(&workspace, 0).has("digest", "ok", "matches the state", "");
        }
    }
}

#[test]
fn what_changes_while_the_question_stands_is_left_alone() {
    type Change = fn(&Remote);
    let changes: [(Change, &str); 3] = [
        (
            |remote| {
                let item = json!({ "LockID": { "S": DIGEST }, "Digest": { "S": "another" } });
                remote.table.put(&item);
            },
            "has changed since it was shown",
        ),
        (
            |remote| remote.s3.put(STATE_KEY, "{}"),
            "has changed since it was shown",
        ),
        (
            |remote| {
                remote
                    .table
                    .put_lock(LOCK_ID, &json!({ "ID": "x", "Who": "ana@laptop" }));
            },
            "the state is locked",
        ),
    ];
    for (change, words) in changes {
        let (remote, workspace, _) = rewritten();
        let doctor = workspace.tflock(["doctor"]);
        let mut terminal = Terminal::start(
            doctor,
            Size {
                columns: 300,
                ..Size::default()
            },
        );
        terminal.wait_for_output("Only `yes` is accepted: ");
        change(&remote);
        let before = remote.table.text(DIGEST, "Digest");
        terminal.send(b"yes\r");
        assert_eq!(terminal.wait(), Status::Code(78), "{terminal}");
        assert!(
            without_escapes(&terminal.output()).contains(words),
            "{terminal}"
        );
        assert_eq!(remote.table.text(DIGEST, "Digest"), before);
    }
}

#[test]
fn a_digest_without_its_state_and_a_state_without_its_digest_are_told_apart() {
    let (remote, workspace, _) = rewritten();
    remote.table.delete(DIGEST);
    Found::by(&workspace, 0).has("digest", "ok", "the state has no digest", "");
    let (remote, workspace, _) = rewritten();
    remote.s3.remove(STATE_KEY);
    Found::by(&workspace, 78).only_fault("digest", "no state", "restore the state");
}
