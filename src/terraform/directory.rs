//! Whether a directory is a terraform directory at all.

use std::path::Path;

use crate::environment::{Environment, non_empty};

/// The suffixes of configuration files; OpenTofu has its own.
const CONFIGURATION: [&str; 4] = [".tf", ".tf.json", ".tofu", ".tofu.json"];
/// The state of the local backend, and the directory of its other workspaces.
const STATES: [&str; 2] = ["terraform.tfstate", "terraform.tfstate.d"];

/// Whether the directory has a configuration, a state, or files from `init`. An unreadable one has none.
#[must_use]
pub fn is_terraform_directory(directory: &Path, environment: Environment<'_>) -> bool {
    let data = non_empty(environment, "TF_DATA_DIR").unwrap_or_else(|| ".terraform".into());
    if directory.join(data).exists() || STATES.iter().any(|state| directory.join(state).exists()) {
        return true;
    }
    let Ok(entries) = std::fs::read_dir(directory) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        CONFIGURATION.iter().any(|end| name.ends_with(end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_a_state_or_files_of_init_make_a_terraform_directory() {
        let is = |files: &[&str], data: Option<&str>| {
            let directory = tempfile::tempdir().unwrap();
            for file in files {
                std::fs::create_dir_all(directory.path().join(file)).unwrap();
            }
            is_terraform_directory(directory.path(), &|_| data.map(Into::into))
        };
        assert!(!is(&[], None));
        assert!(!is(&["README.md", "main.tfvars", "modules"], None));
        for file in [
            "main.tf",
            "main.tf.json",
            "main.tofu",
            "terraform.tfstate",
            "terraform.tfstate.d",
            ".terraform",
        ] {
            assert!(is(&[file], None), "{file}");
        }
        assert!(is(&["data"], Some("data")));
        assert!(!is_terraform_directory(
            Path::new("/no/such/directory"),
            &|_| None
        ));
    }
}
