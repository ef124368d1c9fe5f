//! How the sections of several files are merged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{ACCESS_KEY, ProfileError, SECRET_KEY, SESSION_TOKEN};
use crate::lock::store::aws::ini::{self, Section, Sections};

/// The settings that a second file, or the credentials file, can add to an existing section. All others count only in
/// the first file that has the section.
const MERGED: [&str; 23] = [
    "role_arn",
    "source_profile",
    "credential_source",
    "external_id",
    "mfa_serial",
    "role_session_name",
    "region",
    "credential_process",
    "web_identity_token_file",
    "ec2_metadata_service_endpoint_mode",
    "ec2_metadata_service_endpoint",
    "ec2_metadata_v1_disabled",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
    "ca_bundle",
    "duration_seconds",
    "sso_session",
    "sso_account_id",
    "sso_region",
    "sso_role_name",
    "sso_start_url",
    // Irrelevant here, but in the source's list.
    "max_attempts",
    "retry_mode",
];

/// A section, and the files that it was merged from.
#[derive(Clone, Debug, Default)]
pub(super) struct Merged {
    pub(super) properties: Section,
    /// The file of each property.
    pub(super) origin: BTreeMap<String, PathBuf>,
    /// Whether the last file with the section has only one key of a pair.
    pub(super) partial: bool,
}

/// Reads and merges files; a later one beats an earlier one.
pub(super) fn from_files(files: &[PathBuf]) -> Result<BTreeMap<String, Merged>, ProfileError> {
    let mut merged = BTreeMap::new();
    for file in files {
        let content = match std::fs::read(file) {
            Ok(content) => content,
            Err(error) if file.is_dir() => {
                return Err(ProfileError::Unreadable {
                    file: file.clone(),
                    reason: error.to_string(),
                });
            }
            Err(_) => continue,
        };
        // Like Go, accepts other encodings; that can only garble names that are not ASCII.
        let sections = ini::parse(&String::from_utf8_lossy(&content));
        merge(&mut merged, of_one_file(sections, file));
    }
    Ok(merged)
}

fn of_one_file(sections: Sections, file: &Path) -> BTreeMap<String, Merged> {
    let merged = |properties: Section| Merged {
        origin: properties
            .keys()
            .map(|key| (key.clone(), file.to_owned()))
            .collect(),
        partial: properties.contains_key(ACCESS_KEY) != properties.contains_key(SECRET_KEY),
        properties,
    };
    let sections = sections.into_iter();
    sections
        .map(|(name, properties)| (name, merged(properties)))
        .collect()
}

/// Keeps the sections that Go knows, with `profile x` as `x`, which beats a section already called `x`.
pub(super) fn keep_profiles(sections: &mut BTreeMap<String, Merged>) {
    let found = std::mem::take(sections);
    let mut renamed = Vec::new();
    for (name, section) in found {
        if let Some(profile) = name.strip_prefix("profile ") {
            renamed.push((profile.to_owned(), section));
        } else if name.starts_with("sso-session ")
            || name.starts_with("services ")
            || name.eq_ignore_ascii_case("default")
        {
            sections.insert(name, section);
        }
    }
    sections.extend(renamed);
}

/// Merges the sections of a later file over these.
pub(super) fn merge(sections: &mut BTreeMap<String, Merged>, later: BTreeMap<String, Merged>) {
    for (name, section) in later {
        let Some(known) = sections.get_mut(&name) else {
            sections.insert(name, section);
            continue;
        };
        known.partial = section.partial;
        let mut keys: BTreeSet<&str> = MERGED.into();
        if section.properties.contains_key(ACCESS_KEY)
            && section.properties.contains_key(SECRET_KEY)
        {
            keys.extend([ACCESS_KEY, SECRET_KEY, SESSION_TOKEN]);
        }
        let Merged {
            properties, origin, ..
        } = section;
        let counts = |key: &String| keys.contains(key.as_str());
        let properties = properties.into_iter().filter(|(key, _)| counts(key));
        known.properties.extend(properties);
        let origin = origin.into_iter().filter(|(key, _)| counts(key));
        known.origin.extend(origin);
    }
}
