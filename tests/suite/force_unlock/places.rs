//! A lock in two places, as terraform's S3 backend can have it: each of them counts.

use serde_json::json;

use crate::support::backend::{LOCK_ID, LOCK_KEY, LockMode};
use crate::support::scene::Scene;

#[derive(Clone, Copy, Debug)]
enum Place {
    Object,
    Item,
}

/// Puts the lock of a plain terraform there, of whose holder nothing is known.
fn put_terraforms(scene: &Scene, place: Place) {
    let info = json!({ "ID": "7", "Operation": "OperationTypeApply", "Who": "ben@desk" });
    match place {
        Place::Object => scene.remote.s3.put(LOCK_KEY, info.to_string()),
        Place::Item => scene.remote.table.put_lock(LOCK_ID, &info),
    }
}

#[test]
fn a_lock_that_is_held_in_one_of_two_places_is_shown_as_held_and_removed_there() {
    for place in [Place::Object, Place::Item] {
        let scene = Scene::new(LockMode::Both);
        put_terraforms(&scene, place);
        let status = scene.tflock(["status", "--exit-code"]).run();
        status.ended_with(75).with_stdout("ben@desk");
        let removal = scene.tflock(["force-unlock", "--yes", "7"]).run();
        let removed = removal.succeeded().with_stderr("removed the lock of `");
        assert!(!removed.stderr.contains("is not locked"), "{removed}");
        assert_eq!(scene.remote.locks(), Vec::<String>::new(), "{place:?}");
    }
}

#[test]
fn a_holder_that_is_known_to_live_in_one_of_two_places_alone_wants_force() {
    for place in [Place::Object, Place::Item] {
        let scene = Scene::new(LockMode::Both);
        let run = scene.tflock(["apply"]).start();
        scene.workspace.wait_until_started();
        put_terraforms(&scene, place);
        let both = scene.remote.locks();
        assert_eq!(both, [LOCK_ID, LOCK_KEY]);
        let refused = scene.tflock(["force-unlock", "--yes"]).run();
        refused.ended_with(77).with_stderr("the holder is alive");
        assert_eq!(scene.remote.locks(), both, "{place:?}");
        scene.workspace.let_go();
        run.wait().ended_with(76);
    }
}
