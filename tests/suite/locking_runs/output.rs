//! The real terraform's output and exit codes under the lock: the same bytes as without tflock.

use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::process::Finished;
use crate::support::workspace::Workspace;

struct Scene {
    remote: Remote,
    workspace: Workspace,
}

impl Scene {
    fn with(add: impl FnOnce(Configuration) -> Configuration) -> Self {
        let remote = Remote::start();
        let backend = remote.backend(LockMode::DynamodbTable);
        let workspace = Workspace::with(&add(Configuration::with_backend(&backend)));
        workspace.init();
        Self { remote, workspace }
    }

    /// The same command by terraform alone and by tflock, which leaves no lock.
    fn both<const N: usize>(&self, arguments: [&str; N]) -> [Finished; 2] {
        let alone = unhurried(self.workspace.terraform(arguments).run());
        let under_lock = self.workspace.tflock(arguments).run();
        assert_eq!(self.remote.locks(), Vec::<String>::new());
        [alone, under_lock]
    }
}

#[test]
fn output_on_a_pipe_and_exit_code_are_those_of_terraform_alone() {
    let scene = Scene::with(|configuration| configuration.resource("one", "1"));
    let [alone, under_lock] = scene.both(["plan", "-detailed-exitcode"]);
    assert_eq!(under_lock, alone);
    alone.ended_with(2).with_stdout("1 to add");

    scene
        .workspace
        .tflock(["apply", "-auto-approve"])
        .run()
        .succeeded()
        .with_stdout("1 added");
    let [alone, under_lock] = scene.both(["plan", "-detailed-exitcode"]);
    assert_eq!(under_lock, alone);
    alone.succeeded().with_stdout("No changes.");

    let [alone, under_lock] = scene.both(["plan", "-json"]).map(without_times);
    assert_eq!(under_lock, alone);
    alone.succeeded().with_stdout("\"type\":\"change_summary\"");

    let [alone, under_lock] = scene.both(["output", "-json"]);
    assert_eq!(under_lock, alone);
    alone.succeeded().with_stdout("\"one\"");
}

#[test]
fn a_failing_resource_gives_the_exit_code_and_the_words_of_terraform() {
    let scene = Scene::with(|configuration| configuration.failing_resource("bad"));
    let [alone, under_lock] = scene.both(["apply", "-auto-approve", "-no-color"]);
    alone
        .ended_with(1)
        .with_stderr("local-exec provisioner error");
    let under_lock = under_lock
        .ended_with(1)
        .with_stderr("local-exec provisioner error");
    assert!(!under_lock.stderr.contains("tflock"), "{under_lock}");
}

#[test]
fn what_terraform_refuses_it_refuses_in_its_own_words() {
    let scene = Scene::with(|configuration| configuration.resource("one", "1"));
    for arguments in [
        ["plan", "-bogus", "-no-color"],
        ["taint", "terraform_data.none", "-no-color"],
        ["apply", "no-such-plan", "-no-color"],
        ["state", "mv", "terraform_data.one"],
    ] {
        let [alone, under_lock] = scene.both(arguments);
        assert_eq!(under_lock, alone, "{arguments:?}");
        assert_ne!(alone.stderr, "");
        alone.ended_with(1);
    }
}

/// terraform alone says so where its own lock takes long to get or to give back, as on a busy machine.
fn unhurried(mut alone: Finished) -> Finished {
    let is_about_time = |line: &str| line.contains("state lock. This may take a few moments...");
    let lines = alone.stdout.split_inclusive('\n');
    alone.stdout = lines.filter(|line| !is_about_time(line)).collect();
    alone
}

/// Each line of `-json` output says when it was written.
fn without_times(mut finished: Finished) -> Finished {
    let lines = finished.stdout.lines().map(|line| {
        let mut message: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let time = message["@timestamp"].take();
        assert!(time.is_string(), "{line}");
        // The order of the keys and the spacing matter as well.
        line.replace(time.as_str().unwrap_or_default(), "<time>")
    });
    finished.stdout = lines.map(|line| line + "\n").collect();
    finished
}
