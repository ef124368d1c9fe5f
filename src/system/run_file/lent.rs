//! Lends the lock of a run to one program at a time.
//!
//! The lender keeps a file beside its run file. A borrower takes an exclusive lock (flock(2)) on that file, its *turn*,
//! and a shared lock on the run file, its [`Place`](super::Place). It takes both through descriptors of its own, so that they last as
//! long as it does, whoever started it and whichever process group it is in. The program that it execs inherits both.
//! The lender ends the loan by taking both for itself; from then on nobody can borrow.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::flock::{free, hand_on, is_still_at, open};
use super::{RunFile, create_private, path_of};
use crate::system::process;

/// The lender's side of a loan.
#[derive(Debug)]
pub struct Loan {
    path: PathBuf,
    file: File,
}

impl Loan {
    /// Creates the file for a lock with that ID, the one of that `number` among the run's, in the first usable directory of
    /// `directories`, which is created if needed.
    ///
    /// # Errors
    /// Why the last of them is unusable.
    pub fn create(
        directories: impl IntoIterator<Item = PathBuf>,
        lock_id: &str,
        number: usize,
    ) -> io::Result<Self> {
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for directory in directories {
            match Self::create_in(&directory, lock_id, number) {
                Ok(loan) => return Ok(loan),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn create_in(directory: &Path, lock_id: &str, number: usize) -> io::Result<Self> {
        let path = loan_of(directory, lock_id, number)?;
        let file = create_private(directory, &path)?;
        Ok(Self { path, file })
    }

    /// The path that borrowers need.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the turn for good unless someone has it. Returns whether it did.
    ///
    /// # Errors
    /// An error of the operating system.
    pub fn take_back(&self) -> io::Result<bool> {
        free(self.file.try_lock())
    }

    /// The processes that have it, as far as we can see.
    #[must_use]
    pub fn borrowers(&self) -> Vec<process::Named> {
        process::users_of(&self.file)
    }

    /// Removes the file after the lock was released.
    pub fn remove(self) {
        remove(&self.path);
    }
}

/// Takes all turns that are not in use, and then all places, for good. Returns whether that was all of them: from then on
/// nothing runs under the lock any more, and nothing can borrow it. If a look fails, something may still run.
#[must_use]
pub fn are_back(loans: &[Loan], run_file: Option<&RunFile>) -> bool {
    let is_back = |loan: &&Loan| loan.take_back().unwrap_or(false);
    loans.iter().filter(is_back).count() == loans.len()
        && run_file.is_none_or(|file| file.take_all_places().unwrap_or(false))
}

/// Where the run with that lock ID lends the lock of that `number`.
fn loan_of(directory: &Path, lock_id: &str, number: usize) -> io::Result<PathBuf> {
    let extension = match number {
        0 => "lent".to_owned(),
        more => format!("{more}.lent"),
    };
    Ok(path_of(directory, lock_id)?.with_extension(extension))
}

/// Removes all loans of the run with that lock ID, on behalf of their lender.
pub(super) fn remove_all(directory: &Path, lock_id: &str) {
    for number in 0.. {
        let removed = loan_of(directory, lock_id, number).and_then(std::fs::remove_file);
        if removed.is_err() {
            return;
        }
    }
}

/// Removes a loan, also on behalf of its lender.
pub fn remove(loan: &Path) {
    // A leftover file lends nothing.
    let _ = std::fs::remove_file(loan);
}

/// The right to run under the lock, held by one program at a time.
#[derive(Debug)]
pub struct Turn(File);

/// The result of an attempt to take the turn.
#[derive(Debug)]
pub enum TurnAttempt {
    /// We have it.
    Got(Turn),
    /// Someone has it.
    InUse(InUse),
    /// The loan has ended.
    LoanEnded,
}

/// A turn that someone has.
#[derive(Debug)]
pub struct InUse(File);

impl InUse {
    /// The processes that have it, as far as we can see. Looks through all processes.
    #[must_use]
    pub fn by(&self) -> Vec<process::Named> {
        process::users_of(&self.0)
    }
}

impl Turn {
    /// Tries once to take the turn of that [`Loan`].
    ///
    /// # Errors
    /// The system refuses, or the file belongs to another user.
    pub fn try_take(loan: &Path) -> io::Result<TurnAttempt> {
        let Some(file) = open(loan)? else {
            return Ok(TurnAttempt::LoanEnded);
        };
        if !free(file.try_lock())? {
            return Ok(TurnAttempt::InUse(InUse(file)));
        }
        Ok(if is_still_at(&file, loan) {
            TurnAttempt::Got(Self(file))
        } else {
            TurnAttempt::LoanEnded
        })
    }

    /// Lets the program that this process execs inherit it.
    pub fn hand_on(&self) {
        hand_on(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::*;

    const ID: &str = "62d1ec43-aa57-55e6-d9b5-0461699f1699";

    fn loan() -> (tempfile::TempDir, Loan) {
        let above = tempfile::tempdir().unwrap();
        let loan = Loan::create([above.path().join("runs")], ID, 0).unwrap();
        (above, loan)
    }

    #[test]
    fn one_borrower_has_the_turn_and_the_lender_waits_for_it() {
        let (_above, loan) = loan();
        let TurnAttempt::Got(turn) = Turn::try_take(loan.path()).unwrap() else {
            panic!("nobody had it");
        };
        let TurnAttempt::InUse(turn_in_use) = Turn::try_take(loan.path()).unwrap() else {
            panic!("it was taken");
        };
        let who = turn_in_use.by();
        assert!(who.is_empty(), "only this process has it open: {who:?}");
        assert!(!loan.take_back().unwrap());
        drop(turn);
        // A process that another test forks has it for a moment.
        while !loan.take_back().unwrap() {
            std::thread::yield_now();
        }
        assert!(matches!(
            Turn::try_take(loan.path()),
            Ok(TurnAttempt::InUse(_))
        ));
        let path = loan.path().to_owned();
        loan.remove();
        assert!(matches!(Turn::try_take(&path), Ok(TurnAttempt::LoanEnded)));
    }

    #[test]
    fn locking_a_removed_file_gives_neither_turn_nor_place() {
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
    fn the_first_usable_directory_is_used() {
        let above = tempfile::tempdir().unwrap();
        let places = [PathBuf::from("/sys/no/runs"), above.path().join("runs")];
        let loan = Loan::create(places, ID, 0).unwrap();
        assert!(loan.path().starts_with(above.path()));
        assert!(Loan::create([PathBuf::from("/sys/no/runs")], ID, 0).is_err());
        assert!(Loan::create([], ID, 0).is_err());
    }

    #[test]
    fn each_lock_of_a_run_is_lent_by_itself_and_all_files_are_removed_in_its_place() {
        let above = tempfile::tempdir().unwrap();
        let runs = above.path().join("runs");
        let loans = [0, 1, 2].map(|number| Loan::create([runs.clone()], ID, number).unwrap());
        let Ok(TurnAttempt::Got(_turn)) = Turn::try_take(loans[1].path()) else {
            panic!("nobody had it");
        };
        assert!(loans[0].take_back().unwrap() && loans[2].take_back().unwrap());
        assert!(!loans[1].take_back().unwrap());
        remove_all(&runs, ID);
        assert_eq!(std::fs::read_dir(&runs).unwrap().count(), 0);
    }

    #[test]
    fn a_link_instead_of_the_file_is_not_followed() {
        let (above, loan) = loan();
        let link = above.path().join("link");
        std::os::unix::fs::symlink(loan.path(), &link).unwrap();
        assert!(Turn::try_take(&link).is_err());
        assert!(Place::try_take(&link).is_err());
    }
}
