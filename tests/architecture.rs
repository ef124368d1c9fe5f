//! The shape of `src/`: which room may know of which, and where a library's types may be seen, written down once.
//! docs/architecture.md has the picture.
//!
//! Paths are read as text, as they are written: `crate::room::…`. Comments may speak of anything.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, and says where"
)]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up, each with those that it may use: none but what stands above it in this table, so that there
/// are no circles. `lib.rs` is not among them: it puts all of them together.
#[rustfmt::skip]
const ROOMS: &[(&str, &str)] = &[
    ("environment", ""),
    ("exit_code", ""),
    ("system", ""),
    ("text", ""),
    ("ci", "environment text"),
    ("state_directory", "environment"),
    // These three know nothing of each other.
    ("terraform", "environment system text"),
    ("child", "system text"),
    ("lock", "system text"),
    // The table of all errors.
    ("failure", "exit_code text terraform child lock"),
    // How a lock and its holder are told.
    ("ui", "text terraform lock failure"),
    ("shim", "environment system terraform"),
    ("cli", "environment exit_code text terraform lock failure"),
    ("resolve", "environment exit_code system text state_directory terraform lock failure cli"),
    ("context", "environment exit_code system text state_directory terraform child lock failure ui shim cli"),
    ("session", "environment exit_code system text ci state_directory terraform child lock failure ui shim resolve context"),
    ("commands", "environment exit_code system text state_directory terraform child lock failure ui shim cli resolve context session"),
    ("main", "child session"),
];

/// Outside of `src/`, and seen by tests only: it replaces what is below the protocol.
const SIMULATION: &str = "simulation";

/// Uses that the table does not allow: the file, the room, and why it is so.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "session/tests.rs",
        "cli",
        "a context is made from a command line",
    ),
    (
        "session/bequest.rs",
        "cli",
        "whoever releases for a killed tflock starts from its command line",
    ),
];

/// Libraries whose types stay inside of one folder.
const LIBRARIES: &[(&str, &str)] = &[
    ("clap", "cli"),
    ("aws_sdk_", "lock/store"),
    ("aws_smithy_", "lock/store"),
    ("aws_config", "lock/store"),
    ("aws_credential_types", "lock/store"),
];

