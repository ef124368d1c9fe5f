//! Takes all places of the locks, or none. Handles signals all the time.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use super::Session;
use super::event::SessionEvent;
use super::shared::Before;
use super::taking_display::Display;
use crate::child::{Phase, Signal, Signals};
use crate::lock::acquire::all::{NotHeld, Wanted, acquire_all};
use crate::lock::acquire::{AcquireError, Observed};
use crate::lock::held_locks::HeldLocks;
use crate::lock::host::Instant;
use crate::lock::queue::{self, Ticket};
use crate::lock::store::local::LocalStore;
use crate::lock::store::s3::StateObject;
use crate::lock::store::{Store, StoreError, StoreErrorKind};
use crate::resolve::{ComparedState, MissingDirectory};

/// How long after a request to end a second one means "at once"; also how long cleaning up may take before we say so.
const INSISTED: Duration = Duration::from_secs(1);

/// What is to be held.
pub(super) struct Goal<'a> {
    /// The places, in the order in which they are taken.
    pub(super) places: Vec<Wanted<'a>>,
    /// If one of these states is missing, each that of the lock of that number, the places are of no use. They are looked
    /// for meanwhile, so that it costs no time.
    pub(super) unless_missing: Vec<(usize, &'a StateObject)>,
    /// The state that is compared instead of being locked: the places are only waited for.
    pub(super) compared: Option<&'a ComparedState>,
}

/// How the attempt to get all places of a lock ended.
pub(super) enum Taking {
    Held(HeldLocks),
    /// Nobody holds a place, and nothing was taken.
    Free(Before),
    /// The state to compare does not exist.
    StateIsMissing,
    /// A place, or the state to compare, cannot be read.
    Unreadable(StoreError),
    TimedOut {
        /// The place that is held.
        store: Rc<dyn Store>,
        observed: Box<Observed>,
        /// The other runs that wait for it.
        queue: Vec<Ticket>,
    },
    HoldGone {
        /// The place where the hold is missing.
        store: Rc<dyn Store>,
    },
    /// Two of the places are one.
    Same {
        keys: [String; 2],
    },
    Failed {
        /// The place.
        store: Rc<dyn Store>,
        error: Box<AcquireError>,
    },
    /// A lock that was taken could not be released before waiting for another; that was reported.
    Stuck,
    Stopped,
}

/// Why the places are of no use, even if all of them were just taken.
pub(super) enum NoUse {
    /// A signal asked tflock to end.
    EndRequested(Signal),
    /// That of the lock of that number.
    StateIsMissing(usize),
}

