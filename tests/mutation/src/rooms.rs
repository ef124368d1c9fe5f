//! Which files are changed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// What is changed, and how the score calls it.
const ROOMS: [(&str, &str); 6] = [
    ("lock", "src/lock"),
    ("child", "src/child"),
    ("session", "src/session"),
    ("session", "src/session.rs"),
    ("terraform", "src/terraform"),
    ("errors", "src/failure.rs"),
];

/// What only tests use.
const LEFT_OUT: [&str; 3] = [
    "src/lock/store/memory.rs",
    "src/terraform/real_terraform",
    "src/terraform/real_terraform.rs",
];

/// The room of a file, unless it is none that is changed.
pub fn room_of(file: &Path) -> Option<&'static str> {
    let is_test = file.file_name().is_some_and(|name| name == "tests.rs")
        || file.components().any(|part| part.as_os_str() == "tests");
    let is_left_out = LEFT_OUT
        .iter()
        .any(|left_out| file.starts_with(left_out) || file == Path::new(&format!("{left_out}.rs")));
    if is_test || is_left_out {
        return None;
    }
    let mut rooms = ROOMS.iter();
    rooms
        .find(|(_, place)| file.starts_with(place))
        .map(|(room, _)| *room)
}

/// All files of the library, relative to `root`.
pub fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::from("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(root.join(&directory))? {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                directories.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}
