//! What a terraform inside locks that works on another state than the one that is held.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::support::backend::{LOCK_ID, LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::process::Invocation;
use crate::support::proxy::Proxy;
use crate::support::scene::Scene;
use crate::support::workspace::Workspace;

/// The lock of the state in `other`.
const OTHER: &str = "states/prod/other.tfstate";

/// Two directories with a state each, one inside of the other.
struct Two {
    remote: Remote,
    workspace: Workspace,
}

impl Two {
    #[track_caller]
    fn behind(proxy: impl FnOnce(&Remote) -> Option<String>) -> Self {
        let remote = Remote::start();
        let mut backend = remote.backend(LockMode::DynamodbTable);
        if let Some(url) = proxy(&remote) {
            backend = backend.dynamodb_url(url);
        }
        let workspace =
            Workspace::with(&Configuration::with_backend(&backend).resource("one", "1"));
        let other = Configuration::with_backend(&backend.key("prod/other.tfstate"));
        workspace.write("other/main.tf", &other.resource("two", "2").hcl());
        workspace.init();
        let init = workspace.terraform(["-chdir=other", "init", "-input=false"]);
        init.run().succeeded();
        Self { remote, workspace }
    }

    fn new() -> Self {
        Self::behind(|_| None)
    }

    fn exec(&self, script: &str) -> Invocation {
        self.workspace.tflock(["exec", "--", "sh", "-c", script])
    }
}

/// What is in the directory for temporary files.
fn temporary_files(workspace: &Workspace) -> Vec<PathBuf> {
    let directory = workspace.home().with_file_name("tmp");
    let entries = fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// A terraform that records its call and ends.
fn brief(workspace: &Workspace) -> FakeTerraform {
    Script::new().install(workspace.home().join("brief"))
}

#[test]
fn each_terraform_inside_locks_what_it_works_on() {
    let mut proxy = None;
    let two = Two::behind(|remote| {
        let dynamodb = Proxy::before(remote.dynamodb.url());
        Some(proxy.insert(dynamodb).url())
    });
    let proxy = proxy.expect("a proxy");
    proxy.clear_log();
    let script = "terraform apply -auto-approve && terraform -chdir=other apply -auto-approve && \
                  cd other && terraform plan -detailed-exitcode";
    let run = two.exec(script).run().succeeded();
    assert_eq!(run.stderr, "");
    assert_eq!(run.stdout.matches("1 added, 0 changed").count(), 2);
    assert_eq!(two.remote.locks(), Vec::<String>::new());

    let log = proxy.log();
    let puts = log.iter().filter(|exchange| exchange.action == "PutItem");
    let text = |value: &serde_json::Value| value["S"].as_str().unwrap_or_default().to_owned();
    let taken: BTreeSet<(String, String)> = puts
        .map(|put| put.input()["Item"].clone())
        .filter(|item| !text(&item["LockID"]).ends_with("-md5"))
        .map(|item| (text(&item["LockID"]), text(&item["Command"])))
        .collect();
    let expected = [(LOCK_ID, "exec sh"), (OTHER, "apply"), (OTHER, "plan")];
    let expected = expected.map(|(lock, command)| (lock.to_owned(), command.to_owned()));
    assert_eq!(taken, expected.into());
    assert_eq!(temporary_files(&two.workspace), Vec::<PathBuf>::new());
}

#[test]
fn a_terraform_inside_does_not_run_where_somebody_else_holds_the_lock() {
    let two = Two::new();
    let info =
        json!({ "ID": "7", "Operation": "OperationTypeApply", "Who": "ben@desk", "Path": OTHER });
    two.remote.table.put_lock(OTHER, &info);
    let script = "cd other && terraform apply -auto-approve";
    let run = two.exec(script).env("TFLOCK_WAIT", "0").run();
    run.ended_with(75)
        .with_stderr("error: the state is locked")
        .with_stderr("ben@desk");
    assert_eq!(two.remote.table.locks(), [OTHER]);
    assert_eq!(
        two.remote
            .s3
            .object("prod/other.tfstate")
            .map(|one| one.text()),
        None
    );
}

#[test]
fn the_terraform_inside_is_called_as_without_us_but_for_its_lock() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let alone = scene.glimpse(scene.tflock(["plan", "-out=p"])).call;
    let inside = scene.tflock(["exec", "--", "terraform", "plan", "-out=p"]);
    let inside = scene.glimpse(inside).call;
    assert_eq!(inside.arguments, alone.arguments);
    assert_eq!(inside.environment["PATH"], alone.environment["PATH"]);
    assert_eq!(inside.environment["TFLOCK_STAND_IN"], "");
    assert_eq!(temporary_files(&scene.workspace), Vec::<PathBuf>::new());
}

#[test]
fn every_word_of_a_terraform_inside_is_terraform_s() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let fake = brief(&scene.workspace);
    let lines: [&[&str]; 5] = [
        &["--version"],
        &["status", "--json"],
        &["force-unlock", "-force", "7"],
        &["-chdir=.", "--wait", "5s"],
        &[],
    ];
    for line in lines {
        let run = scene
            .workspace
            .tflock(["exec", "--", "terraform"])
            .args(line);
        run.first_on_path(fake.directory()).run().succeeded();
        let call = fake.calls().pop().expect("a call");
        assert_eq!(call.arguments, line, "{call:?}");
    }
}

#[test]
fn a_wrapper_that_looks_for_the_next_terraform_on_path_does_not_find_us() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let fake = brief(&scene.workspace);
    let wrapper = Script::new().step("PATH=${PATH#*:} exec terraform \"$@\"");
    let wrapper = wrapper.install(scene.workspace.home().join("wrapper"));
    let run = scene.workspace.tflock(["exec", "--", "terraform", "plan"]);
    let run = run.first_on_path(fake.directory());
    run.first_on_path(wrapper.directory()).run().succeeded();
    assert_eq!(wrapper.calls().len(), 1);
    assert_eq!(fake.calls().len(), 1);
}

#[test]
fn a_terraform_inside_whose_lock_is_not_ours_to_take_takes_it_itself() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let fake = brief(&scene.workspace);
    scene.workspace.write("files/main.tf", "");
    for program in ["terraform", env!("CARGO_BIN_EXE_tflock")] {
        let run = scene.workspace.tflock(["exec", "--", program]);
        let run = run.args(["-chdir=files", "apply"]);
        run.first_on_path(fake.directory()).run().succeeded();
        let environment = fake.calls().pop().expect("a call").environment;
        assert_eq!(environment["TF_CLI_ARGS_apply"], "", "{program}");
    }
    let run = scene.workspace.tflock(["exec", "--", "terraform", "apply"]);
    run.first_on_path(fake.directory()).run().succeeded();
    let environment = fake.calls().pop().expect("a call").environment;
    assert_eq!(environment["TF_CLI_ARGS_apply"], "-lock=false");
}

#[test]
fn without_room_for_temporary_files_nothing_is_started() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let run = scene.tflock(["exec", "--", "terraform", "plan"]);
    let refused = run.env("TMPDIR", "/nowhere").run().ended_with(78);
    assert_eq!(
        refused.stderr.lines().last(),
        Some("hint: set TMPDIR to a directory that can be written to")
    );
    assert_eq!(scene.fake.calls(), []);
}

#[test]
fn a_program_that_dies_leaves_no_links_behind() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let script = "test -L \"$TFLOCK_STAND_IN/terraform\" && kill -TERM $$";
    let run = scene.tflock(["exec", "--", "sh", "-c", script]).run();
    run.died_of(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(temporary_files(&scene.workspace), Vec::<PathBuf>::new());
}
