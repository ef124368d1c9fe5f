//! A link called `terraform` that points to tflock: it behaves like the real one behind it on PATH.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::support::configuration::Configuration;
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::process::Invocation;
use crate::support::scene::local_locks;
use crate::support::workspace::Workspace;

struct Scene {
    workspace: Workspace,
    fake: FakeTerraform,
    links: PathBuf,
}

impl Scene {
    /// Links of both names, on PATH before the scripted terraform.
    fn new() -> Self {
        let workspace = Workspace::new();
        let fake = Script::new()
            .step("ls \"$XDG_STATE_HOME/tflock\" >\"$record/locks\" 2>&1")
            .install(workspace.home().join("fake"));
        let links = workspace.home().join("links");
        std::fs::create_dir(&links).expect("a directory");
        for name in ["terraform", "tofu"] {
            symlink(env!("CARGO_BIN_EXE_tflock"), links.join(name)).expect("a link");
        }
        Self {
            workspace,
            fake,
            links,
        }
    }

    fn terraform<const N: usize>(&self, arguments: [&str; N]) -> Invocation {
        self.workspace
            .invocation(self.links.join("terraform"))
            .args(arguments)
            .first_on_path(self.fake.directory())
            .first_on_path(&self.links)
    }
}

#[test]
fn it_is_terraform_with_all_of_its_words() {
    let scene = Scene::new();
    for arguments in [
        ["-version", ""],
        ["--version", ""],
        ["status", "--json"],
        ["force-unlock", "7"],
        ["--wait", "5s"],
        ["fmt", "-check"],
    ] {
        scene.terraform(arguments).run().succeeded();
        let call = scene.fake.calls().pop().expect("a call");
        assert_eq!(call.arguments, arguments);
    }
}

#[test]
fn it_locks_where_terraform_would() {
    let scene = Scene::new();
    scene.terraform(["plan", "-out=p"]).run().succeeded();
    let waiting = ["plan", "-lock-timeout=900s", "-out=p"];
    assert_eq!(scene.fake.only_call().arguments, waiting);
    let locks = scene.fake.directory().join("record/locks");
    let locks = std::fs::read_to_string(locks).expect("what was locked");
    assert!(locks.contains(".json"), "{locks}");
    assert_eq!(local_locks(&scene.workspace), Vec::<String>::new());
}

#[test]
fn it_never_runs_itself_and_says_so_where_there_is_no_other() {
    let scene = Scene::new();
    scene
        .workspace
        .invocation(scene.links.join("tofu"))
        .arg("plan")
        .env("PATH", &scene.links)
        .run()
        .ended_with(127)
        .with_stderr("error: `tofu` was not found\n");
}

#[test]
fn a_completion_line_that_is_empty_completes_nothing() {
    let scene = Scene::new();
    let run = scene.workspace.tflock(["--version"]).env("COMP_LINE", "");
    let finished = run.first_on_path(scene.fake.directory()).run().succeeded();
    assert_eq!(finished.stdout, "tflock 0.1.0\n");
    assert_eq!(scene.fake.only_call().arguments, ["version"]);
}

#[test]
fn the_version_is_ours_and_then_what_terraform_prints() {
    let workspace = Workspace::new();
    let plain = workspace.terraform(["version"]).run().succeeded();
    let ours = workspace.tflock(["--version"]).run().succeeded();
    assert_eq!(ours.stdout, format!("tflock 0.1.0\n{}", plain.stdout));
    assert_eq!(ours.stderr, plain.stderr);
    let without = workspace.tflock(["--version"]).env("PATH", "/nowhere");
    assert_eq!(without.run().succeeded().stdout, "tflock 0.1.0\n");
}

#[test]
fn alone_it_prints_its_own_help() {
    let workspace = Workspace::new();
    let alone = workspace.tflock([]).run().succeeded();
    assert_eq!(alone, workspace.tflock(["--help"]).run());
    assert!(alone.stdout.contains("force-unlock"), "{alone}");
}

#[test]
fn a_script_named_terraform_that_calls_tflock_ends_with_an_error() {
    let workspace = Workspace::with(&Configuration::without_backend().resource("one", "1"));
    for calls in ["exec", ""] {
        let script = Script::new()
            .step(&format!("{calls} {} \"$@\"", env!("CARGO_BIN_EXE_tflock")))
            .step("exit $?")
            .install(workspace.home().join("circle"));
        for arguments in [["fmt", "-check"], ["plan", "-lock=false"]] {
            let run = workspace
                .tflock(arguments)
                .first_on_path(script.directory());
            let ended = run
                .within(std::time::Duration::from_secs(30))
                .run()
                .ended_with(78);
            let ended =
                ended.with_stderr("is a script that calls tflock, which runs that script again");
            assert!(ended.stderr.contains("--terraform PATH"), "{ended}");
        }
    }
}
