//! Re-entry: a tflock inside a run that holds the same lock must not wait for that lock.
//!
//! `exec` lends its lock to one terraform at a time, which runs under it. A run of terraform lends nothing: a run nested in
//! it (a provisioner, an external data source) would write a state that its parent is about to write.
//!
//! The child sees `TFLOCK_HELD`. The variable alone proves nothing, since a process can outlive the run that started it: the
//! lock counts as held only if the store says so, under the ID that the variable names.

use std::ffi::OsString;
use std::path::PathBuf;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::child::Command;
use crate::environment::Environment;
use crate::lock::held_lock::HeldLock;
use crate::lock::host::Machine;
use crate::lock::read::read;
use crate::lock::record::{LockId, LockInfo};
use crate::lock::store::{Identity, Store, StoreError};
use crate::resolve::{ChildLocking, ResolvedLock};
use crate::system::run_file::Place;

/// Names the locks that a process runs under, as JSON, the innermost last.
pub const VARIABLE: &str = "TFLOCK_HELD";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
struct Announced {
    place: Identity,
    /// For people. `place`, which includes it, is what is compared.
    key: String,
    id: LockId,
    /// When it was taken, according to its record: a clone of the machine could have a lock with the same ID.
    created: String,
    /// How to borrow it; `None` if it is not lent.
    #[serde(default)]
    lent: Option<Lent>,
}

impl Announced {
    fn is(&self, holder: &LockInfo) -> bool {
        self.id == holder.id && self.created == holder.created
    }
}

/// How a lock is borrowed from the run that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct Lent {
    /// The file of the [`crate::system::run_file::lent::Loan`].
    pub(super) turn: PathBuf,
    /// The lender's run file, if it has one.
    pub(super) run: Option<PathBuf>,
    /// The lender's `TFLOCK_WAIT`, which is meant for other locks than this one.
    pub(super) wait: String,
}

/// Whether a run is nested in one that holds its lock.
pub(super) enum Nested {
    /// It is not.
    No,
    /// It is, in one that lends the lock; the child has to lock in that way.
    Borrows {
        locking: ChildLocking,
        borrowed: Borrowed,
    },
    /// It is, in one that lends nothing and holds the lock of that name.
    Refused { key: String },
}

/// Locks that are lent to this run, which still has to take their turns.
#[derive(Default)]
pub(super) struct Borrowed {
    /// Kept as long as any process of this run lives.
    pub(super) places: Vec<Place>,
    /// The lenders.
    pub(super) from: Vec<Lent>,
}

/// Announces to the child the locks that it runs under, and how each is lent, including those that we ourselves run under.
pub(super) fn announce<'held>(
    command: &mut Command,
    held: impl Iterator<Item = (&'held HeldLock, Option<&'held Lent>)>,
    environment: Environment<'_>,
) {
    let mut held = held.peekable();
    if held.peek().is_none() {
        // The announcement stays as it is, which includes a lock that we have borrowed for the child.
        return;
    }
    let mut announced = announced_to_us(environment);
    announced.extend(held.map(|(held, lent)| Announced {
        place: held.store().identity(),
        key: held.store().key().to_owned(),
        id: held.id().clone(),
        created: held.created(),
        lent: lent.cloned(),
    }));
    tell(command, &announced);
}

/// Announces to a terraform that it has borrowed the locks of these lenders and must not lend them on.
pub(super) fn announce_borrowed(
    command: &mut Command,
    from: &[Lent],
    environment: Environment<'_>,
) {
    let mut announced = announced_to_us(environment);
    let is_borrowed = |one: &&Announced| one.lent.as_ref().is_some_and(|lent| from.contains(lent));
    let borrowed: Vec<Announced> = announced.iter().filter(is_borrowed).cloned().collect();
    announced.extend(
        borrowed
            .into_iter()
            .map(|one| Announced { lent: None, ..one }),
    );
    tell(command, &announced);
}

