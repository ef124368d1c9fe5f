use super::*;
use crate::terraform::real_terraform;
use serde_json::{Map, Value, json};

fn backend(type_name: &str, config: Value) -> Backend {
    match config {
        Value::Object(config) => Backend::new(type_name, config),
        _ => Backend::new(type_name, Map::new()),
    }
}

fn s3(config: Value, workspace: &str) -> S3Names {
    let backend = backend("s3", config).s3().unwrap().unwrap();
    s3_names(&backend, &Workspace::new(workspace))
}

#[test]
fn s3_names_are_those_of_terraform() {
    let names = s3(json!({"bucket": "bkt", "key": "dir/x.tfstate"}), "default");
    assert_eq!(names.state_path, "dir/x.tfstate");
    assert_eq!(names.lock_name.as_str(), "bkt/dir/x.tfstate");
    assert_eq!(names.lock_object, "dir/x.tfstate.tflock");
    let names = s3(json!({"bucket": "bkt", "key": "dir/x.tfstate"}), "stg");
    assert_eq!(names.lock_name.as_str(), "bkt/env:/stg/dir/x.tfstate");
    assert_eq!(names.lock_object, "env:/stg/dir/x.tfstate.tflock");
}

#[test]
fn an_empty_workspace_prefix_leaves_only_the_workspace() {
    let names = s3(
        json!({"bucket": "bkt", "key": "x", "workspace_key_prefix": ""}),
        "stg",
    );
    assert_eq!(names.lock_name.as_str(), "bkt/stg/x");
}

#[test]
fn only_a_workspaces_path_is_cleaned() {
    let config = json!({"bucket": "bkt", "key": "a//b", "workspace_key_prefix": "p/"});
    assert_eq!(s3(config.clone(), "default").state_path, "a//b");
    assert_eq!(s3(config, "stg").state_path, "p/stg/a/b");
}

#[test]
fn a_state_is_listed_only_where_prefix_and_key_are_clean_paths() {
    for (prefix, key, expected) in [
        ("env:", "dir/x.tfstate", true),
        ("", "x", true),
        ("a/b", "x", true),
        ("env:", "./x", false),
        ("env:", "../x", false),
        ("env:", "a//b", false),
        ("env:", "a/./b", false),
        ("env:", "a/../b", false),
        ("./p", "x", false),
        ("p//q", "x", false),
        ("p/..", "x", false),
        ("", "../x", false),
    ] {
        let config = json!({"bucket": "bkt", "key": key, "workspace_key_prefix": prefix});
        let backend = backend("s3", config).s3().unwrap().unwrap();
        let listed = is_listed(&backend, &Workspace::new("stg"));
        assert_eq!(listed, expected, "{prefix} {key}");
    }
}

#[test]
fn an_s3_backend_has_its_own_name_as_a_shared_one() {
    let s3 = backend("s3", json!({"bucket": "bkt", "key": "x"}));
    let name = shared_lock_name(&s3, &Workspace::default()).unwrap();
    assert_eq!(name.as_str(), "bkt/x");
}

#[test]
fn terraform_writes_the_local_state_at_the_computed_path() {
    let configured = r#"terraform {
            backend "local" {
                path = "sub/x.tfstate"
                workspace_dir = "spaces"
            }
        }"#;
    for (configuration, flag) in [("", None), (configured, None), ("", Some("flag.tfstate"))] {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let output = format!("{configuration}\noutput \"x\" {{\n value = 1\n}}\n");
        std::fs::write(directory.join("main.tf"), output).unwrap();
        real_terraform::succeed(directory, &["init"]);
        let record = crate::terraform::backend::read_record(directory, &|_| None).unwrap();
        let backend = record.map_or_else(Backend::implied, |record| record.backend);
        let local = backend.local().unwrap().unwrap();
        for name in ["default", "w1"] {
            if name == "w1" {
                real_terraform::succeed(directory, &["workspace", "new", name]);
            }
            let state = local_state_path(
                directory,
                &local,
                &Workspace::new(name),
                flag.map(Path::new),
            );
            let _ = std::fs::remove_file(&state);
            let state_flag = flag.map(|flag| format!("-state={flag}"));
            let mut call = vec!["apply", "-auto-approve"];
            call.extend(state_flag.as_deref());
            real_terraform::succeed(directory, &call);
            assert!(
                state.is_absolute() && state.is_file(),
                "{}",
                state.display()
            );
        }
    }
}

#[test]
fn links_to_a_state_have_the_same_lock_name() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", directory.path().join("link")).unwrap();
    let path = |working: &str| {
        let working = directory.path().join(working);
        local_state_path(
            &working,
            &LocalBackend::default(),
            &Workspace::default(),
            None,
        )
    };
    assert_eq!(path("link"), path("real"));
    assert_eq!(path("link/../real"), path("real"));
}

#[test]
fn a_local_state_in_a_table_is_named_after_its_machine() {
    let name = local_lock_name("laptop", Path::new("/home/ana/x/terraform.tfstate"));
    assert_eq!(name.as_str(), "local/laptop/home/ana/x/terraform.tfstate");
}
