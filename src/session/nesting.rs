//! A tflock inside of a run that holds the same lock: it does not wait for itself, it runs under it.
//!
//! The child sees `TFLOCK_HELD`. The variable alone proves nothing, since a process can outlive the run that it
//! came from: the lock counts as held only if the store says so, under the very ID that the variable names.

use std::ffi::OsString;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::child::Command;
use crate::environment::Environment;
use crate::lock::held::Held;
use crate::lock::host::Machine;
use crate::lock::read::read;
use crate::lock::record::LockId;
use crate::lock::store::{Identity, Store, StoreError};
use crate::target::{ChildLocking, Target};

/// Names the locks that a process runs under, as JSON.
pub const VARIABLE: &str = "TFLOCK_HELD";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
struct Announced {
    place: Identity,
    /// For people; compared is the place, which it is part of.
    key: String,
    id: LockId,
}

/// Tells the child of the locks that it runs under; those that we ourselves run under stay named.
pub(super) fn announce<'held>(
    command: &mut Command,
    held: impl Iterator<Item = &'held Held>,
    environment: Environment<'_>,
) {
    let mut announced = announced_to_us(environment);
    announced.extend(held.map(|held| Announced {
        place: held.store().identity(),
        key: held.store().key().to_owned(),
        id: held.id().clone(),
    }));
    let json = serde_json::to_string(&announced).unwrap_or_default();
    command
        .environment
        .push((OsString::from(VARIABLE), OsString::from(json)));
}

/// How a child is to lock under a run that holds the lock around this one; `None` if there is no such run.
///
/// # Errors
/// The store's failure.
pub(super) async fn locking_inside(
    target: &Target,
    environment: Environment<'_>,
) -> Result<Option<ChildLocking>, StoreError> {
    if is_held_around(&target.stores, environment).await? {
        return Ok(Some(target.child_locking));
    }
    // There terraform's own lock is not held for anybody, or by the terraform that we are inside of.
    match &target.init_lock {
        Some(lock) if is_held_around(std::slice::from_ref(&lock.turn), environment).await? => {
            Ok(Some(ChildLocking::Kept))
        }
        _ => Ok(None),
    }
}

/// Whether all of `stores` are held by a run that this process is inside of.
///
/// # Errors
/// The store's failure.
async fn is_held_around(
    stores: &[Rc<dyn Store>],
    environment: Environment<'_>,
) -> Result<bool, StoreError> {
    let announced = announced_to_us(environment);
    for store in stores {
        let same = announced
            .iter()
            .rfind(|held| held.place == store.identity());
        let Some(same) = same else {
            return Ok(false);
        };
        let stored = read(store.as_ref(), &Machine::default()).await?;
        let holder = stored.and_then(|stored| stored.record.lock_id());
        if holder.as_ref() != Some(&same.id) {
            return Ok(false);
        }
    }
    Ok(!stores.is_empty())
}

/// What cannot be read was not written by us, and announces nothing.
fn announced_to_us(environment: Environment<'_>) -> Vec<Announced> {
    environment(VARIABLE)
        .and_then(|value| serde_json::from_str(value.to_str()?).ok())
        .unwrap_or_default()
}
