//! Borrows a lock from the run that holds it and lends it: one terraform at a time, as with terraform's own lock.
//!
//! Three things have to agree. A *place* in the lender's run keeps its lock from being released, the *turn* of its loan keeps
//! every other borrower out (both in [`crate::system::run_file::lent`]), and the store says that the lender holds the lock.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::acquire::Patience;
use super::held_lock::HeldLock;
use super::host::Host;
use super::read::read;
use super::record::{LockId, LockInfo};
use super::store::{Identity, Store, StoreError};
use crate::system::process::Named;
use crate::system::run_file::lent::{Turn, TurnAttempt};
use crate::system::run_file::{Place, PlaceAttempt};

/// How often to try for what is in use.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How long the leftovers of a terraform that has ended (providers) may keep its turn before the next one is refused.
const LEAVING: Duration = Duration::from_millis(500);

/// How long to wait for a turn before it is worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

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

/// Locks that are lent to a run, which still has to take their turns.
#[derive(Default)]
pub struct Borrowed {
    /// Kept as long as any process of this run lives.
    places: Vec<Place>,
    lenders: Vec<Lent>,
    /// Where each of them was held when we looked.
    held: Vec<(Rc<dyn Store>, Announced)>,
}

/// Why a run does not get a lock that is lent around it.
#[derive(Debug)]
pub enum NotBorrowed {
    /// These processes have its turn, as far as we can see, and did not end in that time.
    InUse {
        /// The processes.
        who: Vec<Named>,
        /// How long the run was to wait.
        patience: Patience,
    },
    /// The loan behind that file gives no turn.
    NotLent {
        /// The file of the loan.
        turn: PathBuf,
        /// Why.
        reason: String,
    },
    /// The lender lost the lock of that name while we waited for our turn.
    Lost {
        /// The lock's.
        key: String,
    },
    /// The store does not say who holds the lock.
    Unknown(StoreError),
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
            Some(lent) if !borrowed.lenders.contains(lent) => borrowed.take_place(lent, host).await,
            _ => true,
        };
        if !innermost.is_held(store.as_ref(), host).await? {
            is_missing = true;
        } else if innermost.lent.is_none() {
            return Ok(Nested::LendsNothing {
                key: innermost.key.clone(),
            });
        } else {
            is_missing |= !is_lending;
            borrowed.held.push((Rc::clone(store), innermost.clone()));
        }
    }
    Ok(if is_missing {
        Nested::No
    } else {
        Nested::Borrows(borrowed)
    })
}

impl Borrowed {
    /// The lenders.
    #[must_use]
    pub fn lenders(&self) -> &[Lent] {
        &self.lenders
    }

    /// Adds those of another.
    pub fn join(&mut self, other: Self) {
        self.places.extend(other.places);
        self.held.extend(other.held);
        for lent in other.lenders {
            if !self.lenders.contains(&lent) {
                self.lenders.push(lent);
            }
        }
    }

    /// Lets the program that this process execs inherit our places.
    pub fn hand_on(&self) {
        for place in &self.places {
            place.hand_on();
        }
    }

    /// Takes a place in the lender's run, waiting while that is about to end. Returns whether the lender is still there;
    /// without a run file only the turn tells.
    async fn take_place(&mut self, lent: &Lent, host: &dyn Host) -> bool {
        self.lenders.push(lent.clone());
        let Some(run) = &lent.run else {
            return true;
        };
        loop {
            match Place::try_take(run) {
                Ok(PlaceAttempt::Got(place)) => {
                    self.places.push(place);
                    return true;
                }
                Ok(PlaceAttempt::Ending) => host.sleep(ASK_EVERY).await,
                Ok(PlaceAttempt::Ended) | Err(_) => return false,
            }
        }
    }

    /// Takes the turn of each lender. `patience` says how long to wait for it; `waiting` is called once for a turn that is
    /// worth a word, with the processes that have it.
    ///
    /// # Errors
    /// Why one of them is not to be had.
    pub async fn take_turns(
        &self,
        host: &dyn Host,
        patience: impl Fn(&Lent) -> Patience,
        waiting: impl Fn(&[Named]),
    ) -> Result<Vec<Turn>, NotBorrowed> {
        let mut turns = Vec::new();
        let mut has_waited = false;
        for lent in &self.lenders {
            let (turn, waited) = take_turn(lent, host, patience(lent), &waiting).await?;
            turns.push(turn);
            has_waited |= waited;
        }
        if has_waited {
            self.are_still_held(host).await?;
        }
        Ok(turns)
    }

    /// A lender that loses its lock stops what runs under it, but not what has not begun.
    async fn are_still_held(&self, host: &dyn Host) -> Result<(), NotBorrowed> {
        for (store, held) in &self.held {
            let is_held = held.is_held(store.as_ref(), host);
            if !is_held.await.map_err(NotBorrowed::Unknown)? {
                let key = held.key.clone();
                return Err(NotBorrowed::Lost { key });
            }
        }
        Ok(())
    }
}

/// Takes the turn of that loan. Also returns whether we had to wait for it.
async fn take_turn(
    lent: &Lent,
    host: &dyn Host,
    patience: Patience,
    waiting: &impl Fn(&[Named]),
) -> Result<(Turn, bool), NotBorrowed> {
    let limit = match patience {
        Patience::For(limit) => Some(limit.max(LEAVING)),
        Patience::Forever => None,
    };
    let not_lent = |reason: &str| NotBorrowed::NotLent {
        turn: lent.turn.clone(),
        reason: reason.to_owned(),
    };
    let asked = host.now();
    let (mut is_told, mut has_waited) = (false, false);
    loop {
        let in_use = match Turn::try_take(&lent.turn) {
            Ok(TurnAttempt::Got(turn)) => return Ok((turn, has_waited)),
            Ok(TurnAttempt::InUse(in_use)) => in_use,
            Ok(TurnAttempt::LoanEnded) => return Err(not_lent("it is not there")),
            Err(error) => return Err(not_lent(&error.to_string())),
        };
        let waited = host.now().since(asked);
        if limit.is_some_and(|limit| waited >= limit) {
            let who = in_use.by();
            return Err(NotBorrowed::InUse { who, patience });
        }
        if waited >= WORTH_A_WORD && !std::mem::replace(&mut is_told, true) {
            waiting(&in_use.by());
        }
        has_waited = true;
        host.sleep(ASK_EVERY).await;
    }
}

#[cfg(test)]
mod tests;
