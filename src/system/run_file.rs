//! The trace that a run leaves on its machine: a file named by its lock ID. It exists from before the lock is requested
//! until after its release. Everyone who works under the lock (tflock, its witness, its child) holds a shared lock
//! (flock(2)) on it: a *place* in the run.
//!
//! Every proof of death starts from this file. Machine IDs, boot IDs and process IDs are alike on machines of one
//! image, but this file exists only where the run was. A proof needs every trace to agree and every look to succeed.
//! The file holds no secrets: arguments are stored as a hash.

mod flock;
mod left;
pub mod lent;
mod place;
mod traces;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::own_directory::{OwnDirectory, Sharing};
use super::plain_file::{self, Link};
use super::process::{self, ProcessIdentity, Stat};
use super::{hex, machine};

pub use self::left::{LeftRun, left_runs};
pub use self::place::{Place, PlaceAttempt, share};
pub use self::traces::{Traces, traces_of};

/// Larger than any run file.
const LARGEST: u64 = 64 * 1024;

/// What is known of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Run {
    /// The lock ID, which names the file.
    pub lock_id: String,
    /// The machine as [`machine::identity`] names it.
    machine: Option<String>,
    boot_id: String,
    pid_namespace: u64,
    time_namespace: Option<u64>,
    /// The user that tflock and its child run as.
    uid: u32,
    /// The session that tflock and its child run in; a process that changes its user (`sudo`) stays in it.
    session: i32,
    /// tflock itself.
    tflock: ProcessIdentity,
    /// The program that runs under the lock, once started.
    child: Option<ProcessIdentity>,
    /// Whether the program that does the work was seen as a process of this machine.
    sighting: Sighting,
    /// A hash of the child's arguments, without its program, once they are known.
    arguments: Option<String>,
    /// The child's possible working directories.
    directories: Vec<String>,
    /// Where its lock is, in the form that the caller chose.
    #[serde(default)]
    whereabouts: Value,
}

/// Whether the program that works under the lock was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sighting {
    /// Nothing has been started yet.
    NotStarted,
    /// Something was started, but the work may happen elsewhere: in a container, on another host.
    Unseen,
    /// A process with exactly these arguments was seen.
    Seen,
}

impl Run {
    /// Describes this process, which is about to request the lock with that ID and to start a program in one of
    /// `directories`. `None` if the system does not provide what a proof needs.
    #[must_use]
    pub fn of_this_process(lock_id: &str, directories: &[PathBuf]) -> Option<Self> {
        let pid = std::process::id();
        Some(Self {
            lock_id: lock_id.to_owned(),
            machine: machine::identity(),
            boot_id: machine::boot_id()?,
            pid_namespace: machine::pid_namespace()?,
            time_namespace: machine::time_namespace(),
            uid: nix::unistd::geteuid().as_raw(),
            session: Stat::read(pid).ok()?.session,
            tflock: ProcessIdentity::of(pid)?,
            child: None,
            sighting: Sighting::NotStarted,
            arguments: None,
            directories: directories.iter().map(|path| text_of(path)).collect(),
            whereabouts: Value::Null,
        })
    }

    /// Adds where its lock is, without secrets.
    #[must_use]
    pub fn with_whereabouts(self, whereabouts: Value) -> Self {
        Self {
            whereabouts,
            ..self
        }
    }
}

fn hash_of(words: &[OsString]) -> String {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.as_bytes());
        hash.update([0]);
    }
    hex(&hash.finalize())
}

/// Two different directories may map to one text. That can only prevent a proof, never fake one.
fn text_of(directory: &Path) -> String {
    directory.to_string_lossy().into_owned()
}

/// The file of this process's own run.
#[derive(Debug)]
pub struct RunFile {
    path: PathBuf,
    file: File,
    run: Run,
}

