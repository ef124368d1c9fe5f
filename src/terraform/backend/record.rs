//! The backend that `terraform init` recorded for a directory.
//!
//! The record merges the configuration, every `-backend-config` and the answers to prompts. That is why settings are
//! never read from the `.tf` files.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Backend;
use crate::environment::{Environment, non_empty};
use crate::system::plain_file::{self, Link};

/// The format version: that of states before terraform 0.12, unchanged since.
const RECORD_VERSION: u64 = 3;

/// The longest record that is read. A real one has a few kB.
const LONGEST_RECORD: u64 = 1 << 20;

/// Terraform's data directory of `working_directory`: `TF_DATA_DIR`, which is relative to that directory (the one of
/// `-chdir`, else the current one), or `.terraform` in it.
#[must_use]
pub fn data_directory(working_directory: &Path, environment: Environment<'_>) -> PathBuf {
    let name = non_empty(environment, "TF_DATA_DIR").unwrap_or_else(|| ".terraform".into());
    working_directory.join(name)
}

/// What `terraform init` recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendRecord {
    /// The backend.
    pub backend: Backend,
    /// What terraform made of the block that it came from.
    pub hash: Option<u64>,
    /// The version of the terraform that wrote the record: what a lock's `Version` can say without starting it.
    pub recorded_version: Option<String>,
    /// The file it was read from.
    pub path: PathBuf,
}

/// Why the record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackendRecordError {
    /// It exists but cannot be read.
    #[error("the backend record `{}` cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// It is truncated, or not JSON at all.
    #[error("the backend record `{}` is not JSON", .path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// It is JSON, but not what terraform writes.
    #[error("the backend record `{}` has no usable `{member}`", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The invalid member of the JSON object.
        member: &'static str,
    },
    /// A format version that no terraform from 0.12 to 1.15 writes.
    #[error("the backend record `{}` has version {version}; only {RECORD_VERSION} is supported", .path.display())]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// The state is kept by a provider (`state_store`), not by a backend.
    #[error("`{}` records the state store `{type_name}`, for which no lock name is known", .path.display())]
    StateStore {
        /// The file.
        path: PathBuf,
        /// The type of the state store.
        type_name: String,
    },
}

impl BackendRecordError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { path, .. } => format!("make `{}` readable", path.display()),
            Self::NotJson { path, .. } | Self::Malformed { path, .. } => {
                format!("move `{}` away, then run `tflock init`", path.display())
            }
            Self::UnsupportedVersion { .. } => {
                "run `tflock init` with the terraform version of this directory, or name the lock with `--lock-id`"
                    .to_owned()
            }
            Self::StateStore { .. } => "name the lock with `--lock-id`".to_owned(),
        }
    }
}

