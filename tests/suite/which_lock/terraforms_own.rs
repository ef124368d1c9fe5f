//! Backends whose lock only terraform can take: waited for, never reported as free, removed by terraform itself.

use serde_json::{Value, json};

use crate::support::configuration::Configuration;
use crate::support::fake_terraform::Script;
use crate::support::http_state::HttpState;
use crate::support::mid_run::look_during;
use crate::support::workspace::Workspace;

/// A server, and a directory whose state it keeps.
fn http() -> (HttpState, Workspace) {
    let server = HttpState::start();
    let configuration = Configuration::with_backend_block(&server.backend());
    let workspace = Workspace::with(&configuration.waiting_resource("slow"));
    workspace.init();
    (server, workspace)
}

#[test]
fn a_run_waits_for_a_terraform_on_another_machine() {
    let (_server, workspace) = http();
    let colleague = workspace.colleague();
    colleague.init();
    let apply = colleague.terraform(["apply", "-auto-approve"]);
    let (waiting, finished) = look_during(&colleague, apply, |_| {
        let status = workspace.tflock(["status", "--exit-code"]).run();
        status
            .ended_with(78)
            .with_stdout("unknown")
            .with_stdout("HTTP server");
        workspace.let_go();
        let mut waiting = workspace
            .tflock(["--wait", "30s", "apply", "-auto-approve"])
            .start();
        // terraform says that it waits after 400 ms.
        waiting.wait_for_output("Acquiring state lock");
        waiting
    });
    finished.succeeded();
    waiting.wait().succeeded().with_stdout("0 added");
}

#[test]
fn its_status_is_unknown_whether_it_is_locked_or_not() {
    let (_server, workspace) = http();
    let shown = workspace.tflock(["status", "--json", "--exit-code"]).run();
    let shown: Value = serde_json::from_str(&shown.ended_with(78).stdout).unwrap();
    assert_eq!(shown["status"], "unknown");
    let lock = &shown["locks"][0];
    assert_eq!(
        (&lock["status"], &lock["store"]),
        (&json!("unknown"), &json!("http"))
    );
    assert_eq!(lock["holder"], Value::Null);
    let text = workspace.tflock(["status"]).run().succeeded();
    text.with_stdout("to know")
        .with_stdout("`tflock --wait 0 plan`");

    let chosen = workspace
        .tflock(["--store", "local", "status", "--exit-code"])
        .run();
    chosen.succeeded().with_stdout("free");
}

#[test]
fn a_run_of_ours_on_this_machine_is_shown() {
    let (_server, workspace) = http();
    let apply = workspace.tflock(["--reason", "rotating keys", "apply", "-auto-approve"]);
    let ((), finished) = look_during(&workspace, apply, |_| {
        let status = workspace.tflock(["status", "--exit-code"]).run();
        status.ended_with(75).with_stdout("rotating keys");
    });
    finished.succeeded();
}

#[test]
fn it_is_unlocked_by_terraform_itself() {
    let (server, workspace) = http();
    let colleague = workspace.colleague();
    colleague.init();
    let apply = colleague.terraform(["apply", "-auto-approve"]);
    let ((), finished) = look_during(&colleague, apply, |_| {
        let info = server.lock_info().expect("a lock");
        let id = info["ID"].as_str().unwrap();
        workspace
            .tflock(["force-unlock", "--yes"])
            .run()
            .ended_with(64)
            .with_stderr("ID");
        // It asks, and nobody is there.
        workspace.tflock(["force-unlock", id]).run().ended_with(1);
        assert!(server.lock_info().is_some());
        let unlocked = workspace.tflock(["force-unlock", "--yes", id]).run();
        unlocked.succeeded().with_stdout("successfully unlocked");
        assert_eq!(server.lock_info(), None);
    });
    // Its own unlock finds nothing to unlock, which this server does not mind.
    finished.succeeded();
}

#[test]
fn terraforms_force_unlock_gets_the_id_and_never_an_option() {
    let (_server, workspace) = http();
    let fake = Script::new().exit(0).install(workspace.home().join("fake"));
    for (arguments, expected) in [
        (
            &["--yes", "--", "-x"][..],
            &["force-unlock", "-force", "--", "-x"][..],
        ),
        (&["an-id"], &["force-unlock", "--", "an-id"]),
    ] {
        let run = workspace.tflock(["force-unlock"]).args(arguments);
        run.first_on_path(fake.directory()).run().succeeded();
        assert_eq!(fake.calls().pop().unwrap().arguments, expected);
    }
}
