//! If no table and no bucket is named: files on this machine, or an error about what is missing.

use serde_json::json;

use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::mid_run::{look_during, stopping_script};
use crate::support::process::{Finished, Status};
use crate::support::recorded::record;
use crate::support::scene::local_locks;
use crate::support::workspace::Workspace;

#[test]
fn a_bare_directory_is_locked_by_its_state_file() {
    let configuration = Configuration::without_backend().waiting_resource("slow");
    let workspace = Workspace::with(&configuration);
    let run = workspace.tflock(["apply", "-auto-approve"]);
    let (locks, finished) = look_during(&workspace, run, |_| local_locks(&workspace));
    let directory = workspace.path().canonicalize().unwrap();
    let state = directory.join("terraform.tfstate");
    assert_eq!(locks, [state.to_str().unwrap()]);
    let finished = finished.succeeded().with_stdout("1 added");
    assert_eq!(finished.stderr, "");
    assert_eq!(local_locks(&workspace), Vec::<String>::new());
    assert!(state.exists());
}

#[test]
fn a_local_state_is_named_by_flag_workspace_and_backend() {
    let workspace = Workspace::with(&Configuration::with_local_backend("sub/app.tfstate"));
    let fake = stopping_script().install(workspace.home().join("fake"));
    let locked = |line: &str, selected: &str| {
        let run = workspace.tflock([]).args(line.split(' '));
        let run = run.env("TF_WORKSPACE", selected);
        let run = run.first_on_path(fake.directory());
        let (locks, finished) = look_during(&workspace, run, |_| local_locks(&workspace));
        finished.succeeded();
        let directory = workspace.path().canonicalize().unwrap();
        let directory = format!("{}/", directory.display());
        locks.concat().replace(&directory, "")
    };
    // What stands in the configuration counts once it is recorded, as for terraform.
    workspace.init();
    assert_eq!(locked("plan", "default"), "sub/app.tfstate");
    assert_eq!(
        locked("plan", "stg"),
        "terraform.tfstate.d/stg/terraform.tfstate"
    );
    assert_eq!(locked("plan -state=flag", "stg"), "flag");
    assert_eq!(locked("apply -state=flag -state-out=out", "default"), "out");
    assert_eq!(locked("state mv -state=./flag a.b a.c", "default"), "flag");
}

#[test]
fn a_backend_that_was_never_initialised_says_what_to_type() {
    let remote = Remote::start();
    let backend = remote.backend(LockMode::DynamodbTable);
    let workspace = Workspace::with(&Configuration::with_backend(&backend));
    let directory = workspace.path();
    let expected = Finished {
        stdout: String::new(),
        stderr: format!(
            "error: the backend `s3` of `{}` was never initialised\nhint: run `tflock init`\n",
            directory.display()
        ),
        status: Status::Code(78),
    };
    for arguments in [["plan"], ["apply"], ["destroy"]] {
        assert_eq!(workspace.tflock(arguments).run(), expected);
    }
    let never = workspace.tflock(["exec", "--", "touch", "ran"]).run();
    assert_eq!(never, expected);
    assert!(!workspace.file("ran").exists());
    workspace.tflock(["init", "-input=false"]).run().succeeded();
    workspace.tflock(["plan"]).run().succeeded();
}

#[test]
fn a_shared_backend_without_a_table_is_locked_on_this_machine_and_that_is_said() {
    let workspace = Workspace::new();
    record(&workspace, "gcs", &json!({ "bucket": "acme" }));
    let fake = stopping_script().install(workspace.home().join("fake"));
    let run = workspace.tflock(["apply"]).first_on_path(fake.directory());
    let (locks, finished) = look_during(&workspace, run, |_| local_locks(&workspace));
    assert_eq!(locks, ["gcs/acme/default"]);
    let expected = Finished {
        stdout: String::new(),
        stderr:
            "tflock: the lock protects only your own runs on this machine, but the backend `gcs` is shared: \
                 name a DynamoDB table with `--table` to lock for all\n"
                .to_owned(),
        status: Status::Code(0),
    };
    assert_eq!(finished, expected);
    assert_eq!(fake.only_call().arguments, ["apply", "-lock-timeout=900s"]);
}
