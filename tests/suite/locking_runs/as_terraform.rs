//! The lock of every command, beside the one that plain terraform takes for the same command.
//!
//! Both live through the same sequence of real commands; each is stopped at its first request for the state,
//! which comes when the lock is held.

use std::path::PathBuf;
use std::thread;

use serde_json::Value;

use crate::support::backend::{LOCK_ID, LockMode, Remote, STATE_KEY};
use crate::support::beside::beside;
use crate::support::configuration::Configuration;
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::proxy::Proxy;
use crate::support::workspace::{Workspace, terraform_program};

/// Every locking command, in an order in which each finds what it needs; and the file that is pushed.
const LIFE: [&[&str]; 11] = [
    &[
        "import",
        "-input=false",
        "terraform_data.imported",
        "some-id",
    ],
    &["plan", "-input=false"],
    &["apply", "-auto-approve"],
    &["refresh"],
    &["taint", "terraform_data.one"],
    &["untaint", "terraform_data.one"],
    &["state", "mv", "terraform_data.one", "terraform_data.uno"],
    &["state", "rm", "terraform_data.uno"],
    &[
        "state",
        "replace-provider",
        "-auto-approve",
        "none/one",
        "none/two",
    ],
    &["state", "push", PUSHED],
    &["destroy", "-auto-approve"],
];
const PUSHED: &str = "pushed.tfstate";

/// Attributes that are tflock's own, beside terraform's. What they say is a matter of other tests.
const OWN_ATTRIBUTES: [&str; 10] = [
    "Command",
    "ExpireAfterSeconds",
    "Heartbeat",
    "HeartbeatAt",
    "Hold",
    "Holder",
    "Origin",
    "Reason",
    "RunUrl",
    "TflockVersion",
];

/// What was seen while one command held the lock.
#[derive(Debug, PartialEq, Eq)]
struct Locked {
    command: String,
    lock_id: String,
    /// `Info` to the byte, but for the two values that are new each time.
    info: String,
}

#[test]
fn every_locking_command_holds_the_item_that_terraform_itself_would_hold() {
    let [by_terraform, by_tflock] = thread::scope(|scope| {
        [Program::Terraform, Program::Tflock]
            .map(|program| beside(scope, move || live(program)))
            .map(|life| life.join().expect("a life without failures"))
    });
    assert_eq!(by_tflock, by_terraform);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Terraform,
    Tflock,
}

fn live(program: Program) -> Vec<Locked> {
    let remote = Remote::start();
    let s3 = Proxy::before(remote.s3.url());
    let backend = remote.backend(LockMode::DynamodbTable).s3_url(s3.url());
    let configuration = Configuration::with_backend(&backend)
        .resource("one", "1")
        .block("resource \"terraform_data\" \"imported\" {}");
    let workspace = Workspace::with(&configuration);
    workspace.init();
    let recording = recording_terraform(workspace.home().join("recording"));
    let state = format!("* /states/{STATE_KEY}");
    let seen = LIFE.map(|arguments| {
        if arguments.contains(&PUSHED) {
            let object = remote.s3.object(STATE_KEY).expect("a state");
            workspace.write(PUSHED, &object.text());
        }
        let invocation = match program {
            Program::Terraform => workspace.terraform([]).args(arguments),
            Program::Tflock => workspace
                .tflock([])
                .args(arguments)
                .first_on_path(recording.directory()),
        };
        let gate = s3.on(&state).hold();
        let running = invocation.start();
        gate.wait_until_reached();
        let item = remote.table.item(LOCK_ID).expect("a held lock");
        gate.open();
        let finished = running.wait().succeeded();
        assert_eq!(finished.stderr, "", "{arguments:?}");
        assert_eq!(remote.locks(), Vec::<String>::new(), "{arguments:?}");
        see(program, arguments, &item)
    });
    if program == Program::Tflock {
        assert_told_not_to_lock(&recording);
    }
    seen.into()
}

fn see(program: Program, command: &[&str], item: &Value) -> Locked {
    let attributes = item.as_object().expect("an item is an object");
    let mut names: Vec<&str> = attributes.keys().map(String::as_str).collect();
    if program == Program::Tflock {
        names.retain(|name| !OWN_ATTRIBUTES.contains(name));
    }
    names.sort_unstable();
    assert_eq!(names, ["Info", "LockID"], "{command:?}");
    let info = item["Info"]["S"].as_str().expect("`Info` is a string");
    Locked {
        command: command.join(" "),
        lock_id: item["LockID"]["S"].as_str().expect("a key").to_owned(),
        info: with_new_values_checked(info),
    }
}

/// The text with placeholders for `ID` and `Created`, which are of the form that Go gives them.
fn with_new_values_checked(info: &str) -> String {
    let values: Value = serde_json::from_str(info).expect("`Info` is JSON");
    let [id, created] = ["ID", "Created"].map(|key| values[key].as_str().expect("a string"));
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{info}");
    let is_hex = |digit: char| matches!(digit, '0'..='9' | 'a'..='f' | '-');
    assert!(id.chars().all(is_hex), "{info}");
    let fraction = created
        .strip_suffix('Z')
        .and_then(|time| time.split_once('.'));
    // One run in a thousand million has no fraction at all.
    let (seconds, fraction) = fraction.expect("a time in UTC with a fraction");
    assert_eq!(seconds.len(), "2026-11-22T19:36:57".len(), "{info}");
    assert!((1..=9).contains(&fraction.len()), "{info}");
    assert!(!fraction.ends_with('0'), "{info}");
    info.replace(id, "<new>").replace(created, "<now>")
}

/// The real terraform behind a script that records how it was called.
fn recording_terraform(directory: PathBuf) -> FakeTerraform {
    let program = terraform_program();
    let program = program.to_str().expect("a path that is text");
    Script::new()
        .step(&format!("exec '{program}' \"$@\""))
        .install(directory)
}

fn assert_told_not_to_lock(recording: &FakeTerraform) {
    let told: Vec<Vec<String>> = recording
        .calls()
        .into_iter()
        .map(|call| call.arguments)
        .collect();
    let expected = LIFE.map(|arguments| {
        let mut words: Vec<_> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let end = if words[0] == "state" { 2 } else { 1 };
        words.insert(end, "-lock=false".to_owned());
        words
    });
    assert_eq!(told, expected);
}

#[test]
fn reason_and_ci_run_are_what_plain_terraform_prints() {
    let remote = Remote::start();
    let backend = remote.backend(LockMode::DynamodbTable);
    let configuration = Configuration::with_backend(&backend).waiting_resource("slow");
    let ana = Workspace::with(&configuration)
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_SERVER_URL", "https://github.com")
        .env("GITHUB_REPOSITORY", "acme/network")
        .env("GITHUB_RUN_ID", "42")
        .env("GITHUB_RUN_ATTEMPT", "1");
    ana.init();
    let ben = ana.colleague();
    ben.init();
    let apply = ana
        .tflock([
            "--reason",
            "rotating <the> keys & more",
            "apply",
            "-auto-approve",
        ])
        .start();
    ana.wait_until_started();
    let text = remote.table.text(LOCK_ID, "Info").expect("a held lock");
    let refused = ben.terraform(["plan", "-input=false", "-no-color"]).run();
    ana.let_go();
    apply.wait().succeeded();

    assert!(
        text.contains(r#""Info":"rotating \u003cthe\u003e keys \u0026 more https://github.com/"#),
        "escaped as Go does: {text}"
    );
    refused
        .ended_with(1)
        .with_stderr("Operation: OperationTypeApply")
        .with_stderr("rotating <the> keys & more https://github.com/acme/network/actions/runs/42");
}