/// Reads the backend record of `working_directory`; `None` if nothing was recorded, as for the implied local backend.
///
/// # Errors
///
/// Terraform itself would not accept the record, or it is one of a `state_store`.
pub fn read_record(
    working_directory: &Path,
    environment: Environment<'_>,
) -> Result<Option<BackendRecord>, BackendRecordError> {
    let path = data_directory(working_directory, environment).join("terraform.tfstate");
    let content = match plain_file::read(&path, Link::Follow, LONGEST_RECORD) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(BackendRecordError::Unreadable { path, source }),
    };
    // Parsed without a schema: serde's errors would quote values, which may be secret.
    let mut record: Value = match serde_json::from_slice(&content) {
        Ok(record) => record,
        Err(source) => return Err(BackendRecordError::NotJson { path, source }),
    };
    match record["version"].as_u64() {
        Some(RECORD_VERSION) => {}
        Some(version) => return Err(BackendRecordError::UnsupportedVersion { path, version }),
        None => {
            return Err(BackendRecordError::Malformed {
                path,
                member: "version",
            });
        }
    }
    if let Value::Object(store) = &record["state_store"] {
        let type_name = store.get("type").and_then(Value::as_str).unwrap_or("?");
        return Err(BackendRecordError::StateStore {
            path,
            type_name: type_name.to_owned(),
        });
    }
    let recorded_version = record["terraform_version"].as_str().map(str::to_owned);
    let malformed = |member| BackendRecordError::Malformed {
        path: path.clone(),
        member,
    };
    let mut backend = match record["backend"].take() {
        Value::Null => return Ok(None),
        Value::Object(backend) => backend,
        _ => return Err(malformed("backend")),
    };
    let type_name = match backend.get("type") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(empty)) if empty.is_empty() => return Ok(None),
        Some(Value::String(type_name)) => type_name.clone(),
        Some(_) => return Err(malformed("backend.type")),
    };
    let hash = backend.get("hash").and_then(Value::as_u64);
    let config = match backend.remove("config") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(config)) => config,
        Some(_) => return Err(malformed("backend.config")),
    };
    Ok(Some(BackendRecord {
        backend: Backend::new(type_name, config),
        hash,
        recorded_version,
        path,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::environment_of;
    use crate::terraform::real_terraform;

    fn recorded(content: &str) -> Result<Option<BackendRecord>, BackendRecordError> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(".terraform")).unwrap();
        std::fs::write(
            directory.path().join(".terraform/terraform.tfstate"),
            content,
        )
        .unwrap();
        read_record(directory.path(), &|_| None)
    }

    #[test]
    fn a_missing_record_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read_record(directory.path(), &|_| None).unwrap(), None);
        for content in [
            r#"{"version":3}"#,
            r#"{"version":3,"backend":null}"#,
            r#"{"version":3,"backend":{}}"#,
            r#"{"version":3,"backend":{"type":""}}"#,
        ] {
            assert_eq!(recorded(content).unwrap(), None, "{content}");
        }
    }

    #[test]
    fn what_terraform_records_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let configuration = r#"terraform {
            backend "local" {
                path = "a/b.tfstate"
            }
        }"#;
        std::fs::write(directory.path().join("main.tf"), configuration).unwrap();
        real_terraform::succeed(directory.path(), &["init"]);
        let record = read_record(directory.path(), &|_| None).unwrap().unwrap();
        assert_eq!(record.backend.type_name(), "local");
        assert!(!record.backend.is_shared());
        let local = record.backend.local().unwrap().unwrap();
        assert_eq!(local.path, Some("a/b.tfstate".into()));
        assert_eq!(local.workspace_directory, None);
        assert!(record.recorded_version.unwrap().starts_with("1."));
    }

    #[test]
    fn the_data_directory_can_be_moved() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("data")).unwrap();
        let content = r#"{"version":3,"backend":{"type":"http","config":null}}"#;
        std::fs::write(directory.path().join("data/terraform.tfstate"), content).unwrap();
        let environment = environment_of(&[("TF_DATA_DIR", "data")]);
        let record = read_record(directory.path(), &environment)
            .unwrap()
            .unwrap();
        assert_eq!(record.backend.type_name(), "http");
        assert!(record.backend.is_shared());
    }

    #[test]
    fn a_broken_record_is_an_error_with_its_path_and_a_hint() {
        for (content, expected) in [
            ("", "is not JSON"),
            ("garbage", "is not JSON"),
            ("[]", "no usable `version`"),
            ("{}", "no usable `version`"),
            (r#"{"version":"3"}"#, "no usable `version`"),
            (r#"{"version":4,"backend":{"type":"s3"}}"#, "version 4"),
            (r#"{"version":3,"backend":"s3"}"#, "no usable `backend`"),
            (
                r#"{"version":3,"backend":{"type":1}}"#,
                "no usable `backend.type`",
            ),
            (
                r#"{"version":3,"backend":{"type":"s3","config":"x"}}"#,
                "no usable `backend.config`",
            ),
            (
                r#"{"version":3,"state_store":{"type":"aws_s3"}}"#,
                "`aws_s3`",
            ),
        ] {
            let error = recorded(content).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(expected), "{content}: {said}");
            assert!(said.contains(".terraform/terraform.tfstate"), "{said}");
            assert!(error.hint().contains('`'), "{content}");
        }
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join(".terraform/terraform.tfstate")).unwrap();
        let error = read_record(directory.path(), &|_| None).unwrap_err();
        assert!(matches!(error, BackendRecordError::Unreadable { .. }));
    }

    #[test]
    fn debug_output_has_no_values() {
        let content = r#"{"version":3,"backend":{"type":"pg","config":{"conn_str":"postgres://u:hunter2@h/d","schema_name":null}}}"#;
        let shown = format!("{:?}", recorded(content));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("conn_str"), "{shown}");
        assert!(!shown.contains("schema_name"), "{shown}");
    }
}
