//! Credentials that are refused while the lock is held: tflock looks for them again, so that a new login
//! or a newly assumed role is enough to release the lock.

use std::fs;

use serde_json::json;

use super::sts::Sts;
use super::{Scene, Signer, exec, without_keys};
use crate::support::backend::LOCK_KEY;
use crate::support::mid_run::stopping_script;
use crate::support::process::{Finished, Invocation, Running};
use crate::support::proxy::{Exchange, Fault, Outcome, Proxy};
use crate::support::recorded::s3_workspace;
use crate::support::s3::S3;
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

const REGION: &str = "eu-west-1";

/// Logs in: from now on the user's file contains only that key.
fn log_in(workspace: &Workspace, key: &str) {
    let directory = workspace.home().join(".aws");
    fs::create_dir_all(&directory).unwrap();
    let keys = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n");
    fs::write(directory.join("credentials"), keys).unwrap();
}

fn log_out(workspace: &Workspace) {
    fs::write(workspace.home().join(".aws/credentials"), "").unwrap();
}

/// A run with the keys of that file, whose terraform waits for the test.
fn holding(workspace: &Workspace, options: &[&str]) -> Invocation {
    let fake = stopping_script().install(workspace.home().join("fake"));
    let run = without_keys(workspace.tflock([]));
    run.first_on_path(fake.directory())
        .args(options)
        .arg("apply")
}

/// The requests of that action that were signed with that key.
fn signed_with(proxy: &Proxy, action: &str, key: &str) -> Vec<Exchange> {
    let mut log = proxy.log();
    log.retain(|one| one.action.starts_with(action) && Signer::of(one).access_key == key);
    log
}

#[track_caller]
fn wait_for_new_key(proxy: &Proxy, action: &str, running: &mut Running) {
    wait_until("a request with the new key", || {
        !signed_with(proxy, action, "NEW").is_empty() || !running.is_running()
    });
}

/// The only words of a run whose release wanted other credentials.
#[track_caller]
fn told_to_log_in(run: &Finished, action: &str) {
    let words = format!("warning: the lock is not released yet: {action} on ");
    assert!(run.stderr.starts_with(&words), "{run}");
    let next = "; log in again; retrying for one minute\n";
    assert!(run.stderr.ends_with(next), "{run}");
    assert_eq!(run.stderr.lines().count(), 1, "{run}");
}

#[test]
fn a_release_with_keys_that_have_expired_takes_the_new_ones_out_of_the_file() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({ "region": REGION }));
    log_in(&workspace, "OLD");
    let mut run = holding(&workspace, &[]).start();
    workspace.wait_until_started();
    scene.proxy.on("DeleteItem").every(Fault::ExpiredToken);
    workspace.let_go();
    run.wait_for_output("log in again");
    assert_eq!(signed_with(&scene.proxy, "DeleteItem", "NEW").len(), 0);
    log_in(&workspace, "NEW");
    wait_for_new_key(&scene.proxy, "DeleteItem", &mut run);
    scene.proxy.heal();
    told_to_log_in(&run.wait().succeeded(), "DeleteItem");
    let released = signed_with(&scene.proxy, "DeleteItem", "NEW")
        .pop()
        .unwrap();
    assert_eq!(released.outcome, Outcome::Answered(200));
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn a_lock_object_is_released_with_new_keys_too() {
    let s3 = S3::start();
    let proxy = Proxy::before(s3.url());
    let workspace = s3_workspace(&json!({
        "region": REGION, "use_lockfile": true, "endpoints": { "s3": proxy.url() },
        // Which makes another client.
        "skip_s3_checksum": true,
    }));
    log_in(&workspace, "OLD");
    let mut run = holding(&workspace, &[]).start();
    workspace.wait_until_started();
    proxy.on("DELETE *").every(Fault::ExpiredToken);
    workspace.let_go();
    run.wait_for_output("log in again");
    log_in(&workspace, "NEW");
    wait_for_new_key(&proxy, "DELETE", &mut run);
    proxy.heal();
    told_to_log_in(&run.wait().succeeded(), "DeleteObject");
    assert_eq!(s3.object(LOCK_KEY), None);
    let put = proxy.log().remove(0);
    assert_eq!(put.header("x-amz-checksum-sha256"), None);
}

#[test]
fn a_file_without_keys_is_waited_for_as_long() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({ "region": REGION }));
    log_in(&workspace, "OLD");
    let mut run = holding(&workspace, &[]).start();
    workspace.wait_until_started();
    log_out(&workspace);
    scene.proxy.on("DeleteItem").next(Fault::ExpiredToken);
    workspace.let_go();
    run.wait_for_output("log in again");
    log_in(&workspace, "NEW");
    told_to_log_in(&run.wait().succeeded(), "DeleteItem");
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn a_renewal_with_keys_that_have_expired_takes_the_new_ones_without_a_word() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({ "region": REGION }));
    log_in(&workspace, "OLD");
    let mut run = holding(&workspace, &["--expire-after", "9s"]).start();
    workspace.wait_until_started();
    scene.proxy.on("PutItem").every(Fault::ExpiredToken);
    scene.proxy.wait_for("PutItem", 2);
    log_in(&workspace, "NEW");
    wait_for_new_key(&scene.proxy, "PutItem", &mut run);
    scene.proxy.heal();
    wait_until("a renewal with the new key", || {
        let puts = signed_with(&scene.proxy, "PutItem", "NEW");
        let renewed = |put: &Exchange| put.outcome == Outcome::Answered(200);
        puts.iter().any(renewed) || !run.is_running()
    });
    workspace.let_go();
    assert_eq!(run.wait(), Finished::silent(0));
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn a_role_whose_keys_have_expired_is_assumed_again_without_a_word() {
    let (scene, sts) = (Scene::new(), Sts::start());
    let workspace = scene.workspace(json!({
        "region": REGION,
        "endpoints": { "sts": sts.url() },
        "assume_role": { "role_arn": "arn:aws:iam::123456789012:role/locker" },
    }));
    scene.proxy.on("DeleteItem").next(Fault::ExpiredToken);
    assert_eq!(exec(&workspace).run(), Finished::silent(0));
    let signers = scene.proxy.log();
    let signers = signers.iter().map(|one| Signer::of(one).access_key);
    assert_eq!(signers.collect::<Vec<_>>(), ["ROLE1", "ROLE1", "ROLE2"]);
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn keys_that_are_refused_when_the_lock_is_wanted_end_the_run_at_once() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({ "region": REGION }));
    log_in(&workspace, "OLD");
    scene.proxy.on("*").every(Fault::ExpiredToken);
    holding(&workspace, &[]).run().ended_with(77);
    assert_eq!(scene.proxy.actions(), ["PutItem"]);
}
