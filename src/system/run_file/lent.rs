//! What a run lends: its lock, to one program at a time.
//!
//! The lender keeps a file beside its run file. Whoever runs under the lock has the exclusive lock (flock(2)) of that file,
//! its *turn*, and a shared lock of the run file, its *place*. Both are taken through descriptors of its own, so that they
//! last as long as it does, whoever started it and whichever group it is in; and both are inherited by the program that it
//! becomes. The lender gives its own lock back when it has got both for itself: from then on nobody can borrow it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc;

use super::{create_private, path_of};
use crate::system::process;

/// The lender's side of it.
#[derive(Debug)]
pub struct Loan {
    path: PathBuf,
    file: File,
}

impl Loan {
    /// Puts the file for the lock of that ID into the first of `directories` that will do, which is made if need be.
    ///
    /// # Errors
    /// What is wrong with the last of them.
    pub fn create(
        directories: impl IntoIterator<Item = PathBuf>,
        lock_id: &str,
    ) -> io::Result<Self> {
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for directory in directories {
            match Self::create_in(&directory, lock_id) {
                Ok(loan) => return Ok(loan),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn create_in(directory: &Path, lock_id: &str) -> io::Result<Self> {
        let path = path_of(directory, lock_id)?.with_extension("lent");
        let file = create_private(directory, &path)?;
        Ok(Self { path, file })
    }

    /// What a borrower is told.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the turn for good, if nobody has it.
    ///
    /// # Errors
    /// What the system says.
    pub fn take_back(&self) -> io::Result<bool> {
        free(self.file.try_lock())
    }

    /// Who has it, as far as can be told.
    #[must_use]
    pub fn borrowers(&self) -> Vec<process::Named> {
        process::having_open(&self.file)
    }

    /// The lock has been given back.
    pub fn remove(self) {
        // What stays is found to lend nothing.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A place among those that a run waits for before it gives its lock back.
#[derive(Debug)]
pub struct Place(File);

impl Place {
    /// Takes a place of the run with that run file. `None` if it has ended; while it is ending, that is waited for.
    ///
    /// # Errors
    /// What the system says; a file that is not this user's.
    pub fn take(run_file: &Path) -> io::Result<Option<Self>> {
        let Some(file) = open(run_file)? else {
            return Ok(None);
        };
        file.lock_shared()?;
        Ok(is_still_at(&file, run_file).then_some(Self(file)))
    }

    /// The same, but without a wait: `None` as well if it is ending.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_at_once(run_file: &Path) -> io::Result<Option<Self>> {
        let Some(file) = open(run_file)? else {
            return Ok(None);
        };
        let is_taken = free(file.try_lock_shared())?;
        Ok((is_taken && is_still_at(&file, run_file)).then_some(Self(file)))
    }

    /// Lets the program that this process becomes keep it.
    pub fn hand_on(&self) {
        hand_on(&self.0);
    }
}

/// The right to run under the lock, which one program at a time has.
#[derive(Debug)]
pub struct Turn(File);

/// What came of asking for a turn.
#[derive(Debug)]
pub enum Asked {
    /// It is ours.
    Got(Turn),
    /// These have it, as far as can be told.
    Taken(Vec<process::Named>),
    /// Nothing is lent any more.
    Ended,
}

impl Turn {
    /// Asks once for the turn at that [`Loan`].
    ///
    /// # Errors
    /// What the system says; a file that is not this user's.
    pub fn ask(loan: &Path) -> io::Result<Asked> {
        let Some(file) = open(loan)? else {
            return Ok(Asked::Ended);
        };
        if !free(file.try_lock())? {
            return Ok(Asked::Taken(process::having_open(&file)));
        }
        Ok(if is_still_at(&file, loan) {
            Asked::Got(Self(file))
        } else {
            Asked::Ended
        })
    }

    /// Lets the program that this process becomes keep it.
    pub fn hand_on(&self) {
        hand_on(&self.0);
    }
}

/// Both kinds of file are only ever locked by whoever comes from outside, never written.
fn open(path: &Path) -> io::Result<Option<File>> {
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

/// A lock of a file that has been removed meanwhile is worth nothing.
fn is_still_at(file: &File, path: &Path) -> bool {
    let place = |status: std::fs::Metadata| (status.dev(), status.ino());
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(own), Ok(there)) => place(own) == place(there),
        _ => false,
    }
}

pub(super) fn free(locked: Result<(), TryLockError>) -> io::Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn hand_on(file: &File) {
    // SAFETY: a system call that takes numbers; the descriptor is open.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "62d1ec43-aa57-55e6-d9b5-0461699f1699";

    fn loan() -> (tempfile::TempDir, Loan) {
        let above = tempfile::tempdir().unwrap();
        let loan = Loan::create([above.path().join("runs")], ID).unwrap();
        (above, loan)
    }

    #[test]
    fn one_at_a_time_has_the_turn_and_the_lender_waits_for_it() {
        let (_above, loan) = loan();
        let Asked::Got(turn) = Turn::ask(loan.path()).unwrap() else {
            panic!("nobody had it");
        };
        let Asked::Taken(who) = Turn::ask(loan.path()).unwrap() else {
            panic!("it was taken");
        };
        assert!(who.is_empty(), "only this process has it open: {who:?}");
        assert!(!loan.take_back().unwrap());
        drop(turn);
        assert!(loan.take_back().unwrap());
        assert!(matches!(Turn::ask(loan.path()), Ok(Asked::Taken(_))));
        let path = loan.path().to_owned();
        loan.remove();
        assert!(matches!(Turn::ask(&path), Ok(Asked::Ended)));
    }

    #[test]
    fn whoever_got_the_lock_of_a_removed_file_has_neither_turn_nor_place() {
        let (_above, loan) = loan();
        let file = open(loan.path()).unwrap().unwrap();
        file.lock_shared().unwrap();
        assert!(is_still_at(&file, loan.path()));
        std::fs::rename(loan.path(), loan.path().with_extension("old")).unwrap();
        assert!(!is_still_at(&file, loan.path()));
        std::fs::write(loan.path(), "").unwrap();
        assert!(!is_still_at(&file, loan.path()));
    }

    #[test]
    fn the_first_directory_that_will_do_is_taken() {
        let above = tempfile::tempdir().unwrap();
        let places = [PathBuf::from("/sys/no/runs"), above.path().join("runs")];
        let loan = Loan::create(places, ID).unwrap();
        assert!(loan.path().starts_with(above.path()));
        assert!(Loan::create([PathBuf::from("/sys/no/runs")], ID).is_err());
        assert!(Loan::create([], ID).is_err());
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_not_followed() {
        let (above, loan) = loan();
        let link = above.path().join("link");
        std::os::unix::fs::symlink(loan.path(), &link).unwrap();
        assert!(Turn::ask(&link).is_err());
        assert!(Place::take(&link).is_err());
    }
}
