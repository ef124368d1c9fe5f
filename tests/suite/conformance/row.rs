//! One project and environment, for both programs.
//!
//! In backend, variables and files `{a}` and `{b}` are the URLs of the recorder, `{a-host}` and `{b-host}` without the
//! scheme, `{work}` and `{home}` the directories.

use std::fmt;
use std::fs;

use serde_json::{Value, json};

use super::recorder::{Recorder, Write};
use crate::support::process::{Finished, Invocation, Status};
use crate::support::workspace::Workspace;

/// What terraform 1.11.4 makes of `backend "s3" {}`: everything else was given to `terraform init`.
const HASH_OF_EMPTY_BLOCK: u32 = 1_410_938_009;

/// terraform records every attribute of its schema, and reads no record in which one is missing.
const ATTRIBUTES: [&str; 45] = [
    "access_key",
    "acl",
    "allowed_account_ids",
    "assume_role",
    "assume_role_with_web_identity",
    "bucket",
    "custom_ca_bundle",
    "dynamodb_endpoint",
    "dynamodb_table",
    "ec2_metadata_service_endpoint",
    "ec2_metadata_service_endpoint_mode",
    "encrypt",
    "endpoint",
    "endpoints",
    "forbidden_account_ids",
    "force_path_style",
    "http_proxy",
    "https_proxy",
    "iam_endpoint",
    "insecure",
    "key",
    "kms_key_id",
    "max_retries",
    "no_proxy",
    "profile",
    "region",
    "retry_mode",
    "secret_key",
    "shared_config_files",
    "shared_credentials_file",
    "shared_credentials_files",
    "skip_credentials_validation",
    "skip_metadata_api_check",
    "skip_region_validation",
    "skip_requesting_account_id",
    "skip_s3_checksum",
    "sse_customer_key",
    "sts_endpoint",
    "sts_region",
    "token",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
    "use_lockfile",
    "use_path_style",
    "workspace_key_prefix",
];

/// A row of the table.
pub struct Row {
    pub name: &'static str,
    pub expected: Expected,
    backend: Value,
    variables: Vec<(&'static str, String)>,
    files: Vec<(String, Vec<u8>)>,
}

/// What is known of the outcome beside that both have the same.
pub enum Expected {
    /// Both locks are written with this key.
    Signed(String),
    /// No lock is written.
    NoLock,
    /// A secure connection to this host is asked of a proxy, which refuses it.
    Asked(String),
}

/// What a program did.
pub struct Ran {
    pub writes: Vec<Write>,
    finished: Finished,
}

impl Ran {
    pub fn code(&self) -> i32 {
        match self.finished.status {
            Status::Code(code) => code,
            Status::Signal(_) => -1,
        }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "wrote")?;
        for write in &self.writes {
            write.fmt(formatter)?;
        }
        write!(formatter, "{}", self.finished)
    }
}

/// A backend that locks in a table and with an object, both on `a`, in an environment without any credentials.
pub fn row(name: &'static str) -> Row {
    Row {
        name,
        expected: Expected::NoLock,
        backend: json!({
            "bucket": "bkt",
            "key": "dir/app.tfstate",
            "region": "eu-west-1",
            "use_path_style": true,
            "dynamodb_table": "locks",
            "use_lockfile": true,
            "endpoints": { "dynamodb": "{a}", "s3": "{a}", "sts": null, "sso": null, "iam": null },
            "skip_credentials_validation": true,
            "skip_requesting_account_id": true,
        }),
        variables: Vec::new(),
        files: Vec::new(),
    }
}

impl Row {
    /// With these attributes; objects are merged, and the old names of endpoints take the place of the new.
    pub fn backend(mut self, settings: Value) -> Self {
        merge(&mut self.backend, settings);
        self
    }

