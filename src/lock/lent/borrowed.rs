//! What a run borrows: places in the lenders' runs, and their turns.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::{Announced, Lent};
use crate::lock::acquire::Patience;
use crate::lock::host::Host;
use crate::lock::store::{Store, StoreError};
use crate::system::process::Named;
use crate::system::run_file::lent::{Turn, TurnAttempt};
use crate::system::run_file::{Place, PlaceAttempt};

/// How often to try for what is in use.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How long the leftovers of a terraform that has ended (providers) may keep its turn before the next one is refused.
const LEAVING: Duration = Duration::from_millis(500);

/// How long to wait for a turn before it is worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

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

impl Borrowed {
    /// The lenders.
    #[must_use]
    pub fn lenders(&self) -> &[Lent] {
        &self.lenders
    }

    /// Adds a lock that is held there.
    pub(super) fn add(&mut self, store: &Rc<dyn Store>, held: &Announced) {
        self.held.push((Rc::clone(store), held.clone()));
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

    /// Takes a place in the lender's run, once, waiting while that is about to end. Returns whether the lender is still there;
    /// without a run file only the turn tells.
    pub(super) async fn take_place(&mut self, lent: &Lent, host: &dyn Host) -> bool {
        if self.lenders.contains(lent) {
            return true;
        }
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
