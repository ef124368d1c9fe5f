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
mod tests {
    use super::*;
    use crate::terraform::real_terraform;
    use serde_json::{Map, Value, json};

    fn backend(type_name: &str, config: Value) -> Backend {
        match config {
            Value::Object(config) => Backend::new(type_name, config),
            _ => Backend::new(type_name, Map::new()),
        }
    }

    fn s3(config: Value, workspace: &str) -> S3Names {
        let backend = backend("s3", config).s3().unwrap().unwrap();
        s3_names(&backend, &Workspace::new(workspace))
    }

    #[test]
    fn s3_names_are_those_of_terraform() {
        let names = s3(json!({"bucket": "bkt", "key": "dir/x.tfstate"}), "default");
        assert_eq!(names.state_path, "dir/x.tfstate");
        assert_eq!(names.lock_name.as_str(), "bkt/dir/x.tfstate");
        assert_eq!(names.lock_object, "dir/x.tfstate.tflock");
        let names = s3(json!({"bucket": "bkt", "key": "dir/x.tfstate"}), "stg");
        assert_eq!(names.lock_name.as_str(), "bkt/env:/stg/dir/x.tfstate");
        assert_eq!(names.lock_object, "env:/stg/dir/x.tfstate.tflock");
    }

    #[test]
    fn an_empty_workspace_prefix_leaves_only_the_workspace() {
        let names = s3(
            json!({"bucket": "bkt", "key": "x", "workspace_key_prefix": ""}),
            "stg",
        );
        assert_eq!(names.lock_name.as_str(), "bkt/stg/x");
    }

    #[test]
    fn only_a_workspaces_path_is_cleaned() {
        let config = json!({"bucket": "bkt", "key": "a//b", "workspace_key_prefix": "p/"});
        assert_eq!(s3(config.clone(), "default").state_path, "a//b");
        assert_eq!(s3(config, "stg").state_path, "p/stg/a/b");
    }

    #[test]
    fn a_state_is_listed_only_where_prefix_and_key_are_clean_paths() {
        for (prefix, key, expected) in [
            ("env:", "dir/x.tfstate", true),
            ("", "x", true),
            ("a/b", "x", true),
            ("env:", "./x", false),
            ("env:", "../x", false),
            ("env:", "a//b", false),
            ("env:", "a/./b", false),
            ("env:", "a/../b", false),
            ("./p", "x", false),
            ("p//q", "x", false),
            ("p/..", "x", false),
            ("", "../x", false),
        ] {
            let config = json!({"bucket": "bkt", "key": key, "workspace_key_prefix": prefix});
            let backend = backend("s3", config).s3().unwrap().unwrap();
            let listed = is_listed(&backend, &Workspace::new("stg"));
            assert_eq!(listed, expected, "{prefix} {key}");
        }
    }

    #[test]
    fn an_s3_backend_has_its_own_name_as_a_shared_one() {
        let s3 = backend("s3", json!({"bucket": "bkt", "key": "x"}));
        let name = shared_lock_name(&s3, &Workspace::default()).unwrap();
        assert_eq!(name.as_str(), "bkt/x");
    }

    #[test]
    fn terraform_writes_the_local_state_at_the_computed_path() {
        let configured = r#"terraform {
            backend "local" {
                path = "sub/x.tfstate"
                workspace_dir = "spaces"
            }
        }"#;
        for (configuration, flag) in [("", None), (configured, None), ("", Some("flag.tfstate"))] {
            let directory = tempfile::tempdir().unwrap();
            let directory = directory.path();
            let output = format!("{configuration}\noutput \"x\" {{\n value = 1\n}}\n");
            std::fs::write(directory.join("main.tf"), output).unwrap();
            real_terraform::succeed(directory, &["init"]);
            let record = crate::terraform::backend::read_record(directory, &|_| None).unwrap();
            let backend = record.map_or_else(Backend::implied, |record| record.backend);
            let local = backend.local().unwrap().unwrap();
            for name in ["default", "w1"] {
                if name == "w1" {
                    real_terraform::succeed(directory, &["workspace", "new", name]);
                }
                let state = local_state_path(
                    directory,
                    &local,
                    &Workspace::new(name),
                    flag.map(Path::new),
                );
                let _ = std::fs::remove_file(&state);
                let state_flag = flag.map(|flag| format!("-state={flag}"));
                let mut call = vec!["apply", "-auto-approve"];
                call.extend(state_flag.as_deref());
                real_terraform::succeed(directory, &call);
                assert!(
                    state.is_absolute() && state.is_file(),
                    "{}",
                    state.display()
                );
            }
        }
    }

    #[test]
    fn links_to_a_state_have_the_same_lock_name() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", directory.path().join("link")).unwrap();
        let path = |working: &str| {
            let working = directory.path().join(working);
            local_state_path(
                &working,
                &LocalBackend::default(),
                &Workspace::default(),
                None,
            )
        };
        assert_eq!(path("link"), path("real"));
        assert_eq!(path("link/../real"), path("real"));
    }

    #[test]
    fn a_local_state_in_a_table_is_named_after_its_machine() {
        let name = local_lock_name("laptop", Path::new("/home/ana/x/terraform.tfstate"));
        assert_eq!(name.as_str(), "local/laptop/home/ana/x/terraform.tfstate");
    }
}
