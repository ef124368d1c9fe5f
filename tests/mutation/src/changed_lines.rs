//! The lines that commits have written.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

/// By file, the lines of the working tree that are new since `revision`.
pub fn since(root: &Path, revision: &str) -> Result<BTreeMap<PathBuf, Vec<Range<usize>>>> {
    let output = Command::new("git")
        .args([
            "diff",
            "--unified=0",
            "--no-color",
            "--no-ext-diff",
            revision,
            "--",
            "src",
        ])
        .current_dir(root)
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(diff: &str) -> BTreeMap<PathBuf, Vec<Range<usize>>> {
    let mut changed: BTreeMap<PathBuf, Vec<Range<usize>>> = BTreeMap::new();
    let mut file = None;
    for line in diff.lines() {
        if let Some(name) = line.strip_prefix("+++ b/") {
            file = Some(PathBuf::from(name));
        } else if line.starts_with("+++ ") {
            file = None;
        } else if let (Some(file), Some(new)) = (&file, new_lines(line)) {
            changed.entry(file.clone()).or_default().push(new);
        }
    }
    changed
}

/// The lines of `@@ -1,2 +3,4 @@`: from 3 on, four of them.
fn new_lines(header: &str) -> Option<Range<usize>> {
    let new = header
        .strip_prefix("@@ ")?
        .split(' ')
        .find_map(|part| part.strip_prefix('+'))?;
    let (start, count) = new.split_once(',').unwrap_or((new, "1"));
    let (start, count): (usize, usize) = (start.parse().ok()?, count.parse().ok()?);
    Some(start..start + count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_lines_of_each_file_are_read_from_a_diff() {
        let diff = "--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1 +1,2 @@ fn x\n+y\n@@ -9,3 +10 @@\n--- a/src/b.rs\n+++ /dev/null\n@@ -1,5 +0,0 @@\n";
        let lines = parse(diff);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[Path::new("src/a.rs")], [1..3, 10..11]);
    }
}
