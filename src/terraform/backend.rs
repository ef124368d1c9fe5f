//! Backends: where terraform keeps states, and how a backend is configured.
//!
//! A configuration may hold secrets in clear text: only values known to be harmless are shown, in errors as in `Debug`.

mod attributes;
mod harmless;
mod record;
mod role;
mod s3;
mod secret;
mod tags;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::attributes::AttributeError;
pub(super) use self::attributes::Attributes;
pub use self::record::{BackendRecord, BackendRecordError, data_directory, read_record};
pub use self::role::{AssumeRole, AssumeRoleWithWebIdentity};
pub use self::s3::{Endpoints, S3Backend};
pub use self::secret::Secret;

/// A backend: its type and its merged configuration. Serialising it includes any secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    type_name: String,
    config: Map<String, Value>,
}

impl Backend {
    /// A backend of that type, such as `s3`; attributes that are not set are null or absent.
    #[must_use]
    pub fn new(type_name: impl Into<String>, config: Map<String, Value>) -> Self {
        Self {
            type_name: type_name.into(),
            config,
        }
    }

    /// The local backend that terraform implies if none is configured.
    #[must_use]
    pub fn implied() -> Self {
        Self::new("local", Map::new())
    }

    /// Its type, as in `backend "s3"`; a `cloud` block has the type `cloud`.
    #[must_use]
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Whether other machines share its states: all backends but `local`.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.type_name != "local"
    }

    /// The settings of an S3 backend; `None` for other types.
    ///
    /// # Errors
    ///
    /// Bucket or key is missing, or an attribute has the wrong type.
    pub fn s3(&self) -> Result<Option<S3Backend>, AttributeError> {
        if self.type_name != "s3" {
            return Ok(None);
        }
        S3Backend::from_config(self.attributes()).map(Some)
    }

    /// The settings of the local backend; `None` for other types.
    ///
    /// # Errors
    ///
    /// An attribute has the wrong type.
    pub fn local(&self) -> Result<Option<LocalBackend>, AttributeError> {
        if self.is_shared() {
            return Ok(None);
        }
        let attributes = self.attributes();
        Ok(Some(LocalBackend {
            path: attributes.text("path")?.map(PathBuf::from),
            workspace_directory: attributes.text("workspace_dir")?.map(PathBuf::from),
        }))
    }

    /// Its attributes as they are recorded. They may be secrets.
    pub(super) fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    pub(super) fn attributes(&self) -> Attributes<'_> {
        Attributes::new(&self.config)
    }
}

impl fmt::Debug for Backend {
    /// Shows the type, and of the attributes only the names.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: Vec<&String> = self
            .config
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, _)| name)
            .collect();
        formatter
            .debug_struct("Backend")
            .field("type_name", &self.type_name)
            .field("attributes_set", &set)
            .finish_non_exhaustive()
    }
}

/// The settings of the local backend, as written: relative paths are relative to the working directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalBackend {
    /// `path`: the state file of the default workspace; terraform's default is `terraform.tfstate`.
    pub path: Option<PathBuf>,
    /// `workspace_dir`: the directory of the other workspaces; terraform's default is `terraform.tfstate.d`.
    pub workspace_directory: Option<PathBuf>,
}

#[cfg(test)]
impl Backend {
    /// A backend with that configuration, which must be an object.
    pub(super) fn of_json(type_name: &str, config: Value) -> Self {
        let Value::Object(config) = config else {
            panic!("an object")
        };
        Self::new(type_name, config)
    }
}
