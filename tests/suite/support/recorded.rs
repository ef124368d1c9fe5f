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
    let record = json!({
        "version": 3,
        "terraform_version": "1.11.4",
        "backend": { "type": "s3", "config": whole, "hash": 1 },
    });
    let workspace = Workspace::new();
    workspace.write(".terraform/terraform.tfstate", &record.to_string());
    workspace
}
