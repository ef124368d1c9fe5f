//! Local states shared with plain terraform: its own lock on the state file counts like any other holder's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::configuration::{Configuration, GO, STARTED};
use crate::support::fake_terraform::Script;
use crate::support::mid_run::look_during;
use crate::support::process::Running;
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

fn bare() -> Workspace {
    Workspace::with(&Configuration::without_backend().waiting_resource("slow"))
}

/// How tflock shows a plain terraform that holds the lock.
#[track_caller]
fn is_seen(workspace: &Workspace, terraform: &Running, words: &[&str], state: &str) {
    let who = format!("@{}", whoami_host());
    let json = workspace.tflock(["status", "--json", "--exit-code"]).run();
    if words.is_empty() {
        let shown: Value = serde_json::from_str(&json.ended_with(75).stdout).unwrap();
        let lock = &shown["locks"][0];
        let holder = &lock["holder"];
        assert_eq!(shown["status"], "held");
        assert_eq!(lock["place"], "terraform's own lock on the state file");
        assert!(
            lock["lock_id"].as_str().unwrap().ends_with(state),
            "{shown}"
        );
        assert_eq!(holder["liveness"], "alive");
        assert_eq!(holder["process"], terraform.pid().as_raw());
        assert_eq!(holder["info"]["Operation"], "OperationTypeApply");
        assert!(
            holder["info"]["Who"].as_str().unwrap().ends_with(&who),
            "{shown}"
        );
    }
    let refused = workspace.tflock(["--wait", "0", "plan"]).args(words).run();
    let refused = refused.ended_with(75).with_stderr(&who);
    refused.with_stderr("alive").with_stderr(state);
}

fn whoami_host() -> String {
    let name = nix::unistd::gethostname().unwrap();
    name.into_string().unwrap()
}

/// The ID of the lock that is held.
fn lock_id(workspace: &Workspace) -> String {
    let shown = workspace.tflock(["status", "--json"]).run().succeeded();
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    let id = &shown["locks"][0]["holder"]["info"]["ID"];
    id.as_str().expect("an ID").to_owned()
}

#[test]
fn a_plain_terraform_is_shown_and_waited_for() {
    let workspace = bare();
    let apply = workspace.terraform(["apply", "-auto-approve"]);
    let (waiting, finished) = look_during(&workspace, apply, |terraform| {
        is_seen(&workspace, terraform, &[], "terraform.tfstate");
        let mut waiting = workspace
            .tflock(["--wait", "30s", "apply", "-auto-approve"])
            .start();
        waiting.wait_for_output("terraform apply");
        waiting
    });
    finished.succeeded();
    waiting.wait().succeeded().with_stdout("0 added");
    let free = workspace.tflock(["status", "--exit-code"]).run();
    free.succeeded().with_stdout("free");
}

#[test]
fn the_lock_of_a_living_terraform_cannot_be_removed() {
    let workspace = bare();
    let apply = workspace.terraform(["apply", "-auto-approve"]);
    let ((), finished) = look_during(&workspace, apply, |terraform| {
        let id = lock_id(&workspace);
        for arguments in [
            &["--yes"][..],
            &["--yes", "--force"],
            &["--yes", "--force", &id],
        ] {
            let refused = workspace.tflock(["force-unlock"]).args(arguments).run();
            let stop = format!("hint: stop it with `kill -INT {}`", terraform.pid());
            refused.ended_with(77).with_stderr(&stop);
        }
    });
    finished.succeeded();
}

#[test]
fn what_a_killed_terraform_leaves_is_no_lock() {
    let workspace = bare();
    let terraform = workspace.terraform(["apply", "-auto-approve"]).start();
    workspace.wait_until_started();
    terraform.signal(Signal::SIGKILL);
    // Its provisioner ends with it or not; it holds no lock.
    workspace.let_go();
    terraform.wait();
    assert!(workspace.file(".terraform.tfstate.lock.info").exists());
    let free = workspace.tflock(["status", "--exit-code"]).run();
    free.succeeded().with_stdout("free");
    let run = workspace
        .tflock(["--wait", "0", "apply", "-auto-approve"])
        .run();
    assert_eq!(run.succeeded().stderr, "");
}

