//! Programs that a test starts: described by a builder, waited for with a limit, compared as a whole.
//!
//! It must never signal anything but the one process it started, and never leave that one behind.

mod collected;
mod finished;
mod running;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

pub use collected::read_into;
pub use finished::{Finished, Status};
pub use running::{Running, pid_of};

use super::waiting::PATIENCE;

/// A program to be started. Its environment is empty except for what it is given.
#[derive(Debug)]
pub struct Invocation {
    command: Command,
    stdin: Stdin,
    limit: Duration,
}

#[derive(Debug)]
enum Stdin {
    Nothing,
    Text(Vec<u8>),
    Open,
}

impl Invocation {
    /// The program with an empty environment, an empty stdin, and a limit of [`PATIENCE`].
    pub fn of(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.env_clear();
        Self {
            command,
            stdin: Stdin::Nothing,
            limit: PATIENCE,
        }
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, arguments: I) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Puts a directory first on its PATH.
    pub fn first_on_path(mut self, directory: impl AsRef<Path>) -> Self {
        let known = self.command.get_envs().find(|(name, _)| *name == "PATH");
        let mut path = directory.as_ref().as_os_str().to_owned();
        if let Some((_, Some(rest))) = known {
            path.push(":");
            path.push(rest);
        }
        self.command.env("PATH", path);
        self
    }

    pub fn in_directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// What the program reads, followed by the end of file.
    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = Stdin::Text(text.into());
        self
    }

    /// Leaves stdin open, for [`Running::write`].
    pub fn open_stdin(mut self) -> Self {
        self.stdin = Stdin::Open;
        self
    }

    /// Makes the program the leader of a process group of its own, so that the group can be signalled.
    pub fn in_own_group(mut self) -> Self {
        self.command.process_group(0);
        self
    }

    /// How long it may run before the test fails.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The bare command, for what this builder cannot express.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// The command with default signals, for those who connect and start it themselves (see `pty`).
    pub fn into_command(mut self) -> Command {
        with_default_signals(&mut self.command);
        self.command
    }

    /// Starts it, collecting what it writes.
    #[track_caller]
    pub fn start(self) -> Running {
        let (stdout, stderr) = (Stdio::piped(), Stdio::piped());
        self.start_with(stdout, stderr)
    }

    /// Starts it with an end of a pipe, a file or a closed pipe for a stream. Only what goes to
    /// `Stdio::piped()` is collected.
    #[track_caller]
    pub fn start_with(mut self, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Running {
        let shown = format!("{:?}", self.command);
        with_default_signals(&mut self.command);
        self.command.stdout(stdout).stderr(stderr);
        self.command.stdin(match self.stdin {
            Stdin::Nothing => Stdio::null(),
            Stdin::Text(_) | Stdin::Open => Stdio::piped(),
        });
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        let mut stdin = child.stdin.take();
        if let Stdin::Text(text) = self.stdin
            && let Some(mut pipe) = stdin.take()
        {
            thread::spawn(move || {
                // A program that does not read all of its input is free not to.
                let _ = pipe.write_all(&text);
            });
        }
        Running::new(child, stdin, self.limit, shown)
    }

    /// Starts it and waits for its end.
    #[track_caller]
    pub fn run(self) -> Finished {
        self.start().wait()
    }
}

/// Gives the program default signals, whatever the test runner was started with: a shell starts background
/// jobs with SIGINT ignored, nohup with SIGHUP ignored, and both would be inherited.
fn with_default_signals(command: &mut Command) {
    let reset = || {
        for one in Signal::iterator() {
            if !matches!(one, Signal::SIGKILL | Signal::SIGSTOP) {
                // SAFETY: setting a disposition to its default installs no code.
                unsafe { signal(one, SigHandler::SigDfl) }?;
            }
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
        Ok(())
    };
    // SAFETY: between fork and exec it makes async-signal-safe system calls only and allocates nothing.
    unsafe { command.pre_exec(reset) };
}
