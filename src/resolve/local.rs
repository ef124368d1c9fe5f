//! A lock of this machine: its name, its directory, and what to do without one.

use std::path::PathBuf;
use std::rc::Rc;

use super::state::StateRef;
use super::{LockPart, LockRequest, MissingDirectory};
use crate::cli::StoreChoice;
use crate::environment::non_empty;
use crate::failure::Failure;
use crate::lock::store::local::LocalStore;
use crate::lock::store::off_thread::OffThread;
use crate::state_directory;
use crate::terraform::lock_name::shared_lock_name;
use crate::terraform::own_lock::own_lock;

/// The variable with the directory of local locks.
const LOCAL_DIRECTORY: &str = "TFLOCK_LOCAL_DIR";

impl LockRequest<'_> {
    pub(super) fn local(&self, state: &StateRef) -> Result<LockPart, Failure> {
        let state_file = self.state_file(state)?;
        let is_shared = state.backend.is_shared() && state_file.is_none();
        let by_command = state_file.is_some()
            && self
                .command
                .is_some_and(|command| command.state_path.is_some());
        let key = match (&self.options.lock_id, state_file) {
            (Some(key), _) => key.clone(),
            (None, Some(file)) => file.to_string_lossy().into_owned(),
            // It has a name on this machine even if it has none that all machines share.
            (None, None) => shared_lock_name(&state.backend, &state.workspace).map_or_else(
                |_| format!("{}/{}", self.directory.display(), state.workspace.as_str()),
                String::from,
            ),
        };
        let chosen = self.options.store == StoreChoice::Local;
        let unspoken = (is_shared && !chosen).then(|| own_lock(&state.backend, &state.workspace));
        let notice = unspoken.as_ref().map(|_| {
            format!(
                "the lock protects only your own runs on this machine, but the backend `{}` is shared: \
                 name a DynamoDB table with `--table` to lock for all",
                state.backend.type_name()
            )
        });
        let store = match self.local_directory() {
            Ok(directory) => LocalStore::new(&directory, &key),
            Err(reason) => LocalStore::nowhere(reason, &key),
        };
        Ok(LockPart {
            store: Rc::new(OffThread::new(store)),
            is_terraforms_own: false,
            local_name: by_command.then(|| key.clone()),
            path: key,
            notice,
            unspoken,
            init_lock: None,
            state: None,
        })
    }

    /// Refuses to run without the lock if the user asked for it, or for its directory.
    pub(super) fn missing_directory(&self) -> MissingDirectory {
        let options = self.options;
        let is_asked_for = self.command.is_none()
            || options.store == StoreChoice::Local
            || options.lock_id.is_some()
            || self.variable(LOCAL_DIRECTORY).is_some();
        if is_asked_for {
            MissingDirectory::Refuse
        } else {
            MissingDirectory::RunWithoutLock
        }
    }

    /// The directory of local locks, or why there is none.
    fn local_directory(&self) -> Result<PathBuf, String> {
        if let Some(directory) = self.variable(LOCAL_DIRECTORY) {
            // A relative path would mean another directory, and so another lock, for each working directory.
            if !directory.is_absolute() {
                return Err(format!(
                    "{LOCAL_DIRECTORY} is `{}`, which is not an absolute path",
                    directory.display()
                ));
            }
            return Ok(directory);
        }
        state_directory::of_this_user(&self.environment)
            .ok_or_else(|| format!("neither {LOCAL_DIRECTORY}, XDG_STATE_HOME nor HOME is set"))
    }

    fn variable(&self, name: &str) -> Option<PathBuf> {
        non_empty(&self.environment, name).map(PathBuf::from)
    }
}
