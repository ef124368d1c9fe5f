//! The `terraform` that a program inside of `tflock exec` finds on PATH before all others: a link to tflock.
//!
//! Only so can each terraform inside lock what it really works on: under the lock that is held around it, it becomes the
//! real terraform, told not to lock; anywhere else it takes that state's lock. A variable (`TF_CLI_ARGS_apply`) would reach
//! every terraform below, in whatever directory, and turn its locking off. Whatever misses the link locks for itself.
//!
//! The links stay: there is nothing to tidy up, and nothing dangles for whoever outlives the `exec`. They are told by where
//! they are, because a program may hand on PATH and nothing else. A stand-in must never call itself again: whatever it runs
//! sees PATH as it was before.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::lock::store::local::create_private_directory;
use crate::terraform::program::{NAMES, known_name};

/// Above the directories of links, each of which is named like its one link.
const DIRECTORY: &str = "stand-in";

/// Makes sure of the links of these names to `executable` below `base`, which is absolute; returns `path` with them in
/// front.
///
/// # Errors
/// What the system says; a `base` that cannot be part of a search path.
pub fn install(
    base: &Path,
    names: &[&str],
    executable: &Path,
    path: Option<&OsStr>,
) -> io::Result<OsString> {
    create_private_directory(base)?;
    let mut directories = Vec::new();
    for name in names {
        let directory = base.join(DIRECTORY).join(name);
        std::fs::create_dir_all(&directory)?;
        link(executable, &directory.join(name))?;
        directories.push(directory);
    }
    directories.extend(path.iter().flat_map(std::env::split_paths));
    std::env::join_paths(directories).map_err(io::Error::other)
}

/// Replaces whatever link is there in one step: others may be using it.
fn link(executable: &Path, link: &Path) -> io::Result<()> {
    if std::fs::read_link(link).is_ok_and(|target| target == executable) {
        return Ok(());
    }
    let fresh = link.with_extension(std::process::id().to_string());
    symlink(executable, &fresh)?;
    std::fs::rename(&fresh, link)
}

/// The program that this process stands in for, if it was called as one: by that name, and through a link of ours.
#[must_use]
pub fn called_as(zeroth: Option<&OsStr>, path: Option<&OsStr>) -> Option<&'static str> {
    let zeroth = Path::new(zeroth?);
    let name = known_name(zeroth)?;
    let directory = match zeroth.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => path
            .iter()
            .flat_map(std::env::split_paths)
            .find(|directory| directory.join(name).exists())?,
    };
    is_ours(&directory).then_some(name)
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
    use super::*;

    fn installed(names: &[&str], path: Option<&str>) -> (tempfile::TempDir, OsString) {
        let base = tempfile::tempdir().unwrap();
        let path = path.map(OsStr::new);
        let path = install(base.path(), names, Path::new("/bin/true"), path).unwrap();
        (base, path)
    }

    #[test]
    fn each_name_has_a_link_in_front_of_path() {
        let (base, path) = installed(&["terraform", "tofu"], Some("/a:/b c"));
        let place = base.path().join("stand-in");
        let expected = format!("{0}/terraform:{0}/tofu:/a:/b c", place.display());
        assert_eq!(path, OsString::from(expected));
        for name in ["terraform", "tofu"] {
            let link = std::fs::read_link(place.join(name).join(name)).unwrap();
            assert_eq!(link, Path::new("/bin/true"));
        }
    }

    #[test]
    fn the_place_is_for_this_user_alone_as_it_is_for_locks() {
        use std::os::unix::fs::PermissionsExt as _;
        let above = tempfile::tempdir().unwrap();
        let base = above.path().join("state/tflock");
        install(&base, &["tofu"], Path::new("/bin/true"), None).unwrap();
        let mode = base.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_link_to_another_tflock_is_replaced() {
        let (base, _) = installed(&["tofu"], None);
        install(base.path(), &["tofu"], Path::new("/bin/false"), None).unwrap();
        let directory = base.path().join("stand-in/tofu");
        let link = std::fs::read_link(directory.join("tofu")).unwrap();
        assert_eq!(link, Path::new("/bin/false"));
        assert_eq!(std::fs::read_dir(directory).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_stand_in_a_search_path_is_refused() {
        let base = tempfile::Builder::new().prefix("a:b").tempdir().unwrap();
        let refused = install(base.path(), &["tofu"], Path::new("/bin/true"), None);
        assert!(refused.is_err());
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
        assert_eq!(called_as("terraform", &path), Some("terraform"));
        let link = base.path().join("stand-in/terraform/terraform");
        assert_eq!(
            called_as(link.to_str().unwrap(), OsStr::new("/a")),
            Some("terraform")
        );
        for other in ["tofu", "tflock", "/bin/terraform", "terraform-1.5", ""] {
            assert_eq!(called_as(other, &path), None, "{other}");
        }

        let earlier = tempfile::tempdir().unwrap();
        std::fs::write(earlier.path().join("terraform"), "").unwrap();
        let mut later = earlier.path().as_os_str().to_owned();
        later.push(":");
        later.push(&path);
        assert_eq!(called_as("terraform", &later), None);
    }
}
