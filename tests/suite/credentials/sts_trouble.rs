//! A Security Token Service that refuses, that is unreachable, and that is unreachable for a moment.

use chrono::TimeDelta;
use serde_json::json;

use super::sts::{Answer, Sts};
use super::{Scene, exec};
use crate::support::proxy::{Fault, Outcome, Proxy};
use crate::support::server::refusing_url;
use crate::support::workspace::Workspace;

const ROLE: &str = "arn:aws:iam::123456789012:role/locker";

fn workspace(scene: &Scene, sts_url: &str) -> Workspace {
    scene.workspace(json!({
        "region": "eu-west-1",
        "endpoints": { "sts": sts_url },
        "assume_role": { "role_arn": ROLE },
    }))
}

#[test]
fn a_role_that_is_denied_is_one_error_that_names_it() {
    let (scene, sts) = (Scene::new(), Sts::answering(Answer::Denied));
    let refused = exec(&workspace(&scene, sts.url())).run().ended_with(77);
    let (error, hint) = refused.stderr.split_once('\n').unwrap();
    let reason = format!(
        "failed: AssumeRole of `{ROLE}`: AccessDenied: ana is not authorized to perform this"
    );
    assert!(error.starts_with("error: "), "{refused}");
    assert!(error.ends_with(&reason), "{refused}");
    assert!(
        hint.starts_with("hint: ") && hint.lines().count() == 1,
        "{refused}"
    );
    assert_eq!(refused.stdout, "");
    assert_eq!(scene.proxy.actions(), Vec::<String>::new());
    assert_eq!(sts.calls().len(), 1);
}

#[test]
fn a_web_identity_that_is_denied_is_one_error_that_names_its_role() {
    let (scene, sts) = (Scene::new(), Sts::answering(Answer::Denied));
    let workspace = scene.workspace(json!({
        "region": "eu-west-1",
        "endpoints": { "sts": sts.url() },
        "assume_role_with_web_identity": { "role_arn": ROLE, "web_identity_token": "hunter2" },
    }));
    let refused = exec(&workspace).run().ended_with(77);
    let refused = refused.with_stderr(&format!("AssumeRoleWithWebIdentity of `{ROLE}`: "));
    assert!(!refused.stderr.contains("hunter2"), "{refused}");
    assert_eq!(refused.stderr.matches("error").count(), 1, "{refused}");
}

#[test]
fn a_service_that_is_not_there_is_not_a_refusal() {
    let scene = Scene::new();
    let workspace = workspace(&scene, &refusing_url());
    workspace
        .tflock(["status"])
        .run()
        .ended_with(69)
        .with_stderr(&format!("AssumeRole of `{ROLE}`: Connection refused"));
}

#[test]
fn a_lock_is_released_although_the_service_fails_for_a_moment() {
    let scene = Scene::new();
    // Keys that have run out when they come, so that the release needs new ones.
    let sts = Sts::answering(Answer::Keys(TimeDelta::zero()));
    let sts_proxy = Proxy::before(sts.url());
    let workspace = workspace(&scene, &sts_proxy.url());
    let held = scene.proxy.on("PutItem").hold();
    let run = exec(&workspace).start();
    held.wait_until_reached();
    // As often as the SDK itself tries.
    sts_proxy.on("*").times(3, &Fault::Unavailable);
    held.open();
    run.wait().succeeded();
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
    let answers: Vec<_> = sts_proxy.log().into_iter().map(|one| one.outcome).collect();
    let failed = Outcome::MadeUp(503);
    let answered = Outcome::Answered(200);
    let expected = [&answered, &failed, &failed, &failed, &answered];
    assert_eq!(answers.iter().collect::<Vec<_>>(), expected);
}
