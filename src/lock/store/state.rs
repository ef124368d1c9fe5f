//! The state that a lock protects, as a read-only store: read to see whether it changes, never written.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::dynamodb::DynamoDbStore;
use super::s3::StateObject;
use super::{
    Heartbeats, Identity, Revision, Store, StoreError, StoreErrorKind, StoreFuture, Stored, Swap,
};
use crate::lock::record::Record;
use crate::system::plain_file;

/// How long reading a state file may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// A state, and how to tell its versions apart. Two reads with equal revisions found the same content.
#[derive(Debug)]
pub enum LockedState {
    /// By terraform's digest, an item next to the lock in DynamoDB.
    Digest(Box<DynamoDbStore>),
    /// By the headers of its S3 object.
    Object(StateObject),
    /// By the content of its file.
    File(StateFile),
}

impl LockedState {
    /// The state in a file.
    #[must_use]
    pub fn file(path: PathBuf) -> Self {
        Self::File(StateFile {
            name: path.to_string_lossy().into_owned(),
            path,
        })
    }
}

/// A state file.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    name: String,
}

impl StateFile {
    /// Reads on another thread: a file system can hang.
    async fn version(&self) -> Result<Option<Stored>, StoreError> {
        let path = self.path.clone();
        let reading = timeout(ANSWERED_WITHIN, spawn_blocking(move || digest_of(&path)));
        let digest = match reading.await {
            Ok(Ok(digest)) => digest.map_err(|error| self.unreadable(&error)),
            Ok(Err(_)) | Err(_) => Err(StoreError {
                kind: StoreErrorKind::Unreachable,
                ..self.unreadable(&io::Error::other("the file system does not answer"))
            }),
        };
        let stored = |digest| Stored {
            record: Record {
                info: None,
                lease: None,
            },
            revision: Revision::Bytes(digest),
        };
        Ok(digest?.map(stored))
    }

    fn unreadable(&self, error: &io::Error) -> StoreError {
        StoreError {
            action: "reading",
            place: self.place(),
            kind: match error.kind() {
                io::ErrorKind::PermissionDenied => StoreErrorKind::AccessDenied,
                _ => StoreErrorKind::Unsuitable,
            },
            message: error.to_string(),
            remedy: Some("make the state file readable, then run it again".to_owned()),
        }
    }

    fn place(&self) -> String {
        format!("state file `{}`", self.name)
    }
}

/// The digest of the file's content; `None` if there is no file, or an empty one, which terraform treats the same.
///
/// Closing the file is harmless to locks: this process has none on it.
fn digest_of(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlag::O_NONBLOCK.bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let Some(mut file) = plain_file::if_there(file)? else {
        return Ok(None);
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let mut digest = Sha256::new();
    let mut part = vec![0; 64 * 1024];
    let mut is_empty = true;
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok((!is_empty).then(|| digest.finalize().to_vec())),
            Ok(length) => {
                is_empty = false;
                digest.update(&part[..length]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Store for LockedState {
    fn read(&self) -> StoreFuture<'_, Option<Stored>> {
        match self {
            Self::Digest(item) => item.read(),
            Self::Object(object) => Box::pin(object.version()),
            Self::File(file) => Box::pin(file.version()),
        }
    }

    /// Refused: the state is terraform's.
    fn swap<'a>(&'a self, _: Option<&'a Stored>, _: Option<&'a Record>) -> StoreFuture<'a, Swap> {
        Box::pin(async { Ok(Swap::Refused(self.read().await?)) })
    }

    fn may_have_arrived(&self) -> bool {
        false
    }

    fn heartbeats(&self) -> Heartbeats {
        Heartbeats::None
    }

    fn key(&self) -> &str {
        match self {
            Self::Digest(item) => item.key(),
            Self::Object(object) => object.key(),
            Self::File(file) => &file.name,
        }
    }

    fn identity(&self) -> Identity {
        match self {
            Self::Digest(item) => item.identity(),
            Self::Object(object) => object.identity(),
            Self::File(file) => Identity::of(&["state", &file.name]),
        }
    }

    fn place(&self) -> String {
        match self {
            Self::Digest(item) => item.place(),
            Self::Object(object) => object.place(),
            Self::File(file) => file.place(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Digest(item) => item.kind(),
            Self::Object(_) => "s3",
            Self::File(_) => "local",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(future)
    }

    fn version(path: &Path) -> Result<Option<Revision>, StoreErrorKind> {
        let state = LockedState::file(path.to_owned());
        let read = run(state.read()).map_err(|error| error.kind)?;
        Ok(read.map(|stored| stored.revision))
    }

    #[test]
    fn a_state_file_is_compared_by_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("terraform.tfstate");
        assert_eq!(version(&path), Ok(None));
        std::fs::write(&path, "").unwrap();
        assert_eq!(version(&path), Ok(None));
        std::fs::write(&path, "one").unwrap();
        let one = version(&path).unwrap();
        assert!(one.is_some());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "one").unwrap();
        assert_eq!(version(&path), Ok(one.clone()));
        std::fs::write(&path, "two").unwrap();
        assert_ne!(version(&path), Ok(one));
    }

    #[test]
    fn a_directory_or_pipe_is_refused_as_a_state() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(version(directory.path()), Err(StoreErrorKind::Unsuitable));
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_eq!(version(&pipe), Err(StoreErrorKind::Unsuitable));
    }

    #[test]
    fn a_state_is_never_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("terraform.tfstate");
        let state = LockedState::file(path.clone());
        let record = Record {
            info: Some("{}".to_owned()),
            lease: None,
        };
        let swapped = run(state.swap(None, Some(&record))).unwrap();
        assert_eq!(swapped, Swap::Refused(None));
        assert!(!path.exists());
    }
}
