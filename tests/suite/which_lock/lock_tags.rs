//! OpenTofu's `lock_tags`: on our lock object as on its own, and nowhere else.

use serde_json::{Value, json};

use crate::support::backend::{LOCK_KEY, LockMode};
use crate::support::configuration::Configuration;
use crate::support::mid_run::look_during;
use crate::support::scene::Scene;

const RECORD: &str = ".terraform/terraform.tfstate";

#[test]
fn the_tags_of_the_backend_are_on_the_lock_object() {
    let scene = Scene::new(LockMode::Lockfile);
    // As `tofu init` would have recorded it: terraform has no such attribute.
    let tags = "{ owner = \"ana & ben\", team = \"net\" }";
    let backend = scene.remote.backend(LockMode::Lockfile);
    let backend = backend
        .setting("lock_tags", tags)
        .setting("state_tags", "{ a = \"b\" }");
    scene
        .workspace
        .configure(&Configuration::with_backend(&backend));
    let mut record: Value = serde_json::from_str(&scene.workspace.read(RECORD)).unwrap();
    let config = &mut record["backend"]["config"];
    config["lock_tags"] = json!({ "owner": "ana & ben", "team": "net" });
    config["state_tags"] = json!({ "a": "b" });
    scene.workspace.write(RECORD, &record.to_string());

    let (lock, finished) = look_during(&scene.workspace, scene.tflock(["apply"]), |_| {
        scene.remote.s3.object(LOCK_KEY).expect("a lock")
    });
    finished.succeeded();
    assert_eq!(lock.tagging.as_deref(), Some("owner=ana+%26+ben&team=net"));
}
