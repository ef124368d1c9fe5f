//! A person's login at IAM Identity Center; `conformance` has what it signs.

use std::fs;

use serde_json::json;

use super::{Scene, exec, without_keys};
use crate::support::workspace::Workspace;

/// A user with the profile `my team`, whose login expired at that time.
fn with_login(scene: &Scene, expires_at: Option<&str>) -> Workspace {
    let workspace = scene.workspace(json!({ "region": "eu-west-1", "profile": "my team" }));
    let directory = workspace.home().join(".aws");
    let cache = directory.join("sso/cache");
    fs::create_dir_all(&cache).unwrap();
    let config = "[profile my team]\nsso_session = corp\nsso_account_id = 42\nsso_role_name = admin\n\
                  [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.example/start\n";
    fs::write(directory.join("config"), config).unwrap();
    if let Some(time) = expires_at {
        let token = json!({ "accessToken": "hunter2", "expiresAt": time });
        // The SHA-1 of `corp`.
        let name = "ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
        fs::write(cache.join(name), token.to_string()).unwrap();
    }
    workspace
}

#[test]
fn a_login_that_has_ended_is_answered_with_the_whole_command() {
    for (expires_at, state) in [
        (Some("2020-01-01T00:00:00Z"), "has expired"),
        (Some("2020-01-01T00:00:00UTC"), "has expired"),
        (Some("yesterday"), "cannot be read"),
        (None, "does not exist"),
    ] {
        let scene = Scene::new();
        let workspace = with_login(&scene, expires_at);
        let run = without_keys(exec(&workspace)).run().ended_with(77);
        let expected = format!(
            "error: the IAM Identity Center token of the profile `my team` {state}\n\
             hint: run `aws sso login --profile 'my team'`, then try again\n"
        );
        assert_eq!(run.stderr, expected);
        assert_eq!(scene.proxy.connections(), 0);
    }
}
