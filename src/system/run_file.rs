//! The trace that a run leaves on its machine: a file named by its lock ID, there from before the lock is asked for until
//! after its release, with a shared lock (flock(2)) of everybody who works under it: tflock, its witness and its child.
//!
//! It is what a proof of death rests on. Machine IDs, boot IDs and process numbers are alike on machines of one image; this
//! file is only where the run was. A proof needs every trace to agree and every look to succeed. Nothing secret is in it:
//! arguments are kept as a hash.

pub mod lent;

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::own_directory::{OwnDirectory, Sharing};
use super::process::{self, Carries, Existence, ProcessIdentity, Stat};
use super::{hex, machine};

/// More is no run file of ours.
const LARGEST: u64 = 64 * 1024;

/// What is known of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Run {
    /// The lock ID that the file is named by.
    pub lock_id: String,
    /// The machine as [`machine::identity`] names it.
    machine: Option<String>,
    boot_id: String,
    pid_namespace: u64,
    time_namespace: Option<u64>,
    /// The user that tflock and its child run as.
    uid: u32,
    /// The session that tflock and its child run in; whoever changes its user (`sudo`) stays in it.
    session: i32,
    /// tflock itself.
    tflock: ProcessIdentity,
    /// The program that runs under the lock, once it was started.
    child: Option<ProcessIdentity>,
    /// Whether the program that does the work was seen among the processes of this machine.
    sighting: Sighting,
    /// A hash of the child's arguments, without its program, once they are known.
    arguments: Option<String>,
    /// Where the child may be working.
    directories: Vec<String>,
}

/// Whether the program that works under the lock was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sighting {
    /// Nothing was started yet.
    NotStarted,
    /// Something was started, and what does the work may be elsewhere: in a container, on another host.
    Unseen,
    /// A process with exactly these arguments was there.
    Seen,
}

impl Run {
    /// This process, about to ask for the lock of that ID and to start a program that works in one of `directories`. `None`
    /// where the system does not tell what a proof would need.
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
        })
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

/// Two directories that differ may have one text, which keeps a proof from being made, never the other way round.
fn text_of(directory: &Path) -> String {
    directory.to_string_lossy().into_owned()
}

/// The file of a living run.
#[derive(Debug)]
pub struct RunFile {
    path: PathBuf,
    file: File,
    run: Run,
}

/// A new file for this user alone, in a directory that only this user can write and that is made if need be.
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
    /// Puts the file into `directory`, which is made if need be, and takes the first place of the run.
    ///
    /// # Errors
    /// What the system says; a directory that others could write.
    pub fn create(directory: &Path, run: Run) -> io::Result<Self> {
        let path = path_of(directory, &run.lock_id)?;
        // Nobody must see it before its lock: whoever finds it without takes its run for dead.
        let unnamed = path.with_extension(format!("{}.new", std::process::id()));
        let file = create_private(directory, &unnamed)?;
        let created = file
            .lock_shared()
            .and_then(|()| write(&file, &run))
            .and_then(|()| std::fs::rename(&unnamed, &path));
        if let Err(error) = created {
            // What is left of it names no lock.
            let _ = std::fs::remove_file(&unnamed);
            return Err(error);
        }
        Ok(Self { path, file, run })
    }

    /// The place that the child and the witness keep: as long as one of them has this descriptor open, the run lives.
    #[must_use]
    pub fn place(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all places for good, if nobody has one but those that have inherited ours.
    ///
    /// # Errors
    /// What the system says.
    pub fn take_all_places(&self) -> io::Result<bool> {
        if lent::free(self.file.try_lock())? {
            return Ok(true);
        }
        // What was tried has cost us our own.
        self.file.lock_shared()?;
        Ok(false)
    }

    /// Who has the file open, as far as can be told.
    #[must_use]
    pub fn users(&self) -> Vec<process::Named> {
        process::having_open(&self.file)
    }

    /// Notes what the child is about to be called with.
    pub fn note_arguments(&mut self, arguments: &[OsString]) {
        self.run.arguments = Some(hash_of(arguments));
        self.write();
    }

    /// Notes the program that was started, and whether it was seen to do the work itself.
    pub fn note_child(&mut self, child: Option<ProcessIdentity>, sighting: Sighting) {
        self.run.child = child;
        self.run.sighting = sighting;
        self.write();
    }

    /// A failure leaves the run without a proof.
    fn write(&self) {
        if write(&self.file, &self.run).is_err() {
            // Half a file proves nothing; an old one might.
            let _ = self.file.set_len(0);
        }
    }

    /// The lock has been given back: there is nothing left to prove.
    pub fn remove(self) {
        // A file that stays is found to name no lock.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The lock of that ID has been given back in the place of its run: there is nothing left to prove.
pub fn remove(directory: &Path, lock_id: &str) {
    if let Ok(path) = path_of(directory, lock_id) {
        // A file that stays is found to name no lock.
        let _ = std::fs::remove_file(path);
    }
}

/// Makes an inherited place one that others can have beside it: the run that left it may have taken all of them for good.
///
/// # Errors
/// What the system says.
pub fn share(place: &OwnedFd) -> io::Result<()> {
    File::from(place.try_clone()?).lock_shared()
}

/// A place in another's run, of one's own: it can tell whether it is the last.
#[derive(Debug)]
pub struct Place {
    file: File,
}

impl Place {
    /// Takes one in the run that has the lock of that ID.
    ///
    /// # Errors
    /// What the system says; there is no such run.
    pub fn take(directory: &Path, lock_id: &str) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path_of(directory, lock_id)?)?;
        file.lock_shared()?;
        Ok(Self { file })
    }

    /// Whether nobody else has a place in that run. From then on nobody can tell it from a run that lives.
    #[must_use]
    pub fn is_the_last(&self) -> bool {
        if self.file.try_lock().is_ok() {
            return true;
        }
        // What has become of ours in the attempt is not said (flock(2)).
        let _ = self.file.lock_shared();
        false
    }
}

