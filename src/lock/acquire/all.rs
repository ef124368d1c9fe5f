//! Takes several places, or none. A run never holds one place while it waits for another.
//!
//! All runs try their places in the same order. A run that finds one held releases what it has taken, waits in the queue of
//! that place until it is its turn, and only then tries all again, in order. So no two runs can wait for each other, whatever
//! they want.

mod beside;

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

pub(super) use self::beside::Beside;
use super::stopping::sleep_or_stop;
use super::{AcquireError, Claim, Decision, Observed, Patience, Progress};
use crate::lock::held_locks::{HeldLocks, NotReleased};
use crate::lock::host::Host;
use crate::lock::queue::Leaving;
use crate::lock::store::Store;

/// The pause before waiting for another place than before; it doubles. It is jittered, so that two runs that make way for
/// each other do not stay in step.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A place to take, and the record to write there.
#[derive(Clone)]
pub struct Wanted<'a> {
    /// The place.
    pub store: Rc<dyn Store>,
    /// The record.
    pub claim: &'a Claim,
    /// The number of the lock that it belongs to.
    pub lock: usize,
}

/// Receives what happens while places are taken; `index` is the number of the place. Must not block.
pub trait Onlooker {
    /// The place is about to be requested.
    fn asking(&self, index: usize);
    /// Someone else holds the place, or a request failed.
    fn progress(&self, index: usize, progress: Progress<'_>) -> Decision;
    /// The place was taken over from this holder.
    fn took_over(&self, index: usize, replaced: &Observed);
    /// A place that was taken could not be released.
    fn not_given_back(&self, failed: &NotReleased);
}

/// All of the places.
pub struct Held {
    /// The locks, in order.
    pub locks: HeldLocks,
    /// Takes this run out of the queues in which it has tickets. Nothing depends on it.
    pub leaving: Vec<Leaving>,
}

/// Why nothing is held.
#[derive(Debug)]
pub enum NotHeld {
    /// Someone else holds a place, and patience ran out.
    TimedOut {
        /// Which one.
        index: usize,
        /// Its holder.
        observed: Box<Observed>,
    },
    /// The hold to run under is gone in that place.
    HoldGone {
        /// Which one.
        index: usize,
    },
    /// Two of the places are the same, reached in two ways.
    Same {
        /// The one that was taken.
        first: usize,
        /// The one in which its record was found.
        second: usize,
    },
    /// The store of a place failed.
    Failed {
        /// Which one.
        index: usize,
        /// Why.
        error: Box<AcquireError>,
    },
    /// A place that was taken could not be released before waiting for another ([`Onlooker::not_given_back`]).
    Stuck,
    /// A stop was requested.
    Stopped,
}

/// The rank of a lock, by its first place, in the order in which all runs take them: by store, then by name.
#[must_use]
pub fn rank(store: &dyn Store) -> impl Ord + use<> {
    (store.kind(), store.key().to_owned(), store.identity())
}

/// Takes all `wanted` places in that order, waiting for as long as `patience` allows in all.
///
/// # Errors
/// Why they could not be taken. None is held then, except those that were reported to the `onlooker`.
pub async fn acquire_all(
    wanted: &[Wanted<'_>],
    host: Rc<dyn Host>,
    patience: Patience,
    mut stop: watch::Receiver<bool>,
    onlooker: &dyn Onlooker,
) -> Result<Held, NotHeld> {
    let began = host.now();
    let mut beside = Beside::new(wanted, Rc::clone(&host), stop.clone(), onlooker);
    let mut pause = Duration::ZERO;
    loop {
        let left = patience.after(host.now().since(began));
        let not_held = match beside.take_all(left).await {
            Ok(()) => return Ok(beside.held()),
            Err(not_held) => not_held,
        };
        let given_back = beside.give_back().await;
        match not_held {
            NotHeld::TimedOut { index, .. }
                if index != beside.before() && left != Patience::For(Duration::ZERO) =>
            {
                given_back?;
                sleep_or_stop(host.as_ref(), host.jittered(pause), &mut stop).await;
                pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                beside.wait_for(index);
            }
            not_held => return Err(not_held),
        }
    }
}

#[cfg(test)]
mod tests;
