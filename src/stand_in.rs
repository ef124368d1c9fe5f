//! The `terraform` that a program inside of `tflock exec` finds on PATH before all others: a link to tflock.
//!
//! Variables alone (`TF_CLI_ARGS_<command>`) would reach each terraform inside, in whatever directory, and turn its
//! locking off though we hold another state's lock. As a tflock each of them finds out what it works on: under the lock
//! that is held around it, it becomes the real terraform; anywhere else it takes that state's lock.
//!
//! It must never call itself again: whatever runs inside of it sees PATH as it was before.

use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::terraform::{Environment, non_empty};

/// Names the directory that was put into PATH.
pub const VARIABLE: &str = "TFLOCK_STAND_IN";

/// A directory of links to tflock, removed when it is dropped. If tflock is killed it stays.
#[derive(Debug)]
pub struct StandIn {
    directory: PathBuf,
    names: Vec<OsString>,
}

impl StandIn {
    /// Makes `directory`, with links to `executable` of these names.
    ///
    /// # Errors
    /// What the system says, also if the directory is there.
    pub fn install(
        directory: PathBuf,
        names: Vec<OsString>,
        executable: &Path,
    ) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&directory)?;
        let stand_in = Self { directory, names };
        for name in &stand_in.names {
            symlink(executable, stand_in.directory.join(name))?;
        }
        Ok(stand_in)
    }

    /// What the program is to see: the directory before all others on PATH.
    #[must_use]
    pub fn variables(&self, environment: Environment<'_>) -> Vec<(OsString, OsString)> {
        let mut path = self.directory.clone().into_os_string();
        if let Some(rest) = environment("PATH") {
            path.push(":");
            path.push(rest);
        }
        vec![
            ("PATH".into(), path),
            (VARIABLE.into(), self.directory.clone().into()),
        ]
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // Whatever somebody else has put there is left to them.
        for name in &self.names {
            let _ = std::fs::remove_file(self.directory.join(name));
        }
        let _ = std::fs::remove_dir(&self.directory);
    }
}

/// The program that this process stands in for, if it was called as one.
#[must_use]
pub fn called_as(zeroth: Option<&OsStr>, environment: Environment<'_>) -> Option<OsString> {
    non_empty(environment, VARIABLE)?;
    let name = Path::new(zeroth?).file_name()?;
    crate::terraform::program::NAMES
        .iter()
        .any(|known| name == OsStr::new(known))
        .then(|| name.to_owned())
}

/// What whoever is run by a stand-in is to see: PATH without the directory.
#[must_use]
pub fn variables_without(environment: Environment<'_>) -> Vec<(OsString, OsString)> {
    let Some(directory) = non_empty(environment, VARIABLE) else {
        return Vec::new();
    };
    let path = environment("PATH").unwrap_or_default();
    let others = std::env::split_paths(&path).filter(|one| one.as_os_str() != directory);
    // What was split at colons has none.
    let path = std::env::join_paths(others).unwrap_or_default();
    vec![("PATH".into(), path), (VARIABLE.into(), OsString::new())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment_of(variables: &[(OsString, OsString)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| {
            let found = variables.iter().find(|(variable, _)| variable == name);
            found.map(|(_, value)| value.clone())
        }
    }

    fn installed() -> (tempfile::TempDir, StandIn) {
        let place = tempfile::tempdir().unwrap();
        let names = vec!["terraform".into(), "tofu".into()];
        let directory = place.path().join("stand-in");
        let stand_in = StandIn::install(directory, names, Path::new("/bin/true")).unwrap();
        (place, stand_in)
    }

    #[test]
    fn links_are_there_until_it_is_dropped() {
        let (_place, stand_in) = installed();
        let directory = stand_in.directory.clone();
        for name in ["terraform", "tofu"] {
            let link = std::fs::read_link(directory.join(name)).unwrap();
            assert_eq!(link, Path::new("/bin/true"));
        }
        drop(stand_in);
        assert!(!directory.exists());
    }

    #[test]
    fn a_directory_that_is_there_already_is_not_used() {
        let (_place, stand_in) = installed();
        let again = StandIn::install(stand_in.directory.clone(), Vec::new(), Path::new("x"));
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(stand_in.directory.join("terraform").is_symlink());
    }

    #[test]
    fn whoever_is_run_by_it_sees_path_as_it_was() {
        let (_place, stand_in) = installed();
        let before = [(OsString::from("PATH"), OsString::from("/a:/b c"))];
        let inside = stand_in.variables(&environment_of(&before));
        assert_eq!(
            called_as(Some(OsStr::new("/x/tofu")), &environment_of(&inside)),
            Some("tofu".into())
        );
        let after = variables_without(&environment_of(&inside));
        assert_eq!(after[0], before[0]);
        assert_eq!(after[1], (VARIABLE.into(), OsString::new()));
        assert_eq!(
            called_as(Some(OsStr::new("tofu")), &environment_of(&after)),
            None
        );
        assert_eq!(variables_without(&environment_of(&after)), []);
    }

    #[test]
    fn only_the_names_of_terraform_are_stood_in_for() {
        let (_place, stand_in) = installed();
        let inside = stand_in.variables(&|_| None);
        for name in ["tflock", "/x/terraform-1.5", ""] {
            assert_eq!(
                called_as(Some(OsStr::new(name)), &environment_of(&inside)),
                None
            );
        }
    }
}
