//! What a scripted terraform sees of itself when tflock has become it, against what it sees when it is called
//! directly.

use std::fs;
use std::path::PathBuf;

use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::fake_terraform::{Call, FakeTerraform, Script};
use crate::support::process::{Finished, Status};
use crate::support::server::refusing_url;
use crate::support::workspace::Workspace;

/// Calls that take no lock, or that terraform answers without doing anything.
const PASSED_ON: [&[&str]; 32] = [
    &[""],
    &["-version"],
    &["-v"],
    &["-help"],
    &["-h"],
    &["-install-autocomplete"],
    &["version", "-json"],
    &["fmt", "-check", "-"],
    &["get", "-update"],
    &["validate"],
    &["graph"],
    &["test", "-filter=a"],
    &["output", "-raw", "name"],
    &["show", "-json", "plan"],
    &["console"],
    &["login"],
    &["init", "-upgrade", "-lock-timeout=5s"],
    &["init", "-migrate-state"],
    &["providers", "lock", "-platform=linux_amd64"],
    &["state", "list"],
    &["state", "show", "a.b"],
    &["state", "pull"],
    &["workspace", "new", "stg"],
    &["workspace", "select", "-or-create", "stg"],
    &["workspace", "delete", "-force", "stg"],
    &["plan", "-help"],
    &["apply", "-h"],
    &["state", "mv", "--help"],
    &["plan", "-version"],
    &["plan", "-lock=perhaps"],
    &["no-such-command", "two words\n", "", "--", "-x"],
    &["plans"],
];

/// A directory whose S3 backend was never initialised and whose engines nobody answers for: whoever asked them,
/// or read the configuration, would fail.
struct Scene {
    workspace: Workspace,
    fake: FakeTerraform,
}

impl Scene {
    fn running(script: Script) -> Self {
        let backend = Remote::start()
            .backend(LockMode::DynamodbTable)
            .s3_url(refusing_url())
            .dynamodb_url(refusing_url());
        let workspace = Workspace::with(&Configuration::with_backend(&backend));
        let fake = script.install(workspace.home().join("fake"));
        Self { workspace, fake }
    }

