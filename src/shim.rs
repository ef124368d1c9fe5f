//! The `terraform` that a program inside of `tflock exec` finds on PATH before all others: a link to tflock.
//!
//! Only so can each terraform inside lock what it really works on: under the lock that is held around it, it becomes the
//! real terraform, told not to lock; anywhere else it takes that state's lock. A variable (`TF_CLI_ARGS_apply`) would reach
//! every terraform below, in whatever directory, and turn its locking off. Whatever misses the link locks for itself.
//!
//! The links stay: there is nothing to tidy up, and nothing dangles for whoever outlives the `exec`. They are told by where
//! they are, because a program may hand on PATH and nothing else. A shim must never call itself again: whatever it runs
//! sees PATH as it was before.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::environment::{Environment, non_empty};
use crate::system::own_directory::{FileError, OwnDirectory, Sharing};
use crate::terraform::program::{NAMES, known_name};

/// Above the directories of links, each of which is named like its one link.
const DIRECTORY: &str = "shim";

/// The directories of this user's own below which the links can be, the best first. Never where local locks are, which a
/// group may share: whoever can write there could put programs in front of everybody's PATH.
#[must_use]
pub fn places(environment: Environment<'_>) -> Vec<PathBuf> {
    let absolute = |name| {
        non_empty(environment, name)
            .map(PathBuf::from)
            .filter(|directory| directory.is_absolute())
    };
    // Those of XDG_RUNTIME_DIR go when the user logs out, and the run may stay.
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

/// Makes sure of the links of these names to `executable` below the first of `places` that will do; returns `path` with
/// them in front.
///
/// # Errors
/// What is wrong with the first place; one that cannot be part of a search path.
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

/// Where everybody can rename what is in a directory above, they can put another one in the place of ours.
fn refuse_if_replaceable(base: &Path) -> Result<(), FileError> {
    const ANYBODY: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    for above in base.ancestors().skip(1) {
        let mode = above.metadata().map_or(0, |found| found.mode());
        if mode & ANYBODY != 0 && mode & STICKY == 0 {
            return Err(FileError::Unsafe {
                path: above.to_owned(),
                reason: "can be written to by everybody",
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

/// Whatever else is in a directory of PATH would run in the place of the user's programs.
fn keep_only(directory: &Path, name: &str) -> Result<(), FileError> {
    for entry in directory.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            return Err(FileError::Intruder {
                path: entry.path(),
                reason: "is a directory where only a link of ours may be",
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

/// Replaces whatever is there in one step: others may be using it. The new link is made beside the directory, because what is
/// in it can be run.
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

/// The program that this process was called as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalledAs {
    /// Its name.
    pub name: &'static str,
    /// Through whose link.
    pub link: Link,
}

/// Whose link tflock was called through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// One of ours, inside of an `exec`.
    Shim,
    /// The user's own, who wants tflock to be their terraform.
    Users,
}

/// The program that this process is to be, if it was called by its name.
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
        _ => Link::Users,
    };
    Some(CalledAs { name, link })
}

/// PATH as it was before.
#[must_use]
pub fn path_without(path: &OsStr) -> OsString {
    let others = std::env::split_paths(path).filter(|directory| !is_ours(directory));
    // What was split at colons has none.
    std::env::join_paths(others).unwrap_or_default()
}

/// Whether a directory of PATH is one of those with a link of ours.
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

    /// The links below a new directory that is ours alone, whatever the umask.
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
    fn each_name_has_a_link_in_front_of_path() {
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
    fn all_that_is_made_is_for_this_user_alone() {
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
    fn a_place_that_others_can_change_is_refused_by_name_and_the_next_one_taken() {
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
    fn a_link_in_the_place_of_a_directory_is_refused_by_name() {
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
    fn a_place_in_a_directory_that_everybody_can_change_is_refused() {
        let above = tempfile::tempdir().unwrap();
        set_mode(above.path(), 0o777);
        let base = above.path().join("tflock");
        let refused = install(&base, &["tofu"], Path::new("/bin/true"), None);
        assert!(matches!(refused, Err(FileError::Unsafe { .. })));
        assert!(!base.exists());
    }

    #[test]
    fn a_place_that_cannot_stand_in_a_search_path_is_refused() {
        let base = tempfile::Builder::new().prefix("a:b").tempdir().unwrap();
        let refused = install(base.path(), &["tofu"], Path::new("/bin/true"), None);
        assert!(refused.is_err());
    }

    #[test]
    fn without_any_directory_of_ones_own_there_is_no_place() {
        let nothing = places(&|_| None);
        assert_eq!(nothing, Vec::<PathBuf>::new());
        assert!(super::install(&nothing, &["tofu"], Path::new("/bin/true"), None).is_err());
    }

    #[test]
    fn whoever_is_run_by_it_sees_path_as_it_was() {
        let (_base, path) = installed(&["terraform", "tofu"], Some("/a::/b c"));
        assert_eq!(path_without(&path), "/a::/b c");
    }

    #[test]
    fn it_is_told_by_its_name_and_the_first_program_of_that_name() {
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
        let users = through("terraform", Link::Users);
        assert_eq!(called_as("/bin/terraform", &path), users);
        assert_eq!(called_as("tofu", &path), through("tofu", Link::Users));

        let earlier = tempfile::tempdir().unwrap();
        std::fs::write(earlier.path().join("terraform"), "").unwrap();
        let mut later = earlier.path().as_os_str().to_owned();
        later.push(":");
        later.push(&path);
        assert_eq!(called_as("terraform", &later), users);
    }
}
