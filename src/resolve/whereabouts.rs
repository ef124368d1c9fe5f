//! Where the locks of a run are, as recorded in its run file: enough to find them without the backend, and no secrets.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{InitLock, LockRequest, StateRef, find, find_for};
use crate::cli::{Options, StoreChoice};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::store::{Identity, Store};
use crate::text::quoted_for_shell;

/// How to find a lock.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Whereabouts {
    /// The command that took it, as a person would say it.
    pub command: String,
    directory: PathBuf,
    store: Option<String>,
    table: Option<String>,
    lock_id: Option<String>,
    state: StateRef,
    /// Whether the backend has secrets. They are not recorded here, so then the backend is needed.
    needs_backend: bool,
    places: Vec<Identity>,
}

impl Whereabouts {
    /// The whereabouts of the lock in these stores.
    #[must_use]
    pub fn of(
        options: &Options,
        directory: &Path,
        command: &str,
        state: &StateRef,
        stores: &[Rc<dyn Store>],
        init_lock: Option<&InitLock>,
    ) -> Self {
        // One store can be named; two can only be found together.
        let (store, lock_id) = match stores {
            [store] => (Some(store.kind()), Some(store.key().to_owned())),
            _ => (options.store.name(), options.lock_id.clone()),
        };
        let (state, needs_backend) = state.without_secrets();
        let turn = init_lock.map(|lock| lock.turn.identity());
        Self {
            command: command.to_owned(),
            directory: directory.to_owned(),
            store: store.map(str::to_owned),
            table: options.table.clone(),
            lock_id,
            state,
            needs_backend,
            places: turn
                .into_iter()
                .chain(stores.iter().map(|store| store.identity()))
                .collect(),
        }
    }

    /// Whether the lock was taken in that directory.
    #[must_use]
    pub fn is_from(&self, directory: &Path) -> bool {
        self.directory == directory
    }

    /// The entry of a run file for these locks.
    #[must_use]
    pub fn written(locks: impl Iterator<Item = Self>) -> Value {
        let locks: Vec<Self> = locks.collect();
        serde_json::to_value(locks).unwrap_or_default()
    }

    /// Parses the entry of a run file; empty if we do not understand it.
    #[must_use]
    pub fn parse(value: &Value) -> Vec<Self> {
        serde_json::from_value(value.clone()).unwrap_or_default()
    }

    /// The stores of the lock. `options` are those of this command, for everything but the lock.
    ///
    /// # Errors
    /// They cannot be found from here.
    pub async fn find(&self, options: &Options) -> Result<Vec<Rc<dyn Store>>, Failure> {
        let choice = self.store.as_deref();
        let choice = choice.and_then(StoreChoice::named);
        let options = Options {
            store: choice.unwrap_or(StoreChoice::Auto),
            table: self.table.clone(),
            lock_id: self.lock_id.clone(),
            ..options.clone()
        };
        let request = LockRequest::new(&options, &self.directory);
        let found = if self.needs_backend {
            find(request).await
        } else {
            find_for(request, self.state.clone()).await
        };
        let resolved = found.map_err(|failure| self.elsewhere(&failure.message))?;
        let turn = resolved.init_lock.map(|lock| lock.turn);
        let stores: Vec<Rc<dyn Store>> = turn.into_iter().chain(resolved.stores).collect();
        let place = |identity: &Identity| {
            let mut stores = stores.iter();
            stores.find(|store| store.identity() == *identity).cloned()
        };
        let places: Option<Vec<_>> = self.places.iter().map(place).collect();
        places.ok_or_else(|| {
            self.elsewhere(
                "the environment, the AWS files or the workspace now select another lock",
            )
        })
    }

    fn elsewhere(&self, why: &str) -> Failure {
        let directory = self.directory.to_string_lossy();
        let directory = quoted_for_shell(&directory);
        Failure::new(exit_code::CONFIGURATION, why.to_owned()).hint(format!(
            "in the environment of that run, type `tflock -chdir={directory} release`"
        ))
    }
}
