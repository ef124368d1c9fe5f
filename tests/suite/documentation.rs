//! The commands of README.md and docs/ are run as they stand there, but for those that say why they are not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::other_tools::Tools;
use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::dynamodb::Dynamodb;
use crate::support::pages::{blocks, pages, recipe, recipes};
use crate::support::process::Status;
use crate::support::pty::{Size, Terminal};
use crate::support::recorded::s3_workspace;
use crate::support::scene::local_locks;
use crate::support::workspace::Workspace;
use serde_json::json;

/// What tests run: here, and in `other_tools.rs`.
const RUN: [(&str, &str); 11] = [
    ("README.md", "With DynamoDB"),
    ("docs/ci.md", "In CI"),
    ("docs/history.md", "History"),
    ("docs/holds.md", "In two CI jobs"),
    ("docs/holds.md", "On one machine"),
    ("docs/other-tools.md", "1Password's op"),
    ("docs/other-tools.md", "OpenTofu"),
    ("docs/other-tools.md", "Terragrunt"),
    ("docs/other-tools.md", "Version managers"),
    ("docs/other-tools.md", "aws-vault"),
    ("docs/several-locks.md", "Several locks at once"),
];

#[test]
fn every_block_of_commands_is_run_or_says_why_it_is_not() {
    let mut to_run = Vec::new();
    for block in pages().iter().flat_map(|page| blocks(page)) {
        let is_commands = matches!(block.language.as_str(), "sh" | "console");
        assert!(
            is_commands || block.not_run.is_none(),
            "{}: only commands are run: {block:?}",
            block.page
        );
        if is_commands && block.not_run.is_none() {
            to_run.push((block.page, block.heading));
        }
    }
    to_run.sort();
    let run = RUN.map(|(page, heading)| (page.to_owned(), heading.to_owned()));
    assert_eq!(to_run, run);
}

fn one_resource() -> Configuration {
    Configuration::without_backend().resource("one", "1")
}

#[test]
fn the_table_is_created() {
    let dynamodb = Dynamodb::start();
    let name = format!("documented-{}", std::process::id());
    let workspace = s3_workspace(&json!({
        "region": "us-east-1", "dynamodb_table": name,
        "endpoints": { "dynamodb": dynamodb.url(), "s3": "http://127.0.0.1:9" },
    }));
    let tools = Tools::of(&workspace);
    let shell = tools.run(&workspace, &recipe("README.md", "With DynamoDB", "sh"));
    let mut terminal = Terminal::start(shell, Size::default());
    terminal.wait_for_output("Create this table? [y/N]");
    terminal.send(b"y\r");
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    workspace.tflock(["exec", "--", "true"]).run().succeeded();
}

#[test]
fn a_job_releases_what_is_its_own() {
    let workspace = Workspace::with(&one_resource());
    let tools = Tools::of(&workspace);
    let run = tools
        .run(&workspace, &recipe("docs/ci.md", "In CI", "sh"))
        .run();
    run.succeeded()
        .with_stderr("none of your runs has left a lock");
}

#[test]
fn a_hold_keeps_others_out_between_a_plan_and_its_apply() {
    let workspace = Workspace::with(&one_resource()).env("TFLOCK_HISTORY", "on");
    let tools = Tools::of(&workspace);
    let run = tools
        .run(&workspace, &recipe("docs/holds.md", "On one machine", "sh"))
        .run();
    run.succeeded().with_stdout("Apply complete!");
    workspace
        .tflock(["status", "--exit-code"])
        .run()
        .succeeded();

    // What that left in the history.
    let session = recipe("docs/history.md", "History", "console");
    let (command, documented) = session.split_once('\n').unwrap();
    let command = command.strip_prefix("$ ").unwrap();
    let shown = tools.run(&workspace, command).run().succeeded().stdout;
    for words in ["  apply: released, exit code 0\n", "\n  reason  "] {
        assert!(documented.contains(words), "{documented}");
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn a_hold_is_handed_from_one_job_to_the_next() {
    let remote = Remote::start();
    let backend = remote.backend(LockMode::DynamodbTable);
    let configuration = Configuration::with_backend(&backend).resource("one", "1");
    let [planning, applying] = [(); 2].map(|()| Workspace::with(&configuration));
    let blocks = recipes("docs/holds.md", "In two CI jobs", "sh");
    let (plan, apply) = blocks[0].split_once("# job 2").unwrap();
    planning.init();
    applying.init();
    let tools = Tools::of(&planning);
    let script = format!("{plan}\necho \"$TFLOCK_HOLD\" >hold");
    tools.run(&planning, &script).run().succeeded();
    assert_eq!(remote.locks().len(), 1);
    fs::copy(
        planning.file("release.tfplan"),
        applying.file("release.tfplan"),
    )
    .unwrap();
    let hold = planning.read("hold").trim().to_owned();
    let applying = applying.env("TFLOCK_HOLD", hold);
    let run = Tools::of(&applying)
        .run(&applying, &format!("#{apply}"))
        .run();
    run.succeeded().with_stdout("Apply complete!");
    assert_eq!(remote.locks(), Vec::<String>::new());
}

#[test]
fn a_script_has_the_locks_of_two_directories() {
    let workspace = Workspace::new();
    for directory in ["network", "app"] {
        workspace.write(&format!("{directory}/main.tf"), &one_resource().hcl());
    }
    workspace.write(
        "deploy.sh",
        "#!/bin/sh\nset -e\nls \"$XDG_STATE_HOME\"/tflock/*.json >locks\n\
         for it in network app; do terraform -chdir=$it apply -auto-approve; done\n",
    );
    fs::set_permissions(
        workspace.file("deploy.sh"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let tools = Tools::of(&workspace);
    let script = recipe("docs/several-locks.md", "Several locks at once", "sh");
    let run = tools.run(&workspace, &script).run();
    assert_eq!(run.succeeded().stdout.matches("Apply complete!").count(), 2);
    assert_eq!(workspace.read("locks").lines().count(), 2);
    assert_eq!(local_locks(&workspace), Vec::<String>::new());
}
