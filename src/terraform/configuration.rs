//! Which backend the configuration files of a directory declare.
//!
//! Only for directories without a backend record, to tell "run init first" from the implied local backend. Never a
//! source of backend settings, which come from more than these files. Files that do not parse are left for terraform to
//! report.

use std::path::Path;

use hcl_edit::structure::Body;
use serde_json::Value;

/// The type of backend that the files of `directory` declare, such as `s3`; `cloud` for a `cloud` block, and
/// `state_store` for a state store. `None` if none is declared or the directory cannot be read.
///
/// As in terraform, a declaration in an override file (`override.tf`, `*_override.tf`) replaces the others.
#[must_use]
pub fn declared_backend(directory: &Path) -> Option<String> {
    let entries = std::fs::read_dir(directory).ok()?.flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    let mut declared = None;
    let mut overriding = None;
    for name in names {
        let Some(file) = name.to_str().and_then(ConfigurationFile::named) else {
            continue;
        };
        let Ok(content) = std::fs::read_to_string(directory.join(&name)) else {
            continue;
        };
        let Some(backend) = file.syntax.backend_in(&content) else {
            continue;
        };
        match file.role {
            Role::Primary => declared = Some(backend),
            Role::Override => overriding = Some(backend),
        }
    }
    overriding.or(declared)
}

/// The blocks in `terraform` that configure where the state is kept.
const CLOUD: &str = "cloud";
const BACKEND: &str = "backend";
const STATE_STORE: &str = "state_store";

struct ConfigurationFile {
    syntax: Syntax,
    role: Role,
}

#[derive(Clone, Copy)]
enum Syntax {
    Native,
    Json,
}

#[derive(Clone, Copy)]
enum Role {
    Primary,
    Override,
}

impl ConfigurationFile {
    /// How terraform and OpenTofu read a file of this name, if at all.
    fn named(name: &str) -> Option<Self> {
        let is_of_an_editor = name.starts_with('.')
            || name.ends_with('~')
            || (name.starts_with('#') && name.ends_with('#'));
        if is_of_an_editor {
            return None;
        }
        let (stem, syntax) = [
            (".tf.json", Syntax::Json),
            (".tofu.json", Syntax::Json),
            (".tf", Syntax::Native),
            (".tofu", Syntax::Native),
        ]
        .into_iter()
        .find_map(|(suffix, syntax)| Some((name.strip_suffix(suffix)?, syntax)))?;
        let role = if stem == "override" || stem.ends_with("_override") {
            Role::Override
        } else {
            Role::Primary
        };
        Some(Self { syntax, role })
    }
}

impl Syntax {
    fn backend_in(self, content: &str) -> Option<String> {
        // Parsing hundreds of files would be slow, and few have such a block.
        let may_declare = [CLOUD, BACKEND, STATE_STORE]
            .iter()
            .any(|word| content.contains(word));
        if !may_declare {
            return None;
        }
        match self {
            Self::Native => in_native(&content.parse().ok()?),
            Self::Json => in_json(&serde_json::from_str(content).ok()?),
        }
    }
}

fn in_native(body: &Body) -> Option<String> {
    body.get_blocks("terraform").find_map(|terraform| {
        let inner = &terraform.body;
        if let Some(backend) = inner.get_blocks(BACKEND).next() {
            return backend
                .labels
                .first()
                .map(|label| label.as_str().to_owned());
        }
        [CLOUD, STATE_STORE]
            .into_iter()
            .find(|word| inner.has_blocks(word))
            .map(str::to_owned)
    })
}

fn in_json(root: &Value) -> Option<String> {
    one_or_many(root.get("terraform")?).find_map(|terraform| {
        if let Some(backend) = terraform.get(BACKEND) {
            return one_or_many(backend)
                .filter_map(Value::as_object)
                .flat_map(|labels| labels.keys())
                // The key `//` is a comment in terraform's JSON.
                .find(|label| *label != "//")
                .cloned();
        }
        [CLOUD, STATE_STORE]
            .into_iter()
            .find(|word| terraform.get(word).is_some_and(|block| !block.is_null()))
            .map(str::to_owned)
    })
}

/// In JSON a block is an object, or an array of them.
fn one_or_many(value: &Value) -> impl Iterator<Item = &Value> {
    value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice)
        .iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(files: &[(&str, &str)]) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        declared_backend(directory.path())
    }

    const S3: &str = r#"
        # a comment with backend "x" {}
        terraform {
          required_version = ">= 1.0"
          backend "s3" {
            bucket = "b"
          }
        }
        output "x" {
          value = <<-EOT
            terraform { backend "gcs" {} }
          EOT
        }
    "#;

    #[test]
    fn a_backend_is_found_in_every_kind_of_file() {
        let json = r#"{"terraform": {"backend": {"s3": {"bucket": "b"}}}}"#;
        let arrays =
            r#"{"terraform": [{"required_version": "1"}, {"backend": [{"//": "why", "s3": {}}]}]}"#;
        for file in [
            ("main.tf", S3),
            ("main.tofu", S3),
            ("main.tf.json", json),
            ("main.tofu.json", arrays),
        ] {
            assert_eq!(declared(&[file]).as_deref(), Some("s3"), "{}", file.0);
        }
    }

    #[test]
    fn cloud_blocks_and_state_stores_are_found() {
        assert_eq!(
            declared(&[("a.tf", "terraform {\n  cloud {}\n}\n")]).as_deref(),
            Some("cloud")
        );
        assert_eq!(
            declared(&[("a.tf.json", r#"{"terraform": {"cloud": {}}}"#)]).as_deref(),
            Some("cloud")
        );
        let store = "terraform {\n  state_store \"aws_s3\" {\n  }\n}\n";
        assert_eq!(declared(&[("a.tf", store)]).as_deref(), Some("state_store"));
    }

    #[test]
    fn an_override_file_wins() {
        let gcs = "terraform {\n  backend \"gcs\" {}\n}\n";
        assert_eq!(
            declared(&[("main.tf", S3), ("z_override.tf", gcs)]).as_deref(),
            Some("gcs")
        );
        let last = "terraform {\n  backend \"http\" {}\n}\n";
        let two = [
            ("a_override.tf", gcs),
            ("b_override.tf", last),
            ("z.tf", S3),
        ];
        assert_eq!(declared(&two).as_deref(), Some("http"));
        assert_eq!(
            declared(&[("override.tf", gcs), ("main.tf", S3)]).as_deref(),
            Some("gcs")
        );
    }

    #[test]
    fn files_without_a_backend_block_declare_none() {
        assert_eq!(declared(&[]), None);
        let other = "variable \"backend\" {\n  default = \"cloud\"\n}\n";
        assert_eq!(declared(&[("main.tf", other)]), None);
        for name in [
            ".main.tf",
            "main.tf~",
            "#main.tf#",
            "main.tfvars",
            "main.txt",
        ] {
            assert_eq!(declared(&[(name, S3)]), None, "{name}");
        }
        assert_eq!(declared_backend(Path::new("/no/such/directory")), None);
    }

    #[test]
    fn a_file_that_does_not_parse_does_not_hide_the_others() {
        let files = [
            ("broken.tf", "backend {{{"),
            ("broken.tf.json", "{\"backend\""),
            ("main.tf", S3),
        ];
        assert_eq!(declared(&files).as_deref(), Some("s3"));
    }
}
