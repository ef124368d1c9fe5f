//! Servers other than Amazon's: every lock can be released there, and another run's is never deleted.

use std::thread;

use serde_json::json;

use super::{DELETE, Scene, exec};
use crate::support::backend::LOCK_KEY;
use crate::support::beside::beside;
use crate::support::process::Finished;
use crate::support::s3::{IfMatch, Sort};

const TERRAFORM_S: &str = r#"{"ID":"7","Operation":"OperationTypeApply","Info":"","Who":"ben@desk","Version":"1.11.4","Created":"2026-11-22T19:36:57Z","Path":"states/prod/app.tfstate"}"#;

/// What is known about servers in use.
const SORTS: [IfMatch; 5] = [
    IfMatch::Honoured,
    IfMatch::Ignored,
    IfMatch::NotImplemented,
    IfMatch::Invalid,
    IfMatch::AlwaysFails,
];

#[track_caller]
fn on_each(fact: impl Fn(IfMatch, &Scene) + Sync) {
    thread::scope(|scope| {
        for sort in SORTS {
            let fact = &fact;
            beside(scope, move || {
                fact(sort, &Scene::of_sort(Sort::writing(sort)));
            });
        }
    });
}

#[test]
fn a_run_ends_well_with_its_lock_gone_on_every_sort_of_server() {
    on_each(|sort, scene| {
        let workspace = scene.workspace(json!({}));
        for _ in 0..2 {
            assert_eq!(exec(&workspace).run(), Finished::silent(0), "{sort:?}");
            assert_eq!(scene.s3.locks(), Vec::<String>::new(), "{sort:?}");
        }
    });
}

#[test]
fn a_lock_is_removed_by_force_on_every_sort_of_server() {
    on_each(|sort, scene| {
        let workspace = scene.workspace(json!({}));
        scene.s3.put(LOCK_KEY, TERRAFORM_S);
        let removed = workspace.tflock(["force-unlock", "--yes", "7"]).run();
        removed
            .ended_with(0)
            .with_stderr("removed the lock of `states/prod/app.tfstate.tflock`");
        assert_eq!(scene.s3.locks(), Vec::<String>::new(), "{sort:?}");
    });
}

#[test]
fn a_lock_that_is_another_s_by_then_is_left_alone_on_every_sort_of_server() {
    on_each(|sort, scene| {
        let workspace = scene.workspace(json!({}));
        let run = workspace.tflock([
            "exec",
            "--",
            "sh",
            "-c",
            "touch started; while [ ! -e go ]; do sleep 0.05; done",
        ]);
        let run = run.start();
        workspace.wait_until_started();
        scene.s3.put(LOCK_KEY, TERRAFORM_S);
        workspace.let_go();
        run.wait().ended_with(76).with_stderr("ben@desk");
        let standing = scene.s3.object(LOCK_KEY).unwrap();
        assert_eq!(standing.text(), TERRAFORM_S, "{sort:?}");
        assert_eq!(scene.proxy.count(DELETE), 0, "{sort:?}");
    });
}
