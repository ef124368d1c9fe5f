//! Borrows a lock from the run that holds it and lends it: one terraform at a time, as with terraform's own lock.
//!
//! Three things have to agree. A *place* in the lender's run keeps its lock from being released, the *turn* of its loan keeps
//! every other borrower out (both in [`crate::system::run_file::lent`]), and the store says that the lender holds the lock.

mod borrowed;

use std::path::PathBuf;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

pub use self::borrowed::{Borrowed, NotBorrowed};
use super::held_lock::HeldLock;
use super::host::Host;
use super::read::read;
use super::record::{LockId, LockInfo};
use super::store::{Identity, Store, StoreError};

/// A lock that a run holds around the programs that it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Announced {
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

/// How a lock is borrowed from the run that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Lent {
    /// The file of the [`crate::system::run_file::lent::Loan`].
    pub turn: PathBuf,
    /// The lender's run file, if it has one.
    pub run: Option<PathBuf>,
    /// The lender's `TFLOCK_WAIT`, which is meant for other locks than this one.
    pub wait: String,
}

impl Announced {
    /// That lock, and how it is lent, if it is.
    #[must_use]
    pub fn of(held: &HeldLock, lent: Option<&Lent>) -> Self {
        Self {
            place: held.store().identity(),
            key: held.store().key().to_owned(),
            id: held.id().clone(),
            created: held.created(),
            lent: lent.cloned(),
        }
    }

    /// Whether it is borrowed from one of `lenders`.
    #[must_use]
    pub fn is_from(&self, lenders: &[Lent]) -> bool {
        self.lent
            .as_ref()
            .is_some_and(|lent| lenders.contains(lent))
    }

    /// The same for a terraform that has borrowed it, and must not lend it on.
    #[must_use]
    pub fn borrowed(&self) -> Self {
        Self {
            lent: None,
            ..self.clone()
        }
    }

    /// The run file of a run that lends it.
    #[must_use]
    pub fn lending_run(self) -> Option<PathBuf> {
        self.lent?.run
    }

    fn is(&self, holder: &LockInfo) -> bool {
        self.id == holder.id && self.created == holder.created
    }

    /// Whether the store says that it is held.
    async fn is_held(&self, store: &dyn Store, host: &dyn Host) -> Result<bool, StoreError> {
        let stored = read(store, host).await?;
        let holder = stored.and_then(|stored| stored.record.lock_info());
        Ok(holder.is_some_and(|info| self.is(&info)))
    }
}

/// Whether a run is nested in one that holds its lock.
pub enum Nested {
    /// It is not.
    No,
    /// It is, in one that lends the lock.
    Borrows(Borrowed),
    /// It is, in one that lends nothing and holds the lock of that name.
    LendsNothing {
        /// The lock's.
        key: String,
    },
}

/// Whether all of `stores` are held by runs that this process is inside of, according to `announced`, the innermost last, and
/// lent. Waiting for one that is not lent would never end.
///
/// # Errors
/// The store's error.
pub async fn look_for(
    stores: &[Rc<dyn Store>],
    announced: &[Announced],
    host: &dyn Host,
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
            Some(lent) => borrowed.take_place(lent, host).await,
            None => true,
        };
        if !innermost.is_held(store.as_ref(), host).await? {
            is_missing = true;
        } else if innermost.lent.is_none() {
            return Ok(Nested::LendsNothing {
                key: innermost.key.clone(),
            });
        } else {
            is_missing |= !is_lending;
            borrowed.add(store, innermost);
        }
    }
    Ok(if is_missing {
        Nested::No
    } else {
        Nested::Borrows(borrowed)
    })
}

#[cfg(test)]
mod tests;
