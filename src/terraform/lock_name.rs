//! The name of a state's lock.
//!
//! For S3 backends the names are terraform's own and must match byte for byte. For all others they are ours: readable,
//! the same on every teammate's machine, and never derived from a secret.

mod identity;
mod path;
mod postgres;

use std::fmt;
use std::path::{Path, PathBuf};

use self::path::join;
use super::backend::{AttributeError, Backend, LocalBackend, S3Backend};
use super::workspace::Workspace;

/// The key of a lock: `LockID` in a table, and the value of `--lock-id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockName(String);

impl LockName {
    /// The name as given by a user.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LockName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<LockName> for String {
    fn from(name: LockName) -> Self {
        name.0
    }
}

/// Why no lock name can be derived from a backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockNameError {
    /// It is not known what distinguishes the states of this backend type.
    #[error("no lock name is known for the backend type `{type_name}`")]
    UnknownBackend {
        /// The type.
        type_name: String,
    },
    /// A setting that distinguishes states is not recorded, because terraform takes it from the environment.
    #[error("the `{type_name}` backend has no recorded `{name}`, so its lock cannot be named")]
    MissingAttribute {
        /// The type of the backend.
        type_name: String,
        /// The attribute.
        name: &'static str,
    },
    /// An attribute lacks the part that distinguishes states. Its value is not shown: it may hold a password.
    #[error(
        "the `{name}` of the `{type_name}` backend names no {lacks}, so its lock cannot be named"
    )]
    IncompleteAttribute {
        /// The type of the backend.
        type_name: String,
        /// The attribute.
        name: &'static str,
        /// The missing part.
        lacks: &'static str,
    },
    /// The configuration was not written by terraform.
    #[error(transparent)]
    Attribute(#[from] AttributeError),
}

impl LockNameError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Attribute(error) => error.hint(),
            Self::UnknownBackend { .. }
            | Self::MissingAttribute { .. }
            | Self::IncompleteAttribute { .. } => {
                "name the lock with `--lock-id`, the same on every machine".to_owned()
            }
        }
    }
}

/// Where terraform's S3 backend keeps a state and its locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Names {
    /// The state's key in the bucket.
    pub state_path: String,
    /// `LockID` of the item in the DynamoDB table, and `Path` in a lock info.
    pub lock_name: LockName,
    /// The key of the `.tflock` object in the bucket.
    pub lock_object: String,
}

/// Terraform's names for the state of `workspace`.
#[must_use]
pub fn s3_names(backend: &S3Backend, workspace: &Workspace) -> S3Names {
    let state_path = if workspace.is_default() {
        backend.key.clone()
    } else {
        join([
            backend.workspace_key_prefix.as_str(),
            workspace.as_str(),
            &backend.key,
        ])
    };
    S3Names {
        lock_name: LockName(format!("{}/{state_path}", backend.bucket)),
        lock_object: format!("{state_path}.tflock"),
        state_path,
    }
}

/// Whether terraform lists the state of `workspace` once it exists: it lists everything under the prefix as written and
/// expects the key as written, but stores the state under the cleaned path of both (`keyEnv` and `path` in
/// `internal/backend/remote-state/s3/backend_state.go`).
#[must_use]
pub fn is_listed(backend: &S3Backend, workspace: &Workspace) -> bool {
    let path = s3_names(backend, workspace).state_path;
    let below = match backend.workspace_key_prefix.as_str() {
        "" => Some(path.as_str()),
        prefix => path
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('/')),
    };
    below.and_then(|below| below.split_once('/'))
        == Some((workspace.as_str(), backend.key.as_str()))
}

/// The name of the lock of a state in a shared backend, the same on every machine.
///
/// # Errors
///
/// The type is unknown or `local`, or a setting that distinguishes its states is not recorded.
pub fn shared_lock_name(
    backend: &Backend,
    workspace: &Workspace,
) -> Result<LockName, LockNameError> {
    match backend.s3()? {
        Some(s3) => Ok(s3_names(&s3, workspace).lock_name),
        None => identity::of(backend, workspace).map(LockName),
    }
}

/// The lock name of a state file on the machine `hostname`, in a table that other machines use too.
#[must_use]
pub fn local_lock_name(hostname: &str, state_path: &Path) -> LockName {
    let path = state_path.to_string_lossy();
    LockName(format!("local/{hostname}/{}", path.trim_start_matches('/')))
}

/// The state file of a local backend: absolute, with links resolved.
///
/// `state_flag` is `-state-out` or `-state`, which beat the workspace; the backend's `path` is for the default
/// workspace only. Relative paths are relative to `working_directory`, which must be absolute.
#[must_use]
pub fn local_state_path(
    working_directory: &Path,
    backend: &LocalBackend,
    workspace: &Workspace,
    state_flag: Option<&Path>,
) -> PathBuf {
    const FILE: &str = "terraform.tfstate";
    let as_written = if let Some(flag) = state_flag {
        flag.to_owned()
    } else if workspace.is_default() {
        backend.path.clone().unwrap_or_else(|| PathBuf::from(FILE))
    } else {
        let directory = backend.workspace_directory.as_deref();
        let directory = directory.unwrap_or(Path::new("terraform.tfstate.d"));
        directory.join(workspace.as_str()).join(FILE)
    };
    path::resolve(&working_directory.join(as_written))
}

#[cfg(test)]
mod tests;
