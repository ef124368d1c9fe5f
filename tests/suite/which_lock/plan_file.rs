//! `apply PLANFILE` works on the state that the plan was made for.

use crate::support::backend::{LOCK_ID, LockMode, Remote, STATE_KEY};
use crate::support::configuration::Configuration;
use crate::support::mid_run::look_during;
use crate::support::process::Finished;
use crate::support::scene::Scene;
use crate::support::workspace::Workspace;

/// Terraform 1.11.4 takes the backend from the plan and the workspace from the selection: if two workspaces have
/// the same lineage, such as after a copy, the plan of one is carried out on the other. (1.15 refuses.)
#[test]
fn applying_a_saved_plan_locks_the_state_that_terraform_then_writes() {
    let remote = Remote::start();
    let backend = remote.backend(LockMode::DynamodbTable);
    let configuration = Configuration::with_backend(&backend).resource("one", "1");
    let workspace = Workspace::with(&configuration);
    workspace.init();
    let run = |line: &str| {
        let run = workspace.tflock([]).args(line.split(' ')).run();
        run.succeeded();
    };
    run("apply -auto-approve");
    let copy = remote.s3.object(STATE_KEY).expect("a state");
    let stg = format!("env:/stg/{STATE_KEY}");
    remote.s3.put(&stg, copy.body);
    workspace.configure(&configuration.waiting_resource("slow"));
    run("plan -input=false -out=saved.tfplan");
    run("workspace select stg");

    let apply = workspace.tflock(["apply", "saved.tfplan"]);
    let (locks, finished) = look_during(&workspace, apply, |_| remote.locks());
    assert_eq!(finished.succeeded().stderr, "");
    let written = [STATE_KEY, &stg].into_iter().filter(|key| {
        remote
            .s3
            .object(key)
            .is_some_and(|state| state.text().contains("slow"))
    });
    assert_eq!(written.collect::<Vec<_>>(), [&stg]);
    assert_eq!(locks, [format!("states/{stg}")]);
    assert_eq!(remote.locks(), Vec::<String>::new());
}

#[test]
fn applying_a_saved_plan_locks_in_the_backend_that_it_was_made_for() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let backend = scene.remote.backend(LockMode::DynamodbTable);
    scene
        .workspace
        .terraform(["plan", "-out=old.tfplan"])
        .run()
        .succeeded();
    scene
        .workspace
        .configure(&Configuration::with_backend(&backend.key("moved")));
    scene
        .workspace
        .terraform(["init", "-input=false", "-reconfigure"])
        .run()
        .succeeded();
    let old = scene.glimpse(scene.tflock(["apply", "old.tfplan"]));
    assert_eq!(old.locks, [LOCK_ID]);
    let new = scene.glimpse(scene.tflock(["apply"]));
    assert_eq!(new.locks, ["states/moved"]);
}

#[test]
fn a_saved_plan_that_is_none_leaves_the_word_to_terraform() {
    let scene = Scene::new(LockMode::DynamodbTable);
    scene.workspace.write("text.tfplan", "not a plan");
    for file in ["text.tfplan", "no-such.tfplan"] {
        let glimpse = scene.glimpse(scene.tflock(["apply", file]));
        assert_eq!(glimpse.locks, [LOCK_ID]);
        assert_eq!(glimpse.call.arguments, ["apply", "-lock=false", file]);
    }
}

/// OpenTofu's encrypted plan. Which state it is for can only be told by OpenTofu.
const ENCRYPTED: &str = r#"{"meta":{},"encrypted_data":"c2VjcmV0","encryption_version":"v0"}"#;

#[test]
fn an_encrypted_plan_is_applied_by_a_tofu_that_locks_for_itself_once_the_lock_is_free() {
    let scene = Scene::new(LockMode::DynamodbTable);
    scene.workspace.write("p.tfplan", ENCRYPTED);
    let alone = scene.glimpse(scene.tflock(["apply", "p.tfplan"]));
    assert_eq!(alone.locks, Vec::<String>::new());
    assert_eq!(
        alone.call.arguments,
        ["apply", "-lock-timeout=900s", "p.tfplan"]
    );
    assert_eq!(alone.finished, Finished::silent(0));

    let named = scene.glimpse(scene.tflock(["--lock-id", LOCK_ID, "apply", "p.tfplan"]));
    assert_eq!(named.locks, [LOCK_ID]);
    assert_eq!(named.call.arguments, ["apply", "-lock=false", "p.tfplan"]);

    let holder = scene.tflock(["--reason", "rotating keys", "plan"]);
    let (waiting, finished) = look_during(&scene.workspace, holder, |_| {
        let calls = scene.fake.calls().len();
        let refused = scene.tflock(["--wait", "0", "apply", "p.tfplan"]).run();
        refused.ended_with(75).with_stderr("rotating keys");
        assert_eq!(scene.fake.calls().len(), calls);
        let mut waiting = scene.tflock(["--wait", "30s", "apply", "p.tfplan"]).start();
        waiting.wait_for_output("rotating keys");
        waiting
    });
    finished.succeeded();
    // It runs the same script, which waits for the same sign.
    scene.workspace.let_go();
    waiting.wait().succeeded();
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}
