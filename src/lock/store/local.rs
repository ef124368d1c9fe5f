//! The local store: one file per lock in a directory of this machine.
//!
//! A record changes only while a guard file beside it is locked in the kernel, and only by renaming a file that is
//! already on disk. So neither a kill nor a power cut can leave half a record or free a lock. The guard is held for one
//! request, not for the run: the record is the lock.

mod listing;
mod trouble;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use self::trouble::Trouble;
use super::off_thread::Renamed;
use super::{
    Heartbeats, Identity, Page, Revision, SET_UP, Store, StoreError, StoreFuture, Stored, Swap,
};
use crate::lock::host::hex;
use crate::lock::record::{ATTRIBUTES, Lease, Record};
use crate::system::own_directory::{FileError, OwnDirectory, Sharing};

/// How long one request waits for another process's request, which takes milliseconds.
const GUARD_PATIENCE: Duration = Duration::from_secs(5);
/// How long another user may take to open a new file to the group.
const MAKING_PATIENCE: Duration = Duration::from_millis(500);
const GUARD_INTERVAL: Duration = Duration::from_millis(5);

#[derive(Serialize, Deserialize)]
struct RecordFile {
    #[serde(rename = "LockID")]
    lock_id: String,
    #[serde(rename = "Info")]
    info: Option<String>,
    #[serde(flatten)]
    lease: Option<Lease>,
    /// Members added by a newer tflock or someone else.
    #[serde(flatten, skip_deserializing)]
    foreign: Map<String, Value>,
}

/// The unknown members of a record.
fn foreign(stored: &Stored) -> Map<String, Value> {
    let Revision::Bytes(bytes) = &stored.revision else {
        return Map::new();
    };
    let Ok(all) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
        return Map::new();
    };
    let is_known = |name: &str| name == "LockID" || ATTRIBUTES.contains(&name);
    all.into_iter()
        .filter(|(name, _)| !is_known(name))
        .collect()
}

/// One lock's files.
#[derive(Clone, Debug)]
pub struct LocalStore {
    key: String,
    /// Their directory, or why there is none.
    directory: Result<PathBuf, String>,
    name: String,
}

impl LocalStore {
    /// Its value of `--store`.
    pub const KIND: &str = "local";

    /// The lock named `key` in `directory`, which is created when first needed.
    #[must_use]
    pub fn new(directory: &Path, key: &str) -> Self {
        Self::in_place(Ok(directory.to_owned()), key)
    }

    /// A lock that cannot be taken, because there is no directory for it: `reason`.
    #[must_use]
    pub fn nowhere(reason: impl Into<String>, key: &str) -> Self {
        Self::in_place(Err(reason.into()), key)
    }

