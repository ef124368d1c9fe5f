//! The runs of this user on this machine whose traces still exist: those that are alive, and those that were killed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{Run, Traces, for_this_user_alone, path_of, remove, traces_of};
use crate::system::own_directory::OwnDirectory;
use crate::system::process::Existence;

/// How long a request of a killed run may still be carried out: its signature is valid for a quarter of an hour.
const LATEST_REQUEST: Duration = Duration::from_mins(20);

/// A run that has left a trace.
#[derive(Debug)]
pub struct LeftRun {
    directory: PathBuf,
    run: Run,
}

/// All of them; none if there is no directory.
///
/// # Errors
/// The system refuses, or others can write to the directory: then nothing in it is a proof.
pub fn left_runs(directory: &Path) -> io::Result<Vec<LeftRun>> {
    let Some(opened) = OwnDirectory::open(directory).map_err(io::Error::other)? else {
        return Ok(Vec::new());
    };
    for_this_user_alone(&opened)?;
    let mut names = opened.names()?;
    names.sort();
    let runs = names.iter().filter_map(|name| {
        let lock_id = name.strip_suffix(".run")?;
        // It may have ended meanwhile, or may not be a run file.
        let text = opened.read(name).ok()??;
        let run: Run = serde_json::from_slice(&text).ok()?;
        (run.lock_id == lock_id).then(|| LeftRun {
            directory: directory.to_owned(),
            run,
        })
    });
    Ok(runs.collect())
}

impl LeftRun {
    /// The lock ID.
    #[must_use]
    pub fn lock_id(&self) -> &str {
        &self.run.lock_id
    }

    /// Where its locks are, in the form that their creator chose; null if unknown.
    #[must_use]
    pub fn whereabouts(&self) -> &Value {
        &self.run.whereabouts
    }

    /// What its traces prove now.
    #[must_use]
    pub fn traces(&self) -> Traces {
        traces_of(&self.directory, &self.run.lock_id, self.run.tflock)
    }

    /// Whether tflock itself has certainly ended, so that at most its witness and its terraform are left.
    #[must_use]
    pub fn has_lost_tflock(&self) -> bool {
        self.run.tflock.existence() == Existence::Absent
    }

    /// Whether its trace still exists: a run, or its witness, removes it after releasing the lock.
    #[must_use]
    pub fn is_here(&self) -> bool {
        path_of(&self.directory, &self.run.lock_id).is_ok_and(|path| path.exists())
    }

    /// Removes its traces once its lock is known to be released.
    pub fn forget(&self) {
        remove(&self.directory, &self.run.lock_id);
        super::lent::remove_all(&self.directory, &self.run.lock_id);
    }

    /// Removes its traces if no lock of it was found, unless a last request may still be on its way.
    pub fn forget_if_long_over(&self) {
        let Ok(path) = path_of(&self.directory, &self.run.lock_id) else {
            return;
        };
        let written = path.metadata().and_then(|status| status.modified());
        let age = written.map(|written| SystemTime::now().duration_since(written));
        if matches!(age, Ok(Ok(age)) if age > LATEST_REQUEST) {
            self.forget();
        }
    }
}
