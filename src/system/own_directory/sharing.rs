//! Who can write to a directory, and whether we can use it.

use nix::sys::stat::{FileStat, mode_t};
use nix::unistd::geteuid;

/// Set-group-ID and group-writable: shared with that group on purpose.
const SHARED: mode_t = 0o2020;
const GROUP_WRITES: mode_t = 0o020;
const OTHERS_WRITE: mode_t = 0o002;

/// Who can write to one of our directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// This user alone.
    Private,
    /// The members of this group.
    Group(u32),
}

impl Sharing {
    /// Who can write to a directory, or why we cannot use it.
    pub(super) fn of(directory: &FileStat) -> Result<Self, &'static str> {
        let mode = directory.st_mode;
        if mode & OTHERS_WRITE != 0 {
            return Err("is writable by everyone");
        }
        if mode & SHARED == SHARED {
            return Ok(Self::Group(directory.st_gid));
        }
        if directory.st_uid != geteuid().as_raw() {
            return Err("belongs to another user");
        }
        if mode & GROUP_WRITES != 0 {
            return Err("is writable by its group");
        }
        Ok(Self::Private)
    }
}
