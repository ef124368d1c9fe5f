//! A program after its end.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

/// Everything about how a program ended, so that one comparison shows it all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub stdout: String,
    pub stderr: String,
    pub status: Status,
}

/// An exit code, or the signal that it died of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Code(i32),
    Signal(Signal),
}

impl From<ExitStatus> for Status {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(number)) => {
                Self::Signal(Signal::try_from(number).expect("a signal with a name"))
            }
            (None, None) => unreachable!("neither a code nor a signal: {status}"),
        }
    }
}

impl Finished {
    /// An end with that exit code and no output.
    pub fn silent(code: i32) -> Self {
        Self {
            stdout: String::new(),
            stderr: String::new(),
            status: Status::Code(code),
        }
    }

    /// Fails unless it ended with exit code 0.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        self.ended_with(0)
    }

    /// Fails unless it ended with that exit code.
    #[track_caller]
    pub fn ended_with(self, code: i32) -> Self {
        self.ended(Status::Code(code))
    }

    /// Fails unless it died of that signal.
    #[track_caller]
    pub fn died_of(self, signal: Signal) -> Self {
        self.ended(Status::Signal(signal))
    }

    /// Fails unless stdout holds that text.
    #[track_caller]
    pub fn with_stdout(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no `{text}` on stdout: {self}");
        self
    }

    /// Fails unless stderr holds that text.
    #[track_caller]
    pub fn with_stderr(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` on stderr: {self}");
        self
    }

    #[track_caller]
    fn ended(self, status: Status) -> Self {
        assert!(self.status == status, "expected {status:?}: {self}");
        self
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "ended with {:?}", self.status)?;
        write_streams(out, &self.stdout, &self.stderr)
    }
}

pub(super) fn write_streams(
    out: &mut fmt::Formatter<'_>,
    stdout: &str,
    stderr: &str,
) -> fmt::Result {
    writeln!(out, "--- stdout\n{stdout}--- stderr\n{stderr}---")
}
