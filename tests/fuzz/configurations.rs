//! Configurations and what terraform has recorded beside them, as a stranger's checkout brings them along.

use std::path::Path;

use tflock::terraform::backend::read_record;
use tflock::terraform::configuration::Declared;
use tflock::terraform::workspace::selected_workspace;

use crate::fuzz;

const NATIVE: &str = "terraform {\n  required_version = \">= 1\"\n  backend \"s3\" {\n    bucket = \"b${\"x\"}\"\n    \
    key = <<-EOT\n      a\n    EOT\n    endpoints = { s3 = \"http://s3\" }\n    max_retries = -(1 + 2) * 3\n    \
    assume_role { tags = { for a in [1] : a => !true ? a : \"%{ if a }x%{ endif }\" } }\n  }\n}\n";
const JSON: &str = r#"{"terraform":[{"backend":[{"s3":[{"//":"x","bucket":"b","endpoints":{"s3":"$${x}"},"n":[1,true,null]}]}],"cloud":{"workspaces":{"tags":["a"]}}}]}"#;
const RECORD: &str = r#"{"version":3,"terraform_version":"1.11.4","backend":{"type":"s3","config":{"bucket":"b","key":"k","max_retries":1,"use_lockfile":true,"endpoints":{"s3":"http://s3","sts":null},"allowed_account_ids":["1","2"],"assume_role":{"role_arn":"r","tags":{"a":"b"}}},"hash":1410938009}}"#;

fn confirm(directory: &Path) {
    let declared = Declared::by(directory);
    let _ = declared.type_name();
    if let Ok(Some(record)) = read_record(directory, &|_| None) {
        let _ = declared.confirm(&record);
        let _ = record.backend.s3();
        let _ = record.backend.local();
        let _ = format!("{record:?}");
    }
}

fn recorded() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join(".terraform")).unwrap();
    std::fs::write(
        directory.path().join(".terraform/terraform.tfstate"),
        RECORD,
    )
    .unwrap();
    directory
}

#[test]
fn native_syntax() {
    let directory = recorded();
    fuzz(
        &[NATIVE.as_bytes(), b"terraform {\n  cloud {}\n}\n"],
        |input| {
            std::fs::write(directory.path().join("main.tf"), input).unwrap();
            confirm(directory.path());
        },
    );
}

#[test]
fn nesting_without_end() {
    let directory = recorded();
    let beginning = "terraform {\n  backend \"s3\" {\n    a = ";
    let openings = [
        "(",
        "[",
        "{ a = ",
        "\"${",
        "!",
        "-",
        "f(",
        "true ? ",
        "true ? 1 : ",
        "1 + ",
        "a[",
        "<<E\n${",
        "[for a in ",
    ];
    let nested = openings.map(|opening| format!("{beginning}{}", opening.repeat(100_000)));
    let blocks = format!("{beginning}1\n{}", "a {\n".repeat(100_000));
    for text in nested.iter().chain([&blocks]) {
        std::fs::write(directory.path().join("main.tf"), text).unwrap();
        confirm(directory.path());
    }
}

#[test]
fn json_syntax() {
    let directory = recorded();
    fuzz(&[JSON.as_bytes()], |input| {
        std::fs::write(directory.path().join("main.tf.json"), input).unwrap();
        confirm(directory.path());
    });
}

#[test]
fn backend_records() {
    let directory = recorded();
    std::fs::write(directory.path().join("main.tf"), NATIVE).unwrap();
    fuzz(&[RECORD.as_bytes()], |input| {
        std::fs::write(directory.path().join(".terraform/terraform.tfstate"), input).unwrap();
        confirm(directory.path());
    });
}

#[test]
fn workspace_files() {
    let directory = recorded();
    fuzz(&[b"default\n", b"a@b"], |input| {
        std::fs::write(directory.path().join(".terraform/environment"), input).unwrap();
        if let Ok(workspace) = selected_workspace(directory.path(), &|_| None) {
            assert!(
                workspace
                    .as_str()
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic())
            );
        }
    });
}