fn tell(command: &mut Command, announced: &[Announced]) {
    let json = serde_json::to_string(announced).unwrap_or_default();
    command
        .environment
        .push((OsString::from(VARIABLE), OsString::from(json)));
}

/// Finds out whether this run is nested in one that holds its lock.
///
/// # Errors
/// The store's error.
pub(super) async fn look_around(
    resolved: &ResolvedLock,
    environment: Environment<'_>,
) -> Result<Nested, StoreError> {
    let announced = announced_to_us(environment);
    if announced.is_empty() {
        return Ok(Nested::No);
    }
    match look_for(&resolved.stores, resolved.child_locking, &announced).await? {
        Nested::No => {}
        nested => return Ok(nested),
    }
    // In that case terraform's own lock is free, or held by the terraform that we are inside of.
    match &resolved.init_lock {
        Some(lock) => {
            let turn = std::slice::from_ref(&lock.turn);
            look_for(turn, ChildLocking::Kept, &announced).await
        }
        None => Ok(Nested::No),
    }
}

/// Whether all of `stores` are held by runs that this process is inside of, and lent. Waiting for one that is not lent would
/// never end.
///
/// # Errors
/// The store's error.
async fn look_for(
    stores: &[Rc<dyn Store>],
    locking: ChildLocking,
    announced: &[Announced],
) -> Result<Nested, StoreError> {
    let mut borrowed = Borrowed::default();
    let mut is_missing = stores.is_empty();
    for store in stores {
        let identity = store.identity();
        let Some(innermost) = announced.iter().rfind(|held| held.place == identity) else {
            is_missing = true;
            continue;
        };
        // Before reading the store: as long as we have a place, the lock is not released.
        let is_lending = match &innermost.lent {
            Some(lent) if !borrowed.from.contains(lent) => borrowed.take_place(lent),
            _ => true,
        };
        let stored = read(store.as_ref(), &Machine::default()).await?;
        let holder = stored.and_then(|stored| stored.record.lock_info());
        if !holder.is_some_and(|info| innermost.is(&info)) {
            is_missing = true;
        } else if innermost.lent.is_none() {
            return Ok(Nested::Refused {
                key: innermost.key.clone(),
            });
        } else {
            is_missing |= !is_lending;
        }
    }
    Ok(if is_missing {
        Nested::No
    } else {
        Nested::Borrows { locking, borrowed }
    })
}

impl Borrowed {
    /// Adds those of another.
    pub(super) fn join(&mut self, other: Self) {
        self.places.extend(other.places);
        for lent in other.from {
            if !self.from.contains(&lent) {
                self.from.push(lent);
            }
        }
    }

    /// Takes a place in the lender's run. Returns whether the lender is still there; without a run file only the turn tells.
    fn take_place(&mut self, lent: &Lent) -> bool {
        self.from.push(lent.clone());
        let Some(run) = &lent.run else {
            return true;
        };
        match Place::take(run) {
            Ok(Some(place)) => {
                self.places.push(place);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }
}

/// A place in each run around us that lends its lock, whatever we do inside it. To be kept until we are done.
pub(super) fn places_around(environment: Environment<'_>) -> Vec<Place> {
    let mut runs: Vec<PathBuf> = announced_to_us(environment)
        .into_iter()
        .filter_map(|held| held.lent?.run)
        .collect();
    runs.dedup();
    // A place that cannot be taken belongs to a run that is ending.
    let places = runs.iter().map(|run| Place::take_at_once(run));
    places.filter_map(|place| place.ok().flatten()).collect()
}

/// The locks announced to us. A value that cannot be parsed was not written by us and announces nothing.
fn announced_to_us(environment: Environment<'_>) -> Vec<Announced> {
    environment(VARIABLE)
        .and_then(|value| serde_json::from_str(value.to_str()?).ok())
        .unwrap_or_default()
}
