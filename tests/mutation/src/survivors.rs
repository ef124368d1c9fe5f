//! The list of the changes that may go unnoticed, each with its reason.
//!
//! A line that begins without a blank names a change: `<file> <function>: <what>`, as the report prints it, or with `*` for any
//! text at its end. The indented lines below it are the reason, which is wanted.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::tree::Mutant;

/// The list.
#[derive(Debug)]
pub struct Survivors(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    name: String,
    reason: String,
}

impl Survivors {
    /// Reads the list.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut entries: Vec<Entry> = Vec::new();
        for line in text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        {
            match (line.strip_prefix(' '), entries.last_mut()) {
                (Some(reason), Some(entry)) => entry.reason.push_str(reason.trim()),
                (Some(_), None) => anyhow::bail!("a reason without a change: {line}"),
                (None, _) => entries.push(Entry {
                    name: line.trim_end().to_owned(),
                    reason: String::new(),
                }),
            }
        }
        // Several in a row may have one reason.
        for at in (0..entries.len().saturating_sub(1)).rev() {
            if entries[at].reason.is_empty() {
                let reason = entries[at + 1].reason.clone();
                entries[at].reason = reason;
            }
        }
        for entry in &entries {
            ensure!(!entry.reason.is_empty(), "without a reason: {}", entry.name);
        }
        Ok(Self(entries))
    }

    /// Whether that change may survive.
    pub fn has(&self, mutant: &Mutant) -> bool {
        let name = mutant.name();
        self.0
            .iter()
            .any(|entry| match entry.name.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == entry.name,
            })
    }
}

impl Mutant {
    /// What it is called in the list: its line would not stay the same.
    pub fn name(&self) -> String {
        format!("{} {}: {}", self.file.display(), self.function, self.what)
    }
}
