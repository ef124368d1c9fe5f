//! The backend that a saved plan was made for. `apply PLANFILE` uses that one, not the initialised one.
//!
//! A plan file is a zip; its entry `tfplan` is a protobuf message (`internal/plans/planproto/planfile.proto`) with the
//! backend's configuration as msgpack. Only these fields are read. Nothing of a plan is ever shown: it holds variables
//! and resources in clear text.

mod message;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use prost::Message as _;
use serde_json::{Map, Value};
use zip::ZipArchive;

use super::backend::Backend;
use crate::system::plain_file;

/// The only message version, written by terraform since 0.12 and OpenTofu.
const PLAN_VERSION: u64 = 3;
/// Larger than any plan; a zip can claim any size.
const LARGEST_PLAN: u64 = 1 << 30;

/// What a saved plan says about its state.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedBackend {
    /// The backend, with its configuration as merged when the plan was made.
    pub backend: Backend,
    /// The version of the terraform that made the plan.
    pub recorded_version: Option<String>,
}

/// Why a saved plan does not reveal its state.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// It cannot be read.
    #[error("the plan `{}` cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// OpenTofu has encrypted it.
    #[error("the plan `{}` is encrypted, so the state it belongs to cannot be told", .path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// It is a zip, but the plan in it is malformed.
    #[error("the plan `{}` has no readable {part}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The malformed part.
        part: &'static str,
    },
    /// Its format version is not supported.
    #[error("the plan `{}` has format {version}; only {PLAN_VERSION} is supported", .path.display())]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// The state is kept by a provider (`state_store`), not by a backend.
    #[error("the plan `{}` is for the state store `{type_name}`, for which no lock name is known", .path.display())]
    StateStore {
        /// The file.
        path: PathBuf,
        /// The type of the state store.
        type_name: String,
    },
}

impl PlanFileError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { path, .. } => format!("make `{}` readable", path.display()),
            Self::Malformed { .. } | Self::UnsupportedVersion { .. } => {
                "make the plan again with `tflock plan -out=FILE`, or name the lock with `--lock-id`".to_owned()
            }
            Self::Encrypted { .. } | Self::StateStore { .. } => {
                "name the lock with `--lock-id`".to_owned()
            }
        }
    }
}

/// Reads the saved plan at `path`, relative to the process's directory.
///
/// `None` if there is no such file or it is not a plan: terraform will say so. `None` also for plans kept by HCP
/// Terraform, small JSON files without a backend: the recorded backend applies.
///
/// # Errors
///
/// There is a plan, but it does not reveal its backend.
pub fn read_plan_file(path: &Path) -> Result<Option<PlannedBackend>, PlanFileError> {
    let unreadable = |source| PlanFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let there = plain_file::if_there(std::fs::metadata(path)).map_err(unreadable)?;
    if !there.is_some_and(|metadata| metadata.is_file()) {
        return Ok(None);
    }
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    match file_kind(&mut file).map_err(unreadable)? {
        Kind::Zip => {}
        Kind::Encrypted => {
            return Err(PlanFileError::Encrypted {
                path: path.to_owned(),
            });
        }
        Kind::Other => return Ok(None),
    }
    let malformed = |part| PlanFileError::Malformed {
        path: path.to_owned(),
        part,
    };
    let mut archive = ZipArchive::new(file).map_err(|_| malformed("archive"))?;
    let entry = match archive.by_name("tfplan") {
        Ok(entry) => entry,
        Err(zip::result::ZipError::FileNotFound) => return Ok(None),
        Err(_) => return Err(malformed("entry `tfplan`")),
    };
    let mut content = Vec::new();
    entry
        .take(LARGEST_PLAN)
        .read_to_end(&mut content)
        .map_err(|_| malformed("entry `tfplan`"))?;
    let plan = message::Plan::decode(&content[..]).map_err(|_| malformed("entry `tfplan`"))?;
    if plan.version != PLAN_VERSION {
        return Err(PlanFileError::UnsupportedVersion {
            path: path.to_owned(),
            version: plan.version,
        });
    }
    if let Some(store) = plan.state_store {
        return Err(PlanFileError::StateStore {
            path: path.to_owned(),
            type_name: store.type_name,
        });
    }
    let backend = plan.backend.ok_or_else(|| malformed("backend"))?;
    let config = backend.config.map(|config| config.msgpack);
    let config = message::configuration(&config.unwrap_or_default())
        .ok_or_else(|| malformed("backend configuration"))?;
    Ok(Some(PlannedBackend {
        backend: Backend::new(backend.type_name, config),
        recorded_version: Some(plan.terraform_version).filter(|version| !version.is_empty()),
    }))
}

enum Kind {
    Zip,
    Encrypted,
    Other,
}

/// Detects the kind of file from its first bytes, then rewinds.
fn file_kind(file: &mut BufReader<File>) -> io::Result<Kind> {
    let mut beginning = Vec::new();
    file.by_ref().take(4).read_to_end(&mut beginning)?;
    file.rewind()?;
    if beginning.starts_with(b"PK\x03\x04") {
        return Ok(Kind::Zip);
    }
    if !beginning.starts_with(b"{") {
        return Ok(Kind::Other);
    }
    let content: Result<Map<String, Value>, _> =
        serde_json::from_reader(file.by_ref().take(LARGEST_PLAN));
    match content {
        Ok(object) if object.contains_key("encrypted_data") => Ok(Kind::Encrypted),
        _ => Ok(Kind::Other),
    }
}
