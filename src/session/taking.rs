//! Takes all places of the lock, one after the other, or none. Handles signals all the time.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use super::Session;
use super::event::SessionEvent;
use super::shared::Before;
use crate::child::{Phase, Signal, Signals};
use crate::lock::acquire::{self, AcquireError, Acquisition, Decision, Observed, Progress};
use crate::lock::held_lock::HeldLock;
use crate::lock::held_locks::HeldLocks;
use crate::lock::host::Instant;
use crate::lock::liveness::Liveness;
use crate::lock::queue::{self, Ticket};
use crate::lock::store::local::LocalStore;
use crate::lock::store::s3::StateObject;
use crate::lock::store::{Store, StoreError, StoreErrorKind};
use crate::resolve::{ComparedState, MissingDirectory};
use crate::ui::waiting::Waiting;

/// How long after a request to end a second one means "at once"; also how long cleaning up may take before we say so.
const INSISTED: Duration = Duration::from_secs(1);

/// What to take.
pub(super) struct Wanted<'a> {
    /// The places, in the order in which to take them.
    pub(super) stores: Vec<Rc<dyn Store>>,
    /// If this state is missing, the places are of no use. It is looked for at the same time, so that it costs no time.
    pub(super) unless_missing: Option<&'a StateObject>,
    /// The state that is compared instead of locked: the places are only waited for.
    pub(super) compared: Option<&'a ComparedState>,
}

/// How the attempt to get all places of a lock ended.
pub(super) enum Taking {
    Held(Vec<HeldLock>),
    /// All places are free, and nothing was taken.
    Free(Before),
    /// The state to compare does not exist.
    StateIsMissing,
    /// A place, or the state to compare, cannot be read.
    Unreadable(StoreError),
    TimedOut {
        /// The name of the place that is held.
        key: String,
        observed: Box<Observed>,
        /// The other runs that wait for it.
        queue: Vec<Ticket>,
    },
    HoldGone {
        /// The name of the place where the hold is missing.
        key: String,
    },
    Failed {
        /// Which of the places it was.
        index: usize,
        error: AcquireError,
    },
    Stopped,
}

/// Why the places are of no use, even if all of them were just taken.
pub(super) enum NoUse {
    /// A signal asked tflock to end.
    EndRequested(Signal),
    StateIsMissing,
}

