//! The files of a run as other processes use them: opened, locked with flock(2), and never written.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::libc;

/// Opens such a file of this user's; `None` if there is none.
pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let status = file.metadata()?;
    if !status.is_file() || status.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    Ok(Some(file))
}

/// A lock on a file that was removed in the meantime is worthless.
pub(super) fn is_still_at(file: &File, path: &Path) -> bool {
    let place = |status: std::fs::Metadata| (status.dev(), status.ino());
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(own), Ok(there)) => place(own) == place(there),
        _ => false,
    }
}

/// Whether an attempt to lock succeeded; false if others have it.
pub(super) fn free(locked: Result<(), TryLockError>) -> io::Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Lets the program that this process execs inherit the file.
pub(super) fn hand_on(file: &File) {
    // SAFETY: a system call that takes numbers; the descriptor is open.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) };
}