#[test]
fn no_room_uses_one_that_it_must_not_know() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.room == "lib" {
            continue;
        }
        let allowed = rooms_of(&source.room)
            .unwrap_or_else(|| panic!("src/{}: give this room a row in ROOMS", source.file));
        for (line, used) in source.uses() {
            let excepted = EXCEPTIONS
                .iter()
                .any(|(file, room, _)| *file == source.file && *room == used);
            let simulated =
                used == SIMULATION && (source.room == "lock" || source.file == "session/tests.rs");
            if used != source.room && !excepted && !simulated && !allowed.contains(&used.as_str()) {
                wrong.push(format!(
                    "src/{}:{line}: `{}` must not know `{used}`",
                    source.file, source.room
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_arrows_lead_down_only() {
    for (index, (room, uses)) in ROOMS.iter().enumerate() {
        for used in uses.split_whitespace() {
            let above = ROOMS[..index].iter().any(|(other, _)| *other == used);
            assert!(above, "`{room}` uses `{used}`, which must stand above it");
        }
    }
}

#[test]
fn every_exception_is_still_needed() {
    let sources = sources();
    for (file, room, _) in EXCEPTIONS {
        let source = sources.iter().find(|source| source.file == *file);
        let uses = source.map(Source::uses).unwrap_or_default();
        assert!(
            uses.iter().any(|(_, used)| used == room),
            "{file}: does not use `{room}`"
        );
    }
}

#[test]
fn the_types_of_a_library_stay_in_their_folder() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (library, folder) in LIBRARIES {
            let inside = source.file.starts_with(&format!("{folder}/"))
                || source.file == format!("{folder}.rs");
            if inside {
                continue;
            }
            for (line, text) in source.code() {
                let is_named = words(text).any(|(before, word, after)| {
                    word.starts_with(library)
                        && (after.starts_with("::") || before.ends_with("use "))
                });
                if is_named {
                    wrong.push(format!(
                        "src/{}:{line}: `{library}` belongs to src/{folder}",
                        source.file
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_files_that_the_documents_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let missing = missing_in_documents(|literal| {
        let is_path = ["src/", "tests/", "docs/"]
            .iter()
            .any(|folder| literal.starts_with(folder));
        let is_pattern = literal.contains('<');
        is_path && !is_pattern && !root.join(literal).exists()
    });
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

#[test]
fn the_tests_that_the_documents_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    collect(&root.join("tests"), &mut files);
    let mut tests = HashSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let names = text.split("fn ").skip(1).map(first_of);
        tests.extend(names);
    }
    let missing = missing_in_documents(|literal| {
        // The name of a test is a sentence.
        let is_test =
            literal.matches('_').count() > 4 && words(literal).next() == Some(("", literal, ""));
        is_test && literal == literal.to_lowercase() && !tests.contains(literal)
    });
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

/// The literals in the documents that `is_missing` says are not there, each with its place.
fn missing_in_documents(is_missing: impl Fn(&str) -> bool) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
        .iter()
        .map(|name| root.join(name))
        .collect();
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path);
        }
    }
    let mut missing = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            // Between backticks, so at every second place.
            for literal in line.split('`').skip(1).step_by(2) {
                if is_missing(literal) {
                    let document = document.strip_prefix(root).unwrap().display();
                    missing.push(format!("{document}:{number}: there is no `{literal}`"));
                }
            }
        }
    }
    missing
}

#[test]
fn a_use_is_found_however_it_is_written() {
    let uses = |file: &str, text: &str| {
        let source = Source::new(Path::new(file), text.to_owned());
        source
            .uses()
            .into_iter()
            .map(|(_, used)| used)
            .collect::<Vec<_>>()
    };
    assert_eq!(uses("ui.rs", "use crate::session::Outcome;"), ["session"]);
    assert_eq!(uses("ui.rs", "\n    crate::cli::parse(words)"), ["cli"]);
    assert_eq!(uses("ui.rs", "use super::cli;"), ["cli"]);
    assert_eq!(uses("ui/data.rs", "use super::super::cli;"), ["cli"]);
    assert_eq!(uses("child/mod.rs", "use super::lock::held;"), ["lock"]);
    assert_eq!(uses("lock/store/s3.rs", "use super::super::held;"), [""; 0]);
    assert_eq!(uses("ui.rs", "/// See [`crate::cli`]."), [""; 0]);
    assert_eq!(uses("ui.rs", "use mycrate::cli;"), [""; 0]);
    assert_eq!(
        uses("main.rs", "use tflock::session::Outcome;"),
        ["session"]
    );
    assert_eq!(uses("ui.rs", "use crate::{cli, lock};"), ["{cli, lock};"]);
}

fn rooms_of(room: &str) -> Option<Vec<&'static str>> {
    let (_, uses) = ROOMS.iter().find(|(name, _)| *name == room)?;
    Some(uses.split_whitespace().collect())
}

/// One file of `src/`.
struct Source {
    /// Below `src/`.
    file: String,
    room: String,
    /// How many modules there are from the root of the crate to this one.
    depth: usize,
    text: String,
}

impl Source {
    fn new(file: &Path, text: String) -> Self {
        let modules: Vec<String> = file
            .with_extension("")
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .filter(|part| part != "mod")
            .collect();
        Self {
            file: file.to_str().unwrap().to_owned(),
            room: modules[0].clone(),
            depth: modules.len(),
            text,
        }
    }

    /// Its lines, numbered, without those that are comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = (1..).zip(self.text.lines());
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The rooms that it names, with the line. Whatever follows `crate::` counts: a path that names no room is one that the
    /// table cannot judge.
    fn uses(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (number, line) in self.code() {
            for (before, word, after) in words(line) {
                let Some(path) = after.strip_prefix("::") else {
                    continue;
                };
                if word == "crate" {
                    found.push((number, first_of(path)));
                } else if word == "super" && !before.ends_with("super::") {
                    let above = path
                        .split("super::")
                        .take_while(|part| part.is_empty())
                        .count();
                    let rest = &path[above * "super::".len()..];
                    let named = first_of(rest);
                    if above + 1 >= self.depth && rooms_of(&named).is_some() {
                        found.push((number, named));
                    }
                } else if word == "tflock" && rooms_of(&first_of(path)).is_some() {
                    found.push((number, first_of(path)));
                }
            }
        }
        found
    }
}

/// The first part of a path, or all of it where that is no name.
fn first_of(path: &str) -> String {
    match words(path).next() {
        Some(("", word, _)) => word.to_owned(),
        _ => path.to_owned(),
    }
}

/// Each word of a line, between what stands before and after it.
fn words(line: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    let mut start = 0;
    std::iter::from_fn(move || {
        start += line[start..].find(is_part)?;
        let end = line[start..].find(|character| !is_part(character));
        let end = end.map_or(line.len(), |end| start + end);
        let word = (&line[..start], &line[start..end], &line[end..]);
        start = end;
        Some(word)
    })
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 100, "only {} files in src/", files.len());
    files
        .iter()
        .map(|file| {
            let text = fs::read_to_string(file).unwrap();
            Source::new(file.strip_prefix(&root).unwrap(), text)
        })
        .collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
