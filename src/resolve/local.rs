//! A lock of this machine: what it is called, where its file is, and what if there is no place for it.

use std::path::PathBuf;
use std::rc::Rc;

use super::state::StateRef;
use super::{LockRequest, Place, WithoutPlace};
use crate::cli::StoreChoice;
use crate::environment::non_empty;
use crate::failure::Failure;
use crate::lock::store::local::LocalStore;
use crate::lock::store::off_thread::OffThread;
use crate::state_directory;
use crate::terraform::lock_name::shared_lock_name;
use crate::terraform::own_lock::own_lock;

/// Names the directory of local locks.
const LOCAL_DIRECTORY: &str = "TFLOCK_LOCAL_DIR";

impl LockRequest<'_> {
    pub(super) fn local(&self, state: &StateRef) -> Result<Place, Failure> {
        let state_file = self.state_file(state)?;
        let is_shared = state.backend.is_shared() && state_file.is_none();
        let by_command = state_file.is_some()
            && self
                .command
                .is_some_and(|command| command.state_path.is_some());
        let key = match (&self.options.lock_id, state_file) {
            (Some(key), _) => key.clone(),
            (None, Some(file)) => file.to_string_lossy().into_owned(),
            // What cannot be named for all machines still has a name on this one.
            (None, None) => shared_lock_name(&state.backend, &state.workspace).map_or_else(
                |_| format!("{}/{}", self.directory.display(), state.workspace.as_str()),
                String::from,
            ),
        };
        let chosen = self.options.store == StoreChoice::Local;
        let unspoken = (is_shared && !chosen).then(|| own_lock(&state.backend, &state.workspace));
        let notice = unspoken.as_ref().map(|_| {
            format!(
                "the lock keeps apart this user's runs on this machine only, while others share the backend `{}`: \
                 name a DynamoDB table with `--table` to lock for all",
                state.backend.type_name()
            )
        });
        let store = match self.local_directory() {
            Ok(directory) => LocalStore::new(&directory, &key),
            Err(reason) => LocalStore::nowhere(reason, &key),
        };
        Ok(Place {
            store: Rc::new(OffThread::new(store)),
            is_terraforms_own: false,
            local_name: by_command.then(|| key.clone()),
            path: key,
            notice,
            unspoken,
            init_lock: None,
        })
    }

    /// Whether somebody asked for the very lock that is taken, or for its place.
    pub(super) fn without_place(&self) -> WithoutPlace {
        let options = self.options;
        let is_asked_for = self.command.is_none()
            || options.store == StoreChoice::Local
            || options.lock_id.is_some()
            || self.variable(LOCAL_DIRECTORY).is_some();
        if is_asked_for {
            WithoutPlace::Refused
        } else {
            WithoutPlace::GoesOn
        }
    }

    /// Where locks of this machine are; the reason where nothing tells.
    fn local_directory(&self) -> Result<PathBuf, String> {
        if let Some(directory) = self.variable(LOCAL_DIRECTORY) {
            return std::path::absolute(&directory)
                .map_err(|error| format!("{LOCAL_DIRECTORY} is not usable: {error}"));
        }
        state_directory::of_this_user(&self.environment)
            .ok_or_else(|| format!("neither {LOCAL_DIRECTORY}, XDG_STATE_HOME nor HOME is set"))
    }

    fn variable(&self, name: &str) -> Option<PathBuf> {
        non_empty(&self.environment, name).map(PathBuf::from)
    }
}
