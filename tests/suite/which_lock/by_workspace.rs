//! The selected workspace and the directory: the same rules as terraform's.

use std::fs;

use crate::support::backend::{LOCK_ID, LockMode, Remote, STATE_KEY};
use crate::support::configuration::Configuration;
use crate::support::scene::Scene;
use crate::support::workspace::Workspace;

/// Terraform would create the state of a workspace that has none, and lock for itself.
fn give_state(scene: &Scene, path: &str) {
    scene.remote.s3.put(path, "{}");
}

#[test]
fn the_workspace_is_that_of_the_variable_else_that_of_the_file() {
    let scene = Scene::new(LockMode::DynamodbTable);
    give_state(&scene, &format!("env:/stg/{STATE_KEY}"));
    give_state(&scene, &format!("env:/prod/{STATE_KEY}"));
    let [stg, prod] = ["stg", "prod"].map(|name| [format!("states/env:/{name}/{STATE_KEY}")]);

    let default = scene.glimpse(scene.tflock(["apply"]));
    assert_eq!(default.locks, [LOCK_ID]);
    let by_variable = scene.tflock(["apply"]).env("TF_WORKSPACE", "stg");
    assert_eq!(scene.glimpse(by_variable).locks, stg);
    scene.workspace.write(".terraform/environment", "stg\n");
    assert_eq!(scene.glimpse(scene.tflock(["apply"])).locks, stg);
    let by_both = scene.tflock(["apply"]).env("TF_WORKSPACE", "prod");
    assert_eq!(scene.glimpse(by_both).locks, prod);
    let named_default = scene.tflock(["apply"]).env("TF_WORKSPACE", "default");
    assert_eq!(scene.glimpse(named_default).locks, [LOCK_ID]);

    scene
        .tflock(["apply"])
        .env("TF_WORKSPACE", "not/a/name")
        .run()
        .ended_with(78)
        .with_stderr("TF_WORKSPACE")
        .with_stderr("hint: ");
}

#[test]
fn the_prefix_of_the_backend_names_the_lock_of_a_workspace_and_may_be_empty() {
    for (prefix, path) in [
        ("\"spaces/of\"", format!("spaces/of/stg/{STATE_KEY}")),
        ("\"\"", format!("stg/{STATE_KEY}")),
    ] {
        let scene = Scene::with(|remote| {
            let backend = remote.backend(LockMode::Both);
            backend.setting("workspace_key_prefix", prefix)
        });
        give_state(&scene, &path);
        let run = scene.tflock(["apply"]).env("TF_WORKSPACE", "stg");
        let expected = [format!("states/{path}"), format!("{path}.tflock")];
        assert_eq!(scene.glimpse(run).locks, expected);
    }
}

#[test]
fn the_data_directory_and_the_working_directory_are_those_of_terraform() {
    let remote = Remote::start();
    let workspace = Workspace::new();
    let backend = remote.backend(LockMode::DynamodbTable).key("deep/app");
    let configuration = Configuration::with_backend(&backend);
    workspace.write("deep/app/main.tf", &configuration.hcl());
    workspace
        .terraform(["-chdir=deep/app", "init", "-input=false"])
        .env("TF_DATA_DIR", "data")
        .run()
        .succeeded();
    let scene = Scene::of(remote, workspace);

    let run = scene.tflock(["-chdir=deep/app", "apply", "-chdir=x"]);
    let glimpse = scene.glimpse(run.env("TF_DATA_DIR", "data"));
    assert_eq!(glimpse.locks, ["states/deep/app"]);
    let expected = ["-chdir=deep/app", "apply", "-lock=false", "-chdir=x"];
    assert_eq!(glimpse.call.arguments, expected);
    assert_eq!(glimpse.call.directory, scene.workspace.path());

    scene.workspace.write("deep/app/data/environment", "stg");
    give_state(&scene, "env:/stg/deep/app");
    let data = scene.workspace.file("deep/app/data");
    let run = scene.tflock(["-chdir=deep/app", "plan"]);
    let run = run.env("TF_DATA_DIR", &data);
    assert_eq!(scene.glimpse(run).locks, ["states/env:/stg/deep/app"]);

    fs::rename(data, scene.workspace.file("deep/app/.terraform")).expect("moved");
    let run = scene.tflock(["-chdir=deep/app", "plan"]);
    assert_eq!(scene.glimpse(run).locks, ["states/env:/stg/deep/app"]);
}
