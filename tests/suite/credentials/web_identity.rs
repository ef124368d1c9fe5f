//! Roles that are assumed with a token of an identity provider.

use std::fs;

use serde_json::{Value, json};

use super::sts::{Call, Sts};
use super::{Scene, Signer, exec, without_keys};
use crate::support::process::Invocation;
use crate::support::workspace::Workspace;

const ROLE: &str = "arn:aws:iam::123456789012:role/runner";

fn workspace(scene: &Scene, sts: &Sts, identity: &Value) -> Workspace {
    scene.workspace(json!({
        "region": "eu-west-1",
        "endpoints": { "sts": sts.url() },
        "assume_role_with_web_identity": identity,
    }))
}

/// Fails unless the call was for that role in that session, with that token and no signature.
#[track_caller]
fn assert_called(call: &Call, session: &str, token: &str) {
    let expected = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("RoleArn", ROLE),
        ("RoleSessionName", session),
        ("WebIdentityToken", token),
    ];
    for (name, value) in expected {
        assert_eq!(call.parameters[name], value, "{name}");
    }
    assert_eq!(call.signer, None);
}

fn role_keys() -> Signer {
    Signer::dynamodb("ROLE1", "eu-west-1").with_token("token-1")
}

#[test]
fn a_token_of_the_backend_is_handed_in_with_all_attributes() {
    let (scene, sts) = (Scene::new(), Sts::start());
    let identity = json!({
        "role_arn": ROLE,
        "session_name": "job-7",
        "duration": "20m",
        "policy": "{}",
        "policy_arns": ["arn:aws:iam::aws:policy/a"],
        "web_identity_token": "header.payload.signature",
    });
    let workspace = workspace(&scene, &sts, &identity);
    assert_eq!(scene.signer(without_keys(exec(&workspace))), role_keys());
    let call = sts.only_call();
    assert_called(&call, "job-7", "header.payload.signature");
    assert_eq!(call.parameters["DurationSeconds"], "1200");
    assert_eq!(call.parameters["Policy"], "{}");
    assert_eq!(
        call.parameters["PolicyArns.member.1.arn"],
        "arn:aws:iam::aws:policy/a"
    );
}

#[test]
fn a_token_s_file_is_read_where_terraform_would_read_it() {
    let (scene, sts) = (Scene::new(), Sts::start());
    let identity = json!({ "role_arn": ROLE, "web_identity_token_file": "tokens/own" });
    let workspace = workspace(&scene, &sts, &identity);
    workspace.write("tokens/own", "from.a.file\n");
    let run = exec(&workspace).env("AWS_WEB_IDENTITY_TOKEN_FILE", "missing");
    assert_eq!(scene.signer(without_keys(run)), role_keys());
    assert_called(&sts.only_call(), "tflock", "from.a.file");
}

#[test]
fn what_the_backend_leaves_out_comes_from_the_environment() {
    let (scene, sts) = (Scene::new(), Sts::start());
    let workspace = workspace(&scene, &sts, &json!({ "role_arn": null }));
    workspace.write("token", "of.the.environment");
    let run = exec(&workspace)
        .env("AWS_ROLE_ARN", ROLE)
        .env("AWS_ROLE_SESSION_NAME", "pod")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", workspace.file("token"));
    assert_eq!(scene.signer(without_keys(run)), role_keys());
    assert_called(&sts.only_call(), "pod", "of.the.environment");
}

#[test]
fn a_pod_s_identity_needs_no_word_of_it_in_the_backend() {
    let (scene, sts) = (Scene::new(), Sts::start());
    let workspace = scene.workspace(json!({ "region": "eu-west-1" }));
    workspace.write("token", "of.the.pod");
    let run = exec(&workspace)
        .env("AWS_ENDPOINT_URL_STS", sts.url())
        .env("AWS_ROLE_ARN", ROLE)
        .env("AWS_ROLE_SESSION_NAME", "pod")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", workspace.file("token"));
    assert_eq!(scene.signer(without_keys(run)), role_keys());
    assert_called(&sts.only_call(), "pod", "of.the.pod");
}

#[test]
fn a_pod_s_identity_goes_to_the_sts_of_the_backend_and_before_the_default_profile() {
    let (scene, sts) = (Scene::new(), Sts::start());
    let workspace = scene.workspace(json!({
        "region": "eu-west-1", "endpoints": { "sts": sts.url() },
    }));
    workspace.write("token", "of.the.pod");
    let directory = workspace.home().join(".aws");
    fs::create_dir(&directory).unwrap();
    let profile = "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n";
    fs::write(directory.join("credentials"), profile).unwrap();
    let as_pod = |run: Invocation| {
        run.env("AWS_ROLE_ARN", ROLE)
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", workspace.file("token"))
    };
    let run = as_pod(without_keys(exec(&workspace)));
    assert_eq!(scene.signer(run), role_keys());
    assert_called(&sts.only_call(), "tflock", "of.the.pod");

    assert_eq!(scene.signer(as_pod(exec(&workspace))).access_key, "test");
    let named = as_pod(without_keys(exec(&workspace))).env("AWS_PROFILE", "default");
    assert_eq!(scene.signer(named).access_key, "ROLE2");
    assert_eq!(sts.calls().len(), 2);
}

#[test]
fn the_role_of_a_token_may_assume_another() {
    let (scene, sts) = (Scene::new(), Sts::start());
    let workspace = scene.workspace(json!({
        "region": "eu-west-1",
        "endpoints": { "sts": sts.url() },
        "assume_role_with_web_identity": { "role_arn": ROLE, "web_identity_token": "a.b.c" },
        "assume_role": { "role_arn": "arn:aws:iam::123456789012:role/locker" },
    }));
    let signer = scene.signer(without_keys(exec(&workspace)));
    let second = Signer::dynamodb("ROLE2", "eu-west-1").with_token("token-2");
    assert_eq!(signer, second);
    let calls = sts.calls();
    assert_called(&calls[0], "tflock", "a.b.c");
    assert_eq!(calls[1].parameters["Action"], "AssumeRole");
    assert_eq!(calls[1].signer.as_ref().unwrap().access_key, "ROLE1");
}
