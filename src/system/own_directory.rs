//! tflock's own directories and the files in them: private to this user, or shared with a group on purpose.
//!
//! Anything that someone else could have put there is refused by name: a directory that others can write, a link,
//! anything but a plain file. Links are never followed; nothing is waited for or read without a limit. A directory is
//! opened once and used through its descriptor, so that it cannot be swapped between check and use.

mod sharing;

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{Gid, UnlinkatFlags, fchown, unlinkat};

pub use self::sharing::Sharing;

/// Larger than any file of ours.
const LARGEST_FILE: u64 = 512 * 1024;

/// Why a directory or a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// An error of the operating system.
    #[error(transparent)]
    System(#[from] io::Error),
    /// A directory in which others could change our files.
    #[error("`{}` {reason}", .path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// Something other than our file or directory is at its path.
    #[error("`{}` {reason}", .path.display())]
    Unexpected {
        /// Its path.
        path: PathBuf,
        /// What it is.
        reason: &'static str,
    },
}

impl From<Errno> for FileError {
    fn from(error: Errno) -> Self {
        Self::System(error.into())
    }
}

/// One of our directories, open.
#[derive(Debug)]
pub struct OwnDirectory {
    descriptor: OwnedFd,
    path: PathBuf,
    sharing: Sharing,
}

impl OwnDirectory {
    /// Opens the directory at `path`; `None` if there is none.
    ///
    /// # Errors
    /// The directory cannot be trusted, or the system refuses.
    pub fn open(path: &Path) -> Result<Option<Self>, FileError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let descriptor = match nix::fcntl::open(path, flags, Mode::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => {
                let is_link = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
                return Err(if is_link {
                    unexpected(path, "is a symbolic link, and links are not followed")
                } else {
                    error.into()
                });
            }
        };
        let sharing = Sharing::of(&fstat(&descriptor)?).map_err(|reason| FileError::Unsafe {
            path: path.to_owned(),
            reason,
        })?;
        Ok(Some(Self {
            descriptor,
            path: path.to_owned(),
            sharing,
        }))
    }

    /// Opens the directory at `path`; creates it and its missing parents for this user alone, whatever the umask (XDG
    /// Base Directory Specification: 0700).
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn create(path: &Path) -> Result<Self, FileError> {
        loop {
            if let Some(directory) = Self::open(path)? {
                return Ok(directory);
            }
            make_private(path)?;
        }
    }

    /// Who can write to it.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// The names of everything in it that are text, in no order.
    ///
    /// # Errors
    /// An error of the operating system.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.path)?;
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(io::Result::transpose).collect()
    }

    /// The bytes of the plain file `name`; `None` if there is none.
    ///
    /// # Errors
    /// Something else has that name, or the system refuses.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FileError> {
        let Some(file) = self.open_file(name, OFlag::O_RDONLY)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(self.too_large(name));
        }
        Ok(Some(bytes))
    }

    /// Opens the plain file `name` for reading and writing; creates it empty if it is missing.
    ///
    /// # Errors
    /// Something else has that name, or the system refuses.
    pub fn open_or_create(&self, name: &str) -> Result<File, FileError> {
        loop {
            if let Some(file) = self.open_file(name, OFlag::O_RDWR)? {
                return Ok(file);
            }
            match self.create_file(name) {
                Err(FileError::System(error)) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return created,
            }
        }
    }

    /// Writes a new file of that name and syncs it. Anything that had the name is removed, never written through.
    ///
    /// # Errors
    /// An error of the operating system.
    pub fn write_new(&self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        self.remove(name)?;
        let mut file = self.create_file(name)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(())
    }

    /// Renames a file, replacing whatever has the new name.
    ///
    /// # Errors
    /// An error of the operating system.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        Ok(renameat(&self.descriptor, from, &self.descriptor, to)?)
    }

    /// Removes a file if it exists.
    ///
    /// # Errors
    /// An error of the operating system.
    pub fn remove(&self, name: &str) -> Result<(), FileError> {
        match unlinkat(&self.descriptor, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            // For a directory POSIX says EPERM, Linux EISDIR.
            Err(Errno::EISDIR | Errno::EPERM) if self.path.join(name).is_dir() => {
                Err(unexpected(&self.path.join(name), "is a directory"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Syncs renames and removals to disk.
    ///
    /// # Errors
    /// An error of the operating system.
    pub fn sync(&self) -> Result<(), FileError> {
        Ok(nix::unistd::fsync(&self.descriptor)?)
    }

    /// Checks before it opens: opening a device can have effects or block.
    fn open_file(&self, name: &str, access: OFlag) -> Result<Option<File>, FileError> {
        match fstatat(&self.descriptor, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) => self.admit(name, &found)?,
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        match openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(descriptor) => {
                self.admit(name, &fstat(&descriptor)?)?;
                Ok(Some(File::from(descriptor)))
            }
            Err(Errno::ENOENT) => Ok(None),
            Err(Errno::ELOOP) => Err(self.link(name)),
            Err(error) => Err(error.into()),
        }
    }

    fn admit(&self, name: &str, found: &FileStat) -> Result<(), FileError> {
        match kind_of(found) {
            SFlag::S_IFLNK => Err(self.link(name)),
            SFlag::S_IFREG if found.st_size > LARGEST_FILE.cast_signed() => {
                Err(self.too_large(name))
            }
            SFlag::S_IFREG => Ok(()),
            _ => Err(unexpected(&self.path.join(name), "is not a plain file")),
        }
    }

    fn create_file(&self, name: &str) -> Result<File, FileError> {
        let mode = match self.sharing {
            Sharing::Private => 0o600,
            Sharing::Group(_) => 0o660,
        };
        let mode = Mode::from_bits_truncate(mode);
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let descriptor = openat(&self.descriptor, name, flags, mode)?;
        let made = fstat(&descriptor)?;
        // Not every system lets files inherit the group of their directory.
        if let Sharing::Group(group) = self.sharing
            && made.st_gid != group
        {
            fchown(&descriptor, None, Some(Gid::from_raw(group)))?;
        }
        if Mode::from_bits_truncate(made.st_mode) != mode {
            fchmod(&descriptor, mode)?;
        }
        Ok(File::from(descriptor))
    }

    fn link(&self, name: &str) -> FileError {
        unexpected(
            &self.path.join(name),
            "is a symbolic link, and links are not followed",
        )
    }

    fn too_large(&self, name: &str) -> FileError {
        unexpected(&self.path.join(name), "is too large for a lock")
    }
}

fn unexpected(path: &Path, reason: &'static str) -> FileError {
    FileError::Unexpected {
        path: path.to_owned(),
        reason,
    }
}

fn kind_of(found: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT
}

/// Creates a directory and its parents, private to this user.
fn make_private(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent()
        && !above.as_os_str().is_empty()
        && !above.is_dir()
    {
        make_private(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    // The umask may have removed rights of our own.
    if path.symlink_metadata()?.mode() & 0o700 != 0o700 {
        std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}
