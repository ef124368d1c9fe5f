//! The places that a run holds beside the one that it waits for: takes, keeps and gives them back.

use std::future::Future;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use super::super::turn::Attempts;
use super::super::withdrawal::remove_own;
use super::super::{
    AcquireError, Acquisition, Beyond, Decision, Observed, Patience, Progress, Quest, acquire,
    acquire_beside,
};
use super::{Held, NotHeld, Onlooker, Wanted};
use crate::lock::held_lock::HeldLock;
use crate::lock::held_locks::{HeldLocks, NotReleased};
use crate::lock::host::Host;
use crate::lock::queue::Leaving;
use crate::lock::store::Stored;
use crate::lock::together::all;

/// How often to look, while waiting for one place, for records that abandoned requests left in the others.
const CLEAR_EVERY: Duration = Duration::from_secs(10);

/// The places that are held together with the one that a run waits for.
pub(in crate::lock::acquire) struct Beside<'a> {
    wanted: &'a [Wanted<'a>],
    /// How many come before that place, which is its number too.
    before: usize,
    held: HeldLocks,
    leaving: Vec<Leaving>,
    stop: watch::Receiver<bool>,
    onlooker: &'a dyn Onlooker,
    host: Rc<dyn Host>,
}

impl<'a> Beside<'a> {
    /// Nothing yet; the run waits for the first place.
    pub(super) fn new(
        wanted: &'a [Wanted<'a>],
        host: Rc<dyn Host>,
        stop: watch::Receiver<bool>,
        onlooker: &'a dyn Onlooker,
    ) -> Self {
        Self {
            wanted,
            before: 0,
            held: HeldLocks::none(Rc::clone(&host)),
            leaving: Vec::new(),
            stop,
            onlooker,
            host,
        }
    }

    /// For a place that is taken alone.
    pub(in crate::lock::acquire) fn nothing(host: Rc<dyn Host>) -> Self {
        Self::new(&[], host, watch::channel(false).1, &Nobody)
    }

    /// The number of the place that the run waits for.
    pub(super) fn before(&self) -> usize {
        self.before
    }

    /// From now on the run waits for the place with that number.
    pub(super) fn wait_for(&mut self, index: usize) {
        self.before = index;
    }

    /// All places, once they are taken.
    pub(super) fn held(self) -> Held {
        Held {
            locks: self.held,
            leaving: self.leaving,
        }
    }

    pub(in crate::lock::acquire) fn attempts(&self) -> Attempts {
        if self.before == 0 {
            Attempts::OneRequest
        } else {
            Attempts::NeedOthers
        }
    }

    /// Takes all places, and waits for one of them if it is held.
    pub(super) async fn take_all(&mut self, patience: Patience) -> Result<(), NotHeld> {
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
    pub(in crate::lock::acquire) async fn take_those_before(&mut self) -> Result<(), NotHeld> {
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
    pub(in crate::lock::acquire) fn is_held_there(&self, stored: &Stored) -> Option<NotHeld> {
        let is_there = |held: &HeldLock| held.own().contains(&stored.record);
        let first = self.held.held().position(is_there)?;
        let second = self.held.held().count();
        Some(NotHeld::Same { first, second })
    }

    /// Renews what is held while `work` goes on.
    pub(in crate::lock::acquire) async fn keep<T>(&mut self, work: impl Future<Output = T>) -> T {
        keep(&mut self.held, work).await
    }

    /// Removes records of ours that arrive late in the other places while `waiting` goes on: no other run could.
    pub(in crate::lock::acquire) async fn clearing<T>(
        &self,
        waiting: impl Future<Output = T>,
    ) -> T {
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
    pub(in crate::lock::acquire) async fn give_back(&mut self) -> Result<(), NotHeld> {
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
pub(super) async fn keep<T>(held: &mut HeldLocks, work: impl Future<Output = T>) -> T {
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
