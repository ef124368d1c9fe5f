//! `use_lockfile`: terraform's lock object, alone and together with the table.

use serde_json::Value;

use crate::support::backend::{LOCK_ID, LOCK_KEY, LockMode, Remote, STATE_KEY};
use crate::support::configuration::Configuration;
use crate::support::process::Finished;
use crate::support::proxy::Proxy;
use crate::support::s3::Object;
use crate::support::scene::Scene;
use crate::support::workspace::Workspace;

#[test]
fn the_lock_object_is_held_and_keeps_plain_terraform_out() {
    let remote = Remote::start();
    let backend = remote.backend(LockMode::Lockfile);
    let configuration = Configuration::with_backend(&backend).waiting_resource("slow");
    let ana = Workspace::with(&configuration);
    ana.init();
    let ben = ana.colleague();
    ben.init();
    let apply = ana.tflock(["--reason", "moving", "apply", "-auto-approve"]);
    let apply = apply.start();
    ana.wait_until_started();
    assert_eq!(remote.locks(), [LOCK_KEY]);
    let holder = remote.s3.object(LOCK_KEY).expect("a lock").json();
    let refused = ben.terraform(["plan", "-input=false", "-no-color"]).run();
    ana.let_go();
    let apply = apply.wait().succeeded().with_stdout("1 added");
    assert_eq!(apply.stderr, "");
    assert_eq!(remote.locks(), Vec::<String>::new());

    let mut refused = refused.ended_with(1);
    for key in ["ID", "Path", "Operation", "Who", "Version", "Info"] {
        let value = holder[key].as_str().expect("a string");
        assert_ne!(value, "", "{key}");
        refused = refused.with_stderr(value);
    }
}

#[test]
fn the_lock_object_is_the_one_that_terraform_itself_would_write() {
    let remote = Remote::start();
    let s3 = Proxy::before(remote.s3.url());
    let backend = remote.backend(LockMode::Lockfile).s3_url(s3.url());
    let configuration = Configuration::with_backend(&backend).resource("one", "1");
    let workspace = Workspace::with(&configuration);
    workspace.init();
    let state = format!("* /states/{STATE_KEY}");
    let [terraforms, tflocks] = [workspace.terraform([]), workspace.tflock([])].map(|run| {
        let gate = s3.on(&state).hold();
        let plan = run.args(["plan", "-input=false"]).start();
        gate.wait_until_reached();
        let object = remote.s3.object(LOCK_KEY).expect("a held lock");
        gate.open();
        plan.wait().succeeded();
        object
    });
    assert_eq!(
        without_new_values(&tflocks),
        without_new_values(&terraforms)
    );
    assert_eq!(tflocks.content_type, terraforms.content_type);
    assert_eq!(
        tflocks.checksums.keys().collect::<Vec<_>>(),
        terraforms.checksums.keys().collect::<Vec<_>>()
    );
    assert_eq!(
        tflocks.metadata.keys().collect::<Vec<_>>(),
        ["tflock-lease"]
    );
}

fn without_new_values(object: &Object) -> String {
    let values = object.json();
    ["ID", "Created"].iter().fold(object.text(), |text, key| {
        text.replace(values[key].as_str().expect("a string"), "<new>")
    })
}

#[test]
fn both_locks_are_taken_the_object_first_and_given_back() {
    let remote = Remote::start();
    let s3 = Proxy::before(remote.s3.url());
    let dynamodb = Proxy::before(remote.dynamodb.url());
    let backend = remote
        .backend(LockMode::Both)
        .s3_url(s3.url())
        .dynamodb_url(dynamodb.url());
    let workspace = Workspace::with(&Configuration::with_backend(&backend));
    workspace.init();
    dynamodb.clear_log();
    s3.clear_log();
    let scene = Scene::of(remote, workspace);

    let item = dynamodb.on("PutItem").hold();
    let apply = scene.tflock(["apply"]).start();
    item.wait_until_reached();
    assert_eq!(scene.remote.locks(), [LOCK_KEY], "the object comes first");
    item.open();
    scene.workspace.wait_until_started();
    assert_eq!(scene.remote.locks(), [LOCK_ID, LOCK_KEY]);
    let [in_table, in_bucket] = [
        scene.remote.table.lock_info(LOCK_ID),
        scene.remote.s3.object(LOCK_KEY).map(|object| object.json()),
    ];
    assert_eq!(
        in_table.as_ref().map(id),
        in_bucket.as_ref().map(id),
        "one ID for both"
    );
    scene.workspace.let_go();
    assert_eq!(apply.wait(), Finished::silent(0));
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
    assert_eq!(scene.fake.only_call().arguments, ["apply", "-lock=false"]);
    assert_eq!(dynamodb.actions(), ["PutItem", "DeleteItem"]);
    let object = |method: &str| format!("{method} /states/{LOCK_KEY}");
    // A server that is not Amazon's is not trusted to compare.
    assert_eq!(s3.actions(), ["PUT", "GET", "DELETE"].map(object));
}

fn id(info: &Value) -> String {
    info["ID"].as_str().expect("an ID").to_owned()
}

#[test]
fn of_two_locks_the_first_is_given_back_when_the_second_is_held() {
    let scene = Scene::new(LockMode::Both);
    let holder = serde_json::json!({ "ID": "1", "Who": "ben@desk", "Operation": "state-rm" });
    scene.remote.table.put_lock(LOCK_ID, &holder);
    scene
        .tflock(["--wait", "0", "apply"])
        .run()
        .ended_with(75)
        .with_stderr("error: the state is locked: Error acquiring the state lock\n")
        .with_stderr("ben@desk");
    assert_eq!(scene.remote.locks(), [LOCK_ID]);
    assert_eq!(scene.remote.table.lock_info(LOCK_ID), Some(holder));
    assert_eq!(scene.fake.calls(), []);
}

#[test]
fn a_backend_without_any_lock_is_locked_by_the_object_and_the_child_is_left_alone() {
    let scene = Scene::new(LockMode::None);
    let glimpse = scene.glimpse(scene.tflock(["apply", "-lock-timeout=3s"]));
    assert_eq!(glimpse.locks, [LOCK_KEY]);
    assert_eq!(glimpse.call.arguments, ["apply", "-lock-timeout=3s"]);
    assert_eq!(glimpse.finished.stderr, "");
}
