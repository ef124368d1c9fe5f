//! A directory whose runs lock one item of a table, without a backend, so without `init`.

use std::fs;

use chrono::{SecondsFormat, TimeDelta, Utc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::dynamodb::{Dynamodb, Table};
use super::fake_terraform::FakeTerraform;
use super::mid_run::stopping_script;
use super::process::{Invocation, Running};
use super::processes::{living_in, witness_of};
use super::waiting::wait_until;
use super::workspace::Workspace;

/// The name of the lock.
pub const LOCK: &str = "locks/app";

/// The directory, its table, and a scripted terraform that waits for the test.
#[derive(Debug)]
pub struct LockTable {
    pub dynamodb: Dynamodb,
    pub table: Table,
    pub workspace: Workspace,
    pub fake: FakeTerraform,
}

impl LockTable {
    /// An empty table on a separate engine.
    pub fn new() -> Self {
        let dynamodb = Dynamodb::start();
        let table = dynamodb.create_table("locks");
        let workspace = Workspace::new()
            .env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.url())
            .env("AWS_REGION", "us-east-1")
            .env("TFLOCK_TABLE", table.name())
            .env("TFLOCK_LOCK_ID", LOCK);
        Self {
            fake: stopping_script().install(workspace.home().join("fake")),
            dynamodb,
            table,
            workspace,
        }
    }

    /// A tflock that runs the scripted terraform.
    pub fn tflock<const N: usize>(&self, arguments: [&str; N]) -> Invocation {
        let run = self.workspace.tflock(arguments);
        run.first_on_path(self.fake.directory())
    }

    /// Starts a run and waits until its terraform is running.
    #[track_caller]
    pub fn hold<const N: usize>(&self, arguments: [&str; N]) -> Running {
        let running = self.tflock(arguments).start();
        self.workspace.wait_until_started();
        running
    }

    /// Puts the lock of a plain terraform there, and returns its ID.
    pub fn put_terraforms(&self) -> &'static str {
        self.table.put_lock(LOCK, &terraforms_info());
        ID
    }

    /// Puts the lock of a tflock on another machine there, whose last heartbeat is that old by its own clock.
    pub fn put_silent(&self, silence: TimeDelta) -> &'static str {
        let heartbeat_at = (Utc::now() - silence).to_rfc3339_opts(SecondsFormat::Secs, true);
        self.table.put(&json!({
            "LockID": { "S": LOCK },
            "Info": { "S": terraforms_info().to_string() },
            "TflockVersion": { "S": "0.1.0" },
            "Command": { "S": "apply" },
            "Heartbeat": { "N": "3" },
            "HeartbeatAt": { "S": heartbeat_at },
            // So that its next heartbeat, which does not come, is not watched for as long as usual.
            "RenewedEverySeconds": { "N": "1" },
        }));
        ID
    }

    /// The ID of the lock that is held.
    pub fn held_id(&self) -> Option<String> {
        let info = self.table.lock_info(LOCK)?;
        info["ID"].as_str().map(str::to_owned)
    }
}

/// The ID of a lock that no run of a test took.
const ID: &str = "4db125df-d950-b194-cf41-df3ed13f0cf1";

fn terraforms_info() -> Value {
    json!({
        "ID": ID,
        "Operation": "OperationTypeApply",
        "Info": "",
        "Who": "ana@laptop",
        "Version": "1.11.4",
        "Created": "2026-01-02T03:04:05.6Z",
        "Path": LOCK,
    })
}

/// Kills a run with SIGKILL, its witness, and its scripted terraform if that outlives it. All are gone then, and nothing
/// releases the lock.
#[track_caller]
pub fn kill_with_terraform(mut run: Running, fake: &FakeTerraform) {
    let terraform = fake.calls().pop().expect("a call").pid;
    kill_witness(terraform);
    run.signal(Signal::SIGKILL);
    wait_until("the end of tflock", || !run.is_running());
    kill_if_ours(terraform, fake);
    run.wait().died_of(Signal::SIGKILL);
    // The script's poller too: it has a place in the run.
    wait_until("the end of the group", || {
        living_in(Pid::from_raw(terraform)).is_empty()
    });
}

/// Kills the witness in a child's group.
#[track_caller]
pub fn kill_witness(child: i32) {
    let witness = witness_of(Pid::from_raw(child));
    kill(witness, Signal::SIGKILL).expect("a living process");
}

/// Kills a process if it still is that scripted terraform.
pub fn kill_if_ours(pid: i32, fake: &FakeTerraform) {
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let script = fake.program().display().to_string();
    if String::from_utf8_lossy(&command_line).contains(&script) {
        // It can have ended in between, which is what is wanted.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
