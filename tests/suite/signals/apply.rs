//! The scene of most of these tests: an apply of the real terraform whose first resource is done and whose second
//! one runs until it is let go or interrupted. What must hold after a stop is said here once.

use std::fs;

use nix::unistd::Pid;
use serde_json::Value;

use super::processes::parent_of;
use crate::support::backend::{LockMode, Remote, STATE_KEY};
use crate::support::configuration::{Configuration, GO, STARTED};
use crate::support::process::{Finished, Invocation, Status};
use crate::support::proxy::{Gate, Proxy};
use crate::support::scene::local_locks;
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

/// A directory in which `tflock apply` takes as long as the test needs.
#[derive(Debug)]
pub struct Apply {
    pub workspace: Workspace,
    storage: Storage,
}

#[derive(Debug)]
enum Storage {
    /// State and lock in files.
    Local,
    /// State in S3 behind a proxy, lock in DynamoDB.
    Remote { remote: Remote, states: Proxy },
}

/// The words after `tflock`. It says what it learns of, so that a test can wait for that: see [`NOTICED`].
pub const ARGUMENTS: [&str; 4] = ["-v", "apply", "-auto-approve", "-no-color"];

/// What tflock says when it knows that terraform was asked to stop, by whatever way. With Ctrl-C that may be later than
/// terraform's own word.
pub const NOTICED: &str = "asked to stop by SIG";

impl Apply {
    /// State and lock in files of this machine.
    pub fn local() -> Self {
        let configuration = two_resources(Configuration::without_backend());
        Self {
            workspace: Workspace::with(&configuration),
            storage: Storage::Local,
        }
    }

    /// State in S3, lock in DynamoDB. A graceful stop can be drawn out: [`Apply::hold_saving`].
    pub fn remote() -> Self {
        let remote = Remote::start();
        let states = Proxy::before(remote.s3.url());
        let backend = remote.backend(LockMode::DynamodbTable).s3_url(states.url());
        let configuration = two_resources(Configuration::with_backend(&backend));
        let workspace = Workspace::with(&configuration);
        workspace.init();
        Self {
            workspace,
            storage: Storage::Remote { remote, states },
        }
    }

    /// Makes a directory inside this one, with its own state, which is locked in the same table.
    #[track_caller]
    pub fn another_state(&self, directory: &str) {
        let Storage::Remote { remote, .. } = &self.storage else {
            panic!("files have no table: use a remote apply");
        };
        let backend = remote.backend(LockMode::DynamodbTable).key("another");
        let configuration = Configuration::with_backend(&backend).hcl();
        self.workspace
            .write(&format!("{directory}/main.tf"), &configuration);
        let chdir = format!("-chdir={directory}");
        let init = self.workspace.terraform([&chdir, "init", "-input=false"]);
        init.run().succeeded();
    }

    /// The apply, to be started by itself.
    pub fn tflock(&self) -> Invocation {
        self.workspace.tflock(ARGUMENTS)
    }

    /// The apply as a shell command.
    pub fn line() -> String {
        line_of(ARGUMENTS)
    }

    /// A shell that runs `script`, which contains [`Apply::line`].
    pub fn script(&self, script: &str) -> Invocation {
        self.workspace.invocation("/bin/sh").args(["-c", script])
    }

    /// Waits until the first resource is done and the second under way; returns terraform's process.
    #[track_caller]
    pub fn terraform(&self) -> Pid {
        self.workspace.wait_until_started();
        let pid = self.workspace.read(STARTED);
        Pid::from_raw(pid.trim().parse().expect("a PID"))
    }

    /// The same for tflock's process.
    #[track_caller]
    pub fn process(&self) -> Pid {
        parent_of(self.terraform())
    }

    /// Delays the next write of the state, so that a stopping terraform does not end yet.
    pub fn hold_saving(&self) -> Gate {
        match &self.storage {
            Storage::Remote { states, .. } => {
                states.on(&format!("PUT /states/{STATE_KEY}*")).hold()
            }
            Storage::Local => panic!("files cannot be held back: use a remote apply"),
        }
    }

    /// Everything that is locked.
    pub fn locks(&self) -> Vec<String> {
        match &self.storage {
            Storage::Local => local_locks(&self.workspace),
            Storage::Remote { remote, .. } => remote.locks(),
        }
    }

    /// The names of all resources in the saved state that are whole.
    pub fn saved(&self) -> Vec<String> {
        let state = match &self.storage {
            Storage::Local => fs::read_to_string(self.workspace.file("terraform.tfstate")).ok(),
            Storage::Remote { remote, .. } => remote.s3.object(STATE_KEY).map(|one| one.text()),
        };
        let state: Value = match state {
            Some(text) => serde_json::from_str(&text).expect("a state is JSON"),
            None => return Vec::new(),
        };
        let resources = state["resources"].as_array().into_iter().flatten();
        let whole = resources.filter(|one| one["instances"][0]["status"] != "tainted");
        whole
            .map(|one| one["name"].as_str().expect("a name").to_owned())
            .collect()
    }

    /// Waits until nothing is locked any more, where there is no process to wait for.
    #[track_caller]
    pub fn wait_until_released(&self) {
        wait_until("the release of the lock", || self.locks().is_empty());
    }

    /// Fails unless terraform stopped as after one Ctrl-C: it said so once, saved what it had, and the lock is free.
    #[track_caller]
    pub fn stopped_once(&self, output: &str) {
        assert_eq!(requests(output), Requests::One, "{output}");
        // terraform tidies up after itself only if it was not cut off.
        assert!(!self.workspace.file(".terraform.tfstate.lock.info").exists());
        assert_eq!(self.saved(), ["first"], "{output}");
        assert_eq!(self.locks(), Vec::<String>::new(), "{output}");
    }

    /// The same, with terraform's own exit code after an interrupt.
    #[track_caller]
    pub fn stopped_once_as_one(&self, finished: &Finished) {
        assert_eq!(finished.status, Status::Code(1), "{finished}");
        self.stopped_once(&said(finished));
    }
}

/// How often terraform said that it was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requests {
    None,
    One,
    Two,
    TooMany,
}

/// All words of a run: of the first request terraform tells on stdout, of the second on stderr.
pub fn said(finished: &Finished) -> String {
    format!("{}{}", finished.stdout, finished.stderr)
}

/// What terraform's words tell of the requests that it got.
pub fn requests(output: &str) -> Requests {
    let first = output.matches("Interrupt received").count();
    let second = output.matches("Two interrupts received").count();
    match (first, second) {
        (0, 0) => Requests::None,
        (1, 0) => Requests::One,
        (1, 1) => Requests::Two,
        _ => Requests::TooMany,
    }
}

/// tflock with these arguments, as a shell command.
pub fn line_of<const N: usize>(arguments: [&str; N]) -> String {
    format!("{} {}", env!("CARGO_BIN_EXE_tflock"), arguments.join(" "))
}

fn two_resources(configuration: Configuration) -> Configuration {
    // If it died of the interrupt itself, terraform could be done before it says that it was interrupted; as it is,
    // terraform kills it. The marker appears whole, and names terraform. The last condition ends the loop after the
    // test, should terraform have died without it.
    let script = format!(
        "trap '' INT; echo $PPID >begun; mv begun {STARTED}; \
         while [ ! -e {GO} ] && [ -e \\\"$PWD/main.tf\\\" ]; do sleep 0.05; done"
    );
    configuration.resource("first", "done").block(&format!(
        "resource \"terraform_data\" \"second\" {{\n  depends_on = [terraform_data.first]\n  \
             provisioner \"local-exec\" {{\n    command = \"{script}\"\n  }}\n}}"
    ))
}
