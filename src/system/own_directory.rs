//! Directories of ours, and the files in them: made for this user alone, or for the group that shares the directory on purpose.
//!
//! Whatever somebody else could have put there is refused by name: a directory that others can write to, a link, anything
//! that is no plain file. Nothing is ever followed, waited for or read without bound. A directory is opened once and worked
//! in through its descriptor, so that it cannot be exchanged between the look and the work.

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
    /// What the system says.
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
    /// Something else stands in the place of a file or directory of ours.
    #[error("`{}` {reason}", .path.display())]
    Intruder {
        /// Its place.
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

/// An open directory of ours.
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
    /// A directory that is not ours to trust; what the system says.
    pub fn open(path: &Path) -> Result<Option<Self>, FileError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let descriptor = match nix::fcntl::open(path, flags, Mode::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => {
                let is_link = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
                return Err(if is_link {
                    intruder(path, "is a symbolic link, and links are not followed")
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

    /// Opens the directory at `path`, and makes it and those above it first where they are missing: for this user alone,
    /// whatever the umask (XDG Base Directory Specification: 0700).
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

    /// Who can write there.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// The bytes of the plain file `name`; `None` if there is none.
    ///
    /// # Errors
    /// Anything else in its place; what the system says.
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

    /// The plain file `name`, made empty if it is missing, for reading and writing.
    ///
    /// # Errors
    /// Anything else in its place; what the system says.
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

    /// Writes a new file of that name, down to the disk. Whatever bore the name is removed, never written through.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_new(&self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        self.remove(name)?;
        let mut file = self.create_file(name)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(())
    }

    /// Gives a file another name, in the place of whatever bears that.
    ///
    /// # Errors
    /// What the system says.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        Ok(renameat(&self.descriptor, from, &self.descriptor, to)?)
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &str) -> Result<(), FileError> {
        match unlinkat(&self.descriptor, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            // POSIX has EPERM for a directory, Linux EISDIR.
            Err(Errno::EISDIR | Errno::EPERM) if self.path.join(name).is_dir() => {
                Err(intruder(&self.path.join(name), "is a directory"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Brings what was renamed or removed to the disk.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&self) -> Result<(), FileError> {
        Ok(nix::unistd::fsync(&self.descriptor)?)
    }

    /// Looks before it opens: opening a device can do things, and some refuse to be opened without a word.
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

    /// Only plain files of a size that we would write.
    fn admit(&self, name: &str, found: &FileStat) -> Result<(), FileError> {
        match kind_of(found) {
            SFlag::S_IFLNK => Err(self.link(name)),
            SFlag::S_IFREG if found.st_size > LARGEST_FILE.cast_signed() => {
                Err(self.too_large(name))
            }
            SFlag::S_IFREG => Ok(()),
            _ => Err(intruder(&self.path.join(name), "is not a plain file")),
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
        // Not every system hands the group of a directory on.
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
        intruder(
            &self.path.join(name),
            "is a symbolic link, and links are not followed",
        )
    }

    fn too_large(&self, name: &str) -> FileError {
        intruder(&self.path.join(name), "is too large for a lock")
    }
}

fn intruder(path: &Path, reason: &'static str) -> FileError {
    FileError::Intruder {
        path: path.to_owned(),
        reason,
    }
}

fn kind_of(found: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT
}

/// Makes a directory, and those above it, that nobody else can look into.
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
    // A umask can have taken rights of our own.
    if path.symlink_metadata()?.mode() & 0o700 != 0o700 {
        std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}
