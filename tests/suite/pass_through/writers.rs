//! Commands that write a state without taking terraform's lock: they run under tflock's, if that is the one that counts.

use crate::support::backend::LockMode;
use crate::support::configuration::{Configuration, GO, STARTED};
use crate::support::mid_run::look_during;
use crate::support::scene::Scene;
use crate::support::workspace::Workspace;

#[test]
fn a_migration_waits_for_an_apply_where_the_backend_has_no_lock_of_its_own() {
    let scene = Scene::new(LockMode::None);
    let apply = scene.tflock(["apply"]);
    look_during(&scene.workspace, apply, |_| {
        for flag in ["-migrate-state", "-force-copy"] {
            let migration = scene.workspace.tflock(["--wait", "0", "init", flag]).run();
            migration.ended_with(75).with_stderr("the state is locked");
        }
        let plain = scene
            .workspace
            .tflock(["--wait", "0", "init", "-input=false"]);
        plain.run().succeeded();
    });
    let migration = scene
        .workspace
        .tflock(["init", "-migrate-state", "-input=false"]);
    migration.run().succeeded();
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn a_workspace_is_not_deleted_while_an_exec_holds_its_state() {
    let workspace = Workspace::with(&Configuration::without_backend().resource("one", "1"));
    workspace
        .terraform(["workspace", "new", "x"])
        .run()
        .succeeded();
    workspace
        .terraform(["apply", "-auto-approve"])
        .run()
        .succeeded();
    let script = format!("touch {STARTED}; while [ ! -e {GO} ]; do sleep 0.05; done");
    let exec = workspace.tflock(["exec", "--", "sh", "-c", &script]);
    let delete = |wait: &str| {
        workspace
            .tflock(["--wait", wait, "workspace", "delete", "-force", "x"])
            .run()
    };
    look_during(&workspace, exec, |_| {
        let select = workspace.terraform(["workspace", "select", "default"]);
        select.run().succeeded();
        delete("0")
            .ended_with(75)
            .with_stderr("the state is locked");
        assert!(
            workspace
                .file("terraform.tfstate.d/x/terraform.tfstate")
                .exists()
        );
    });
    delete("0").succeeded();
    assert!(!workspace.file("terraform.tfstate.d/x").exists());
}
