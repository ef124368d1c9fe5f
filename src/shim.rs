//! The shim: the `terraform` that a program inside of `tflock exec` finds first on PATH. It is a link to tflock.
//!
//! Only this way can each inner terraform lock what it really works on: on the state that `exec` has locked, the shim
//! runs the real terraform with locking off; anywhere else it takes that state's lock. A variable
//! (`TF_CLI_ARGS_apply`) would turn locking off for every inner terraform in every directory. A terraform that is
//! called past the shim locks for itself.
//!
//! The links stay after the `exec`: nothing needs cleaning up, and processes that outlive it find no dangling link. A
//! shim is recognised by its path, because a program may pass on PATH and nothing else. It must never call itself: what
//! it runs sees PATH without it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::environment::{Environment, non_empty};
use crate::system::own_directory::{FileError, OwnDirectory, Sharing};
use crate::terraform::program::{NAMES, known_name};

/// The parent of the link directories, each named like its one link.
const DIRECTORY: &str = "shim";

/// Private directories that can hold the links, best first. Never the directory of local locks, which a group may
/// share: its members could put programs first on everyone's PATH.
#[must_use]
pub fn places(environment: Environment<'_>) -> Vec<PathBuf> {
    let absolute = |name| {
        non_empty(environment, name)
            .map(PathBuf::from)
            .filter(|directory| directory.is_absolute())
    };
    // XDG_RUNTIME_DIR is removed when the user logs out, and the run may go on.
    let above = [
        absolute("XDG_STATE_HOME"),
        absolute("HOME").map(|home| home.join(".local/state")),
        absolute("XDG_RUNTIME_DIR"),
    ];
    above
        .into_iter()
        .flatten()
        .map(|above| above.join("tflock"))
        .collect()
}

/// Ensures links of these names to `executable` in the first usable directory of `places`; returns `path` with them in
/// front.
///
/// # Errors
/// Why the first directory is unusable; a directory that cannot be part of PATH.
pub fn install(
    places: &[PathBuf],
    names: &[&str],
    executable: &Path,
    path: Option<&OsStr>,
) -> Result<OsString, FileError> {
    let mut first_error = None;
    for place in places {
        match install_below(place, names, executable, path) {
            Ok(path) => return Ok(path),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "neither XDG_STATE_HOME, HOME nor XDG_RUNTIME_DIR is set",
        )
        .into()
    }))
}

fn install_below(
    base: &Path,
    names: &[&str],
    executable: &Path,
    path: Option<&OsStr>,
) -> Result<OsString, FileError> {
    refuse_if_replaceable(base)?;
    let all = base.join(DIRECTORY);
    make_private(base)?;
    make_private(&all)?;
    let mut directories = Vec::new();
    for name in names {
        let directory = all.join(name);
        make_private(&directory)?;
        keep_only(&directory, name)?;
        link(executable, &directory, name)?;
        directories.push(directory);
    }
    directories.extend(path.iter().flat_map(std::env::split_paths));
    Ok(std::env::join_paths(directories).map_err(io::Error::other)?)
}

/// If everyone can rename entries of a parent directory, they can replace ours.
fn refuse_if_replaceable(base: &Path) -> Result<(), FileError> {
    const ANYBODY: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    for above in base.ancestors().skip(1) {
        let mode = above.metadata().map_or(0, |found| found.mode());
        if mode & ANYBODY != 0 && mode & STICKY == 0 {
            return Err(FileError::Unsafe {
                path: above.to_owned(),
                reason: "is writable by everyone",
            });
        }
    }
    Ok(())
}

fn make_private(directory: &Path) -> Result<(), FileError> {
    match OwnDirectory::create(directory)?.sharing() {
        Sharing::Private => Ok(()),
        Sharing::Group(_) => Err(FileError::Unsafe {
            path: directory.to_owned(),
            reason: "is shared with its group",
        }),
    }
}

/// Anything else in a PATH directory would run instead of the user's programs.
fn keep_only(directory: &Path, name: &str) -> Result<(), FileError> {
    for entry in directory.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            return Err(FileError::Unexpected {
                path: entry.path(),
                reason: "is a directory, but only our link may be there",
            });
        }
        if entry.file_name() != name {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_there(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Replaces the link atomically, since others may be using it. The new link is made beside the directory, not in it,
/// because anything in it can be run.
fn link(executable: &Path, directory: &Path, name: &str) -> io::Result<()> {
    let link = directory.join(name);
    if std::fs::read_link(&link).is_ok_and(|target| target == executable) {
        return Ok(());
    }
    let fresh = directory.with_extension(std::process::id().to_string());
    remove_if_there(&fresh)?;
    symlink(executable, &fresh)?;
    std::fs::rename(&fresh, link)
}

/// The program name that this process was called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalledAs {
    /// The name.
    pub name: &'static str,
    /// Whose link it is.
    pub link: Link,
}

/// Whose link tflock was called through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Our shim, inside of an `exec`.
    Shim,
    /// The user's own link, to use tflock as terraform.
    UsersOwn,
}

/// The program name that this process was called by, if it is one of terraform's.
#[must_use]
pub fn called_as(zeroth: Option<&OsStr>, path: Option<&OsStr>) -> Option<CalledAs> {
    let zeroth = Path::new(zeroth?);
    let name = known_name(zeroth)?;
    let directory = match zeroth.parent() {
        Some(parent) if parent != Path::new("") => Some(parent.to_owned()),
        _ => path
            .iter()
            .flat_map(std::env::split_paths)
            .find(|directory| directory.join(name).exists()),
    };
    let link = match directory {
        Some(directory) if is_ours(&directory) => Link::Shim,
        _ => Link::UsersOwn,
    };
    Some(CalledAs { name, link })
}

/// PATH without the shims.
#[must_use]
pub fn path_without(path: &OsStr) -> OsString {
    let others = std::env::split_paths(path).filter(|directory| !is_ours(directory));
    // Entries split at colons contain none.
    std::env::join_paths(others).unwrap_or_default()
}

/// Whether a directory of PATH is one of our shim directories.
fn is_ours(directory: &Path) -> bool {
    NAMES.into_iter().any(|name| {
        directory.ends_with(PathBuf::from(DIRECTORY).join(name))
            && directory.join(name).is_symlink()
    })
}

#[cfg(test)]
mod tests;
