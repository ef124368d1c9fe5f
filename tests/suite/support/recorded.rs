//! A directory as `terraform init` leaves it, without running it: for settings that only a record shows.

use serde_json::{Value, json};

use super::backend::STATE_KEY;
use super::s3::BUCKET;
use super::workspace::Workspace;

/// A directory whose record says `config` of an S3 backend, on top of bucket, key and path style.
pub fn s3_workspace(config: &Value) -> Workspace {
    let mut whole = json!({ "bucket": BUCKET, "key": STATE_KEY, "use_path_style": true });
    let settings = config.as_object().expect("an object");
    for (name, value) in settings {
        whole[name] = value.clone();
    }
    let workspace = Workspace::new();
    record(&workspace, "s3", &whole);
    workspace
}

/// Writes the record of that backend, and the file that asks for it; all of its settings came from elsewhere.
pub fn record(workspace: &Workspace, type_name: &str, config: &Value) {
    ask_for(workspace, type_name);
    let record = json!({
        "version": 3,
        "terraform_version": "1.11.4",
        "backend": { "type": type_name, "config": config, "hash": 1 },
    });
    workspace.write(".terraform/terraform.tfstate", &record.to_string());
}

/// Writes a file that asks for such a backend.
pub fn ask_for(workspace: &Workspace, type_name: &str) {
    let block = match type_name {
        "cloud" => "cloud {}".to_owned(),
        other => format!("backend {other:?} {{}}"),
    };
    workspace.write("main.tf", &format!("terraform {{\n  {block}\n}}\n"));
}
