//! A place in another process's run: as long as it is kept, the run looks alive, and its lock is not released.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::flock::{free, hand_on, is_still_at, open};

/// A shared flock(2) on the run file, through a descriptor of our own.
#[derive(Debug)]
pub struct Place(File);

impl Place {
    /// Takes a place in the run with that run file, waiting while the run is ending. `None` if it has ended.
    ///
    /// # Errors
    /// The system refuses, or the file belongs to another user.
    pub fn take(run_file: &Path) -> io::Result<Option<Self>> {
        let Some(file) = open(run_file)? else {
            return Ok(None);
        };
        file.lock_shared()?;
        Ok(is_still_at(&file, run_file).then_some(Self(file)))
    }

    /// Tries once to take a place in the run with that run file.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn try_take(run_file: &Path) -> io::Result<PlaceAttempt> {
        let Some(file) = open(run_file)? else {
            return Ok(PlaceAttempt::Ended);
        };
        if !free(file.try_lock_shared())? {
            return Ok(PlaceAttempt::Ending);
        }
        Ok(if is_still_at(&file, run_file) {
            PlaceAttempt::Got(Self(file))
        } else {
            PlaceAttempt::Ended
        })
    }

    /// Whether no one else has a place in that run. If so, ours becomes exclusive, and nobody can take another.
    #[must_use]
    pub fn is_the_last(&self) -> bool {
        if self.0.try_lock().is_ok() {
            return true;
        }
        // flock(2) does not say whether a failed upgrade kept the shared lock.
        let _ = self.0.lock_shared();
        false
    }

    /// Lets the program that this process execs inherit it.
    pub fn hand_on(&self) {
        hand_on(&self.0);
    }
}

/// The result of an attempt to take a place.
#[derive(Debug)]
pub enum PlaceAttempt {
    /// We have it.
    Got(Place),
    /// The run is about to end, and takes nobody in.
    Ending,
    /// The run has ended.
    Ended,
}

/// Turns an inherited place back into a shared one: the run that left it may have taken all places for good.
///
/// # Errors
/// An error of the operating system.
pub fn share(place: &OwnedFd) -> io::Result<()> {
    File::from(place.try_clone()?).lock_shared()
}
