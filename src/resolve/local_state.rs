//! terraform's own lock on a local state, with its holder and process.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::rc::Rc;

use nix::unistd::{Uid, User};

use crate::lock::record::LockInfo;
use crate::lock::store::Store;
use crate::lock::store::beside::{BesideForeigners, Foreigner};
use crate::terraform::local_state::{StateLock, state_lock};

/// `ours`, which counts as held while a plain terraform locks the state file at `path`.
pub(super) fn beside_terraforms_own(ours: Rc<dyn Store>, path: PathBuf) -> Rc<dyn Store> {
    let look = move || {
        // If it cannot be examined, terraform, which opens the file too, will wait or report the error.
        let lock = state_lock(&path).ok().flatten()?;
        Some(foreigner(&lock, &path.to_string_lossy()))
    };
    Rc::new(BesideForeigners::new(ours, Box::new(look)))
}

fn foreigner(lock: &StateLock, path: &str) -> Foreigner {
    let described = lock.description.as_deref();
    let described = described.and_then(|text| serde_json::from_str::<LockInfo>(text).ok());
    // The description is written a moment after the lock is taken, and only its owner can read it.
    let mut info = described.unwrap_or_else(|| LockInfo {
        who: lock.process.and_then(user_of).unwrap_or_default(),
        path: path.to_owned(),
        ..LockInfo::default()
    });
    if info.info.is_empty() {
        info.info = match lock.process {
            Some(process) => format!("process {process} on this machine"),
            None => "a process not visible from here".to_owned(),
        };
    }
    Foreigner {
        info,
        process: lock.process,
    }
}

fn user_of(process: u32) -> Option<String> {
    let uid = std::fs::metadata(format!("/proc/{process}")).ok()?.uid();
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    Some(user.map_or_else(|| format!("user {uid}"), |user| user.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_without_a_description_is_shown_by_its_process() {
        let own = std::process::id();
        for description in [None, Some("garbage".to_owned())] {
            let lock = StateLock {
                process: Some(own),
                description,
            };
            let found = foreigner(&lock, "/x/terraform.tfstate");
            assert_eq!(found.info.path, "/x/terraform.tfstate");
            assert_eq!(found.info.info, format!("process {own} on this machine"));
            assert_eq!(found.info.who, user_of(own).unwrap());
            assert_eq!(found.process, Some(own));
        }
    }
}