impl Session<'_> {
    /// Takes the places one after the other. Anything that makes them useless ends that and releases what was taken.
    pub(super) async fn take(
        &self,
        wanted: &Wanted<'_>,
        signals: &mut Signals,
    ) -> (Taking, Option<NoUse>) {
        let (stop, stopped) = watch::channel(false);
        let places = async {
            let stopped = stopped.clone();
            let taking = match wanted.compared {
                Some(compared) => {
                    Box::pin(self.stand_by_all(&wanted.stores, compared, stopped)).await
                }
                None => self.take_all(&wanted.stores, stopped).await,
            };
            if !matches!(taking, Taking::Held(_)) {
                // It no longer matters whether the state is missing.
                stop.send_replace(true);
            }
            taking
        };
        let look = look_for(wanted.unless_missing, &stop, stopped.clone());
        let mut taking = Box::pin(async { tokio::join!(places, look) });
        let mut asked: Option<(Signal, Instant)> = None;
        let mut is_told = false;
        let (taking, is_missing) = loop {
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
        let missing = is_missing.then_some(NoUse::StateIsMissing);
        let no_use = asked.map(|(signal, _)| NoUse::EndRequested(signal));
        (taking, no_use.or(missing))
    }

    async fn take_all(&self, stores: &[Rc<dyn Store>], stop: watch::Receiver<bool>) -> Taking {
        let mut taken = Vec::new();
        for (index, store) in stores.iter().enumerate() {
            let not_taken = match self.take_one(store, stop.clone()).await {
                Ok(Acquisition::Held { held, leaving, .. }) => {
                    self.aside.borrow_mut().add(leaving);
                    taken.push(held);
                    continue;
                }
                Ok(Acquisition::TimedOut(observed)) => Taking::TimedOut {
                    key: store.key().to_owned(),
                    queue: self.others_waiting(store.as_ref(), &observed).await,
                    observed,
                },
                Ok(Acquisition::HoldGone) => Taking::HoldGone {
                    key: store.key().to_owned(),
                },
                Ok(Acquisition::Stopped) => Taking::Stopped,
                Err(error) if self.can_do_without(store.as_ref(), error.error.kind) => {
                    self.tell(SessionEvent::RunsWithoutLock(&error.error));
                    continue;
                }
                Err(error) => Taking::Failed { index, error },
            };
            let mut locks = HeldLocks::new(taken, Rc::clone(&self.host));
            for failed in locks.release(|_| {}).await.failed {
                self.tell(SessionEvent::NotReleased(&failed));
            }
            return not_taken;
        }
        Taking::Held(taken)
    }

    pub(super) async fn others_waiting(
        &self,
        store: &dyn Store,
        observed: &Observed,
    ) -> Vec<Ticket> {
        let holder = observed.stored.record.lock_id();
        let mut others = queue::read(store, self.host.as_ref(), holder.as_ref()).await;
        others.retain(|ticket| ticket.id != self.claim.info.id);
        others
    }

    /// Whether the run can go on: this machine has no directory for the lock, and the user did not ask for that lock.
    pub(super) fn can_do_without(&self, store: &dyn Store, kind: StoreErrorKind) -> bool {
        let has_no_place = matches!(
            kind,
            StoreErrorKind::AccessDenied | StoreErrorKind::Unsuitable
        );
        self.missing_directory == MissingDirectory::RunWithoutLock
            && store.kind() == LocalStore::KIND
            && has_no_place
    }

    async fn take_one(
        &self,
        store: &Rc<dyn Store>,
        stop: watch::Receiver<bool>,
    ) -> Result<Acquisition, AcquireError> {
        self.tell(SessionEvent::Taking(store.as_ref()));
        let patience = self.patience_left();
        let mut waiting = Waiting::new(&self.reporter.ui, store.key(), patience, self.host.wall());
        let (mut told, mut stale) = (false, None);
        let acquisition = acquire::acquire(
            Rc::clone(store),
            Rc::clone(&self.host),
            &self.claim,
            patience,
            stop,
            |progress| {
                let now = self.host.wall();
                match progress {
                    Progress::HeldBy(observed) => {
                        let store = store.as_ref();
                        if !std::mem::replace(&mut told, true) {
                            self.tell(SessionEvent::Waiting { store, observed });
                        }
                        let id = observed.stored.record.lock_id();
                        let is_stale = observed.assessment.liveness == Liveness::Stale;
                        if is_stale && stale != Some(id.clone()) {
                            stale = Some(id);
                            self.tell(SessionEvent::Stale { store, observed });
                        }
                        waiting.held_unless_taken_over(observed, now)
                    }
                    Progress::Retrying(error) => {
                        // It may still arrive after this run has ended.
                        if error.kind.may_have_been_applied() {
                            self.may_be_left.set(true);
                        }
                        waiting.retrying(error, now);
                        Decision::Wait
                    }
                }
            },
        )
        .await;
        waiting.end();
        if let Ok(Acquisition::Held { replaced, .. }) = &acquisition {
            match replaced {
                Some(replaced) => self.remember_predecessor(replaced),
                None => waiting.announce(),
            }
            self.tell(SessionEvent::Acquired {
                store: store.as_ref(),
                id: &self.claim.info.id,
                replaced: replaced.as_ref(),
            });
        }
        acquisition
    }
}

/// Whether the state is certainly missing, which stops everything else. A stop ends the look.
async fn look_for(
    state: Option<&StateObject>,
    stop: &watch::Sender<bool>,
    mut stopped: watch::Receiver<bool>,
) -> bool {
    let Some(state) = state else {
        return false;
    };
    tokio::select! {
        biased;
        is_missing = state.is_missing() => {
            if is_missing {
                stop.send_replace(true);
            }
            is_missing
        }
        _ = stopped.wait_for(|stopped| *stopped) => false,
    }
}