    fn in_place(directory: Result<PathBuf, String>, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            directory,
            name: hex(&Sha256::digest(key)[..16]),
        }
    }

    fn record(&self) -> String {
        format!("{}.json", self.name)
    }

    fn directory(&self) -> Result<&Path, Trouble> {
        self.directory
            .as_deref()
            .map_err(|reason| Trouble::NoPlace(reason.clone()))
    }

    fn error(&self, action: &'static str, trouble: &Trouble) -> StoreError {
        let (kind, remedy) = trouble.assessed();
        StoreError {
            action: if matches!(trouble, Trouble::NoPlace(_)) {
                SET_UP
            } else {
                action
            },
            place: self.place(),
            kind,
            message: trouble.to_string(),
            remedy: Some(remedy.to_owned()),
        }
    }

    /// Opens the directory and locks the guard file, until the file is dropped.
    async fn guard(&self) -> Result<(OwnDirectory, File), Trouble> {
        let directory = OwnDirectory::create(self.directory()?)?;
        let name = format!("{}.guard", self.name);
        let mut waited = Duration::ZERO;
        loop {
            let busy = match directory.open_or_create(&name) {
                Ok(guard) => match guard.try_lock() {
                    Ok(()) => return Ok((directory, guard)),
                    Err(TryLockError::WouldBlock) => Trouble::Busy(name.clone()),
                    Err(TryLockError::Error(error)) => return Err(Trouble::Unlockable(error)),
                },
                // Another user has just created it, but not opened it to the group yet.
                Err(FileError::System(error))
                    if error.kind() == io::ErrorKind::PermissionDenied
                        && directory.sharing() != Sharing::Private
                        && waited < MAKING_PATIENCE =>
                {
                    error.into()
                }
                Err(error) => return Err(error.into()),
            };
            if waited >= GUARD_PATIENCE {
                return Err(busy);
            }
            tokio::time::sleep(GUARD_INTERVAL).await;
            waited += GUARD_INTERVAL;
        }
    }

    fn current(&self, directory: &OwnDirectory) -> Result<Option<Stored>, Trouble> {
        let Some(bytes) = directory.read(&self.record())? else {
            return Ok(None);
        };
        // A file that is not a record still holds the lock: someone may have meant it.
        let record = match serde_json::from_slice::<RecordFile>(&bytes) {
            Ok(file) => Record {
                info: file.info,
                lease: file.lease,
            },
            Err(_) => Record {
                info: Some(String::from_utf8_lossy(&bytes).into_owned()),
                lease: None,
            },
        };
        Ok(Some(Stored {
            record,
            revision: Revision::Bytes(bytes),
        }))
    }

    /// Synced before the rename, and the rename synced before anyone learns of it.
    fn write(
        &self,
        directory: &OwnDirectory,
        record: &Record,
        before: Option<&Stored>,
    ) -> Result<(), Trouble> {
        let file = RecordFile {
            lock_id: self.key.clone(),
            info: record.info.clone(),
            lease: record.lease.clone(),
            foreign: before.map(foreign).unwrap_or_default(),
        };
        let new = format!("{}.new", self.name);
        let mut bytes = serde_json::to_vec_pretty(&file).map_err(io::Error::from)?;
        bytes.push(b'\n');
        directory.write_new(&new, &bytes)?;
        directory
            .rename(&new, &self.record())
            .map_err(Trouble::PerhapsDone)?;
        directory.sync().map_err(Trouble::PerhapsDone)
    }

    fn remove(&self, directory: &OwnDirectory) -> Result<(), Trouble> {
        directory
            .remove(&self.record())
            .map_err(Trouble::PerhapsDone)?;
        directory.sync().map_err(Trouble::PerhapsDone)
    }

    async fn swap_files(
        &self,
        expected: Option<&Stored>,
        new: Option<&Record>,
    ) -> Result<Swap, Trouble> {
        let (directory, _guard) = self.guard().await?;
        let current = self.current(&directory)?;
        if current.as_ref().map(|stored| &stored.revision)
            != expected.map(|stored| &stored.revision)
        {
            return Ok(Swap::Refused(current));
        }
        match new {
            Some(record) => self.write(&directory, record, expected)?,
            None if current.is_some() => self.remove(&directory)?,
            None => {}
        }
        Ok(Swap::Done(self.current(&directory)?))
    }

    /// A rename is atomic, so reading needs no guard.
    fn read_file(&self) -> Result<Option<Stored>, Trouble> {
        match self.open_directory()? {
            Some(directory) => self.current(&directory),
            None => Ok(None),
        }
    }

    /// The directory; `None` if there is none yet.
    fn open_directory(&self) -> Result<Option<OwnDirectory>, Trouble> {
        match OwnDirectory::open(self.directory()?) {
            Err(FileError::System(error)) if error.kind() == io::ErrorKind::NotADirectory => {
                Ok(None)
            }
            opened => Ok(opened?),
        }
    }
}

impl Renamed for LocalStore {
    fn renamed(&self, key: &str) -> Self {
        Self::in_place(self.directory.clone(), key)
    }
}

impl Store for LocalStore {
    fn read(&self) -> StoreFuture<'_, Option<Stored>> {
        Box::pin(async {
            self.read_file()
                .map_err(|trouble| self.error("reading", &trouble))
        })
    }

    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        Box::pin(async move {
            self.swap_files(expected, new).await.map_err(|trouble| {
                let action = if new.is_some() { "writing" } else { "removing" };
                self.error(action, &trouble)
            })
        })
    }

    fn heartbeats(&self) -> Heartbeats {
        Heartbeats::Compared
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn identity(&self) -> Identity {
        Identity::of(&[self.kind(), &self.place()])
    }

    fn place(&self) -> String {
        match &self.directory {
            Ok(directory) => format!(
                "the local lock file `{}`",
                directory.join(self.record()).display()
            ),
            Err(_) => "a local lock file".to_owned(),
        }
    }

    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn list<'a>(&'a self, _: Option<&'a str>) -> StoreFuture<'a, Page> {
        Box::pin(async {
            self.list_files()
                .map_err(|trouble| self.error("listing", &trouble))
        })
    }

    fn container(&self) -> String {
        match &self.directory {
            Ok(directory) => format!("the local locks in `{}`", directory.display()),
            Err(_) => "the local locks".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_guard_that_stays_locked_fails_the_request_after_five_seconds_and_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalStore::new(&directory.path().join("locks"), "key");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (_, guard) = runtime.block_on(store.guard()).unwrap();
        let record = Record {
            info: Some("{}".to_owned()),
            lease: None,
        };
        let begun = Instant::now();
        let refused = runtime.block_on(store.swap(None, Some(&record)));
        let took = begun.elapsed();
        assert!(!refused.unwrap_err().kind.may_have_been_applied());
        // The upper bound allows for a busy machine.
        let (shortest, longest) = (Duration::from_secs(5), Duration::from_secs(25));
        assert!((shortest..=longest).contains(&took), "{took:?}");
        drop(guard);
        assert_eq!(runtime.block_on(store.read()).unwrap(), None);
        let taken = runtime.block_on(store.swap(None, Some(&record)));
        assert!(matches!(taken, Ok(Swap::Done(Some(_)))));
    }
}
