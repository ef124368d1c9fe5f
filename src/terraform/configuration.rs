//! Which backend the configuration files of a directory declare.
//!
//! To tell "run init first" from the implied local backend, and whether what `terraform init` has recorded is still asked
//! for: a checkout brings its record along, and terraform believes none that its files do not ask for. Never a source of
//! settings, since those come from more than these files.

mod block;
mod json;
mod native;

use std::path::{Path, PathBuf};

use self::block::Block;
use super::backend::BackendRecord;
use crate::system::plain_file::{self, Link};

/// The blocks in `terraform` that configure where the state is kept.
const CLOUD: &str = "cloud";
const BACKEND: &str = "backend";
const STATE_STORE: &str = "state_store";

/// The longest configuration file that is read. Those that people write have a thousandth of it.
const LONGEST_FILE: u64 = 8 << 20;

/// What the files of a directory say of where states are kept.
#[derive(Debug, Default)]
pub struct Declared {
    files: Vec<ConfigurationFile>,
    unreadable: Option<Unreadable>,
}

/// Why a record is not believed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file that may say more cannot be read.
    #[error("whether `{}` asks for the recorded backend `{type_name}` cannot be told: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is recorded.
        type_name: String,
        /// Where and why.
        reason: String,
    },
    /// No block, or another.
    #[error("the backend `{recorded}` was initialised here, but the configuration asks for {}",
        .declared.as_ref().map_or("none".to_owned(), |name| format!("`{name}`")))]
    AnotherType {
        /// What is recorded.
        recorded: String,
        /// What is declared.
        declared: Option<String>,
    },
    /// The same with other settings.
    #[error("the `{type_name}` backend's settings have changed since it was initialised")]
    OtherSettings {
        /// Its type.
        type_name: String,
    },
}

impl RecordError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "fix it (`tflock validate` says more)".to_owned(),
            Self::AnotherType { .. } | Self::OtherSettings { .. } => "run `tflock init`".to_owned(),
        }
    }
}

/// A file that may say more.
#[derive(Debug)]
struct Unreadable {
    path: PathBuf,
    reason: String,
}

impl Declared {
    /// Reads the files of a directory; one that cannot be read declares nothing.
    #[must_use]
    pub fn by(directory: &Path) -> Self {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        let mut declared = Self::default();
        for name in names {
            let Some(mut file) = ConfigurationFile::named(&name) else {
                continue;
            };
            let path = directory.join(name);
            match file.syntax.blocks_in(&path) {
                Ok(blocks) => file.blocks = blocks,
                Err(reason) => declared.unreadable = Some(Unreadable { path, reason }),
            }
            declared.files.push(file);
        }
        declared
    }

    /// The type of the backend that is declared, such as `s3`; `cloud` for a `cloud` block, and `state_store` for a state
    /// store.
    #[must_use]
    pub fn type_name(&self) -> Option<&str> {
        let mut blocks = self.blocks().into_iter().flatten();
        blocks.next().map(|block| block.type_name.as_str())
    }

    /// Whether the record is what the files still ask for, to terraform or to OpenTofu.
    ///
    /// # Errors
    /// When it is not, or cannot be told.
    pub fn confirm(&self, record: &BackendRecord) -> Result<(), RecordError> {
        let blocks = self.blocks();
        if blocks.iter().flatten().any(|block| block.asks_for(record)) {
            return Ok(());
        }
        let recorded = record.backend.type_name().to_owned();
        if let Some(Unreadable { path, reason }) = &self.unreadable {
            return Err(RecordError::Unreadable {
                path: path.clone(),
                type_name: recorded,
                reason: reason.clone(),
            });
        }
        let declared = self.type_name().map(str::to_owned);
        if declared.as_deref() == Some(recorded.as_str()) {
            return Err(RecordError::OtherSettings {
                type_name: recorded,
            });
        }
        Err(RecordError::AnotherType { recorded, declared })
    }

    /// The block that counts for terraform and that for OpenTofu, which reads `x.tofu` instead of `x.tf`.
    fn blocks(&self) -> [Option<&Block>; 2] {
        let of_tofu = |file: &&ConfigurationFile| file.program == Program::Tofu;
        let shadowed = |file: &ConfigurationFile| {
            let mut others = self.files.iter().filter(of_tofu);
            others.any(|other| (&other.stem, other.syntax) == (&file.stem, file.syntax))
        };
        [
            block_of(self.files.iter().filter(|file| !of_tofu(file))),
            block_of(
                self.files
                    .iter()
                    .filter(|file| of_tofu(file) || !shadowed(file)),
            ),
        ]
    }
}

/// An override file replaces what the others declare, the last one counts. Two blocks in the others are none: terraform
/// refuses them.
fn block_of<'a>(files: impl Iterator<Item = &'a ConfigurationFile>) -> Option<&'a Block> {
    let (overriding, primary): (Vec<_>, Vec<_>) =
        files.partition(|file| file.role == Role::Override);
    let blocks = |files: Vec<&'a ConfigurationFile>| {
        files
            .into_iter()
            .flat_map(|file| &file.blocks)
            .collect::<Vec<_>>()
    };
    match (blocks(overriding).pop(), blocks(primary).as_slice()) {
        (_, [_, _, ..]) => None,
        (Some(block), _) => Some(block),
        (None, primary) => primary.first().copied(),
    }
}

#[derive(Debug)]
struct ConfigurationFile {
    stem: String,
    syntax: Syntax,
    program: Program,
    role: Role,
    blocks: Vec<Block>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    Native,
    Json,
}

/// Who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Both,
    Tofu,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        let (stem, syntax, program) = [
            (".tf.json", Syntax::Json, Program::Both),
            (".tofu.json", Syntax::Json, Program::Tofu),
            (".tf", Syntax::Native, Program::Both),
            (".tofu", Syntax::Native, Program::Tofu),
        ]
        .into_iter()
        .find_map(|(suffix, syntax, program)| {
            Some((name.strip_suffix(suffix)?, syntax, program))
        })?;
        let role = if stem == "override" || stem.ends_with("_override") {
            Role::Override
        } else {
            Role::Primary
        };
        Some(Self {
            stem: stem.to_owned(),
            syntax,
            program,
            role,
            blocks: Vec::new(),
        })
    }
}

impl Syntax {
    /// The blocks of a file; on failure where and why.
    fn blocks_in(self, path: &Path) -> Result<Vec<Block>, String> {
        let content = plain_file::read(path, Link::Follow, LONGEST_FILE);
        let content = content.map_err(|error| error.to_string())?;
        let content = String::from_utf8_lossy(&content);
        // Parsing hundreds of files would be slow, and hardly any has such a block.
        let may_declare = [CLOUD, BACKEND, STATE_STORE]
            .iter()
            .any(|word| content.contains(word));
        if !may_declare {
            return Ok(Vec::new());
        }
        let blocks = match self {
            Self::Native => native::blocks(&content),
            Self::Json => json::blocks(&content),
        };
        blocks.map_err(|line| format!("line {line} is not understood"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(files: &[(&str, &str)]) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        Declared::by(directory.path())
            .type_name()
            .map(str::to_owned)
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
        assert_eq!(
            Declared::by(Path::new("/no/such/directory")).type_name(),
            None
        );
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
