//! The copy of the crate that has the changes in it. It uses the same `target` directory, so that no dependency is built twice,
//! but is a member of another workspace: to cargo it is another package, and nobody's build is made stale.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::changes::{self, Site};
use crate::rooms;
use crate::switched::{self, Numbered};

/// The list of the sites that do not compile, so that the next time they are not tried.
const REFUSED: &str = "refused";

/// The changes of all files, and where they are built.
#[derive(Debug)]
pub struct Tree {
    pub root: PathBuf,
    /// The directory with the workspace.
    pub workspace: PathBuf,
    /// By file, relative to the root.
    pub files: BTreeMap<PathBuf, Vec<Numbered>>,
    /// All of the library as it was when the changes were found: somebody may go on working.
    texts: BTreeMap<PathBuf, String>,
}

/// A change as it is told to people.
#[derive(Debug, Clone)]
pub struct Mutant {
    pub number: u32,
    pub file: PathBuf,
    pub line: usize,
    pub function: String,
    pub what: String,
}

impl Tree {
    /// Finds the changes of the files in the rooms that `wanted` lets pass, and makes the directory.
    pub fn make(root: &Path, wanted: &dyn Fn(&Path, &Site) -> bool) -> Result<Self> {
        let mut texts = BTreeMap::new();
        for file in rooms::sources(root)? {
            let text = fs::read_to_string(root.join(&file))?;
            texts.insert(file, text);
        }
        let mut constants = BTreeSet::new();
        for (file, text) in &texts {
            let found = changes::constants_in(text);
            constants.extend(found.with_context(|| format!("cannot parse `{}`", file.display()))?);
        }
        let workspace = root.join("target/mutation");
        let refused = fs::read_to_string(workspace.join(REFUSED)).unwrap_or_default();
        let refused: BTreeSet<&str> = refused.lines().collect();
        let mut next = 1;
        let mut files = BTreeMap::new();
        for (file, text) in &texts {
            if rooms::room_of(file).is_none() {
                continue;
            }
            let mut numbered = Vec::new();
            let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
            for site in changes::in_file(text, &constants)? {
                let is_refused = refused.contains(name_of(file, &site).as_str());
                if site.changes.is_empty() || is_refused || !wanted(file, &site) {
                    continue;
                }
                let known = site.constant.as_ref().and_then(|name| numbers.get(name));
                let first = *known.unwrap_or(&next);
                if first == next {
                    next += u32::try_from(site.changes.len())?;
                    numbers.extend(site.constant.clone().map(|name| (name, first)));
                }
                numbered.push(Numbered { site, first });
            }
            if !numbered.is_empty() {
                files.insert(file.clone(), numbered);
            }
        }
        let tree = Self {
            root: root.to_owned(),
            workspace,
            files,
            texts,
        };
        tree.lay()?;
        Ok(tree)
    }

    /// How many changes there are.
    pub fn mutants(&self) -> Vec<Mutant> {
        let sites = self
            .files
            .iter()
            .flat_map(|(file, sites)| sites.iter().map(move |site| (file, site)));
        let mut seen = BTreeSet::new();
        sites
            .filter(|(_, one)| seen.insert(one.first))
            .flat_map(|(file, Numbered { site, first })| {
                (*first..)
                    .zip(&site.changes)
                    .map(move |(number, change)| Mutant {
                        number,
                        file: file.clone(),
                        line: site.lines.start,
                        function: site.function.clone(),
                        what: change.what.clone(),
                    })
            })
            .collect()
    }

    fn directory(&self) -> PathBuf {
        self.workspace.join("tree")
    }

    /// Everything but the source: links, and manifests that say the same.
    fn lay(&self) -> Result<()> {
        let directory = self.directory();
        fs::create_dir_all(&directory)?;
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let link = directory.join(&name);
            let is_ours = ["src", "target", "Cargo.toml", "Cargo.lock", ".git"]
                .iter()
                .any(|own| name == *own);
            if !is_ours && fs::symlink_metadata(&link).is_err() {
                std::os::unix::fs::symlink(self.root.join(&name), link)?;
            }
        }
        let manifest = fs::read_to_string(self.root.join("Cargo.toml"))?;
        let (package, profiles) = split_manifest(&manifest);
        write_if_changed(&directory.join("Cargo.toml"), &package)?;
        let workspace =
            format!("[workspace]\nmembers = [\"tree\"]\nresolver = \"3\"\n\n{profiles}");
        write_if_changed(&self.workspace.join("Cargo.toml"), &workspace)?;
        let lock = self.workspace.join("Cargo.lock");
        if !lock.exists() || is_newer(&self.root.join("Cargo.lock"), &lock)? {
            fs::copy(self.root.join("Cargo.lock"), lock)?;
        }
        Ok(())
    }

    /// Writes the source, with the changes that are left.
    pub fn write(&self) -> Result<()> {
        let last = self
            .files
            .values()
            .flatten()
            .map(|one| one.first as usize + one.site.changes.len());
        let count = last.max();
        for (file, text) in &self.texts {
            let mut text = match self.files.get(file) {
                Some(sites) => switched::render(text, sites),
                None => text.clone(),
            };
            if file == Path::new("src/lib.rs") {
                text.insert_str(0, "#![allow(warnings)]\n");
                text.push_str(&switched::switch(count.unwrap_or(0), &self.workspace));
            }
            let copy = self.directory().join(file);
            fs::create_dir_all(copy.parent().expect("a file is in a directory"))?;
            write_if_changed(&copy, &text)?;
        }
        Ok(())
    }

    /// Takes the site away that is at that place of a written file. False if there is none.
    pub fn refuse(&mut self, file: &Path, at: usize) -> Result<bool> {
        let rendered = fs::read_to_string(self.directory().join(file))?;
        let Some(number) = switched::site_at(&rendered, at) else {
            return Ok(false);
        };
        let Some(sites) = self.files.get_mut(file) else {
            return Ok(false);
        };
        let mut refused = Vec::new();
        sites.retain(|one| {
            let is_refused = one.first == number;
            if is_refused {
                refused.push(name_of(file, &one.site));
            }
            !is_refused
        });
        let mut known = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.workspace.join(REFUSED))?;
        for name in &refused {
            writeln!(known, "{name}")?;
        }
        Ok(!refused.is_empty())
    }

    /// Takes all sites of that file away, and tells how many there were.
    pub fn refuse_all(&mut self, file: &Path) -> usize {
        self.files.remove(file).map_or(0, |sites| sites.len())
    }
}

/// What a site is called in the list of those that do not compile.
fn name_of(file: &Path, site: &Site) -> String {
    let changes = site.changes.iter().map(|change| change.what.as_str());
    let changes: Vec<&str> = changes.collect();
    format!(
        "{} {}: {}",
        file.display(),
        site.function,
        changes.join(", ")
    )
}

/// The package, and its profiles, which belong to a workspace.
fn split_manifest(manifest: &str) -> (String, String) {
    let (mut package, mut profiles) = (String::new(), String::new());
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let into = if section.starts_with("[profile") {
            &mut profiles
        } else if section.starts_with("[workspace") || section.starts_with("[lints") {
            continue;
        } else {
            &mut package
        };
        into.push_str(line);
        into.push('\n');
    }
    (package, profiles)
}

fn is_newer(one: &Path, other: &Path) -> Result<bool> {
    Ok(fs::metadata(one)?.modified()? > fs::metadata(other)?.modified()?)
}

/// Cargo looks at the time of the last change.
fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}
