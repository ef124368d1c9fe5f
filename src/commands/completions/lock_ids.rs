//! Lock IDs, from what this machine knows of them. A store that other machines share is never asked.

use std::path::Path;

use crate::cli::{Options, StoreChoice};
use crate::context::{Context, block_on};
use crate::environment::variable;
use crate::lock::record::LockId;
use crate::resolve::{self, LockRequest, Whereabouts};
use crate::state_directory;
use crate::system::hold_file;
use crate::system::run_file::left_runs;

/// Those of the lock of this directory: as its local lock has it, and as this user's runs here have taken it.
pub(super) fn of_directory(context: &Context) -> Vec<String> {
    let directory = context.working_directory();
    let mut ids: Vec<String> = local_lock(&context.options, &directory)
        .into_iter()
        .map(|id| id.0)
        .collect();
    let runs = state_directory::runs(&variable);
    let runs = runs.and_then(|runs| left_runs(&runs).ok());
    for run in runs.into_iter().flatten() {
        let locks = Whereabouts::parse(run.whereabouts());
        if locks.iter().any(|lock| lock.is_from(&directory)) {
            ids.push(run.lock_id().to_owned());
        }
    }
    ids.sort();
    ids.dedup();
    ids.retain(|id| is_plain(id));
    ids
}

/// What `release` may give back: what is held in this directory, and this user's holds.
pub(super) fn of_releasable(context: &Context) -> Vec<String> {
    let mut ids = of_directory(context);
    for hold in of_own_holds() {
        if !ids.contains(&hold) {
            ids.push(hold);
        }
    }
    ids
}

/// Those of this user's holds on this machine.
pub(super) fn of_own_holds() -> Vec<String> {
    let runs = state_directory::runs(&variable);
    runs.map_or_else(Vec::new, |runs| hold_file::lock_ids(&runs))
}

fn local_lock(options: &Options, directory: &Path) -> Option<LockId> {
    let options = Options {
        store: StoreChoice::Local,
        table: None,
        shared: false,
        ..options.clone()
    };
    let look = async {
        let resolved = resolve::find(LockRequest::new(&options, directory)).await;
        let stored = resolved.ok()?.stores.first()?.read().await.ok()??;
        stored.record.lock_id()
    };
    block_on(look).ok()?
}

/// Whether an ID is one that somebody made for a lock, and nothing for a shell.
fn is_plain(id: &str) -> bool {
    id.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
