//! Starts the child: in a process group of its own, in the foreground if we can give it the terminal, and otherwise
//! with everything as tflock inherited it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::Pid;

use super::inherited::Inherited;
use super::output::Output;
use super::terminal::{self, HandOver, Terminal};
use super::view::View;

/// Which leftover processes to wait for after the child has exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// Only terraform's: a daemon that a provisioner started does not concern the lock.
    Terraform,
    /// All: each may work on the locked state.
    All,
}

/// A program to run. Everything not given here is inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// A path, or a name to look up on PATH.
    pub program: OsString,
    /// The arguments after the program's name.
    pub arguments: Vec<OsString>,
    /// Variables to set.
    pub environment: Vec<(OsString, OsString)>,
    /// Which leftover processes to wait for.
    pub wait_for: WaitFor,
    /// When it gets the terminal, if we can give it.
    pub hand_over: HandOver,
    /// Its working directory; tflock's own if `None`.
    pub directory: Option<PathBuf>,
    /// What it has to see as we saw it; `None` for a program that may see what it wants.
    pub view: Option<View>,
}

impl Command {
    /// A program without arguments.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            wait_for: WaitFor::Terraform,
            hand_over: HandOver::AtOnce,
            directory: None,
            view: None,
        }
    }

    pub(super) fn to_std(&self) -> process::Command {
        let mut command = process::Command::new(&self.program);
        command.args(&self.arguments);
        if !self.environment.is_empty() {
            command.env_clear().envs(self.whole_environment());
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    /// The whole environment of the program. If a variable is set twice, the first counts, for us as for Go, and the program
    /// gets that one: the standard library would pass on the last.
    pub(super) fn whole_environment(&self) -> Vec<(OsString, OsString)> {
        #[expect(
            clippy::disallowed_methods,
            reason = "all of it is handed on, and nothing is read"
        )]
        let inherited = std::env::vars_os();
        let set = self.environment.iter().rev().cloned();
        let mut seen = BTreeSet::new();
        set.chain(inherited)
            .filter(|(name, _)| seen.insert(name.clone()))
            .collect()
    }

    pub(super) fn error(&self, source: io::Error) -> SpawnError {
        if let Some(directory) = &self.directory
            && !directory.is_dir()
        {
            return SpawnError::NoDirectory {
                directory: directory.clone(),
                source,
            };
        }
        let program = self.program.clone();
        let is_path = program.as_encoded_bytes().contains(&b'/');
        match source.kind() {
            // A script with a missing interpreter gives the same error as a missing script.
            io::ErrorKind::NotFound if is_path && self.resolved().exists() => {
                SpawnError::NotExecutable { program, source }
            }
            io::ErrorKind::NotFound => SpawnError::NotFound { program },
            // A directory on PATH that we may not search gives the same error as a file that we may not execute.
            io::ErrorKind::PermissionDenied if !is_path && !self.is_on_path() => {
                SpawnError::NotFound { program }
            }
            io::ErrorKind::PermissionDenied => SpawnError::NotExecutable { program, source },
            _ if source.raw_os_error() == Some(libc::ENOEXEC) => {
                SpawnError::NotExecutable { program, source }
            }
            _ => SpawnError::Other { program, source },
        }
    }

    /// Whether a directory on the program's PATH has a file of that name.
    fn is_on_path(&self) -> bool {
        let environment = self.whole_environment();
        let path = environment.iter().find(|(name, _)| name == "PATH");
        path.is_some_and(|(_, path)| {
            std::env::split_paths(path).any(|directory| directory.join(&self.program).is_file())
        })
    }

    fn resolved(&self) -> PathBuf {
        self.directory
            .as_deref()
            .unwrap_or(Path::new(""))
            .join(&self.program)
    }
}

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// Shells report this as 127.
    #[error("`{}` was not found", program.display())]
    NotFound {
        /// As given.
        program: OsString,
    },
    /// Shells report this as 126.
    #[error("`{}` cannot be executed", program.display())]
    NotExecutable {
        /// As given.
        program: OsString,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Its working directory is not a directory.
    #[error("`{}` is not a directory", directory.display())]
    NoDirectory {
        /// As given.
        directory: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Out of processes, out of memory, and the like.
    #[error("`{}` could not be started", program.display())]
    Other {
        /// As given.
        program: OsString,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// Starts `command`, and returns once the exec has succeeded. Its process ID is also its group ID. The descriptor
/// `kept` stays open in it.
pub(super) fn spawn(
    command: &Command,
    inherited: &Inherited,
    terminal: Option<&mut Terminal>,
    output: &mut Output,
    kept: Option<BorrowedFd<'_>>,
) -> Result<Pid, SpawnError> {
    start(
        command.to_std(),
        Pid::this(),
        inherited,
        terminal,
        output,
        kept,
    )
    .map_err(|source| command.error(source))
}

/// Starts what was prepared, as a child of `tflock`.
fn start(
    mut prepared: process::Command,
    tflock: Pid,
    inherited: &Inherited,
    terminal: Option<&mut Terminal>,
    output: &mut Output,
    kept: Option<BorrowedFd<'_>>,
) -> io::Result<Pid> {
    prepared.process_group(0);
    if let Some(stdout) = output.take_stdout() {
        prepared.stdout(stdout);
    }
    if let Some(stderr) = output.take_stderr() {
        prepared.stderr(stderr);
    }

    let terminal = terminal.filter(|terminal| terminal.gives_at_start());
    let device: Option<File> = terminal
        .as_ref()
        .and_then(|terminal| terminal.device().as_fd().try_clone_to_owned().ok())
        .map(File::from);
    let inherited = *inherited;
    let kept = kept.map(|kept| kept.as_raw_fd());
    let before_exec = move || {
        if let Some(kept) = kept {
            // SAFETY: a system call that takes numbers; the descriptor is open in whoever called `spawn`.
            unsafe { libc::fcntl(kept, libc::F_SETFD, 0) };
        }
        if let Some(device) = &device {
            // If the terminal is gone, the child runs without it.
            let _ = terminal::put_in_foreground(device);
        }
        inherited.restore()?;
        // If tflock was killed, another run may already own the lock, because it found no child: do not exec.
        if Pid::parent() != tflock {
            return Err(Errno::ECANCELED.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec it makes system calls on what was prepared before: no allocation, no lock.
    unsafe { prepared.pre_exec(before_exec) };

    // A signal to the forked child must not run tflock's handlers, which would write into the shared pipe and swallow
    // it. It stays pending until `restore` has reset its disposition.
    let held_back = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that starts the child"
    )]
    let spawned = prepared.spawn();
    if let Ok(mask) = held_back {
        let _ = mask.thread_set_mask();
    }
    // `prepared` holds the child's ends of the pipes; while they are open, no reader sees the end.
    drop(prepared);

    let child = spawned?;
    if let Some(terminal) = terminal {
        terminal.note_given();
    }
    // `process::Child` does nothing when dropped. We wait by process ID, because std does not report stops.
    Ok(Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use nix::sys::signal::Signal;
    use nix::sys::wait::WaitStatus;

    use super::*;

    fn failure(command: &Command) -> SpawnError {
        let inherited = Inherited::read().unwrap();
        spawn(command, &inherited, None, &mut Output::default(), None).unwrap_err()
    }

    #[test]
    fn a_missing_program_is_not_found() {
        let error = failure(&Command::new("tflock-has-no-such-program"));
        assert!(matches!(error, SpawnError::NotFound { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            "`tflock-has-no-such-program` was not found"
        );
        let error = failure(&Command::new("/no/such/program"));
        assert!(matches!(error, SpawnError::NotFound { .. }), "{error:?}");
    }

    #[test]
    fn a_name_that_no_directory_on_path_has_is_not_found_even_if_one_may_not_be_searched() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("there"), "").unwrap();
        for (name, is_found) in [("there", true), ("not-there", false)] {
            let mut command = Command::new(name);
            let path = directory.path().as_os_str().to_owned();
            command.environment.push(("PATH".into(), path));
            let error = command.error(io::ErrorKind::PermissionDenied.into());
            let found = matches!(error, SpawnError::NotExecutable { .. });
            assert_eq!(found, is_found, "{error:?}");
        }
    }

    #[test]
    fn a_file_without_execute_permission_is_not_executable() {
        let error = failure(&Command::new("/etc/passwd"));
        assert!(
            matches!(error, SpawnError::NotExecutable { .. }),
            "{error:?}"
        );
    }

    #[test]
    fn a_script_whose_interpreter_is_missing_is_not_executable() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("script");
        // Written by another process: what this one has open for writing cannot be executed, nor what another test's child
        // has inherited from it.
        let mut shell = process::Command::new("sh");
        shell.args([
            "-c",
            "echo '#!/no/such/interpreter' >\"$0\" && chmod +x \"$0\"",
        ]);
        assert!(shell.arg(&script).status().unwrap().success());
        let error = failure(&Command::new(script));
        assert!(
            matches!(error, SpawnError::NotExecutable { .. }),
            "{error:?}"
        );
    }

    fn started(prepared: process::Command, tflock: Pid) -> io::Result<Pid> {
        let inherited = Inherited::read().unwrap();
        start(
            prepared,
            tflock,
            &inherited,
            None,
            &mut Output::default(),
            None,
        )
    }

    #[test]
    fn a_child_whose_tflock_was_killed_before_its_exec_starts_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut prepared = process::Command::new("touch");
        prepared.arg("started").current_dir(directory.path());
        // Somebody else is its parent.
        let error = started(prepared, Pid::from_raw(1)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        assert!(!directory.path().join("started").exists());
    }

    #[test]
    fn a_signal_before_the_exec_is_the_programs_and_not_ours() {
        let heard = Arc::new(AtomicBool::new(false));
        let ours = signal_hook::flag::register(libc::SIGTERM, heard).unwrap();
        let mut prepared = process::Command::new("true");
        // SAFETY: a system call; it comes before what `start` does in the child.
        unsafe { prepared.pre_exec(|| Ok(nix::sys::signal::raise(Signal::SIGTERM)?)) };
        let child = started(prepared, Pid::this()).unwrap();
        let ending = nix::sys::wait::waitpid(child, None);
        signal_hook::low_level::unregister(ours);
        let killed = WaitStatus::Signaled(child, Signal::SIGTERM, false);
        assert_eq!(ending, Ok(killed));
    }

    #[test]
    fn a_missing_directory_is_not_taken_for_a_missing_program() {
        let mut command = Command::new("true");
        command.directory = Some(PathBuf::from("/no/such/directory"));
        let error = failure(&command);
        assert!(matches!(error, SpawnError::NoDirectory { .. }), "{error:?}");
    }
}
