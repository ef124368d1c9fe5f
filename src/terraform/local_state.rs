//! terraform's own lock on a local state: a kernel lock on the state file, described in a file next to it.
//!
//! Only observed, never taken. terraform takes it with `fcntl(F_SETLK)` (`internal/states/statemgr/filesystem.go` and
//! `filesystem_lock_unix.go`), so it belongs to the process and ends with it. The description alone means nothing: it
//! stays when a terraform is killed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

use crate::system::plain_file;

const LARGEST_DESCRIPTION: u64 = 64 * 1024;

/// A lock on a state file that a terraform holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateLock {
    /// The process that holds it; `None` if it is not visible from here.
    pub process: Option<u32>,
    /// terraform's description, if it can be read. It is written after the lock is taken.
    pub description: Option<String>,
}

/// The lock on the state file at `path`; `None` if there is none, or no such file.
///
/// # Errors
/// The file exists but cannot be examined.
pub fn state_lock(path: &Path) -> io::Result<Option<StateLock>> {
    let Some(file) = plain_file::if_there(open(path))? else {
        return Ok(None);
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let Some(process) = holder_of(&file)? else {
        return Ok(None);
    };
    Ok(Some(StateLock {
        process: u32::try_from(process).ok().filter(|process| *process != 0),
        description: description_of(path),
    }))
}

/// The description of the lock on the state file at `path`: `.<name>.lock.info`, without a second dot.
#[must_use]
pub fn description_path(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy();
    let name = name.strip_prefix('.').unwrap_or(&name);
    Some(path.with_file_name(format!(".{name}.lock.info")))
}

/// The process whose lock conflicts with a write lock. Closing the file is harmless: this process has no lock on it.
fn holder_of(file: &File) -> io::Result<Option<libc::pid_t>> {
    let mut wanted = write_lock();
    fcntl(file, FcntlArg::F_GETLK(&mut wanted))?;
    let free: libc::c_short = libc::F_UNLCK.try_into().unwrap_or_default();
    let is_free = wanted.l_type == free;
    Ok((!is_free).then_some(wanted.l_pid))
}

/// A write lock on the whole file. The constants have different widths on different systems.
fn write_lock() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK.try_into().unwrap_or_default(),
        l_whence: libc::SEEK_SET.try_into().unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn description_of(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = open(&description_path(path)?).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.take(LARGEST_DESCRIPTION)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

/// Opens it without waiting for the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lock of the open file and not of the process (Linux), so that this very process sees it as someone else's.
    #[cfg(target_os = "linux")]
    fn lock(file: &File) {
        let whole = write_lock();
        fcntl(file, FcntlArg::F_OFD_SETLK(&whole)).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_description_without_a_lock_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("terraform.tfstate");
        std::fs::write(description_path(&path).unwrap(), "{}").unwrap();
        assert_eq!(state_lock(&path).unwrap(), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(state_lock(&path).unwrap(), None);
        let holder = OpenOptions::new().write(true).open(&path).unwrap();
        lock(&holder);
        let expected = StateLock {
            process: None,
            description: Some("{}".to_owned()),
        };
        assert_eq!(state_lock(&path).unwrap(), Some(expected));
        drop(holder);
        assert_eq!(state_lock(&path).unwrap(), None);
    }

    #[test]
    fn the_descriptions_name_starts_with_one_dot() {
        for (state, description) in [
            ("/a/terraform.tfstate", "/a/.terraform.tfstate.lock.info"),
            ("/a/.hidden", "/a/.hidden.lock.info"),
        ] {
            let path = description_path(Path::new(state));
            assert_eq!(path.as_deref(), Some(Path::new(description)));
        }
    }

    #[test]
    fn only_files_have_locks() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_eq!(state_lock(&fifo).unwrap(), None);
        assert_eq!(state_lock(directory.path()).unwrap(), None);
    }
}
