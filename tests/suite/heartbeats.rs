//! What heartbeats are for: a living holder can be told from a dead one, an expired lock can be taken over, and a run
//! notices that it has lost its lock.

mod losing;
mod objects;
mod promises;
mod renewals;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::configuration::{GO, STARTED};
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::lock_table::{LOCK, LockTable};
use crate::support::process::{Invocation, Running};
use crate::support::proxy::{Exchange, Proxy};
use crate::support::waiting::wait_until;

/// A lock table behind a proxy, and a scripted terraform that stops gracefully: it records each SIGINT, and ends with 1
/// after the first.
struct Scene {
    table: LockTable,
    proxy: Proxy,
    terraform: FakeTerraform,
}

impl Scene {
    fn new() -> Self {
        let table = LockTable::new();
        let home = table.workspace.home();
        let stopping_gracefully = Script::new()
            .catch([Signal::SIGINT, Signal::SIGTERM])
            .touch(STARTED)
            .wait_for_file_or_signal(GO)
            .step("[ -z \"$stopped\" ] || { note \"end $$\"; exit 1; }");
        Self {
            proxy: Proxy::before(table.dynamodb.url()),
            terraform: stopping_gracefully.install(home.join("graceful")),
            table,
        }
    }

    /// A run through the proxy.
    fn tflock<const N: usize>(&self, arguments: [&str; N]) -> Invocation {
        let run = self.table.workspace.tflock(arguments);
        run.env("AWS_ENDPOINT_URL_DYNAMODB", self.proxy.url())
            .first_on_path(self.terraform.directory())
    }

    /// Starts a run and waits until its terraform is running.
    #[track_caller]
    fn hold<const N: usize>(&self, arguments: [&str; N]) -> Running {
        let running = self.tflock(arguments).start();
        self.table.workspace.wait_until_started();
        running
    }

    /// The same, and waits for its first renewal: by then the child's witness knows when the lock expires.
    #[track_caller]
    fn hold_and_renew<const N: usize>(&self, arguments: [&str; N]) -> Running {
        let running = self.hold(arguments);
        self.proxy.wait_for("PutItem", 2);
        running
    }

    /// The puts so far.
    fn puts(&self) -> Vec<Exchange> {
        let mut log = self.proxy.log();
        log.retain(|exchange| exchange.action == "PutItem");
        log
    }

    fn item(&self) -> Option<Value> {
        self.table.table.item(LOCK)
    }

    /// Waits until the scripted terraform was asked to stop.
    #[track_caller]
    fn wait_until_stopped(&self) {
        wait_until("a request to stop", || {
            self.terraform.events().contains(&"INT".to_owned())
        });
    }

    /// What the scripted terraform recorded if it was asked once, by SIGINT.
    #[track_caller]
    fn was_stopped_once(&self) {
        assert_eq!(self.terraform.events(), ["begin", "INT", "end"]);
    }
}
