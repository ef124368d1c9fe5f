//! Roles to assume, with every parameter that terraform knows.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::sts::{Answer, Call, Sts};
use super::{Scene, Signer, exec};
use crate::support::workspace::Workspace;

const ROLE: &str = "arn:aws:iam::123456789012:role/locker";

fn workspace(scene: &Scene, sts: &Sts, settings: Value) -> Workspace {
    let mut config = json!({ "region": "eu-west-1", "endpoints": { "sts": sts.url() } });
    super::merge(&mut config, settings);
    scene.workspace(config)
}

/// Fails unless these are all of the parameters.
#[track_caller]
fn assert_called(call: &Call, parameters: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(call.parameters, expected);
}

fn role_keys(number: u32) -> Signer {
    Signer::dynamodb(&format!("ROLE{number}"), "eu-west-1").with_token(&format!("token-{number}"))
}

#[test]
fn a_role_is_assumed_with_all_of_its_attributes_and_signs_the_requests() {
    let (scene, sts) = (Scene::new(), Sts::start());
    let workspace = workspace(
        &scene,
        &sts,
        json!({ "access_key": "BASE", "secret_key": "s", "assume_role": {
            "role_arn": ROLE,
            "session_name": "nightly",
            "external_id": "external & more",
            "duration": "1h30m",
            "policy": r#"{"Version":"2012-10-17"}"#,
            "policy_arns": ["arn:aws:iam::aws:policy/a", "arn:aws:iam::aws:policy/b"],
            "tags": { "Team": "platform", "Über": "all" },
            "transitive_tag_keys": ["Team"],
            "source_identity": "ana",
        } }),
    );
    assert_eq!(scene.signer(exec(&workspace)), role_keys(1));
    let call = sts.only_call();
    assert_called(
        &call,
        &[
            ("Action", "AssumeRole"),
            ("RoleArn", ROLE),
            ("RoleSessionName", "nightly"),
            ("ExternalId", "external & more"),
            ("DurationSeconds", "5400"),
            ("Policy", r#"{"Version":"2012-10-17"}"#),
            ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/a"),
            ("PolicyArns.member.2.arn", "arn:aws:iam::aws:policy/b"),
            ("Tags.member.1.Key", "Team"),
            ("Tags.member.1.Value", "platform"),
            ("Tags.member.2.Key", "Über"),
            ("Tags.member.2.Value", "all"),
            ("TransitiveTagKeys.member.1", "Team"),
            ("SourceIdentity", "ana"),
        ],
    );
    let signer = call.signer.unwrap();
    let base = Signer {
        service: "sts".to_owned(),
        ..Signer::dynamodb("BASE", "eu-west-1")
    };
    assert_eq!(signer, base);
}

#[test]
fn a_role_without_more_than_its_name_says_nothing_else() {
    let (scene, sts) = (Scene::new(), Sts::start());
    let role = json!({ "assume_role": { "role_arn": ROLE, "duration": null, "tags": {} } });
    let workspace = workspace(&scene, &sts, role);
    assert_eq!(scene.signer(exec(&workspace)), role_keys(1));
    assert_called(
        &sts.only_call(),
        &[
            ("Action", "AssumeRole"),
            ("RoleArn", ROLE),
            ("RoleSessionName", "tflock"),
        ],
    );
}

#[test]
fn the_flat_role_of_older_terraforms_is_assumed_just_the_same() {
    let (scene, sts) = (Scene::new(), Sts::start());
    let workspace = workspace(
        &scene,
        &sts,
        json!({
            "role_arn": ROLE,
            "session_name": "nightly",
            "external_id": "external",
            "assume_role_duration_seconds": 900,
            "assume_role_policy": "{}",
            "assume_role_policy_arns": ["arn:aws:iam::aws:policy/a"],
            "assume_role_tags": { "Team": "platform" },
            "assume_role_transitive_tag_keys": ["Team"],
        }),
    );
    assert_eq!(scene.signer(exec(&workspace)), role_keys(1));
    assert_called(
        &sts.only_call(),
        &[
            ("Action", "AssumeRole"),
            ("RoleArn", ROLE),
            ("RoleSessionName", "nightly"),
            ("ExternalId", "external"),
            ("DurationSeconds", "900"),
            ("Policy", "{}"),
            ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/a"),
            ("Tags.member.1.Key", "Team"),
            ("Tags.member.1.Value", "platform"),
            ("TransitiveTagKeys.member.1", "Team"),
        ],
    );
}

#[test]
fn sts_may_be_asked_in_another_region() {
    let (scene, sts) = (Scene::new(), Sts::start());
    let settings = json!({ "sts_region": "us-east-1", "assume_role": { "role_arn": ROLE } });
    let workspace = workspace(&scene, &sts, settings);
    assert_eq!(scene.signer(exec(&workspace)), role_keys(1));
    assert_eq!(sts.only_call().signer.unwrap().region, "us-east-1");
}

#[test]
fn sts_is_looked_for_in_terraform_s_order() {
    let scene = Scene::new();
    let services: [Sts; 4] = std::array::from_fn(|_| Sts::start());
    for first in 0..services.len() {
        let mut config = json!({
            "region": "eu-west-1", "assume_role": { "role_arn": ROLE },
        });
        if first == 0 {
            super::merge(
                &mut config,
                json!({ "endpoints": { "sts": services[0].url() } }),
            );
        }
        if first <= 1 {
            config["sts_endpoint"] = json!(services[1].url());
        }
        let workspace = scene.workspace(config);
        let mut run = exec(&workspace);
        if first <= 2 {
            run = run.env("AWS_ENDPOINT_URL_STS", services[2].url());
        }
        run = run.env("AWS_STS_ENDPOINT", services[3].url());
        scene.signer(run);
        let asked: Vec<_> = services.iter().map(|sts| sts.calls().len()).collect();
        let expected: Vec<_> = (0..4).map(|way| usize::from(way <= first)).collect();
        assert_eq!(asked, expected);
    }
}

#[test]
fn keys_that_run_out_while_the_lock_is_held_are_fetched_anew() {
    let scene = Scene::new();
    let sts = Sts::answering(Answer::Keys(TimeDelta::zero()));
    let workspace = workspace(&scene, &sts, json!({ "assume_role": { "role_arn": ROLE } }));
    exec(&workspace).run().succeeded();
    let signers: Vec<_> = scene.proxy.log().iter().map(Signer::of).collect();
    assert_eq!(signers, [role_keys(1), role_keys(2)]);
}
