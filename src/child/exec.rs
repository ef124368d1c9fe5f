//! Becoming another program: for terraform's commands that take no lock, which must not notice tflock at all.

use std::os::unix::process::CommandExt as _;

use super::inherited;
use super::spawn::{Command, SpawnError};

/// Replaces this process by `command`: same process, descriptors, directory and signal mask. Returns only if that fails.
///
/// For a process that has not called [`super::Signals::install`]: then all dispositions are as they were inherited, apart
/// from SIGPIPE, which Rust's runtime ignores before `main` and which is put back here.
#[must_use]
pub fn replace_by(command: &Command) -> SpawnError {
    let mut prepared = command.to_std();
    let before_exec = || {
        inherited::restore_broken_pipe()?;
        Ok(())
    };
    // SAFETY: nothing is forked; it makes one system call.
    unsafe { prepared.pre_exec(before_exec) };
    command.error(prepared.exec())
}
