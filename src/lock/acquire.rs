//! Takes the lock: one conditional write if it is free, else retries until it is, or patience runs out.
//!
//! A write whose reply was lost may have succeeded. So each attempt is kept until its outcome is known
//! ([`super::own`]): a refusal that returns one of them means that the earlier write succeeded, and a run that gives up
//! first removes whatever its attempts may have left.

pub mod all;
mod attempts;
mod claim;
mod patience;
pub mod standby;
mod stopping;
mod turn;
mod withdrawal;

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use self::all::{Beside, NotHeld};
use self::attempts::{Attempted, attempt};
pub use self::claim::Claim;
pub use self::patience::{Patience, PatienceSource};
use super::held_lock::HeldLock;
use super::host::{Host, Instant};
use super::liveness::Assessment;
use super::own::OwnRecords;
use super::queue::{Leaving, Line, QueuePosition};
use super::record::LockId;
use super::store::{Store, StoreError, Stored};

/// How long a store may fail before an acquisition gives up.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(10);

/// A lock that someone else holds, as last seen.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The record.
    pub stored: Stored,
    /// What is known about its holder.
    pub assessment: Assessment,
    /// How long this run has waited.
    pub waited: Duration,
    /// Where this run is in the queue; `None` if it has no place in it.
    pub position: Option<QueuePosition>,
}

/// What an acquisition reports while it goes on.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Someone else holds the lock.
    HeldBy(&'a Observed),
    /// A request failed and will be repeated.
    Retrying(&'a StoreError),
}

/// The caller's answer to [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on as the protocol does by itself.
    Wait,
    /// Replace exactly the record that was reported: a person says that its holder is dead.
    TakeOver,
}

/// How an acquisition ended.
pub enum Acquisition {
    /// We hold the lock.
    Held {
        /// The lock.
        held: HeldLock,
        /// Whose lock was taken over, and why that was allowed.
        replaced: Option<Observed>,
        /// Takes this run out of the queue, if it has a ticket there. Nothing depends on it.
        leaving: Option<Leaving>,
    },
    /// Patience ran out.
    TimedOut(Box<Observed>),
    /// The hold to run under is gone.
    HoldGone,
    /// A stop was requested; nothing of ours is left in the store.
    Stopped,
}

/// An acquisition that failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct AcquireError {
    /// The last failure.
    #[source]
    pub error: StoreError,
    /// The ID of a lock that may have been left behind: the store never answered.
    pub maybe_left: Option<LockId>,
}

/// Takes the lock of `store` in the order of its queue, waiting for its holder for as long as `patience` allows.
///
/// `stop` turning true ends the wait and withdraws a pending attempt, within six seconds. `progress` is called after each
/// look at the lock and must not block.
///
/// # Errors
/// Permanent errors at once; transient ones, silence included, after ten seconds. Withdrawing an attempt that may have
/// succeeded takes up to five seconds more.
pub async fn acquire(
    store: Rc<dyn Store>,
    host: Rc<dyn Host>,
    claim: &Claim,
    patience: Patience,
    stop: watch::Receiver<bool>,
    progress: impl FnMut(Progress<'_>) -> Decision,
) -> Result<Acquisition, AcquireError> {
    let mut nothing = Beside::nothing(Rc::clone(&host));
    let quest = Quest {
        store,
        host,
        claim,
        patience,
    };
    match acquire_beside(&mut nothing, quest, stop, progress).await? {
        Beyond::Acquired(acquisition) => Ok(acquisition),
        Beyond::OthersNotHeld(_) => unreachable!("there are no others"),
    }
}

/// The outcome of an acquisition that needs other places to be held.
enum Beyond {
    Acquired(Acquisition),
    /// One of those could not be taken.
    OthersNotHeld(NotHeld),
}

/// What an acquisition is for.
struct Quest<'a> {
    store: Rc<dyn Store>,
    host: Rc<dyn Host>,
    claim: &'a Claim,
    patience: Patience,
}

/// Takes a place that may only be requested while those of `beside` are held; they are released while it waits.
async fn acquire_beside(
    beside: &mut Beside<'_>,
    quest: Quest<'_>,
    stop: watch::Receiver<bool>,
    progress: impl FnMut(Progress<'_>) -> Decision,
) -> Result<Beyond, AcquireError> {
    let ticket = quest.claim.ticket(quest.host.as_ref(), quest.patience);
    let mut line = Line::new(Rc::clone(&quest.store), Rc::clone(&quest.host), ticket);
    let attempts = Box::pin(attempt(beside, &quest, stop, progress, &mut line));
    let not_held = match attempts.await {
        Ok(Attempted::Held { held, replaced }) => {
            return Ok(Beyond::Acquired(Acquisition::Held {
                held,
                replaced,
                leaving: line.served(),
            }));
        }
        Ok(Attempted::TimedOut(seen)) => Ok(Beyond::Acquired(Acquisition::TimedOut(seen))),
        Ok(Attempted::HoldGone) => Ok(Beyond::Acquired(Acquisition::HoldGone)),
        Ok(Attempted::Stopped) => Ok(Beyond::Acquired(Acquisition::Stopped)),
        Ok(Attempted::OthersNotHeld(why)) => Ok(Beyond::OthersNotHeld(why)),
        Err(error) => Err(error),
    };
    line.give_up().await;
    not_held
}

impl Quest<'_> {
    fn held(&self, own: &OwnRecords, stored: Stored, confirmed: Instant) -> HeldLock {
        let (store, host) = (Rc::clone(&self.store), Rc::clone(&self.host));
        let id = self.claim.info.id.clone();
        HeldLock::new(store, host, id, own.clone(), stored, confirmed)
    }
}

#[cfg(test)]
mod tests;
