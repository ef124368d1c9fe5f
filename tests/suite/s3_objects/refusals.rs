//! Refusals by the service that are expected, and those that end the run.

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use super::{DELETE, GET, PUT, Scene, exec};
use crate::support::backend::LOCK_KEY;
use crate::support::process::Finished;
use crate::support::proxy::Fault;
use crate::support::recorded::s3_workspace;
use crate::support::server::{Server, loopback_listener};

#[test]
fn a_conflict_with_a_write_that_came_to_nothing_is_tried_again() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({}));
    scene.proxy.on(PUT).next(Fault::Conflict);
    exec(&workspace).run().succeeded();
    let lock = format!("/states/{LOCK_KEY}");
    let expected = ["PUT", "GET", "PUT", "GET", "DELETE"].map(|method| format!("{method} {lock}"));
    assert_eq!(scene.proxy.actions(), expected);
    assert_eq!(scene.s3.locks(), Vec::<String>::new());
}

#[test]
fn a_conflict_with_a_write_that_won_is_a_lost_race() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({}));
    let holder = r#"{"ID":"7","Operation":"OperationTypeApply","Who":"ben@desk"}"#;
    scene.s3.put(LOCK_KEY, holder);
    scene.proxy.on(PUT).every(Fault::Conflict);
    let refused = workspace
        .tflock(["--wait", "0", "exec", "--", "true"])
        .run();
    refused.ended_with(75).with_stderr("ben@desk");
    assert_eq!(scene.proxy.count(PUT), 1);
    assert_eq!(scene.s3.object(LOCK_KEY).unwrap().text(), holder);
}

#[test]
fn a_conflict_at_the_release_is_no_loss() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({}));
    scene.proxy.on(DELETE).times(2, &Fault::Conflict);
    let run = exec(&workspace).run().succeeded();
    assert_eq!(run.stderr, "");
    assert_eq!(scene.proxy.count(DELETE), 3);
    assert_eq!(scene.s3.locks(), Vec::<String>::new());
}

#[test]
fn a_release_is_sure_of_its_loss_although_the_look_at_it_fails_once() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({}));
    let delete = scene.proxy.on(DELETE).hold();
    let run = exec(&workspace).start();
    delete.wait_until_reached();
    let robber = r#"{"ID":"7","Who":"eve@desk"}"#;
    scene.s3.put(LOCK_KEY, robber);
    scene.proxy.on(GET).next(Fault::DropReply);
    delete.open();
    run.wait().ended_with(76).with_stderr("eve@desk");
    assert_eq!(scene.s3.object(LOCK_KEY).unwrap().text(), robber);
}

/// How a run ends if the server answers every request like this.
#[track_caller]
fn refused_by(answer: impl IntoResponse + Clone + Send + Sync + 'static) -> Finished {
    let (listener, address) = loopback_listener();
    let app = Router::new().fallback(async move || answer);
    let _server = Server::start("s3 of old", listener, |listener| async move {
        axum::serve(listener, app).await.expect("axum serves");
    });
    let workspace = s3_workspace(&json!({
        "region": "us-east-1",
        "use_lockfile": true,
        "endpoints": { "s3": format!("http://{address}") },
    }));
    exec(&workspace).run().ended_with(78)
}

#[test]
fn a_server_without_conditional_requests_is_told_from_one_in_trouble() {
    let document = "<Error><Code>NotImplemented</Code><Message>A header you provided \
                    implies functionality that is not implemented</Message></Error>";
    let refused = refused_by((StatusCode::NOT_IMPLEMENTED, document));
    let (error, hint) = refused.stderr.split_once('\n').unwrap();
    assert!(error.contains("NotImplemented"), "{refused}");
    assert_eq!(
        hint,
        "hint: this server has no conditional requests, so it cannot keep a lock: use a DynamoDB table, or \
         `--store local`\n"
    );
}

#[test]
fn a_server_that_names_no_versions_holds_no_lock() {
    holds_no_lock(&refused_by(StatusCode::OK));
}

#[test]
fn an_empty_version_is_none() {
    for tag in ["", "\"\""] {
        holds_no_lock(&refused_by([("etag", tag)]));
    }
}

#[track_caller]
fn holds_no_lock(refused: &Finished) {
    assert_eq!(
        refused.stderr.lines().last(),
        Some(
            "hint: this server cannot keep a lock: remove the lock object if it is there now, and use a DynamoDB \
             table, or `--store local`"
        )
    );
    assert!(refused.stderr.contains("has no ETag"), "{refused}");
}
