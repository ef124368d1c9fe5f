//! Why a request to the files of a local lock failed, and what to do about it.

use std::io;

use crate::lock::store::StoreErrorKind;
use crate::system::own_directory::FileError;

#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("there is no directory for local locks: {0}")]
    NoPlace(String),
    #[error(transparent)]
    File(#[from] FileError),
    /// A failure after the rename: the change may have been made.
    #[error(transparent)]
    PerhapsDone(FileError),
    #[error("another process keeps `{0}` locked")]
    Busy(String),
    #[error("the file system cannot lock files: {0}")]
    Unlockable(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::File(FileError::System(error))
    }
}

impl Trouble {
    /// The kind of failure, and what to do about it.
    pub(super) fn assessed(&self) -> (StoreErrorKind, &'static str) {
        const WRITABLE: &str =
            "set TFLOCK_LOCAL_DIR to a writable directory that supports file locks";
        let kind = match self {
            Self::NoPlace(_) => {
                return (
                    StoreErrorKind::Unsuitable,
                    "set TFLOCK_LOCAL_DIR, or lock in a table with `--table NAME`",
                );
            }
            Self::File(FileError::Unsafe { .. }) => {
                return (
                    StoreErrorKind::Unsuitable,
                    "set TFLOCK_LOCAL_DIR to a directory of your own (mode 700), or to one that its group shares on \
                     purpose (mode 2770)",
                );
            }
            Self::File(FileError::Unexpected { .. }) => {
                return (
                    StoreErrorKind::Rejected,
                    "find out who put it there, then remove it",
                );
            }
            Self::PerhapsDone(_) => StoreErrorKind::ServerFailure,
            Self::Busy(_) => StoreErrorKind::Throttled,
            Self::Unlockable(_) => StoreErrorKind::Unsuitable,
            Self::File(FileError::System(error)) => match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    StoreErrorKind::AccessDenied
                }
                io::ErrorKind::Unsupported
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::NotFound => StoreErrorKind::Unsuitable,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    StoreErrorKind::Rejected
                }
                _ => StoreErrorKind::ServerFailure,
            },
        };
        (kind, WRITABLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_after_the_rename_or_of_the_device_may_have_changed_something() {
        let system = |kind: io::ErrorKind| FileError::System(kind.into());
        for (trouble, may_have_been_applied) in [
            (
                Trouble::PerhapsDone(system(io::ErrorKind::StorageFull)),
                true,
            ),
            (Trouble::PerhapsDone(system(io::ErrorKind::Other)), true),
            (Trouble::File(system(io::ErrorKind::Other)), true),
            (Trouble::File(system(io::ErrorKind::StorageFull)), false),
            (
                Trouble::File(system(io::ErrorKind::PermissionDenied)),
                false,
            ),
            (Trouble::File(system(io::ErrorKind::NotFound)), false),
            (Trouble::Busy("guard".to_owned()), false),
            (
                Trouble::Unlockable(io::ErrorKind::Unsupported.into()),
                false,
            ),
            (Trouble::NoPlace("no home".to_owned()), false),
        ] {
            let (kind, _) = trouble.assessed();
            assert_eq!(
                kind.may_have_been_applied(),
                may_have_been_applied,
                "{trouble:?}"
            );
        }
    }
}
