//! Execs another program: for terraform's commands that take no lock, which must not notice tflock at all.

use std::os::unix::process::CommandExt as _;

use super::inherited;
use super::spawn::{Command, SpawnError};

/// Replaces this process by `command`, with the same process ID, descriptors, directory and signal mask. Returns only
/// on failure.
///
/// For a process that has not called [`super::Signals::install`]: then everything is as inherited, except for what
/// Rust's runtime does before `main`, which is undone here: it ignores SIGPIPE and opens closed standard streams.
#[must_use]
pub fn replace_by(command: &Command) -> SpawnError {
    let mut prepared = command.to_std();
    let before_exec = || {
        inherited::restore_broken_pipe()?;
        inherited::restore_closed_streams();
        Ok(())
    };
    // SAFETY: nothing is forked; it makes system calls only.
    unsafe { prepared.pre_exec(before_exec) };
    command.error(prepared.exec())
}