/// Creates a private file in a private directory, which is created if needed.
fn create_private(directory: &Path, path: &Path) -> io::Result<File> {
    for_this_user_alone(&OwnDirectory::create(directory).map_err(io::Error::other)?)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

impl RunFile {
    /// Creates the file in `directory`, which is created if needed, and takes the first place of the run.
    ///
    /// # Errors
    /// The system refuses, or others can write to the directory.
    pub fn create(directory: &Path, run: Run) -> io::Result<Self> {
        let path = path_of(directory, &run.lock_id)?;
        // Lock it before it gets its name: an unlocked run file means a dead run.
        let unnamed = path.with_extension(format!("{}.new", std::process::id()));
        let file = create_private(directory, &unnamed)?;
        let created = file
            .lock_shared()
            .and_then(|()| write(&file, &run))
            .and_then(|()| std::fs::rename(&unnamed, &path));
        if let Err(error) = created {
            // A leftover of this name belongs to no lock.
            let _ = std::fs::remove_file(&unnamed);
            return Err(error);
        }
        Ok(Self { path, file, run })
    }

    /// The place that the child and the witness inherit: the run lives as long as one of them has this descriptor open.
    #[must_use]
    pub fn place(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all places for good, unless someone holds one that was not inherited from ours. Returns whether it did.
    ///
    /// # Errors
    /// An error of the operating system.
    pub fn take_all_places(&self) -> io::Result<bool> {
        if flock::free(self.file.try_lock())? {
            return Ok(true);
        }
        // The attempt dropped our own shared lock.
        self.file.lock_shared()?;
        Ok(false)
    }

    /// The processes that have the file open, as far as we can see.
    #[must_use]
    pub fn users(&self) -> Vec<process::Named> {
        process::users_of(&self.file)
    }

    /// Records the child's arguments before it starts.
    pub fn note_arguments(&mut self, arguments: &[OsString]) {
        self.run.arguments = Some(hash_of(arguments));
        self.write();
    }

    /// Records the child, and whether the program that does the work was seen.
    pub fn note_child(&mut self, child: Option<ProcessIdentity>, sighting: Sighting) {
        self.run.child = child;
        self.run.sighting = sighting;
        self.write();
    }

    /// If this fails, the run's death can never be proven, which is safe.
    fn write(&self) {
        if write(&self.file, &self.run).is_err() {
            // An empty file proves nothing; an outdated one might.
            let _ = self.file.set_len(0);
        }
    }

    /// Removes the file: the lock was released, so there is nothing left to prove.
    pub fn remove(self) {
        // A leftover file matches no lock.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes the run file of the lock with that ID, after releasing it on behalf of its run.
pub fn remove(directory: &Path, lock_id: &str) {
    if let Ok(path) = path_of(directory, lock_id) {
        // A leftover file matches no lock.
        let _ = std::fs::remove_file(path);
    }
}

/// Whether the program that worked under the lock with that ID was seen, according to its run file.
///
/// # Errors
/// There is no such run, or the system refuses.
pub fn sighting_of(directory: &Path, lock_id: &str) -> io::Result<Sighting> {
    let text = plain_file::read(&path_of(directory, lock_id)?, Link::Refuse, LARGEST)?;
    Ok(serde_json::from_slice::<Run>(&text)?.sighting)
}

/// A concurrent reader sees an invalid file, which proves nothing.
fn write(file: &File, run: &Run) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(run)?;
    text.push(b'\n');
    file.write_all_at(&text, 0)?;
    file.set_len(text.len() as u64)
}

/// The run file of the lock with that ID, which comes from the store and must not lead out of the directory.
///
/// # Errors
/// It is no ID.
pub fn path_of(directory: &Path, lock_id: &str) -> io::Result<PathBuf> {
    Ok(directory.join(name_of(lock_id, "run")?))
}

/// The name of a file of the lock with that ID; the same caution.
pub(super) fn name_of(lock_id: &str, extension: &str) -> io::Result<String> {
    let is_plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    if lock_id.is_empty() || lock_id.len() > 64 || !lock_id.bytes().all(is_plain) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    Ok(format!("{lock_id}.{extension}"))
}

/// Files in a directory that others can write prove nothing.
pub(super) fn for_this_user_alone(directory: &OwnDirectory) -> io::Result<()> {
    match directory.sharing() {
        Sharing::Private => Ok(()),
        Sharing::Group(_) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "others can write this directory",
        )),
    }
}

#[cfg(test)]
mod tests;
