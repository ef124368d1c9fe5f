//! A tflock inside of a run that holds the same lock: it does not wait for itself.
//!
//! `exec` lends its lock, to one terraform at a time: such a run goes on under it. A run of terraform lends nothing: what is
//! nested in it (a provisioner, an external data source) would write a state that its parent is about to write.
//!
//! The child sees `TFLOCK_HELD`. The variable alone proves nothing, since a process can outlive the run that it
//! came from: the lock counts as held only if the store says so, under the very ID that the variable names.

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
use crate::system::run_file::lent::Place;

/// Names the locks that a process runs under, as JSON, the innermost last.
pub const VARIABLE: &str = "TFLOCK_HELD";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
struct Announced {
    place: Identity,
    /// For people; compared is the place, which it is part of.
    key: String,
    id: LockId,
    /// When it was taken, as its record says: an ID alone does not tell a lock from that of a clone of its machine.
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
    /// The file of [`crate::system::run_file::lent::Loan`].
    pub(super) turn: PathBuf,
    /// The lender's run file, if it has one.
    pub(super) run: Option<PathBuf>,
    /// What the lender says in `TFLOCK_WAIT`, for other locks than this one.
    pub(super) wait: String,
}

/// What a run is nested in.
pub(super) enum Nested {
    /// No run that holds its lock.
    No,
    /// One that lends it, to a child that is to lock in that way.
    Borrows {
        locking: ChildLocking,
        borrowed: Borrowed,
    },
    /// One that does not: it holds the lock of that name for itself.
    Refused { key: String },
}

/// A lock that is lent to this run, but for its turn.
pub(super) struct Borrowed {
    /// To be kept as long as anything of this run lives.
    pub(super) places: Vec<Place>,
    /// From whom it is lent.
    pub(super) from: Vec<Lent>,
}

/// Tells the child of the locks that it runs under; those that we ourselves run under stay named.
pub(super) fn announce<'held>(
    command: &mut Command,
    held: impl Iterator<Item = &'held HeldLock>,
    lent: Option<&Lent>,
    environment: Environment<'_>,
) {
    let mut held = held.peekable();
    if held.peek().is_none() {
        // It stays with what it was told: also of a lock that we have borrowed for it.
        return;
    }
    let mut announced = announced_to_us(environment);
    announced.extend(held.map(|held| Announced {
        place: held.store().identity(),
        key: held.store().key().to_owned(),
        id: held.id().clone(),
        created: held.created(),
        lent: lent.cloned(),
    }));
    tell(command, &announced);
}

/// Tells a terraform that has borrowed the locks at these files that it does not lend them on.
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

/// Whether there is a run that holds the lock around this one.
///
/// # Errors
/// The store's failure.
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
    // There terraform's own lock is not held for anybody, or by the terraform that we are inside of.
    match &resolved.init_lock {
        Some(lock) => {
            let turn = std::slice::from_ref(&lock.turn);
            look_for(turn, ChildLocking::Kept, &announced).await
        }
        None => Ok(Nested::No),
    }
}

/// Whether all of `stores` are held by runs that this process is inside of, and lent. One that is not can only be waited for
/// in vain.
///
/// # Errors
/// The store's failure.
async fn look_for(
    stores: &[Rc<dyn Store>],
    locking: ChildLocking,
    announced: &[Announced],
) -> Result<Nested, StoreError> {
    let mut borrowed = Borrowed {
        places: Vec::new(),
        from: Vec::new(),
    };
    let mut is_missing = stores.is_empty();
    for store in stores {
        let identity = store.identity();
        let Some(innermost) = announced.iter().rfind(|held| held.place == identity) else {
            is_missing = true;
            continue;
        };
        // Before the look at the store: as long as we have a place there, the lock is not given back.
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
    /// Whether the lender has not ended. Without a run file of its own only the turn tells.
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

/// A place with each run that lends anything to the processes that it started, whatever we do among those. To be kept until
/// it is done.
pub(super) fn places_around(environment: Environment<'_>) -> Vec<Place> {
    let mut runs: Vec<PathBuf> = announced_to_us(environment)
        .into_iter()
        .filter_map(|held| held.lent?.run)
        .collect();
    runs.dedup();
    // One that cannot be had is one with a run that is at its end.
    let places = runs.iter().map(|run| Place::take_at_once(run));
    places.filter_map(|place| place.ok().flatten()).collect()
}

/// What cannot be read was not written by us, and announces nothing.
fn announced_to_us(environment: Environment<'_>) -> Vec<Announced> {
    environment(VARIABLE)
        .and_then(|value| serde_json::from_str(value.to_str()?).ok())
        .unwrap_or_default()
}
