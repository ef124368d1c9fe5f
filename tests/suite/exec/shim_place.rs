//! Where the links for inner terraforms are: in a directory that belongs to this user, with nothing else in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::backend::LockMode;
use crate::support::scene::Scene;

#[test]
fn a_program_beside_the_links_is_removed_and_never_runs() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let run = |script: &str| {
        let run = scene.tflock(["exec", "--", "sh", "-c", script]);
        run.run().succeeded().stdout
    };
    run("true");
    let links = scene.workspace.state_home().join("tflock/shim/terraform");
    let planted = links.join("git");
    fs::write(&planted, "#!/bin/sh\necho planted\n").unwrap();
    fs::set_permissions(&planted, fs::Permissions::from_mode(0o755)).unwrap();
    let found = run("command -v git || echo none");
    assert!(!found.contains("shim"), "{found}");
    assert!(!planted.exists());
}

#[test]
fn the_links_are_never_below_the_directory_of_shared_locks() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let shared = scene.workspace.file("shared");
    let planted = shared.join("shim/terraform");
    fs::create_dir_all(&planted).unwrap();
    let run = scene.tflock(["exec", "--", "sh", "-c", "echo $PATH"]);
    let run = run.env("TFLOCK_LOCAL_DIR", &shared).run().succeeded();
    let shared = shared.display().to_string();
    assert!(!run.stdout.contains(&shared), "{run}");
    assert!(run.stdout.contains("/tflock/shim/terraform:"), "{run}");
}

#[test]
fn without_a_place_for_the_links_nothing_is_started() {
    let scene = Scene::new(LockMode::DynamodbTable);
    let run = scene.tflock(["exec", "--", "terraform", "plan"]);
    // In `/sys` not even root makes a directory.
    let run = run.env("XDG_STATE_HOME", "/sys").env("HOME", "/sys");
    let refused = run.run().ended_with(78);
    assert_eq!(
        refused.stderr.lines().last(),
        Some("hint: set XDG_STATE_HOME to a directory of your own (mode 700)")
    );
    assert_eq!(scene.fake.calls(), []);
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}