    pub fn var(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Keys in the variables.
    pub fn keys(self, access_key: &str) -> Self {
        self.var("AWS_ACCESS_KEY_ID", access_key)
            .var("AWS_SECRET_ACCESS_KEY", "s")
    }

    /// A file in the home directory.
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// `~/.aws/config`.
    pub fn config(self, content: impl Into<Vec<u8>>) -> Self {
        self.file(".aws/config", content)
    }

    /// `~/.aws/credentials`.
    pub fn credentials(self, content: impl Into<Vec<u8>>) -> Self {
        self.file(".aws/credentials", content)
    }

    /// Both locks are written with this key.
    pub fn signed_by(mut self, key: &str) -> Self {
        self.expected = Expected::Signed(key.to_owned());
        self
    }

    /// A secure connection to this host is asked of the proxy `b`, which refuses it.
    pub fn asks(mut self, host: &str) -> Self {
        self.expected = Expected::Asked(format!("b proxy > {host}"));
        self.var("HTTPS_PROXY", "{b}")
            .backend(json!({ "max_retries": 1 }))
    }

    pub fn run_terraform(&self) -> Ran {
        self.run(|workspace| workspace.terraform(["plan", "-input=false", "-no-color"]))
    }

    pub fn run_tflock(&self) -> Ran {
        self.run(|workspace| workspace.tflock(["exec", "--", "true"]))
    }

    fn run(&self, program: impl FnOnce(&Workspace) -> Invocation) -> Ran {
        let recorder = Recorder::start();
        let workspace = Workspace::new();
        let filled = |text: &str| {
            let [a, b] = recorder.urls();
            let host = |url: &str| url.trim_start_matches("http://").to_owned();
            text.replace("{a}", a)
                .replace("{b}", b)
                .replace("{a-host}", &host(a))
                .replace("{b-host}", &host(b))
                .replace("{work}", &workspace.path().display().to_string())
                .replace("{home}", &workspace.home().display().to_string())
        };
        workspace.write("main.tf", "terraform {\n  backend \"s3\" {}\n}\n");
        let mut config = json!({});
        for name in ATTRIBUTES {
            config[name] = self.backend.get(name).cloned().unwrap_or_default();
        }
        let record = json!({
            "version": 3,
            "terraform_version": "1.11.4",
            "backend": { "type": "s3", "config": config, "hash": HASH_OF_EMPTY_BLOCK },
        });
        workspace.write(".terraform/terraform.tfstate", &filled(&record.to_string()));
        for (name, content) in &self.files {
            let path = workspace.home().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match std::str::from_utf8(content) {
                Ok(text) => fs::write(path, filled(text)).unwrap(),
                Err(_) => fs::write(path, content).unwrap(),
            }
        }
        let mut invocation = program(&workspace)
            .without_env("AWS_ACCESS_KEY_ID")
            .without_env("AWS_SECRET_ACCESS_KEY");
        for (name, value) in &self.variables {
            invocation = invocation.env(name, filled(value));
        }
        let finished = invocation.run();
        Ran {
            writes: recorder.writes(),
            finished,
        }
    }
}

fn merge(settings: &mut Value, others: Value) {
    match (settings, others) {
        (Value::Object(settings), Value::Object(others)) => {
            for (name, value) in others {
                merge(settings.entry(name).or_insert(Value::Null), value);
            }
        }
        (settings, others) => *settings = others,
    }
}

/// `assume_role` with these attributes, and the others of terraform's schema.
pub fn assume_role(settings: Value) -> Value {
    let mut role = json!({
        "duration": null, "external_id": null, "policy": null, "policy_arns": null, "role_arn": null,
        "session_name": null, "source_identity": null, "tags": null, "transitive_tag_keys": null,
    });
    merge(&mut role, settings);
    role
}

/// `assume_role_with_web_identity` with these attributes, and the others of terraform's schema.
pub fn web_identity(settings: Value) -> Value {
    let mut role = json!({
        "duration": null, "policy": null, "policy_arns": null, "role_arn": null, "session_name": null,
        "web_identity_token": null, "web_identity_token_file": null,
    });
    merge(&mut role, settings);
    role
}