#[test]
fn the_state_that_terraform_locks_is_the_one_that_is_looked_at() {
    let path = "terraform {\n  backend \"local\" {\n    path = \"sub/app.tfstate\"\n    \
                workspace_dir = \"spaces\"\n  }\n}";
    let configuration = Configuration::without_backend().waiting_resource("slow");
    let cases: [(&str, &[&str], &str, &str); 4] = [
        ("", &["-state=other"], "default", "/other"),
        ("", &[], "stg", "terraform.tfstate.d/stg/terraform.tfstate"),
        (path, &[], "default", "sub/app.tfstate"),
        (path, &[], "stg", "spaces/stg/terraform.tfstate"),
    ];
    for (backend, words, selected, state) in cases {
        let workspace = Workspace::with(&configuration.clone().block(backend));
        workspace.init();
        if selected != "default" {
            let new = workspace.terraform(["workspace", "new", selected]);
            new.run().succeeded();
        }
        let apply = workspace.terraform(["apply", "-auto-approve"]).args(words);
        let ((), finished) = look_during(&workspace, apply, |terraform| {
            is_seen(&workspace, terraform, words, state);
        });
        finished.succeeded();
    }
}

#[test]
fn in_a_directory_that_cannot_be_written_it_is_seen_as_well() {
    let workspace = bare();
    let apply = workspace.terraform(["apply", "-auto-approve"]);
    let ((), finished) = look_during(&workspace, apply, |terraform| {
        let directory = workspace.path();
        let mode =
            |mode| fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o555);
        is_seen(&workspace, terraform, &[], "terraform.tfstate");
        mode(0o755);
    });
    finished.succeeded();
}

#[test]
fn six_mixed_runs_on_one_state_all_succeed() {
    let configuration = Configuration::without_backend().resource("one", "1");
    let workspace = Workspace::with(&configuration);
    let ours = || {
        let run = workspace.tflock(["--wait", "100s", "apply", "-auto-approve"]);
        run.within(Duration::from_mins(2)).start()
    };
    let waiting = ["apply", "-auto-approve", "-lock-timeout=100s"];
    let plain = || workspace.terraform(waiting).within(Duration::from_mins(2));
    let runs: Vec<(Running, Running)> = (0..3).map(|_| (ours(), plain().start())).collect();
    for (ours, plain) in runs {
        ours.wait().succeeded();
        workspace.outwait(plain, waiting).succeeded();
    }
}

#[test]
fn the_child_waits_for_its_own_lock_with_what_is_left_of_the_time() {
    let workspace = Workspace::with(&Configuration::without_backend());
    let fake = Script::new().exit(0).install(workspace.home().join("fake"));
    let arguments = |line: &str, inserted: &str| {
        let run = workspace.tflock([]).args(line.split(' '));
        let run = run.first_on_path(fake.directory());
        run.env("TF_CLI_ARGS_apply", inserted).run().succeeded();
        fake.calls().pop().unwrap().arguments.join(" ")
    };
    for (line, inserted, expected) in [
        (
            "apply -auto-approve",
            "",
            "apply -lock-timeout=900s -auto-approve",
        ),
        ("--wait 1500ms apply", "", "apply -lock-timeout=2s"),
        ("--wait forever apply", "", "apply -lock-timeout=31536000s"),
        ("--wait 0 apply", "", "apply"),
        ("apply -lock-timeout=3s", "", "apply -lock-timeout=3s"),
        ("apply", "-lock-timeout=3s", "apply"),
        ("apply -lock=false", "", "apply -lock=false"),
        ("apply", "-- plan", "apply -lock-timeout=900s -- plan"),
        ("state rm a.b", "", "state rm -lock-timeout=900s a.b"),
        ("validate", "", "validate"),
    ] {
        assert_eq!(arguments(line, inserted), expected, "{line} {inserted}");
    }
}

#[test]
fn a_wait_takes_from_what_the_child_gets() {
    let workspace = bare();
    let fake = Script::new().exit(0).install(workspace.home().join("fake"));
    let apply = workspace.terraform(["apply", "-auto-approve"]);
    let (waiting, finished) = look_during(&workspace, apply, |_| {
        let run = workspace.tflock(["--wait", "100s", "apply"]);
        let mut waiting = run.first_on_path(fake.directory()).start();
        waiting.wait_for_output("terraform apply");
        let begun = Instant::now();
        wait_until("two seconds of waiting", || {
            begun.elapsed() > Duration::from_secs(2)
        });
        waiting
    });
    finished.succeeded();
    waiting.wait().succeeded();
    let arguments = fake.only_call().arguments.join(" ");
    let seconds = arguments.strip_prefix("apply -lock-timeout=").unwrap();
    let seconds: u32 = seconds.strip_suffix('s').unwrap().parse().unwrap();
    assert!((60..=98).contains(&seconds), "{arguments}");
    assert!(!workspace.file(STARTED).exists() && !workspace.file(GO).exists());
}
