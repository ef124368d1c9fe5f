//! The trace of a hold on its owner's machine: a file next to the run files, named by the lock ID, with a copy of the hold's
//! record. Names, machine IDs and lock IDs can be the same on many machines, but this file exists only where the hold was
//! taken.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::own_directory::OwnDirectory;
use super::run_file::{for_this_user_alone, name_of};

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
struct Held {
    /// terraform's part of each of its records, byte for byte, which includes the nanosecond when it was taken.
    infos: Vec<String>,
}

/// Records in `directory`, which is created if needed, that the hold with that ID and those records is this user's.
///
/// # Errors
/// The system refuses, or others can write to the directory.
pub fn create(directory: &Path, lock_id: &str, infos: Vec<String>) -> io::Result<()> {
    let name = name_of(lock_id, "hold")?;
    let directory = OwnDirectory::create(directory).map_err(io::Error::other)?;
    for_this_user_alone(&directory)?;
    let bytes = serde_json::to_vec_pretty(&Held { infos })?;
    let new = name_of(lock_id, "hold-new")?;
    directory
        .write_new(&new, &bytes)
        .map_err(io::Error::other)?;
    directory.rename(&new, &name).map_err(io::Error::other)
}

/// Whether the hold with that ID and that record in the store was taken by this user on this machine.
#[must_use]
pub fn is_here(directory: &Path, lock_id: &str, info: &str) -> bool {
    let look = || {
        let name = name_of(lock_id, "hold").ok()?;
        let directory = OwnDirectory::open(directory).ok()??;
        for_this_user_alone(&directory).ok()?;
        let bytes = directory.read(&name).ok()??;
        serde_json::from_slice::<Held>(&bytes).ok()
    };
    look().is_some_and(|held| held.infos.iter().any(|own| own == info))
}

/// The lock IDs of all holds that were taken by this user on this machine; none where that cannot be told.
#[must_use]
pub fn lock_ids(directory: &Path) -> Vec<String> {
    let look = || {
        let directory = OwnDirectory::open(directory).ok()??;
        for_this_user_alone(&directory).ok()?;
        directory.names().ok()
    };
    let names = look().unwrap_or_default();
    let mut ids: Vec<String> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".hold"))
        .map(str::to_owned)
        .collect();
    ids.sort();
    ids
}

/// Removes the file after the hold was released.
pub fn remove(directory: &Path, lock_id: &str) {
    if let (Ok(name), Ok(Some(directory))) =
        (name_of(lock_id, "hold"), OwnDirectory::open(directory))
    {
        // A leftover matches no record.
        let _ = directory.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4db125df-d950-b194-cf41-df3ed13f0cf1";

    #[test]
    fn a_hold_is_recognised_where_it_was_taken_by_its_whole_record() {
        let home = tempfile::tempdir().unwrap();
        let runs = home.path().join("runs");
        assert!(!is_here(&runs, ID, "one"));
        create(&runs, ID, vec!["one".into(), "two".into()]).unwrap();
        assert!(is_here(&runs, ID, "one") && is_here(&runs, ID, "two"));
        assert!(!is_here(&runs, ID, "of a clone"));
        assert!(!is_here(&runs, "4db125df", "one"));
        assert_eq!(lock_ids(&runs), [ID]);
        remove(&runs, ID);
        assert!(!is_here(&runs, ID, "one"));
        assert_eq!(lock_ids(&runs), [""; 0]);
    }

    #[test]
    fn an_id_from_the_store_cannot_lead_out_of_the_directory() {
        let home = tempfile::tempdir().unwrap();
        create(home.path(), "../4db125df", vec![]).unwrap_err();
        assert!(!is_here(home.path(), "../4db125df", ""));
        assert!(!is_here(home.path(), "", ""));
    }
}
