//! A program while it runs.

use std::fmt;
use std::io::Write;
use std::process::{Child, ChildStdin};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::collected::Collected;
use super::finished::{Finished, write_streams};
use crate::support::waiting::comes_true_within;

/// A started program. Dropping it kills that process, and only that, if it still runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Collected,
    stderr: Collected,
    deadline: Instant,
    shown: String,
}

impl Running {
    pub(super) fn new(
        mut child: Child,
        stdin: Option<ChildStdin>,
        limit: Duration,
        shown: String,
    ) -> Self {
        Self {
            stdout: Collected::from(child.stdout.take()),
            stderr: Collected::from(child.stderr.take()),
            stdin,
            deadline: Instant::now() + limit,
            child,
            shown,
        }
    }

    pub fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// Sends it a signal. The process has not been reaped, so its PID cannot belong to another one.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap_or_else(|error| panic!("{signal} to {self}: {error}"));
    }

    /// Sends a signal to its whole group; it must have been started [`Invocation::in_own_group`].
    #[track_caller]
    pub fn signal_group(&self, signal: Signal) {
        killpg(self.pid(), signal)
            .unwrap_or_else(|error| panic!("{signal} to the group of {self}: {error}"));
    }

    /// Writes to its open stdin.
    #[track_caller]
    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("started with an open stdin");
        let written = stdin.write_all(text.as_bytes());
        written.unwrap_or_else(|error| panic!("cannot write to {self}: {error}"));
    }

    /// Ends its open stdin.
    pub fn close_stdin(&mut self) {
        drop(self.stdin.take());
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// All of stdout until now.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// All of stderr until now.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until stdout or stderr holds that text.
    #[track_caller]
    pub fn wait_for_output(&mut self, text: &str) {
        let holds =
            |running: &Self| running.stdout().contains(text) || running.stderr().contains(text);
        let limit = self.deadline.saturating_duration_since(Instant::now());
        let mut ended = false;
        comes_true_within(limit, &mut || {
            ended = !self.is_running();
            ended || holds(self)
        });
        if ended {
            self.stdout.finish_by(self.deadline);
            self.stderr.finish_by(self.deadline);
        }
        assert!(holds(self), "no `{text}` in the output of {self}");
    }

    /// Waits until it has ended and no process has its output open any more. On a timeout that one
    /// process is killed and the test fails with everything that is known.
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        let limit = self.deadline.saturating_duration_since(Instant::now());
        let ended = comes_true_within(limit, &mut || !self.is_running());
        // Unwinding drops it, and that kills it.
        assert!(ended, "{self} did not end in time and is killed");
        let status = self.child.wait().expect("a child that ended has a status");
        let complete = self.stdout.finish_by(self.deadline) && self.stderr.finish_by(self.deadline);
        assert!(
            complete,
            "{self} ended with {status}, but somebody still holds its output open"
        );
        Finished {
            stdout: self.stdout(),
            stderr: self.stderr(),
            status: status.into(),
        }
    }
}

impl fmt::Display for Running {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} (pid {})", self.shown, self.child.id())?;
        write_streams(out, &self.stdout(), &self.stderr())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_running() {
            // It can have ended in between, which is what is wanted.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The PID as nix wants it.
pub fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("PIDs are positive i32"))
}
