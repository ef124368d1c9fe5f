//! The real terraform by itself and through tflock: the same output and the same exit code.

use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::process::Invocation;
use crate::support::workspace::Workspace;

#[track_caller]
fn assert_same(workspace: &Workspace, code: i32, change: impl Fn(Invocation) -> Invocation) {
    let direct = change(workspace.terraform([])).run();
    let through = change(workspace.tflock([])).run();
    assert_eq!(through, direct);
    direct.ended_with(code);
}

#[test]
fn help_version_and_completion_are_terraforms() {
    let workspace = Workspace::new();
    for (code, line) in [
        (0, "-version"),
        (0, "version -json"),
        (0, "-help"),
        (0, "plan -help"),
        (0, "state mv -h"),
        (1, "no-such-command"),
        (1, "-chdir=nowhere plan -no-color"),
    ] {
        assert_same(&workspace, code, |run| run.args(line.split(' ')));
    }
    assert_same(&workspace, 0, |run| {
        run.env("COMP_LINE", "terraform workspace sel")
            .args(["terraform", "sel", "workspace"])
    });
}

#[test]
fn commands_that_only_look_are_terraforms() {
    let configuration = Configuration::without_backend().resource("one", "1");
    let workspace = Workspace::with(&configuration);
    workspace.write("ugly.tf", "locals {\na = 1\n  b=2\n}\n");
    workspace
        .terraform(["apply", "-auto-approve"])
        .run()
        .succeeded();
    assert_same(&workspace, 3, |run| run.args(["fmt", "-check", "-diff"]));
    assert_same(&workspace, 0, |run| run.args(["output", "-json"]));
    assert_same(&workspace, 0, |run| run.args(["show", "-json"]));
    assert_same(&workspace, 0, |run| run.args(["state", "list"]));
    assert_same(&workspace, 1, |run| {
        run.args(["output", "-no-color", "none"])
    });
    assert_same(&workspace, 0, |run| {
        run.arg("console").stdin("terraform_data.one.output\n")
    });
    assert_same(&workspace, 0, |run| {
        run.args(["fmt", "-no-color", "-"]).stdin("a   = 1\n")
    });
}

#[test]
fn commands_that_lock_for_themselves_do_so_still() {
    let remote = Remote::start();
    let backend = remote.backend(LockMode::DynamodbTable);
    let configuration = Configuration::with_backend(&backend).resource("one", "1");
    let workspace = Workspace::with(&configuration);
    workspace
        .tflock(["init", "-input=false"])
        .run()
        .succeeded()
        .with_stdout("successfully initialized");
    workspace
        .tflock(["workspace", "new", "stg"])
        .run()
        .succeeded()
        .with_stdout("Created and switched to workspace");
    workspace
        .tflock(["console"])
        .stdin("1 + 1\n")
        .run()
        .succeeded()
        .with_stdout("2\n");
    workspace
        .tflock(["workspace", "select", "default"])
        .run()
        .succeeded();
    workspace
        .tflock(["workspace", "delete", "stg"])
        .run()
        .succeeded()
        .with_stdout("Deleted workspace");
    assert_eq!(remote.locks(), Vec::<String>::new());
}
