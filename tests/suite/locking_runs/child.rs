//! What the child of a locking command is told and what its lock costs, with a scripted terraform, so that every
//! request to the table is tflock's own.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::backend::{LOCK_ID, LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::mid_run::{look_during, stopping_script};
use crate::support::process::{Finished, Invocation, Status};
use crate::support::proxy::Proxy;
use crate::support::workspace::Workspace;

/// Every locking command as it is typed, as the child gets it, and what it is called in the lock.
const COMMANDS: [(&str, &str, &str); 13] = [
    (
        "plan -out=p",
        "plan -lock=false -out=p",
        "OperationTypePlan",
    ),
    ("apply", "apply -lock=false", "OperationTypeApply"),
    (
        "apply -auto-approve=true",
        "apply -lock=false -auto-approve=true",
        "OperationTypeApply",
    ),
    ("destroy", "destroy -lock=false", "OperationTypeApply"),
    (
        "refresh -lock=true",
        "refresh -lock=false",
        "OperationTypeRefresh",
    ),
    (
        "import a.b id",
        "import -lock=false a.b id",
        "OperationTypeInvalid",
    ),
    ("taint a.b", "taint -lock=false a.b", "taint"),
    ("untaint a.b", "untaint -lock=false a.b", "untaint"),
    (
        "state mv a.b a.c",
        "state mv -lock=false a.b a.c",
        "state-mv",
    ),
    ("state rm a.b", "state rm -lock=false a.b", "state-rm"),
    (
        "state push -force s",
        "state push -lock=false -force s",
        "state-push",
    ),
    ("state push -", "state push -lock=false -", "state-push"),
    (
        "state replace-provider a b",
        "state replace-provider -lock=false a b",
        "state-replace-provider",
    ),
];

/// An initialised directory whose DynamoDB lies behind a proxy, and a terraform that is not one.
struct Scene {
    remote: Remote,
    dynamodb: Proxy,
    workspace: Workspace,
}

impl Scene {
    fn new() -> Self {
        let remote = Remote::start();
        let dynamodb = Proxy::before(remote.dynamodb.url());
        let backend = remote.backend(LockMode::DynamodbTable);
        let configuration = Configuration::with_backend(&backend.dynamodb_url(dynamodb.url()));
        let workspace = Workspace::with(&configuration);
        workspace.init();
        dynamodb.clear_log();
        Self {
            remote,
            dynamodb,
            workspace,
        }
    }

    fn install(&self, script: Script) -> FakeTerraform {
        script.install(self.workspace.home().join("fake"))
    }

    fn tflock(&self, line: &str, fake: &FakeTerraform) -> Invocation {
        let tflock = self.workspace.tflock([]).args(line.split(' '));
        tflock.first_on_path(fake.directory())
    }

    /// The requests that arrived since the last time, each with the key that it names.
    fn requests(&self) -> Vec<(String, String)> {
        let log = self.dynamodb.log();
        self.dynamodb.clear_log();
        let requests = log.iter().map(|exchange| {
            let input = exchange.input();
            let key = [&input["Key"], &input["Item"]]
                .into_iter()
                .find_map(|place| place["LockID"]["S"].as_str());
            (exchange.action.clone(), key.unwrap_or_default().to_owned())
        });
        requests.collect()
    }
}

fn put_and_delete() -> Vec<(String, String)> {
    ["PutItem", "DeleteItem"]
        .map(|action| (action.to_owned(), LOCK_ID.to_owned()))
        .into()
}

