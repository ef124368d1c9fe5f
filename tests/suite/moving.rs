//! Moving a backend from a DynamoDB table to lock files, step by step, with plain terraform: which step keeps out whom.
//! `docs/moving-to-s3-locks.md` is the guide for users.

use std::thread;

use crate::support::backend::{LockMode, Remote};
use crate::support::beside::beside;
use crate::support::configuration::Configuration;
use crate::support::mid_run::{look_during, stopping_script};
use crate::support::workspace::Workspace;

/// The ways of locking in the order in which a team goes through them.
const STEPS: [LockMode; 3] = [LockMode::DynamodbTable, LockMode::Both, LockMode::Lockfile];

/// Whether runs of these two configurations keep each other out: all but the first and the last share a lock.
fn share_a_lock(one: LockMode, other: LockMode) -> bool {
    let ends = [LockMode::DynamodbTable, LockMode::Lockfile];
    one == other || !(ends.contains(&one) && ends.contains(&other))
}

/// An initialised directory of that step.
fn directory(remote: &Remote, mode: LockMode) -> Workspace {
    let configuration = Configuration::with_backend(&remote.backend(mode));
    let workspace = Workspace::with(&configuration.resource("one", "1"));
    workspace.init();
    workspace
}

/// For each pair of steps, on separate engines.
fn for_each_pair(fact: impl Fn(&Remote, LockMode, LockMode) + Sync) {
    let fact = &fact;
    for holder in STEPS {
        thread::scope(|scope| {
            for other in STEPS {
                beside(scope, move || fact(&Remote::start(), holder, other));
            }
        });
    }
}

#[test]
fn plain_terraform_is_kept_out_by_a_tflock_of_the_same_or_the_next_step() {
    for_each_pair(|remote, holder, other| {
        let ours = directory(remote, holder);
        let fake = stopping_script().install(ours.home().join("fake"));
        let run = ours.tflock(["apply"]).first_on_path(fake.directory());
        let (theirs, run) = look_during(&ours, run, |_| {
            let theirs = directory(remote, other);
            theirs.terraform(["plan", "-input=false"]).run()
        });
        run.succeeded();
        if share_a_lock(holder, other) {
            theirs
                .ended_with(1)
                .with_stderr("Error acquiring the state lock");
        } else {
            theirs.succeeded();
        }
        assert_eq!(
            remote.locks(),
            Vec::<String>::new(),
            "{holder:?}, {other:?}"
        );
    });
}

#[test]
fn a_tflock_is_kept_out_by_a_plain_terraform_of_the_same_or_the_next_step() {
    for_each_pair(|remote, holder, other| {
        let theirs = directory(remote, holder);
        let slow = Configuration::with_backend(&remote.backend(holder)).waiting_resource("slow");
        theirs.configure(&slow);
        let apply = theirs.terraform(["apply", "-auto-approve", "-input=false"]);
        let (ours, apply) = look_during(&theirs, apply, |_| {
            let ours = directory(remote, other);
            ours.tflock(["--wait", "0", "plan", "-input=false"]).run()
        });
        apply.succeeded();
        if share_a_lock(holder, other) {
            ours.ended_with(75).with_stderr("OperationTypeApply");
        } else {
            ours.succeeded();
        }
        assert_eq!(
            remote.locks(),
            Vec::<String>::new(),
            "{holder:?}, {other:?}"
        );
    });
}

/// The table keeps a digest of the state next to the lock; only configurations with the table write and check it.
#[test]
fn a_state_that_was_written_without_the_table_cannot_be_read_with_it_until_its_digest_is_removed() {
    let remote = Remote::start();
    let [both, last] = [LockMode::Both, LockMode::Lockfile].map(|mode| directory(&remote, mode));
    both.tflock(["apply", "-auto-approve"]).run().succeeded();
    let configuration = Configuration::with_backend(&remote.backend(LockMode::Lockfile));
    last.configure(&configuration.resource("one", "2"));
    last.tflock(["apply", "-auto-approve"]).run().succeeded();
    let refused = both.tflock(["plan", "-input=false"]).run().ended_with(1);
    refused.with_stderr("does not have the expected content");
    assert_eq!(remote.locks(), Vec::<String>::new());
    remote.table.delete("states/prod/app.tfstate-md5");
    both.tflock(["plan", "-input=false"]).run().succeeded();
}
