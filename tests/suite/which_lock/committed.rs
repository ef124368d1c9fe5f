//! What a checkout contains without having been asked for.

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;
use serde_json::json;

use crate::support::configuration::Configuration;
use crate::support::proxy::Proxy;
use crate::support::recorded::s3_workspace;
use crate::support::server::refusing_url;
use crate::support::workspace::Workspace;

/// Every command of ours that would use the record.
const COMMANDS: [&[&str]; 6] = [
    &["status"],
    &["status", "--json"],
    &["force-unlock", "--yes"],
    &["exec", "--", "touch", "ran"],
    &["plan"],
    &["apply", "-auto-approve"],
];

#[test]
fn nobody_is_asked_and_nothing_started_on_the_word_of_a_record_that_no_file_asks_for() {
    let server = Proxy::before(&refusing_url());
    let workspace = s3_workspace(&json!({
        "region": "eu-west-1",
        "use_lockfile": true,
        "endpoints": { "s3": server.url() },
        "profile": "theirs",
        "shared_config_files": ["aws.conf"],
    }));
    let profile = "[profile theirs]\ncredential_process = touch started\n";
    workspace.write("aws.conf", profile);
    for (file, words) in [
        (
            "output \"x\" {\n  value = 1\n}\n",
            "but the configuration asks for none",
        ),
        (
            "terraform {\n  backend \"gcs\" {}\n}\n",
            "but the configuration asks for `gcs`",
        ),
        (
            "terraform {\n  cloud {}\n}\n",
            "but the configuration asks for `cloud`",
        ),
        (
            "terraform {\n  backend \"s3\" {\n    bucket = \"mine\"\n  }\n}\n",
            "the `s3` backend's settings have changed",
        ),
    ] {
        workspace.write("main.tf", file);
        for command in COMMANDS {
            let refused = workspace.tflock([]).args(command).run().ended_with(78);
            refused
                .with_stderr(words)
                .with_stderr("hint: run `tflock init`\n");
        }
    }
    workspace.write("main.tf", "terraform {\n  backend \"s3\" {\n    =\n");
    for command in COMMANDS {
        let refused = workspace.tflock([]).args(command).run().ended_with(78);
        let words =
            "/main.tf` asks for the recorded backend `s3` cannot be told: line 3 is not understood";
        refused.with_stderr(words);
    }
    assert_eq!(server.connections(), 0);
    for trace in ["started", "ran"] {
        assert!(!workspace.file(trace).exists(), "{trace}");
    }
}

#[test]
fn a_configuration_file_that_is_a_pipe_holds_nobody_up() {
    let workspace = s3_workspace(&json!({ "use_lockfile": true }));
    fs::remove_file(workspace.file("main.tf")).unwrap();
    nix::unistd::mkfifo(&workspace.file("main.tf"), Mode::S_IRWXU).unwrap();
    let refused = workspace.tflock(["status"]).run().ended_with(78);
    refused
        .with_stderr("/main.tf")
        .with_stderr("it is not a plain file");
}

#[test]
fn a_workspace_file_that_is_something_else_is_refused_and_not_shown() {
    let workspace = Workspace::with(&Configuration::without_backend());
    fs::create_dir(workspace.file(".terraform")).unwrap();
    let environment = workspace.file(".terraform/environment");
    fs::write(
        workspace.home().join("secret"),
        "aws_secret_access_key = hunter2",
    )
    .unwrap();
    let put: [(&str, &dyn Fn()); 5] = [
        ("symbolic link", &|| {
            symlink(workspace.home().join("secret"), &environment).unwrap();
        }),
        ("not a plain file", &|| {
            nix::unistd::mkfifo(&environment, Mode::S_IRWXU).unwrap();
        }),
        ("too large", &|| {
            fs::write(&environment, "a".repeat(5000)).unwrap();
        }),
        ("not a workspace name", &|| {
            fs::write(&environment, "hunter2/../x").unwrap();
        }),
        ("not a workspace name", &|| {
            fs::write(&environment, "a\nhunter2").unwrap();
        }),
    ];
    for (words, put) in put {
        put();
        for command in [&["status"][..], &["exec", "--", "true"], &["plan"]] {
            let refused = workspace.tflock([]).args(command).run().ended_with(78);
            let refused = refused
                .with_stderr(".terraform/environment")
                .with_stderr(words);
            assert!(!refused.stderr.contains("hunter2"), "{refused}");
        }
        fs::remove_file(&environment).unwrap();
    }
}
