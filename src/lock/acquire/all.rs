//! Takes several places, or none. A run never holds one place while it waits for another.
//!
//! All runs try their places in the same order. A run that finds one held releases what it has taken, waits in the queue of
//! that place until it is its turn, and only then tries all again, in order. So no two runs can wait for each other, whatever
//! they want.

use std::future::Future;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use super::turn::Attempts;
use super::{
    AcquireError, Acquisition, Beyond, Claim, Decision, Observed, Patience, Progress, Quest,
    acquire, acquire_beside, remove_own, sleep_or_stop,
};
use crate::lock::held_lock::HeldLock;
use crate::lock::held_locks::{HeldLocks, NotReleased};
use crate::lock::host::Host;
use crate::lock::queue::Leaving;
use crate::lock::store::{Store, Stored};
use crate::lock::together::all;

/// The pause before waiting for another place than before; it doubles. It is jittered, so that two runs that make way for
/// each other do not stay in step.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often to look, while waiting for one place, for records that abandoned requests left in the others.
const CLEAR_EVERY: Duration = Duration::from_secs(10);

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
    let mut beside = Beside {
        wanted,
        before: 0,
        held: HeldLocks::none(Rc::clone(&host)),
        leaving: Vec::new(),
        stop: stop.clone(),
        onlooker,
        host: Rc::clone(&host),
    };
    let mut pause = Duration::ZERO;
    loop {
        let left = patience.after(host.now().since(began));
        let not_held = match beside.take_all(left).await {
            Ok(()) => {
                return Ok(Held {
                    locks: beside.held,
                    leaving: beside.leaving,
                });
            }
            Err(not_held) => not_held,
        };
        let given_back = beside.give_back().await;
        match not_held {
            NotHeld::TimedOut { index, .. }
                if index != beside.before && left != Patience::For(Duration::ZERO) =>
            {
                given_back?;
                sleep_or_stop(host.as_ref(), host.jittered(pause), &mut stop).await;
                pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                beside.before = index;
            }
            not_held => return Err(not_held),
        }
    }
}

/// The places that are held together with the one that a run waits for.
pub(super) struct Beside<'a> {
    wanted: &'a [Wanted<'a>],
    /// How many come before that place, which is its number too.
    before: usize,
    held: HeldLocks,
    leaving: Vec<Leaving>,
    stop: watch::Receiver<bool>,
    onlooker: &'a dyn Onlooker,
    host: Rc<dyn Host>,
}

