//! The shim: the `terraform` that a program inside of `tflock exec` finds first on PATH. It is a link to tflock.
//!
//! Only this way can each inner terraform lock what it really works on: on the state that `exec` has locked, the shim
//! execs the real terraform with locking off; anywhere else it takes that state's lock. A variable
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
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn install(
        base: &Path,
        names: &[&str],
        executable: &Path,
        path: Option<&OsStr>,
    ) -> Result<OsString, FileError> {
        super::install(&[base.to_owned()], names, executable, path)
    }

    /// Installs the links in a new private directory, whatever the umask.
    fn installed(names: &[&str], path: Option<&str>) -> (tempfile::TempDir, OsString) {
        let base = tempfile::tempdir().unwrap();
        let path = path.map(OsStr::new);
        let path = install(base.path(), names, Path::new("/bin/true"), path).unwrap();
        (base, path)
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn each_name_gets_a_link_first_on_path() {
        let (base, path) = installed(&["terraform", "tofu"], Some("/a:/b c"));
        let place = base.path().join("shim");
        let expected = format!("{0}/terraform:{0}/tofu:/a:/b c", place.display());
        assert_eq!(path, OsString::from(expected));
        for name in ["terraform", "tofu"] {
            let link = std::fs::read_link(place.join(name).join(name)).unwrap();
            assert_eq!(link, Path::new("/bin/true"));
        }
    }

    #[test]
    fn everything_created_is_private() {
        let above = tempfile::tempdir().unwrap();
        let base = above.path().join("state/tflock");
        install(&base, &["tofu"], Path::new("/bin/true"), None).unwrap();
        for made in ["state", "state/tflock", "state/tflock/shim/tofu"] {
            let mode = above.path().join(made).metadata().unwrap().mode();
            assert_eq!(mode & 0o777, 0o700, "{made}");
        }
    }

    #[test]
    fn a_link_to_another_tflock_is_replaced_and_anything_beside_it_removed() {
        let (base, _) = installed(&["tofu"], None);
        let directory = base.path().join("shim/tofu");
        std::fs::write(directory.join("git"), "#!/bin/sh\n").unwrap();
        symlink("/bin/sh", directory.join("make")).unwrap();
        install(base.path(), &["tofu"], Path::new("/bin/false"), None).unwrap();
        let link = std::fs::read_link(directory.join("tofu")).unwrap();
        assert_eq!(link, Path::new("/bin/false"));
        assert_eq!(directory.read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_others_can_change_is_named_and_the_next_one_used() {
        let modes = [
            ("", 0o770),
            ("", 0o2770),
            ("shim", 0o777),
            ("shim/tofu", 0o770),
        ];
        for (open, mode) in modes {
            let (base, _) = installed(&["tofu"], None);
            let open = base.path().join(open);
            set_mode(&open, mode);
            let refused =
                install(base.path(), &["tofu"], Path::new("/bin/true"), None).unwrap_err();
            let open = open.display().to_string();
            assert!(
                refused.to_string().contains(open.trim_end_matches('/')),
                "{refused}"
            );

            let own = tempfile::tempdir().unwrap();
            let places = [base.path().to_owned(), own.path().to_owned()];
            let path = super::install(&places, &["tofu"], Path::new("/bin/true"), None).unwrap();
            assert_eq!(Path::new(&path), own.path().join("shim/tofu"));
        }
    }

    #[test]
    fn a_link_instead_of_a_directory_is_refused_by_name() {
        let (base, _) = installed(&["tofu"], None);
        let place = base.path().join("shim");
        std::fs::rename(&place, base.path().join("elsewhere")).unwrap();
        symlink("elsewhere", &place).unwrap();
        let refused = install(base.path(), &["tofu"], Path::new("/bin/true"), None).unwrap_err();
        let expected = format!(
            "`{}` is a symbolic link, and links are not followed",
            place.display()
        );
        assert_eq!(refused.to_string(), expected);
    }

    #[test]
    fn a_parent_that_everyone_can_change_is_refused() {
        let above = tempfile::tempdir().unwrap();
        set_mode(above.path(), 0o777);
        let base = above.path().join("tflock");
        let refused = install(&base, &["tofu"], Path::new("/bin/true"), None);
        assert!(matches!(refused, Err(FileError::Unsafe { .. })));
        assert!(!base.exists());
    }

    #[test]
    fn a_directory_that_cannot_be_part_of_path_is_refused() {
        let base = tempfile::Builder::new().prefix("a:b").tempdir().unwrap();
        let refused = install(base.path(), &["tofu"], Path::new("/bin/true"), None);
        assert!(refused.is_err());
    }

    #[test]
    fn without_a_private_directory_there_is_no_shim() {
        let nothing = places(&|_| None);
        assert_eq!(nothing, Vec::<PathBuf>::new());
        assert!(super::install(&nothing, &["tofu"], Path::new("/bin/true"), None).is_err());
    }

    #[test]
    fn programs_run_by_the_shim_see_the_original_path() {
        let (_base, path) = installed(&["terraform", "tofu"], Some("/a::/b c"));
        assert_eq!(path_without(&path), "/a::/b c");
    }

    #[test]
    fn a_shim_is_recognised_by_its_name_and_path() {
        let (base, path) = installed(&["terraform"], Some("/a"));
        let called_as =
            |zeroth: &str, path: &OsStr| called_as(Some(OsStr::new(zeroth)), Some(path));
        let through = |name, link| Some(CalledAs { name, link });
        let terraform = through("terraform", Link::Shim);
        assert_eq!(called_as("terraform", &path), terraform);
        let link = base.path().join("shim/terraform/terraform");
        assert_eq!(
            called_as(link.to_str().unwrap(), OsStr::new("/a")),
            terraform
        );
        for other in ["tflock", "terraform-1.5", ""] {
            assert_eq!(called_as(other, &path), None, "{other}");
        }
        let users = through("terraform", Link::UsersOwn);
        assert_eq!(called_as("/bin/terraform", &path), users);
        assert_eq!(called_as("tofu", &path), through("tofu", Link::UsersOwn));

        let earlier = tempfile::tempdir().unwrap();
        std::fs::write(earlier.path().join("terraform"), "").unwrap();
        let mut later = earlier.path().as_os_str().to_owned();
        later.push(":");
        later.push(&path);
        assert_eq!(called_as("terraform", &later), users);
    }
}