impl Session<'_> {
    /// Takes the places one after the other. Anything that makes them useless ends that and releases what was taken.
    pub(super) async fn take(
        &self,
        goal: &Goal<'_>,
        signals: &mut Signals,
    ) -> (Taking, Option<NoUse>) {
        let (stop, stopped) = watch::channel(false);
        let places = async {
            let stopped = stopped.clone();
            let taking = match goal.compared {
                Some(compared) => Box::pin(self.stand_by_all(compared, stopped)).await,
                None => self.take_all(&goal.places, stopped).await,
            };
            if !matches!(taking, Taking::Held(_)) {
                // It no longer matters whether the state is missing.
                stop.send_replace(true);
            }
            taking
        };
        let look = look_for(&goal.unless_missing, &stop, stopped.clone());
        let mut taking = Box::pin(async { tokio::join!(places, look) });
        let mut asked: Option<(Signal, Instant)> = None;
        let mut is_told = false;
        let (taking, missing) = loop {
            let asked_for = asked.map_or(Duration::ZERO, |(_, at)| self.host.now().since(at));
            tokio::select! {
                biased;
                done = &mut taking => break done,
                signal = signals.end_requested(Phase::Waiting) => match asked {
                    None => {
                        asked = Some((signal, self.host.now()));
                        stop.send_replace(true);
                    }
                    Some((first, _)) if asked_for >= INSISTED => {
                        self.tell(SessionEvent::MayBeLeft);
                        return (Taking::Stopped, Some(NoUse::EndRequested(first)));
                    }
                    // The same request twice, as from a wrapper that passes on the terminal's signal.
                    Some(_) => {}
                },
                () = self.host.sleep(INSISTED.saturating_sub(asked_for)), if asked.is_some() && !is_told => {
                    is_told = true;
                    self.tell(SessionEvent::Withdrawing);
                }
            }
        };
        let missing = missing.map(NoUse::StateIsMissing);
        let no_use = asked.map(|(signal, _)| NoUse::EndRequested(signal));
        (taking, no_use.or(missing))
    }

    /// Takes all of them or none. If this machine has no place for one that nobody asked for, goes on without it.
    async fn take_all(&self, places: &[Wanted<'_>], stop: watch::Receiver<bool>) -> Taking {
        let mut places = places.to_vec();
        let not_held = loop {
            match self.take_at_once(&places, stop.clone()).await {
                Ok(locks) => return Taking::Held(locks),
                Err(NotHeld::Failed { index, error })
                    if self.can_do_without(places[index].store.as_ref(), error.error.kind) =>
                {
                    self.tell(SessionEvent::RunsWithoutLock(&error.error));
                    places.remove(index);
                }
                Err(not_held) => break not_held,
            }
        };
        let store = |index: usize| Rc::clone(&places[index].store);
        match not_held {
            NotHeld::TimedOut { index, observed } => Taking::TimedOut {
                queue: self.others_waiting(&*store(index), &observed).await,
                store: store(index),
                observed,
            },
            NotHeld::HoldGone { index } => Taking::HoldGone {
                store: store(index),
            },
            NotHeld::Same { first, second } => Taking::Same {
                keys: [first, second].map(|index| store(index).key().to_owned()),
            },
            NotHeld::Failed { index, error } => Taking::Failed {
                store: store(index),
                error,
            },
            NotHeld::Stuck => Taking::Stuck,
            NotHeld::Stopped => Taking::Stopped,
        }
    }

    async fn take_at_once(
        &self,
        places: &[Wanted<'_>],
        stop: watch::Receiver<bool>,
    ) -> Result<HeldLocks, NotHeld> {
        let display = Display::new(self, places);
        let (host, patience) = (Rc::clone(&self.host), self.patience_left());
        let taken = acquire_all(places, host, patience, stop, &display).await;
        display.end();
        let held = taken?;
        let mut aside = self.aside.borrow_mut();
        held.leaving.into_iter().for_each(|one| aside.add(one));
        display.announce();
        Ok(held.locks)
    }

    pub(super) async fn others_waiting(
        &self,
        store: &dyn Store,
        observed: &Observed,
    ) -> Vec<Ticket> {
        let holder = observed.stored.record.lock_id();
        let mut others = queue::read(store, self.host.as_ref(), holder.as_ref()).await;
        others.retain(|ticket| ticket.id != self.id);
        others
    }

    /// Whether the run can go on: this machine has no directory for the lock, and the user did not ask for that lock.
    pub(super) fn can_do_without(&self, store: &dyn Store, kind: StoreErrorKind) -> bool {
        let has_no_place = matches!(
            kind,
            StoreErrorKind::AccessDenied | StoreErrorKind::Unsuitable
        );
        self.lock_at(&store.identity()).missing_directory == MissingDirectory::RunWithoutLock
            && store.kind() == LocalStore::KIND
            && has_no_place
    }
}

/// Returns the lock whose state is certainly missing, which stops everything else. A stop ends the look.
async fn look_for(
    states: &[(usize, &StateObject)],
    stop: &watch::Sender<bool>,
    mut stopped: watch::Receiver<bool>,
) -> Option<usize> {
    let looks = async {
        for (lock, state) in states {
            if state.is_missing().await {
                stop.send_replace(true);
                return Some(*lock);
            }
        }
        None
    };
    tokio::select! {
        biased;
        missing = looks => missing,
        _ = stopped.wait_for(|stopped| *stopped) => None,
    }
}