impl Beside<'_> {
    /// For a place that is taken alone.
    pub(super) fn nothing(host: Rc<dyn Host>) -> Self {
        Self {
            wanted: &[],
            before: 0,
            held: HeldLocks::none(Rc::clone(&host)),
            leaving: Vec::new(),
            stop: watch::channel(false).1,
            onlooker: &Nobody,
            host,
        }
    }

    pub(super) fn attempts(&self) -> Attempts {
        if self.before == 0 {
            Attempts::OneRequest
        } else {
            Attempts::NeedOthers
        }
    }

    /// Takes all places, and waits for one of them if it is held.
    async fn take_all(&mut self, patience: Patience) -> Result<(), NotHeld> {
        let index = self.before;
        let Some(wanted) = self.wanted.get(index).cloned() else {
            return Ok(());
        };
        let (onlooker, host) = (self.onlooker, Rc::clone(&self.host));
        onlooker.asking(index);
        let quest = Quest {
            store: Rc::clone(&wanted.store),
            host,
            claim: wanted.claim,
            patience,
        };
        let stop = self.stop.clone();
        let acquisition = acquire_beside(self, quest, stop, |progress| {
            onlooker.progress(index, progress)
        });
        match acquisition.await {
            Ok(Beyond::Acquired(acquisition)) => self.take_up(index, Ok(acquisition))?,
            Ok(Beyond::OthersNotHeld(why)) => return Err(why),
            Err(error) => self.take_up(index, Err(error))?,
        }
        self.take(index + 1..self.wanted.len()).await
    }

    /// Takes the places before the one that the run waits for, unless they are held already.
    pub(super) async fn take_those_before(&mut self) -> Result<(), NotHeld> {
        self.take(self.held.held().count()..self.before).await
    }

    /// Takes the places with these `indexes` without waiting.
    async fn take(&mut self, indexes: Range<usize>) -> Result<(), NotHeld> {
        for index in indexes {
            let wanted = &self.wanted[index];
            self.onlooker.asking(index);
            // Boxed, because an acquisition may call this.
            let acquisition = Box::pin(acquire(
                Rc::clone(&wanted.store),
                Rc::clone(&self.host),
                wanted.claim,
                Patience::For(Duration::ZERO),
                self.stop.clone(),
                |progress| self.onlooker.progress(index, progress),
            ));
            let acquisition = keep(&mut self.held, acquisition).await;
            self.take_up(index, acquisition)?;
        }
        Ok(())
    }

    fn take_up(
        &mut self,
        index: usize,
        acquisition: Result<Acquisition, AcquireError>,
    ) -> Result<(), NotHeld> {
        match acquisition {
            Ok(Acquisition::Held {
                held,
                replaced,
                leaving,
            }) => {
                if let Some(replaced) = &replaced {
                    self.onlooker.took_over(index, replaced);
                }
                self.leaving.extend(leaving);
                self.held.push(self.wanted[index].lock, held);
                Ok(())
            }
            Ok(Acquisition::TimedOut(observed)) => {
                let same = self.is_held_there(&observed.stored);
                Err(same.unwrap_or(NotHeld::TimedOut { index, observed }))
            }
            Ok(Acquisition::HoldGone) => Err(NotHeld::HoldGone { index }),
            Ok(Acquisition::Stopped) => Err(NotHeld::Stopped),
            Err(error) => Err(NotHeld::Failed {
                index,
                error: Box::new(error),
            }),
        }
    }

    /// Whether the record found in the next place is one that we hold in another.
    pub(super) fn is_held_there(&self, stored: &Stored) -> Option<NotHeld> {
        let is_there = |held: &HeldLock| held.own().contains(&stored.record);
        let first = self.held.held().position(is_there)?;
        let second = self.held.held().count();
        Some(NotHeld::Same { first, second })
    }

    /// Renews what is held while `work` goes on.
    pub(super) async fn keep<T>(&mut self, work: impl Future<Output = T>) -> T {
        keep(&mut self.held, work).await
    }

    /// Removes records of ours that arrive late in the other places while `waiting` goes on: no other run could.
    pub(super) async fn clearing<T>(&self, waiting: impl Future<Output = T>) -> T {
        let clearing = async {
            loop {
                self.host.sleep(CLEAR_EVERY).await;
                for (index, wanted) in self.wanted.iter().enumerate() {
                    let own = wanted.claim.own.in_store(wanted.store.as_ref());
                    if index != self.before && !own.is_empty() {
                        // A failure is retried next time.
                        let _ = remove_own(wanted.store.as_ref(), &own).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            output = waiting => output,
            () = clearing => unreachable!("it goes on for ever"),
        }
    }

    /// Releases what is held, and leaves the queues.
    pub(super) async fn give_back(&mut self) -> Result<(), NotHeld> {
        let nothing = HeldLocks::none(Rc::clone(&self.host));
        let mut held = std::mem::replace(&mut self.held, nothing);
        let leaving = all(std::mem::take(&mut self.leaving).into_iter());
        let (released, _) = tokio::join!(held.release(|_| {}), leaving);
        for failed in &released.failed {
            self.onlooker.not_given_back(failed);
        }
        if released.failed.is_empty() {
            Ok(())
        } else {
            Err(NotHeld::Stuck)
        }
    }
}

/// Renews what is held while `work` goes on. Losses show when it is confirmed.
async fn keep<T>(held: &mut HeldLocks, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            output = &mut work => return output,
            _ = held.next(), if held.held().next().is_some() => {}
        }
    }
}

/// For a place that is taken alone: nothing is reported here.
struct Nobody;

impl Onlooker for Nobody {
    fn asking(&self, _: usize) {}

    fn progress(&self, _: usize, _: Progress<'_>) -> Decision {
        Decision::Wait
    }

    fn took_over(&self, _: usize, _: &Observed) {}

    fn not_given_back(&self, _: &NotReleased) {}
}

#[cfg(test)]
mod tests;
