//! `doctor`: each fault is planted, found, and told with the next command to type.

mod buckets;
mod create_table;
mod digests;
mod places;
mod tables;

use serde_json::Value;

use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::http::{self, Message};
use crate::support::odd_server::OddServer;
use crate::support::process::Finished;
use crate::support::workspace::Workspace;

/// What was found, as JSON says it.
struct Found(Value);

impl Found {
    /// What a doctor finds that ends with that exit code.
    #[track_caller]
    fn by(workspace: &Workspace, exit_code: i32) -> Self {
        Self::of(workspace.tflock(["doctor", "--json"]).run(), exit_code)
    }

    #[track_caller]
    fn of(finished: Finished, exit_code: i32) -> Self {
        let finished = finished.ended_with(exit_code);
        let found: Value = serde_json::from_str(&finished.stdout).expect("JSON");
        assert_eq!(finished.stderr, "");
        assert_eq!(found["version"], 1);
        assert_eq!(found["exit_code"], exit_code);
        assert_eq!(found["status"] == "ok", exit_code == 0, "{found:#}");
        Self(found)
    }

    /// The first finding of that check with that status.
    #[track_caller]
    fn check(&self, name: &str, status: &str) -> &Value {
        let mut checks = self.0["checks"].as_array().expect("checks").iter();
        let found = checks.find(|check| check["check"] == name && check["status"] == status);
        found.unwrap_or_else(|| panic!("no {status} of `{name}`: {:#}", self.0))
    }

    /// The names of all checks that found a fault.
    fn faults(&self) -> Vec<&str> {
        let checks = self.0["checks"].as_array().expect("checks").iter();
        let faults = checks.filter(|check| check["status"] == "fault");
        faults
            .map(|check| check["check"].as_str().expect("a name"))
            .collect()
    }

    /// Fails unless there is but this fault, and what is said of it and what is to be typed next have these words.
    #[track_caller]
    fn only_fault(&self, name: &str, message: &str, next: &str) {
        assert_eq!(self.faults(), [name], "{:#}", self.0);
        self.has(name, "fault", message, next);
    }

    #[track_caller]
    fn has(&self, name: &str, status: &str, message: &str, next: &str) {
        let check = self.check(name, status);
        let holds = |key: &str, text: &str| check[key].as_str().unwrap_or_default().contains(text);
        assert!(holds("message", message), "no `{message}`: {check:#}");
        assert!(holds("next", next), "no `{next}`: {check:#}");
    }
}

/// An initialised directory that locks in that way.
fn workspace(remote: &Remote, mode: LockMode) -> Workspace {
    let configuration = Configuration::with_backend(&remote.backend(mode)).resource("one", "1");
    let workspace = Workspace::with(&configuration);
    workspace.init();
    workspace
}

/// A server before an engine, that answers some requests in the engine's place.
fn before(
    engine: &str,
    answer: impl Fn(&Message) -> Option<Message> + Send + Sync + 'static,
) -> OddServer {
    let engine = engine.to_owned();
    OddServer::answering(move |request, wire| {
        let answer = if let Some(answer) = answer(request) {
            answer
        } else {
            let mut answer = http::send(&engine, request)?;
            answer.remove_header("connection");
            answer
        };
        wire.write(&answer.to_bytes())
    })
}

#[test]
fn where_nothing_is_wrong_all_is_well() {
    for mode in [
        LockMode::DynamodbTable,
        LockMode::Lockfile,
        LockMode::Both,
        LockMode::None,
    ] {
        let remote = Remote::start();
        let workspace = workspace(&remote, mode);
        workspace
            .tflock(["apply", "-auto-approve"])
            .run()
            .succeeded();
        let (items, objects) = (remote.table.items(), remote.s3.keys());
        let found = Found::by(&workspace, 0);
        assert_eq!(found.faults(), Vec::<&str>::new());
        found.has("lock", "ok", "is free", "");
        let checks = found.0["checks"].as_array().expect("checks");
        let has_table = checks
            .iter()
            .any(|check| check["check"] == "dynamodb:PutItem");
        assert_eq!(
            has_table,
            matches!(mode, LockMode::DynamodbTable | LockMode::Both)
        );
        if has_table {
            found.has("digest", "ok", "matches the state", "");
        }
        // Nothing was changed, and nothing is left.
        assert_eq!(remote.table.items().len(), items.len());
        assert_eq!(remote.s3.keys(), objects);
    }
}

#[test]
fn for_people_each_check_is_a_line() {
    let remote = Remote::start();
    let workspace = workspace(&remote, LockMode::DynamodbTable);
    let run = workspace.tflock(["doctor"]).run().succeeded();
    assert_eq!(run.stderr, "");
    for line in [
        "ok       configuration         backend `s3`, lock `states/prod/app.tfstate` in DynamoDB table `",
        "ok       dynamodb:PutItem      items can be written, and conditions are honoured\n",
        "ok       s3:ListBucket         `states` can be listed\n",
        "ok       lock                  `states/prod/app.tfstate` is free\n",
        "ok       digest                there is neither a state nor a digest\n",
    ] {
        assert!(run.stdout.contains(line), "no `{line}`: {run}");
    }
    assert!(run.stdout.ends_with("\nno faults\n"), "{run}");
}

#[test]
fn a_directory_without_a_configuration_that_can_be_used_is_told_as_elsewhere() {
    let workspace = Workspace::with(&Configuration::with_backend_block(
        "backend \"s3\" {\n  bucket = \"b\"\n  key = \"k\"\n  region = \"us-east-1\"\n}",
    ));
    let found = Found::by(&workspace, 78);
    found.only_fault("configuration", "init", "tflock init");
}