/// A reader that comes in between sees a text that cannot be read, and proves nothing by it.
fn write(file: &File, run: &Run) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(run)?;
    text.push(b'\n');
    file.write_all_at(&text, 0)?;
    file.set_len(text.len() as u64)
}

/// Whatever may stand in the table as a lock ID must not lead out of the directory.
fn path_of(directory: &Path, lock_id: &str) -> io::Result<PathBuf> {
    let is_plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    if lock_id.is_empty() || lock_id.len() > 64 || !lock_id.bytes().all(is_plain) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    Ok(directory.join(format!("{lock_id}.run")))
}

/// What others could write proves nothing.
fn for_this_user_alone(directory: &OwnDirectory) -> io::Result<()> {
    match directory.sharing() {
        Sharing::Private => Ok(()),
        Sharing::Group(_) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "others can write this directory",
        )),
    }
}

/// What the traces of a run say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traces {
    /// Somebody still works under its lock, or may.
    Living,
    /// All agree that it has ended, in this boot.
    Ended,
    /// All agree that it has ended, in an earlier boot; or this is a copy of the disk that it ran on.
    EndedBeforeBoot,
    /// There are none here, one refutes the others, or a look failed.
    Inconclusive,
}

/// What the run that holds the lock `lock_id` has left in `directory`, and among the processes of this machine. `claimed` is
/// the process that the lock's record names.
#[must_use]
pub fn traces_of(directory: &Path, lock_id: &str, claimed: ProcessIdentity) -> Traces {
    // Whatever cannot be looked at is no proof.
    look(directory, lock_id, claimed).unwrap_or(Traces::Inconclusive)
}

fn look(directory: &Path, lock_id: &str, claimed: ProcessIdentity) -> io::Result<Traces> {
    let path = path_of(directory, lock_id)?;
    match OwnDirectory::open(directory).map_err(io::Error::other)? {
        Some(directory) => for_this_user_alone(&directory)?,
        None => return Ok(Traces::Inconclusive),
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(&path)?;
    let status = file.metadata()?;
    let own = nix::unistd::geteuid().as_raw();
    if !status.is_file() || status.uid() != own || status.len() > LARGEST {
        return Ok(Traces::Inconclusive);
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Traces::Living),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut text = Vec::new();
    (&file).take(LARGEST).read_to_end(&mut text)?;
    let run: Run = serde_json::from_slice(&text)?;
    if run.lock_id != lock_id
        || run.tflock != claimed
        || run.uid != own
        || run.is_of_another_machine()
    {
        return Ok(Traces::Inconclusive);
    }
    if run.sighting == Sighting::Unseen {
        return Ok(Traces::Inconclusive);
    }
    if machine::boot_id().as_ref() != Some(&run.boot_id) {
        // A container's directory may have come from another host.
        return Ok(match run.machine {
            Some(_) => Traces::EndedBeforeBoot,
            None => Traces::Inconclusive,
        });
    }
    run.look_at_processes()
}

impl Run {
    /// Every trace of a machine can be copied, so that equal ones prove nothing; others refute.
    fn is_of_another_machine(&self) -> bool {
        self.machine != machine::identity()
    }

    fn look_at_processes(&self) -> io::Result<Traces> {
        let elsewhere = machine::pid_namespace() != Some(self.pid_namespace)
            || machine::time_namespace() != self.time_namespace;
        if elsewhere || process::are_hidden() {
            return Ok(Traces::Inconclusive);
        }
        for named in [Some(self.tflock), self.child].into_iter().flatten() {
            match named.existence() {
                Existence::Exists => return Ok(Traces::Living),
                Existence::Hidden => return Ok(Traces::Inconclusive),
                Existence::Absent => {}
            }
        }
        for pid in process::all()? {
            if pid != std::process::id() && self.may_be_its(pid)? {
                return Ok(Traces::Inconclusive);
            }
        }
        Ok(Traces::Ended)
    }

    /// Whether a process may work under the lock: it carries the lock's ID, or has the child's arguments in its directory, or
    /// hides both and could be the run's.
    fn may_be_its(&self, pid: u32) -> io::Result<bool> {
        let stat = match Stat::read(pid) {
            Ok(stat) => stat,
            // Gone since the list was made.
            Err(_) if process::existence_of(pid) == Existence::Absent => return Ok(false),
            Err(error) => return Err(error),
        };
        // What the run started, it started later. That leaves out the many old processes that keep their environment to
        // themselves, such as an ssh-agent.
        if stat.has_ended() || stat.is_kernel_thread || stat.start_time < self.tflock.start_time {
            return Ok(false);
        }
        match process::carries(pid, self.lock_id.as_bytes()) {
            Carries::Yes => return Ok(true),
            Carries::Hidden => {
                let same_user = process::owner(pid).is_ok_and(|owner| owner == self.uid);
                if same_user || stat.session == self.session {
                    return Ok(true);
                }
            }
            Carries::No => {}
        }
        let Ok(words) = process::command_line(pid) else {
            return Ok(process::existence_of(pid) != Existence::Absent);
        };
        let Some((_, arguments)) = words.split_first() else {
            return Ok(false);
        };
        // Another tflock that waits for this very lock has the same arguments.
        let is_same = self.arguments.as_ref() == Some(&hash_of(arguments));
        if !is_same || process::is_same_program(pid) {
            return Ok(false);
        }
        // Where it works may be hidden, by another user's process for instance.
        Ok(process::directory(pid).map_or(true, |directory| {
            self.directories.contains(&text_of(&directory))
        }))
    }
}

#[cfg(test)]
mod tests;