#[test]
fn every_locking_command_costs_two_requests_says_nothing_and_tells_terraform_not_to_lock() {
    let scene = Scene::new();
    let fake = scene.install(stopping_script());
    let digest = json!({ "LockID": { "S": format!("{LOCK_ID}-md5") }, "Digest": { "S": "0" } });
    scene.remote.table.put(&digest);

    for (line, _, operation) in COMMANDS {
        let run = scene.tflock(line, &fake);
        let (info, finished) = look_during(&scene.workspace, run, |_| {
            scene.remote.table.lock_info(LOCK_ID)
        });
        let held_for = info.map(|info| info["Operation"].clone());
        assert_eq!(held_for, Some(Value::from(operation)), "{line}");
        assert_eq!(finished, Finished::silent(0), "{line}");
        assert_eq!(scene.requests(), put_and_delete(), "{line}");
        assert_eq!(
            scene.remote.table.items(),
            std::slice::from_ref(&digest),
            "{line}"
        );
    }
    let told: Vec<String> = fake
        .calls()
        .iter()
        .map(|call| call.arguments.join(" "))
        .collect();
    assert_eq!(told, COMMANDS.map(|(_, child, _)| child));
}

#[test]
fn the_lock_is_given_back_with_every_exit_code_of_the_child() {
    let scene = Scene::new();
    let fake = scene.install(Script::new().step("exit \"$CODE\""));
    for code in [0, 1, 2, 3, 64, 75, 126, 127, 128, 255] {
        let run = scene.tflock("apply", &fake).env("CODE", code.to_string());
        assert_eq!(run.run(), Finished::silent(code));
        assert_eq!(scene.requests(), put_and_delete(), "exit code {code}");
        assert_eq!(scene.remote.locks(), Vec::<String>::new());
    }
}

#[test]
fn a_terraform_that_cannot_be_started_leaves_no_lock() {
    let scene = Scene::new();
    let program = scene.workspace.file("not-a-program");
    scene.workspace.write("not-a-program", "");
    let program = program.to_str().expect("a path that is text");
    let finished = scene
        .workspace
        .tflock(["--terraform", program, "apply"])
        .run()
        .ended_with(126);
    assert!(finished.stderr.starts_with("error: "), "{finished}");
    assert!(finished.stderr.contains("\nhint: "), "{finished}");
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn the_child_has_the_environment_of_the_caller_and_the_name_of_the_lock() {
    let scene = Scene::new();
    let fake = scene.install(Script::new());
    let environment = |run: Invocation| {
        run.env("TF_CLI_ARGS_apply", "-no-color")
            .env("ODD", "two words\nand = lines")
            .run()
            .succeeded();
        fake.calls().pop().expect("a call").environment
    };
    let direct = environment(
        scene
            .workspace
            .invocation(fake.program())
            .first_on_path(fake.directory())
            .arg("apply"),
    );
    let mut under_lock = environment(scene.tflock("apply", &fake));
    let held = under_lock.remove("TFLOCK_HELD").expect("the lock's name");
    assert!(held.contains(LOCK_ID), "{held}");
    assert_eq!(under_lock, direct);
}

#[test]
fn input_reaches_the_child_byte_for_byte() {
    let scene = Scene::new();
    let fake = scene.install(Script::new().step("exec cat"));
    let input = "yes\n\0more\n".repeat(20_000);
    let finished = scene.tflock("apply", &fake).stdin(input.clone()).run();
    assert_eq!(finished.stdout.len(), input.len());
    assert_eq!((finished.stdout, finished.stderr), (input, String::new()));
}

#[test]
fn whether_a_broken_pipe_ends_the_child_is_as_it_was_for_tflock() {
    for (first, status) in [
        ("", Status::Signal(Signal::SIGPIPE)),
        ("trap '' PIPE; ", Status::Code(7)),
    ] {
        let workspace = Workspace::new();
        let fake = Script::new().step("kill -PIPE $$").exit(7);
        let fake = fake.install(workspace.home().join("fake"));
        let line = format!("{first}exec {} apply", env!("CARGO_BIN_EXE_tflock"));
        let run = workspace.invocation("sh").args(["-c", &line]);
        let finished = run.first_on_path(fake.directory()).run();
        assert_eq!(finished.status, status, "{finished}");
    }
}
