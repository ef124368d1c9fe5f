//! The selected workspace: `TF_WORKSPACE`, or what `terraform workspace select` wrote into the data directory.
//!
//! Never asks a backend whether the workspace exists: terraform creates a missing one, or reports it.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::backend::data_directory;
use crate::environment::{Environment, non_empty};
use crate::system::plain_file::{self, Link};

const DEFAULT: &str = "default";

/// The longest file of the selection that is read.
const LONGEST_NAME: u64 = 4096;

/// The name of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Workspace(String);

impl Workspace {
    /// The workspace of that name; an empty name is the default one.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        if name.is_empty() {
            return Self(DEFAULT.to_owned());
        }
        Self(name)
    }

    /// Its name, as in `terraform workspace show`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `default`, whose state is not below the workspace prefix.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == DEFAULT
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl fmt::Display for Workspace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why the selected workspace is unknown.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// `TF_WORKSPACE` is not a valid name.
    #[error("`TF_WORKSPACE` is `{}`, which is not a workspace name", .name.display())]
    InvalidName {
        /// Its value.
        name: OsString,
    },
    /// The file that records the selection holds something else. It is not shown: it may be anybody's.
    #[error("what `{}` holds is not a workspace name", .path.display())]
    NoName {
        /// The file.
        path: PathBuf,
    },
    /// The file that records the selection exists and cannot be read.
    #[error("the selected workspace cannot be read from `{}`", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl WorkspaceError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::InvalidName { .. } => {
                "set `TF_WORKSPACE` to one of `tflock workspace list`, or unset it".to_owned()
            }
            Self::NoName { .. } | Self::Unreadable { .. } => {
                "select it again with `tflock workspace select NAME`, or set `TF_WORKSPACE`"
                    .to_owned()
            }
        }
    }
}

/// The workspace that terraform would work on in `working_directory` (the `-chdir` directory, else the current one).
///
/// `TF_WORKSPACE` beats the file `environment` of the data directory; neither means `default`. terraform takes the file at
/// its word (`internal/command/meta.go`); here it must be a plain one that holds a name, because a checkout may bring a link
/// to somebody's secrets in its place.
///
/// # Errors
///
/// When `TF_WORKSPACE` is no workspace name, or the file is there and unreadable, or holds none.
pub fn selected_workspace(
    working_directory: &Path,
    environment: Environment<'_>,
) -> Result<Workspace, WorkspaceError> {
    if let Some(name) = non_empty(environment, "TF_WORKSPACE") {
        return match name.to_str().filter(|name| is_valid_name(name)) {
            Some(valid) => Ok(Workspace::new(valid)),
            None => Err(WorkspaceError::InvalidName { name }),
        };
    }
    let path = data_directory(working_directory, environment).join("environment");
    match plain_file::read(&path, Link::Refuse, LONGEST_NAME) {
        Ok(content) => {
            let content = String::from_utf8_lossy(&content);
            match content.trim() {
                "" => Ok(Workspace::default()),
                name if is_valid_name(name) => Ok(Workspace::new(name)),
                _ => Err(WorkspaceError::NoName { path }),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Workspace::default()),
        Err(source) => Err(WorkspaceError::Unreadable { path, source }),
    }
}

/// The workspaces that can be told without asking a backend: the selected one, and those of a local state.
#[must_use]
pub fn local_workspaces(working_directory: &Path, environment: Environment<'_>) -> Vec<String> {
    let mut names = vec![DEFAULT.to_owned()];
    let states = std::fs::read_dir(working_directory.join("terraform.tfstate.d"));
    let states = states.into_iter().flatten().flatten();
    names.extend(states.filter_map(|state| state.file_name().into_string().ok()));
    let selected = selected_workspace(working_directory, environment);
    names.extend(selected.map(|selected| selected.0));
    names.retain(|name| is_valid_name(name));
    names.sort_unstable();
    names.dedup();
    names
}

/// Terraform's rule: a valid name is not empty and equals its own `url.PathEscape`. `.` and `..` pass (1.11.4 accepts
/// them).
fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~$&+:=@".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::environment_of;
    use crate::terraform::real_terraform;

    fn selected(directory: &Path, variables: &[(&str, &str)]) -> Result<String, WorkspaceError> {
        selected_workspace(directory, &environment_of(variables))
            .map(|workspace| workspace.to_string())
    }

    #[test]
    fn without_variable_and_file_it_is_the_default_workspace() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(selected(directory.path(), &[]).unwrap(), "default");
        assert_eq!(
            selected(directory.path(), &[("TF_WORKSPACE", "")]).unwrap(),
            "default"
        );
    }

    #[test]
    fn the_file_is_trimmed_and_the_variable_beats_it() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(".terraform")).unwrap();
        let file = directory.path().join(".terraform/environment");
        std::fs::write(&file, " stg \n").unwrap();
        assert_eq!(selected(directory.path(), &[]).unwrap(), "stg");
        assert_eq!(
            selected(directory.path(), &[("TF_WORKSPACE", "prod")]).unwrap(),
            "prod"
        );
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(selected(directory.path(), &[]).unwrap(), "default");
    }

    #[test]
    fn those_of_a_local_state_and_the_selected_one_are_told_without_a_backend() {
        let directory = tempfile::tempdir().unwrap();
        for made in [
            "terraform.tfstate.d/stg",
            "terraform.tfstate.d/a b",
            ".terraform",
        ] {
            std::fs::create_dir_all(directory.path().join(made)).unwrap();
        }
        let names = || local_workspaces(directory.path(), &environment_of(&[]));
        assert_eq!(names(), ["default", "stg"]);
        std::fs::write(directory.path().join(".terraform/environment"), "prod").unwrap();
        assert_eq!(names(), ["default", "prod", "stg"]);
    }

    #[test]
    fn the_data_directory_is_relative_to_the_working_directory() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("data")).unwrap();
        std::fs::write(directory.path().join("data/environment"), "w1").unwrap();
        assert_eq!(
            selected(directory.path(), &[("TF_DATA_DIR", "data")]).unwrap(),
            "w1"
        );
    }

    #[test]
    fn an_unreadable_file_is_an_error_not_the_default_workspace() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join(".terraform/environment")).unwrap();
        assert!(matches!(
            selected(directory.path(), &[]),
            Err(WorkspaceError::Unreadable { .. })
        ));
    }

    #[test]
    fn terraform_agrees_which_names_are_valid() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            ".",
            "..",
            "a@b",
            "a~$&+:=@._-",
            "a/b",
            "a b",
            "a,b",
            "a;b",
            "é",
            "a%20",
        ] {
            let variables = [("TF_WORKSPACE", name)];
            let output = real_terraform::run(directory.path(), &["workspace", "show"], &variables);
            assert_eq!(
                selected(directory.path(), &variables).is_ok(),
                output.status.success(),
                "{name}"
            );
        }
    }
}
