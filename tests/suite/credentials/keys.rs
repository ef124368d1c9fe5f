//! Keys, profiles, files and regions.

use std::fs;

use serde_json::json;

use super::{Scene, Signer, exec, without_keys};
use crate::support::workspace::Workspace;

/// A profile `team` and the default one in the files of that workspace's user.
fn with_profiles(workspace: &Workspace) {
    let directory = workspace.home().join(".aws");
    fs::create_dir_all(&directory).unwrap();
    let config = "[default]\nregion = ap-south-1\n[profile team]\nregion = ap-east-1\n";
    fs::write(directory.join("config"), config).unwrap();
    fs::write(directory.join("credentials"), profiles("HOME")).unwrap();
}

/// A credentials file with the keys `<prefix>DEFAULT` and `<prefix>TEAM`.
fn profiles(prefix: &str) -> String {
    format!(
        "[default]\naws_access_key_id = {prefix}DEFAULT\naws_secret_access_key = s\n\
         [team]\naws_access_key_id = {prefix}TEAM\naws_secret_access_key = s\n"
    )
}

#[test]
fn keys_and_region_of_the_backend_go_before_those_of_the_environment() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({
        "region": "eu-west-1", "access_key": "RECORDED", "secret_key": "s", "token": "t",
    }));
    with_profiles(&workspace);
    let run = exec(&workspace)
        .env("AWS_REGION", "us-west-2")
        .env("AWS_SESSION_TOKEN", "another")
        .env("AWS_PROFILE", "team");
    let recorded = Signer::dynamodb("RECORDED", "eu-west-1").with_token("t");
    assert_eq!(scene.signer(run), recorded);
}

#[test]
fn keys_and_region_of_the_environment_are_used_where_none_are_recorded() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({ "region": null, "access_key": "", "profile": null }));
    with_profiles(&workspace);
    let run = exec(&workspace)
        .env("AWS_ACCESS_KEY_ID", "ENVIRONMENT")
        .env("AWS_SESSION_TOKEN", "t")
        .env("AWS_REGION", "us-west-2")
        .env("AWS_DEFAULT_REGION", "us-west-1");
    let environment = Signer::dynamodb("ENVIRONMENT", "us-west-2").with_token("t");
    assert_eq!(scene.signer(run), environment);
}

#[test]
fn the_default_region_is_used_where_there_is_no_other() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({}));
    let run = exec(&workspace).env("AWS_DEFAULT_REGION", "us-west-1");
    let expected = Signer::dynamodb("test", "us-west-1");
    assert_eq!(scene.signer(run), expected);
}

#[test]
fn a_profile_of_the_backend_goes_before_keys_and_profile_of_the_environment() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({ "profile": "team" }));
    with_profiles(&workspace);
    let run = exec(&workspace).env("AWS_PROFILE", "default");
    let expected = Signer::dynamodb("HOMETEAM", "ap-east-1");
    assert_eq!(scene.signer(run), expected);
}

#[test]
fn a_recorded_region_goes_before_that_of_the_recorded_profile() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({ "profile": "team", "region": "eu-west-1" }));
    with_profiles(&workspace);
    let expected = Signer::dynamodb("HOMETEAM", "eu-west-1");
    assert_eq!(scene.signer(exec(&workspace)), expected);
}

#[test]
fn the_profile_of_the_environment_is_used_where_there_are_no_keys() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({}));
    with_profiles(&workspace);
    let run = without_keys(exec(&workspace)).env("AWS_PROFILE", "team");
    let expected = Signer::dynamodb("HOMETEAM", "ap-east-1");
    assert_eq!(scene.signer(run), expected);
    let expected = Signer::dynamodb("HOMEDEFAULT", "ap-south-1");
    assert_eq!(scene.signer(without_keys(exec(&workspace))), expected);
}

#[test]
fn files_that_the_backend_names_stand_in_for_those_of_the_user() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({
        "profile": "team",
        "shared_config_files": ["aws/config"],
        "shared_credentials_files": ["~/elsewhere", "aws/credentials"],
    }));
    with_profiles(&workspace);
    fs::write(
        workspace.home().join("elsewhere"),
        "[other]\naws_access_key_id = NOBODY\naws_secret_access_key = s\n",
    )
    .unwrap();
    workspace.write("aws/config", "[profile team]\nregion = sa-east-1\n");
    workspace.write("aws/credentials", &profiles("OWN"));
    let run = exec(&workspace).env("AWS_SHARED_CREDENTIALS_FILE", "missing");
    let expected = Signer::dynamodb("OWNTEAM", "sa-east-1");
    assert_eq!(scene.signer(run), expected);
}

#[test]
fn the_old_single_file_of_credentials_is_still_known() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({
        "region": "eu-west-1", "profile": "team", "shared_credentials_file": "~/keys",
    }));
    fs::write(workspace.home().join("keys"), profiles("OLD")).unwrap();
    let expected = Signer::dynamodb("OLDTEAM", "eu-west-1");
    assert_eq!(scene.signer(exec(&workspace)), expected);
}

#[test]
fn files_that_the_environment_names_are_used_where_the_backend_names_none() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({}));
    workspace.write("config", "[default]\nregion = sa-east-1\n");
    workspace.write("keys", &profiles("ENV"));
    let run = without_keys(exec(&workspace))
        .env("AWS_CONFIG_FILE", workspace.file("config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", workspace.file("keys"));
    let expected = Signer::dynamodb("ENVDEFAULT", "sa-east-1");
    assert_eq!(scene.signer(run), expected);
}

#[test]
fn a_program_that_a_profile_names_gives_the_keys() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({ "region": "eu-west-1", "profile": "team" }));
    let answer =
        r#"{"Version":1,"AccessKeyId":"PROGRAM","SecretAccessKey":"s","SessionToken":"t"}"#;
    workspace.write("answer", answer);
    let directory = workspace.home().join(".aws");
    fs::create_dir_all(&directory).unwrap();
    let program = workspace.file("answer").display().to_string();
    let config = format!("[profile team]\ncredential_process = cat {program}\n");
    fs::write(directory.join("config"), config).unwrap();
    let expected = Signer::dynamodb("PROGRAM", "eu-west-1").with_token("t");
    assert_eq!(scene.signer(exec(&workspace)), expected);
}

#[test]
fn a_table_without_a_backend_is_reached_by_the_environment_alone() {
    let scene = Scene::new();
    let workspace = Workspace::new()
        .env("AWS_ENDPOINT_URL_DYNAMODB", scene.proxy.url())
        .env("AWS_REGION", "eu-central-1");
    let table = scene.remote.table.name();
    let run = workspace.tflock(["--table", table, "exec", "--", "true"]);
    let expected = Signer::dynamodb("test", "eu-central-1");
    assert_eq!(scene.signer(run), expected);
}
