//! Unusable input: each mistake ends in one error with its own hint and code, before terraform is
//! started and with nothing left in any store. Secrets in the backend's record are never printed.

mod backends;
mod command_line;
mod machine;
mod outputs;
mod services;

use serde_json::{Map, Value, json};

use crate::support::backend::STATE_KEY;
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::process::{Finished, Invocation, Status};
use crate::support::recorded::ask_for;
use crate::support::s3::BUCKET;
use crate::support::scene::local_locks;
use crate::support::workspace::Workspace;

/// In every field of a record that may contain a secret.
const SECRET: &str = "markerofasecret";

/// A directory, and in it a terraform that must never be started.
struct Bench {
    workspace: Workspace,
    terraform: FakeTerraform,
}

/// What a run that cannot be is to say, paths and the like taken out as by [`Bench::without_places`].
struct Refusal<'text> {
    code: i32,
    error: &'text str,
    hint: &'text str,
}

impl Bench {
    /// The implied local backend.
    fn new() -> Self {
        let workspace = Workspace::new();
        let terraform = Script::new().install(workspace.file("fake"));
        Self {
            workspace,
            terraform,
        }
    }

    /// A directory whose backend was initialised as `config` says, on top of [`s3_config`].
    fn with_s3(config: Value) -> Self {
        Self::new().s3(config)
    }

    fn s3(self, config: Value) -> Self {
        let Value::Object(changes) = config else {
            panic!("not an object: {config}");
        };
        let mut config = s3_config();
        config.extend(changes);
        let record = json!({
            "version": 3,
            "terraform_version": "1.11.4",
            "backend": { "type": "s3", "config": config, "hash": 1 },
        });
        self.record(&record.to_string())
    }

    /// Any text as the backend's record.
    fn record(self, text: &str) -> Self {
        ask_for(&self.workspace, "s3");
        self.workspace.write(".terraform/terraform.tfstate", text);
        self
    }

    fn tflock(&self) -> Invocation {
        self.workspace
            .tflock([])
            .first_on_path(self.terraform.directory())
    }

    /// Fails unless the run is refused in exactly these words, and again with `TFLOCK_LOG`, where more is printed
    /// before them, but no secret.
    #[track_caller]
    fn refuses(&self, run: impl Fn(Invocation) -> Invocation, refusal: &Refusal<'_>) {
        self.refuses_after("", run, refusal);
    }

    /// The same, if something is printed before the error.
    #[track_caller]
    fn refuses_after(
        &self,
        notice: &str,
        run: impl Fn(Invocation) -> Invocation,
        refusal: &Refusal<'_>,
    ) {
        let words = format!("error: {}\nhint: {}\n", refusal.error, refusal.hint);
        let expected = Finished {
            stdout: String::new(),
            stderr: format!("{notice}{words}"),
            status: Status::Code(refusal.code),
        };
        let plain = run(self.tflock()).start();
        let talkative = run(self.tflock()).env("TFLOCK_LOG", "1").run();
        assert_eq!(self.without_places(plain.wait()), expected);
        assert!(!talkative.stderr.contains(SECRET), "{talkative}");
        let talkative = self.without_places(talkative);
        assert_eq!(talkative.status, expected.status, "{talkative}");
        assert_eq!(talkative.stdout, "");
        assert!(talkative.stderr.ends_with(&words), "{talkative}");
        assert_eq!(talkative.stderr.matches("error: ").count(), 1);
        let first = refusal.error.chars().next();
        assert!(first.is_some_and(|first| !first.is_uppercase()));
        assert_eq!(self.terraform.log(), Vec::<String>::new());
        assert_eq!(local_locks(&self.workspace), Vec::<String>::new());
    }

    fn without_places(&self, finished: Finished) -> Finished {
        let directory = self.workspace.path().display().to_string();
        let root = directory.trim_end_matches("/work").to_owned();
        let stderr = finished
            .stderr
            .replace(&directory, "<directory>")
            .replace(&root, "<root>");
        let stderr = without_providers(&without_hashes(&stderr));
        Finished { stderr, ..finished }
    }
}

/// Names of local lock files are hashes of what they lock.
fn without_hashes(text: &str) -> String {
    let parts = text.split_inclusive('/').map(|part| {
        let is_hash = part
            .split_once(".json")
            .is_some_and(|(name, _)| name.len() == 32);
        if is_hash {
            format!("<hash>{}", &part[32..])
        } else {
            part.to_owned()
        }
    });
    parts.collect()
}

/// Where the SDK looked for credentials, which is not our concern.
fn without_providers(text: &str) -> String {
    let Some((before, list)) = text.split_once("Attempted: ") else {
        return text.to_owned();
    };
    let rest = list.split_once('\n').map_or("", |(_, rest)| rest);
    format!("{before}Attempted: <providers>\n{rest}")
}

/// A backend on services that must not be asked, with a secret in every field that can have one.
fn s3_config() -> Map<String, Value> {
    let config = json!({
        "bucket": BUCKET,
        "key": STATE_KEY,
        "region": "us-east-1",
        "dynamodb_table": "locks",
        "use_path_style": true,
        "access_key": format!("{SECRET}accesskey"),
        "secret_key": format!("{SECRET}-secret-key"),
        "token": format!("{SECRET}-token"),
        "sse_customer_key": format!("{SECRET}-customer-key"),
    });
    match config {
        Value::Object(config) => config,
        other => unreachable!("{other}"),
    }
}
