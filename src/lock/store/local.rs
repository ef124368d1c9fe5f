//! The local store: one file for each lock in a directory of this machine.
//!
//! A record changes only while the kernel's lock on a file beside it is held, and only by a rename of a file
//! that is on disk already, so that neither a kill nor a power cut can leave half a record or free a lock.
//! The kernel's lock lasts for one request, not for the run: what holds is the record.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    Answer, Heartbeats, Identity, Revision, Store, StoreError, StoreErrorKind, Stored, Swap,
};
use crate::lock::host::hex;
use crate::lock::record::{Lease, Record};

/// How long one request waits for another process's, which takes milliseconds.
const GUARD_PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks.
const GUARD_INTERVAL: Duration = Duration::from_millis(5);

/// A record as its file says it.
#[derive(Serialize, Deserialize)]
struct RecordFile {
    #[serde(rename = "LockID")]
    lock_id: String,
    #[serde(rename = "Info")]
    info: Option<String>,
    #[serde(flatten)]
    lease: Option<Lease>,
}

/// One lock's files.
#[derive(Clone, Debug)]
pub struct LocalStore {
    key: String,
    record: PathBuf,
    guard: PathBuf,
}

impl LocalStore {
    /// The lock named `key` in `directory`, which is created when it is first needed.
    #[must_use]
    pub fn new(directory: &Path, key: &str) -> Self {
        let name = hex(&Sha256::digest(key)[..16]);
        Self {
            key: key.to_owned(),
            record: directory.join(format!("{name}.json")),
            guard: directory.join(format!("{name}.guard")),
        }
    }

    fn error(&self, action: &'static str, error: &io::Error) -> StoreError {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StoreErrorKind::AccessDenied
            }
            io::ErrorKind::Unsupported | io::ErrorKind::NotADirectory | io::ErrorKind::NotFound => {
                StoreErrorKind::Unsuitable
            }
            io::ErrorKind::TimedOut => StoreErrorKind::Throttled,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::Rejected,
            // It may have come after the rename.
            _ => StoreErrorKind::ServerFailure,
        };
        StoreError {
            action,
            place: self.place(),
            kind,
            message: error.to_string(),
            remedy: Some(
                "name a directory that can be written and locked with TFLOCK_LOCAL_DIR".to_owned(),
            ),
        }
    }

    /// Holds the kernel's lock on the guard file until it is dropped.
    async fn guard(&self) -> io::Result<File> {
        let guard = match open_guard(&self.guard) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_private_directory(self.guard.parent().unwrap_or(Path::new("/")))?;
                open_guard(&self.guard)?
            }
            guard => guard?,
        };
        let mut waited = Duration::ZERO;
        loop {
            match guard.try_lock() {
                Ok(()) => return Ok(guard),
                Err(TryLockError::WouldBlock) if waited < GUARD_PATIENCE => {
                    tokio::time::sleep(GUARD_INTERVAL).await;
                    waited += GUARD_INTERVAL;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("another process keeps `{}` locked", self.guard.display()),
                    ));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(io::Error::new(
                        io::ErrorKind::Unsupported,
                        format!(
                            "the file system of `{}` cannot lock files: {error}",
                            self.guard.display()
                        ),
                    ));
                }
            }
        }
    }

    fn current(&self) -> io::Result<Option<Stored>> {
        let bytes = match std::fs::read(&self.record) {
            Ok(bytes) => bytes,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // A file that is not a record still holds the lock: somebody may have meant it.
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

    /// On disk before it has its name, and its name on disk before anybody hears of it.
    fn write(&self, record: &Record) -> io::Result<()> {
        let file = RecordFile {
            lock_id: self.key.clone(),
            info: record.info.clone(),
            lease: record.lease.clone(),
        };
        let new = self.record.with_extension("new");
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Never through a link that somebody has put there.
        let mut handle = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        serde_json::to_writer_pretty(&mut handle, &file)?;
        handle.write_all(b"\n")?;
        handle.sync_all()?;
        std::fs::rename(&new, &self.record).map_err(perhaps_done)?;
        self.sync_directory().map_err(perhaps_done)
    }

    fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.record).map_err(perhaps_done)?;
        self.sync_directory().map_err(perhaps_done)
    }

    fn sync_directory(&self) -> io::Result<()> {
        match self.record.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    async fn swap_files(
        &self,
        expected: Option<&Stored>,
        new: Option<&Record>,
    ) -> io::Result<Swap> {
        let _guard = self.guard().await?;
        let current = self.current()?;
        if current.as_ref().map(|stored| &stored.revision)
            != expected.map(|stored| &stored.revision)
        {
            return Ok(Swap::Refused(current));
        }
        match new {
            Some(record) => self.write(record)?,
            None if current.is_some() => self.remove()?,
            None => {}
        }
        Ok(Swap::Done(self.current()?))
    }
}

/// Makes sure of a directory for local locks and whatever else tflock keeps. Only the last one is for this user alone: those
/// above it may be wanted by others.
///
/// # Errors
/// What the system says.
pub fn create_private_directory(directory: &Path) -> io::Result<()> {
    if let Some(above) = directory.parent() {
        std::fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// From here on a failure does not say that nothing was changed, whatever its kind.
fn perhaps_done(error: io::Error) -> io::Error {
    io::Error::other(error)
}

fn open_guard(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

impl Store for LocalStore {
    /// A rename is atomic, so that reading needs no lock and leaves no trace.
    fn read(&self) -> Answer<'_, Option<Stored>> {
        Box::pin(async {
            self.current()
                .map_err(|error| self.error("reading", &error))
        })
    }

    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> Answer<'a, Swap> {
        Box::pin(async move {
            self.swap_files(expected, new).await.map_err(|error| {
                let action = if new.is_some() { "writing" } else { "removing" };
                self.error(action, &error)
            })
        })
    }

    fn heartbeats(&self) -> Heartbeats {
        Heartbeats::Written
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn identity(&self) -> Identity {
        Identity::of(&[self.kind(), &self.record.to_string_lossy()])
    }

    fn place(&self) -> String {
        format!("the local lock file `{}`", self.record.display())
    }

    fn kind(&self) -> &'static str {
        "local"
    }
}
