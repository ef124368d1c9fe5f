//! After a long suspension the lock may be lost: terraform stays stopped until that is known.

use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::console::wait_for_foreground;
use super::processes::is_stopped;
use super::shell::{Kind, Shell};
use crate::support::backend::{LOCK_KEY, LockMode};
use crate::support::configuration::{GO, STARTED};
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::lock_table::{LOCK, LockTable};
use crate::support::proxy::Proxy;
use crate::support::scene::Scene;
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

/// A scripted terraform that records its name and SIGINT, and then ends with 1.
fn stopping_gracefully(workspace: &Workspace) -> FakeTerraform {
    let script = Script::new()
        .catch([Signal::SIGINT])
        .step(&format!("echo $$ >begun; mv begun {STARTED}"))
        .wait_for_file_or_signal(GO)
        .step("[ -z \"$stopped\" ] || { note \"end $$\"; exit 1; }");
    script.install(workspace.home().join("graceful"))
}

/// A run in a shell on a terminal, suspended.
struct Suspended<'a> {
    shell: Shell<'a>,
    terraform: Pid,
    script: &'a FakeTerraform,
}

impl<'a> Suspended<'a> {
    #[track_caller]
    fn start(workspace: &'a Workspace, script: &'a FakeTerraform, endpoint: &str) -> Self {
        let shell = Shell::start(Kind::Bash, workspace);
        shell.enter(&format!(
            "{endpoint} {} --terraform {} apply",
            env!("CARGO_BIN_EXE_tflock"),
            script.program().display()
        ));
        workspace.wait_until_started();
        let terraform = workspace.read(STARTED).trim().parse().expect("a PID");
        let terraform = Pid::from_raw(terraform);
        shell.suspend(terraform);
        Self {
            shell,
            terraform,
            script,
        }
    }

    /// Brings it to the foreground, without waiting for it to go on.
    #[track_caller]
    fn bring_back(&self) {
        self.shell.enter("fg");
        wait_for_foreground(&self.shell.terminal, self.terraform);
    }

    #[track_caller]
    fn goes_on_when(&self, event: impl FnOnce()) {
        assert!(is_stopped(self.terraform), "{}", self.shell.terminal);
        event();
        wait_until("the job going on", || !is_stopped(self.terraform));
    }

    /// It ends after the one request that follows from the loss of its lock.
    #[track_caller]
    fn stops_because_of_the_loss(self) {
        wait_until("the end of the script", || {
            self.script.events() == ["begin", "INT", "end"]
        });
        let words = self.shell.finish(76);
        assert!(words.contains("is gone: someone removed it"), "{words}");
    }
}

/// Suspends a run whose DynamoDB is behind a proxy.
#[track_caller]
fn with_table(test: impl FnOnce(&LockTable, &Proxy, Suspended<'_>)) {
    with_table_promising("", test);
}

/// The same, with an expiry.
#[track_caller]
fn with_table_promising(promise: &str, test: impl FnOnce(&LockTable, &Proxy, Suspended<'_>)) {
    let scene = LockTable::new();
    let proxy = Proxy::before(scene.dynamodb.url());
    let script = stopping_gracefully(&scene.workspace);
    let variables = format!(
        "AWS_ENDPOINT_URL_DYNAMODB={} TFLOCK_EXPIRE_AFTER={promise}",
        proxy.url()
    );
    let suspended = Suspended::start(&scene.workspace, &script, &variables);
    test(&scene, &proxy, suspended);
}

#[test]
fn terraform_goes_on_after_fg_once_the_lock_is_known_to_be_held() {
    with_table(|scene, proxy, suspended| {
        let renewing = proxy.on("PutItem").hold();
        suspended.bring_back();
        renewing.wait_until_reached();
        suspended.goes_on_when(|| renewing.open());
        scene.workspace.let_go();
        suspended.shell.finish(0);
        assert_eq!(suspended.script.events(), ["begin", "end"]);
        assert_eq!(scene.table.locks(), Vec::<String>::new());
    });
}

/// This test is about time, which the witness measures by itself.
#[test]
fn a_promise_that_runs_out_during_a_suspension_is_no_request_to_stop() {
    with_table_promising("3s", |scene, _, suspended| {
        std::thread::sleep(Duration::from_secs(4));
        suspended.goes_on_when(|| suspended.bring_back());
        scene.workspace.let_go();
        suspended.shell.finish(0);
        assert_eq!(suspended.script.events(), ["begin", "end"]);
        assert_eq!(scene.table.locks(), Vec::<String>::new());
    });
}

#[test]
fn terraform_that_lost_its_lock_while_it_was_suspended_does_nothing_but_stop() {
    with_table(|scene, proxy, suspended| {
        scene.table.delete(LOCK);
        let renewing = proxy.on("PutItem").hold();
        suspended.bring_back();
        renewing.wait_until_reached();
        suspended.goes_on_when(|| renewing.open());
        suspended.stops_because_of_the_loss();
    });
}

#[test]
fn a_lock_object_that_was_lost_meanwhile_is_missed_at_once_too() {
    let scene = Scene::new(LockMode::Lockfile);
    let script = stopping_gracefully(&scene.workspace);
    let suspended = Suspended::start(&scene.workspace, &script, "");
    scene.remote.s3.remove(LOCK_KEY);
    // It may end before it is seen in front.
    suspended.shell.enter("fg");
    suspended.stops_because_of_the_loss();
}

#[test]
fn terraform_does_not_wait_for_ever_for_a_store_that_is_silent() {
    with_table(|scene, proxy, suspended| {
        let renewing = proxy.on("PutItem").hold();
        suspended.bring_back();
        renewing.wait_until_reached();
        suspended.goes_on_when(|| {});
        renewing.open();
        scene.workspace.let_go();
        suspended.shell.finish(0);
        assert_eq!(suspended.script.events(), ["begin", "end"]);
    });
}

#[test]
fn ctrl_c_is_heard_though_the_store_is_silent() {
    with_table(|scene, proxy, suspended| {
        let renewing = proxy.on("PutItem").hold();
        suspended.bring_back();
        suspended.shell.terminal.press_ctrl_c();
        wait_until("the end of the script", || {
            suspended.script.events() == ["begin", "INT", "end"]
        });
        renewing.open();
        suspended.shell.finish(1);
        assert_eq!(scene.table.locks(), Vec::<String>::new());
    });
}
