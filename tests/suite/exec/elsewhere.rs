//! What an inner terraform locks if it works on a different state.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::backend::{LOCK_ID, LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::process::Invocation;
use crate::support::proxy::Proxy;
use crate::support::scene::Scene;
use crate::support::workspace::{Workspace, terraform_program};

/// The lock of the state in `other`.
const OTHER: &str = "states/prod/other.tfstate";

/// Two directories, one inside the other, each with its own state.
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

/// A terraform that records how it was called, and ends.
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
fn what_a_terraform_inside_runs_locks_for_itself() {
    let two = Two::new();
    let info =
        json!({ "ID": "7", "Operation": "OperationTypeApply", "Who": "ben@desk", "Path": OTHER });
    two.remote.table.put_lock(OTHER, &info);
    let inside = "terraform -chdir=other apply -auto-approve -no-color";
    let configuration = Configuration::with_backend(&two.remote.backend(LockMode::DynamodbTable));
    two.workspace.configure(&configuration.block(&format!(
        "resource \"terraform_data\" \"one\" {{\n  provisioner \"local-exec\" {{\n    command = \"{inside}\"\n  }}\n}}"
    )));
    for script in [
        "terraform apply -auto-approve -no-color",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/bin:/bin:$PATH; cd other; terraform plan -no-color",
    ] {
        let run = two.exec(script).run();
        run.ended_with(1)
            .with_stderr("Error acquiring the state lock");
        assert_eq!(two.remote.table.locks(), [OTHER], "{script}");
    }
}

#[test]
fn a_program_that_is_a_terraform_by_its_path_locks_for_itself() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let fake = brief(&scene.workspace);
    let program = fake.program();
    let program = program.to_str().expect("a path that is text");
    scene.workspace.write("files/main.tf", "");
    let word = "call it by name, as `terraform`";
    let lines: [(&[&str], &str); 4] = [
        (&["apply", "-lock=true"], word),
        (&["-chdir=.", "apply"], word),
        (&["-chdir=files", "apply"], word),
        (&["output"], ""),
    ];
    for (line, word) in lines {
        let run = scene.workspace.tflock(["exec", "--", program]).args(line);
        let run = run.run().succeeded().with_stderr(word);
        assert_eq!(run.stderr.is_empty(), word.is_empty(), "{run}");
        let call = fake.calls().pop().expect("a call");
        assert_eq!(call.arguments, line);
    }
}

/// Two stores are different even if table, region and lock have the same names.
#[test]
fn a_directory_with_the_same_names_in_another_store_is_locked_there() {
    let two = Two::new();
    let elsewhere = Remote::start();
    let backend = elsewhere.backend(LockMode::DynamodbTable);
    let configuration = Configuration::with_backend(&backend).resource("two", "2");
    two.workspace.write("twin/main.tf", &configuration.hcl());
    let init = ["-chdir=twin", "init", "-input=false"];
    two.workspace.terraform(init).run().succeeded();
    let info = json!({ "ID": "7", "Operation": "OperationTypeApply", "Who": "ben@desk" });
    elsewhere.table.put_lock(LOCK_ID, &info);

    let run = two.exec("terraform -chdir=twin apply -auto-approve");
    let run = run.env("TFLOCK_WAIT", "0").run();
    run.ended_with(75).with_stderr("ben@desk");
    let terraform = terraform_program();
    let program = terraform.to_str().expect("a path that is text");
    let run = two.workspace.tflock(["exec", "--", program]);
    run.args(["-chdir=twin", "apply", "-auto-approve"])
        .run()
        .ended_with(1)
        .with_stderr("Error acquiring the state lock")
        .with_stderr("ben@desk");
    assert_eq!(elsewhere.s3.keys(), Vec::<String>::new());
    assert_eq!(two.remote.locks(), Vec::<String>::new());
}

#[test]
fn the_options_of_exec_hold_for_the_terraforms_inside() {
    let two = Two::new();
    let info =
        json!({ "ID": "7", "Operation": "OperationTypeApply", "Who": "ben@desk", "Path": OTHER });
    two.remote.table.put_lock(OTHER, &info);
    let options = [
        "--wait",
        "0",
        "--reason",
        "moving house",
        "--on-event",
        "./hook",
        "-q",
        "--no-input",
        "exec",
    ];
    let script = "echo $TFLOCK_REASON, $TFLOCK_NO_INPUT, ${TFLOCK_ON_EVENT#\"$PWD\"}; terraform -chdir=other plan";
    let run = two.workspace.tflock(options).args(["sh", "-c", script]);
    let run = run.env("TFLOCK_LOG", "1").run().ended_with(75);
    assert_eq!(run.stdout, "moving house, true, /hook\n");
    assert!(
        run.stderr
            .starts_with("error: the state is locked: Error acquiring the state lock\n"),
        "{run}"
    );
}
