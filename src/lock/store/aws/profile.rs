//! Profiles of the shared files: how files are merged, and what a profile contains.
//!
//! Follows Go's SDK rule by rule (`config/shared_config.go` of aws-sdk-go-v2), quirks included, because any other
//! reading is another identity. Only settings that decide who signs a request and where it goes are read; terraform
//! reports errors in the others.

mod merge;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::merge::{Merged, from_files, keep_profiles, merge};
use super::ini::Section;
use super::settings::{AwsSettings, StaticKeys};

const ACCESS_KEY: &str = "aws_access_key_id";
const SECRET_KEY: &str = "aws_secret_access_key";
const SESSION_TOKEN: &str = "aws_session_token";

/// Why a profile is unusable; terraform refuses it too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The named profile is in none of the files.
    #[error("there is no profile `{name}` in {}", listed(.files))]
    Missing {
        /// The profile.
        name: String,
        /// The files that were searched.
        files: Vec<PathBuf>,
    },
    /// It contradicts itself or is incomplete.
    #[error("the profile `{name}` {reason} ({})", place(.file, *.line))]
    Unusable {
        /// The profile.
        name: String,
        /// What is wrong, as the predicate of a sentence.
        reason: String,
        /// The file with the setting.
        file: PathBuf,
        /// The line of the setting, counted from 1.
        line: usize,
    },
    /// A file that can be opened but not read.
    #[error("the shared file `{}` cannot be read: {reason}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's error.
        reason: String,
    },
}

fn listed(files: &[PathBuf]) -> String {
    let names = files.iter().map(|file| format!("`{}`", file.display()));
    names.collect::<Vec<_>>().join(" and ")
}

fn place(file: &Path, line: usize) -> String {
    format!("`{}`, line {line}", file.display())
}

#[derive(Clone, Debug, Default)]
pub(super) struct Profiles {
    sections: BTreeMap<String, Merged>,
    files: Vec<PathBuf>,
}

/// The relevant settings of one profile; empty values count as unset.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    pub(super) name: String,
    merged: Merged,
    services: Section,
}

impl Profiles {
    /// Reads the files of these settings. Like Go, treats a file that cannot be opened as empty.
    pub(super) fn read(settings: &AwsSettings) -> Result<Self, ProfileError> {
        let config = settings.config_files();
        let credentials = settings.credentials_files();
        let mut merged = from_files(&config)?;
        keep_profiles(&mut merged);
        let mut secrets = from_files(&credentials)?;
        secrets.retain(|name, _| !name.starts_with("profile "));
        merge(&mut merged, secrets);
        Ok(Self {
            sections: merged,
            files: config.into_iter().chain(credentials).collect(),
        })
    }

    pub(super) fn get(&self, name: &str) -> Result<Profile, ProfileError> {
        let merged = self
            .sections
            .get(name)
            .ok_or_else(|| ProfileError::Missing {
                name: name.to_owned(),
                files: self.files.clone(),
            })?;
        let mut profile = Profile {
            name: name.to_owned(),
            merged: merged.clone(),
            services: Section::new(),
        };
        if let Some(services) = profile.text("services")
            && let Some(section) = self.sections.get(&format!("services {services}"))
        {
            profile.services = section.properties.clone();
        }
        Ok(profile)
    }

    /// The `sso-session` of that name; `None` if it does not exist.
    pub(super) fn sso_session(&self, name: &str) -> Option<SsoSession> {
        let section = self.sections.get(&format!("sso-session {}", name.trim()))?;
        let text = |key: &str| section.properties.get(key).map(|found| found.value.clone());
        Some(SsoSession {
            region: text("sso_region").unwrap_or_default(),
            start_url: text("sso_start_url").unwrap_or_default(),
        })
    }
}

pub(super) struct SsoSession {
    pub(super) region: String,
    pub(super) start_url: String,
}

impl Profile {
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        let property = self.merged.properties.get(key)?;
        Some(property.value.as_str()).filter(|value| !value.is_empty())
    }

    /// A boolean setting; anything but true is false.
    pub(super) fn switch(&self, key: &str) -> Option<bool> {
        let property = self.merged.properties.get(key)?;
        Some(property.value.eq_ignore_ascii_case("true"))
    }

    /// The endpoint of that service in the profile's `services` section.
    pub(super) fn service_endpoint(&self, service: &str) -> Option<&str> {
        let url = self.services.get(service)?.nested.get("endpoint_url")?;
        Some(url.as_str()).filter(|url| !url.is_empty())
    }

    /// The pair of keys, if it is complete.
    pub(super) fn keys(&self) -> Option<StaticKeys> {
        Some(StaticKeys {
            access_key: self.text(ACCESS_KEY)?.to_owned(),
            secret_key: self.text(SECRET_KEY)?.to_owned(),
            token: self.text(SESSION_TOKEN).map(str::to_owned),
        })
    }

    /// The duration of a role's session in seconds. Go ignores values up to the default of 15 minutes.
    pub(super) fn role_seconds(&self) -> Option<u64> {
        let seconds = self.text("duration_seconds")?.parse().ok()?;
        (seconds >= 16 * 60).then_some(seconds)
    }

    /// An incomplete pair of keys is an error, even if there are other credentials.
    pub(super) fn check_keys(&self) -> Result<(), ProfileError> {
        if !self.merged.partial {
            return Ok(());
        }
        let (there, missing) = if self.merged.properties.contains_key(ACCESS_KEY) {
            (ACCESS_KEY, SECRET_KEY)
        } else {
            (SECRET_KEY, ACCESS_KEY)
        };
        Err(self.unusable(there, &format!("has `{there}` without `{missing}`")))
    }

    pub(super) fn unusable(&self, key: &str, reason: &str) -> ProfileError {
        ProfileError::Unusable {
            name: self.name.clone(),
            reason: reason.to_owned(),
            file: self.merged.origin.get(key).cloned().unwrap_or_default(),
            line: self
                .merged
                .properties
                .get(key)
                .map_or(0, |found| found.line),
        }
    }
}

#[cfg(test)]
mod tests;