    /// The call that terraform gets from tflock, in tflock's own process, with nothing printed.
    fn call_through(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Call {
        let mut run = self
            .workspace
            .tflock([])
            .args(arguments)
            .first_on_path(self.fake.directory());
        for (name, value) in variables {
            run = run.env(name, value);
        }
        let running = run.start();
        let pid = running.pid().as_raw();
        assert_eq!(running.wait(), Finished::silent(0), "{arguments:?}");
        let call = self.fake.calls().pop().expect("a call");
        assert_eq!(call.pid, pid, "{arguments:?}");
        call
    }
}

#[test]
fn a_command_without_a_lock_gets_its_arguments_and_the_process_itself() {
    let scene = Scene::running(Script::new());
    for arguments in PASSED_ON {
        let call = scene.call_through(arguments, &[]);
        assert_eq!(call.arguments, arguments);
        assert_eq!(call.directory, scene.workspace.path());
    }
    assert_eq!(scene.fake.calls().len(), PASSED_ON.len());
}

#[test]
fn words_before_the_command_that_are_terraforms_are_passed_on() {
    let scene = Scene::running(Script::new());
    let elsewhere = ["-chdir=elsewhere", "fmt"];
    assert_eq!(scene.call_through(&elsewhere, &[]).arguments, elsewhere);
    let nowhere = ["-chdir=nowhere", "plan"];
    assert_eq!(scene.call_through(&nowhere, &[]).arguments, nowhere);
    let alone = ["-chdir=elsewhere"];
    assert_eq!(scene.call_through(&alone, &[]).arguments, alone);
    // tflock's own options are not terraform's to see.
    let own = ["--wait", "5s", "-q", "-chdir=elsewhere", "state", "list"];
    let call = scene.call_through(&own, &[]);
    assert_eq!(call.arguments, ["-chdir=elsewhere", "state", "list"]);
}

#[test]
fn variables_can_make_a_locking_command_one_that_is_passed_on() {
    let scene = Scene::running(Script::new());
    for variable in [
        ("COMP_LINE", "terraform pla"),
        ("TF_CLI_ARGS", "-help"),
        ("TF_CLI_ARGS_plan", "-no-color -h"),
        ("TF_CLI_ARGS_plan", "-lock=perhaps"),
    ] {
        let call = scene.call_through(&["plan", "-out=p"], &[variable]);
        assert_eq!(call.arguments, ["plan", "-out=p"], "{variable:?}");
        assert_eq!(call.environment[variable.0], variable.1);
    }
    // A shell that completes asks with words that would be tflock's own.
    let completed = ["--wait", "status", "plan"];
    let call = scene.call_through(&completed, &[("COMP_LINE", "terraform ")]);
    assert_eq!(call.arguments, completed);
}

#[test]
fn the_environment_is_passed_on_whole() {
    let scene = Scene::running(Script::new());
    let variables = [
        ("TF_CLI_ARGS_fmt", "-check"),
        ("TFLOCK_WAIT", "5s"),
        ("TFLOCK_HELD", "[]"),
        ("ODD", "two words\nand = lines"),
        ("EMPTY", ""),
    ];
    let through = scene.call_through(&["fmt"], &variables).environment;
    let mut direct = scene
        .workspace
        .invocation(scene.fake.program())
        .first_on_path(scene.fake.directory())
        .arg("fmt");
    for (name, value) in variables {
        direct = direct.env(name, value);
    }
    direct.run().succeeded();
    let direct = scene.fake.calls().pop().expect("a call").environment;
    assert_eq!(through, direct);
}

/// Lists the descriptors of the shell itself, without those that listing needs.
const LIST_DESCRIPTORS: &str = "for one in 0 1 2 3 4 5 6 7 8 9; do \
     [ -e /dev/fd/$one ] && note \"descriptor $one\"; done";

#[test]
fn descriptors_are_passed_on_open_and_closed_as_they_are() {
    for redirections in ["", "7<main.tf", "<&-", "<&- 7<main.tf", ">&- 2>&-"] {
        let scene = Scene::running(Script::new().step(LIST_DESCRIPTORS));
        let run = |program: PathBuf| {
            let before = scene.fake.log().len();
            scene
                .workspace
                .invocation("/bin/sh")
                .arg("-c")
                .arg(format!("exec \"$0\" fmt {redirections}"))
                .arg(program)
                .first_on_path(scene.fake.directory())
                .run()
                .succeeded();
            let mut lines = scene.fake.log().split_off(before);
            lines.retain(|line| line.starts_with("descriptor "));
            lines
        };
        let direct = run(scene.fake.program());
        let through = run(env!("CARGO_BIN_EXE_tflock").into());
        assert_eq!(through, direct, "with `{redirections}`");
    }
}

#[test]
fn an_extra_descriptor_can_be_read_and_stdin_too() {
    let scene = Scene::running(Script::new().step("cat - /dev/fd/7"));
    scene.workspace.write("extra", "from seven");
    scene
        .workspace
        .invocation("/bin/sh")
        .args([
            "-c",
            "exec \"$0\" fmt 7<extra",
            env!("CARGO_BIN_EXE_tflock"),
        ])
        .first_on_path(scene.fake.directory())
        .stdin("from stdin, ")
        .run()
        .succeeded()
        .with_stdout("from stdin, from seven");
}

#[test]
fn exit_codes_and_deaths_are_terraforms_own() {
    let scene = Scene::running(Script::new().step("eval \"$END\""));
    let run = |end: &str| {
        let run = scene.workspace.tflock(["validate"]).env("END", end);
        run.first_on_path(scene.fake.directory()).run().status
    };
    for code in [1, 2, 3, 64, 127, 255] {
        assert_eq!(run(&format!("exit {code}")), Status::Code(code));
    }
    let killed = Status::Signal(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(run("kill -KILL $$"), killed);
    let broken_pipe = Status::Signal(nix::sys::signal::Signal::SIGPIPE);
    assert_eq!(run("kill -PIPE $$"), broken_pipe, "it is not ignored");
}

#[test]
fn a_run_that_was_told_not_to_lock_says_so_and_is_passed_on() {
    let scene = Scene::running(Script::new());
    let told = Finished {
        stdout: String::new(),
        stderr: "tflock: `-lock=false`: running without a lock\n".to_owned(),
        status: Status::Code(0),
    };
    let run = |arguments: &[&str], variable: (&str, &str)| {
        let run = scene.workspace.tflock([]).args(arguments);
        let run = run.env(variable.0, variable.1);
        let running = run.first_on_path(scene.fake.directory()).start();
        let pid = running.pid().as_raw();
        let finished = running.wait();
        let call = scene.fake.calls().pop().expect("a call");
        assert_eq!(call.pid, pid);
        (call.arguments.join(" "), finished)
    };
    let nothing = ("NOTHING", "");
    for (line, variable) in [
        ("plan -lock=false", nothing),
        ("apply -lock=0 plan", nothing),
        ("state mv --lock=F a.b a.c", nothing),
        ("plan -lock=true -lock=false", nothing),
        ("plan -out=p", ("TF_CLI_ARGS_plan", "-lock=false")),
        ("destroy", ("TF_CLI_ARGS", "-lock=false")),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let expected = (line.to_owned(), told.clone());
        assert_eq!(run(&words, variable), expected, "{variable:?}");
    }
    let (_, quiet) = run(&["-q", "plan", "-lock=false"], nothing);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn the_terraform_that_is_found_is_never_tflock_itself() {
    let scene = Scene::running(Script::new());
    let alias = scene.workspace.home().join("alias");
    fs::create_dir(&alias).expect("a directory");
    let link = alias.join("terraform");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tflock"), &link).expect("a link");
    scene
        .workspace
        .invocation("terraform")
        .arg("fmt")
        .first_on_path(scene.fake.directory())
        .first_on_path(&alias)
        .run()
        .succeeded();
    assert_eq!(scene.fake.only_call().arguments, ["fmt"]);
}
