//! A run that is nested in a run of terraform: a provisioner, an external data source. It could only wait for its parent.

use std::os::unix::fs::symlink;

use crate::support::backend::{LOCK_ID, LockMode};
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::scene::{Scene, local_locks};

const TFLOCK: &str = env!("CARGO_BIN_EXE_tflock");

/// A terraform that calls others and records their exit codes.
fn calling<const N: usize>(scene: &Scene, nested: [&str; N]) -> FakeTerraform {
    let calls = nested.into_iter().fold(Script::new(), |script, nested| {
        script.step(&format!("{nested} 2>>error; printf '%s ' $?"))
    });
    calls.install(scene.workspace.home().join("calling"))
}

/// tflock under the name of terraform.
fn link(scene: &Scene) -> String {
    let link = scene.workspace.home().join("links/terraform");
    std::fs::create_dir(link.parent().unwrap()).unwrap();
    symlink(TFLOCK, &link).unwrap();
    link.display().to_string()
}

#[test]
fn a_run_nested_in_a_run_of_terraform_is_refused_at_once_whatever_the_store() {
    for (mode, command) in [
        (LockMode::DynamodbTable, "apply"),
        (LockMode::Lockfile, "plan"),
        (LockMode::Both, "refresh"),
        (LockMode::None, "destroy"),
    ] {
        let scene = Scene::new(mode);
        let link = format!("{} apply", link(&scene));
        let outer = calling(
            &scene,
            [
                &link,
                &format!("{TFLOCK} --wait forever plan"),
                &format!("{TFLOCK} exec true"),
            ],
        );
        let run = scene.workspace.tflock([command]);
        let run = run.first_on_path(outer.directory()).run().succeeded();
        assert_eq!(run.stdout, "75 75 75 ", "{mode:?}");
        assert_eq!(outer.calls().len(), 1, "{mode:?}");
        let error = scene.workspace.read("error");
        let expected = "the terraform run that started this one holds `";
        assert_eq!(error.matches(expected).count(), 3, "{error}");
        assert_eq!(scene.remote.locks(), Vec::<String>::new());
    }
}

#[test]
fn a_terraform_inside_of_an_exec_does_not_lend_on_what_it_has_borrowed() {
    for store in ["auto", "local"] {
        let scene = Scene::new(LockMode::DynamodbTable);
        let nested = [
            &*format!("{} apply -lock-timeout=1m", link(&scene)),
            &format!("{TFLOCK} --wait 1m plan"),
        ];
        let outer = calling(&scene, nested);
        let run = scene.workspace.tflock(["exec", "terraform", "apply"]);
        let run = run.env("TFLOCK_STORE", store);
        let run = run.first_on_path(outer.directory()).run().succeeded();
        assert_eq!(run.stdout, "75 75 ", "{store}");
        assert_eq!(outer.calls().len(), 1, "{store}");
        let error = scene.workspace.read("error");
        assert_eq!(
            error.matches("waiting for it would never end").count(),
            2,
            "{error}"
        );
        assert_eq!(local_locks(&scene.workspace), Vec::<String>::new());
    }
}

#[test]
fn a_run_nested_in_a_run_of_terraform_on_another_state_takes_its_own_lock() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let nested = format!(
        "{TFLOCK} --lock-id other --terraform {} apply",
        scene.fake.program().display()
    );
    let outer = calling(&scene, [&nested]);
    let run = scene
        .workspace
        .tflock(["apply"])
        .first_on_path(outer.directory());
    let glimpse = scene.glimpse(run);
    let mut locks = glimpse.locks;
    locks.sort_unstable();
    assert_eq!(locks, ["other", LOCK_ID]);
    assert_eq!(glimpse.finished.stdout, "0 ");
}
