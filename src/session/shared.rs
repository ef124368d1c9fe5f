//! `--shared`: a plan that takes no lock. It starts when the lock is free, and is outdated if the state was changed or locked
//! before its end.
//!
//! The order of the reads matters. Before: the lock, then the state, so that a run that has just ended is not taken for a
//! later one. After: the lock, then the state, because a run changes the state before it releases the lock.

use std::rc::Rc;

use tokio::sync::watch;

use super::event::SessionEvent;
use super::taking::Taking;
use super::{Outcome, Session};
use crate::child::{Phase, Signals};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::Observed;
use crate::lock::acquire::standby::{Standby, stand_by};
use crate::lock::read::read;
use crate::lock::record::Record;
use crate::lock::store::{Revision, Store, StoreError};
use crate::resolve::{ComparedState, IfMissing};
use crate::text::printable;
use crate::ui::waiting::Waiting;

/// The operation of a lock whose holder writes no state.
const PLAN: &str = "OperationTypePlan";

/// What a plan started from.
pub(super) struct Before {
    /// The state; `None` if there was none.
    state: Option<Revision>,
    /// The records in each place of the lock that do not count: of dead holders, or the run's own hold.
    left: Vec<Option<Record>>,
}

/// Why a plan is outdated.
enum Outdated {
    /// Someone has locked the state to write it.
    Locked(Record),
    /// The state has changed.
    Changed,
}

impl Session<'_> {
    /// Waits until all places are free, then reads the state.
    pub(super) async fn stand_by_all(
        &self,
        compared: &ComparedState,
        stop: watch::Receiver<bool>,
    ) -> Taking {
        let mut left = Vec::new();
        for store in self.stores() {
            match self.stand_by(store, stop.clone()).await {
                Ok(Standby::Free { left: dead }) => left.push(dead),
                Ok(Standby::TimedOut(observed)) => {
                    return Taking::TimedOut {
                        store: Rc::clone(store),
                        queue: self.others_waiting(store.as_ref(), &observed).await,
                        observed,
                    };
                }
                Ok(Standby::HoldGone) => {
                    return Taking::HoldGone {
                        store: Rc::clone(store),
                    };
                }
                Ok(Standby::Stopped) => return Taking::Stopped,
                Err(error) if self.can_do_without(store.as_ref(), error.kind) => {
                    self.tell(SessionEvent::RunsWithoutLock(&error));
                    left.push(None);
                }
                Err(error) => return Taking::Unreadable(error),
            }
        }
        let mut stopped = stop;
        let state = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return Taking::Stopped,
            state = read(&compared.state, self.host.as_ref()) => state,
        };
        match state {
            Ok(None) if compared.if_missing == IfMissing::Created => Taking::StateIsMissing,
            Ok(state) => {
                self.tell(SessionEvent::Comparing(&compared.state));
                Taking::Free(Before {
                    state: state.map(|stored| stored.revision),
                    left,
                })
            }
            Err(error) => Taking::Unreadable(error),
        }
    }

    /// All places of the locks.
    fn stores(&self) -> impl Iterator<Item = &Rc<dyn Store>> {
        self.locks.iter().flat_map(|lock| &lock.stores)
    }

    async fn stand_by(
        &self,
        store: &Rc<dyn Store>,
        stop: watch::Receiver<bool>,
    ) -> Result<Standby, StoreError> {
        let patience = self.patience_left();
        let mut waiting = Waiting::new(&self.reporter.ui, store.key(), patience, self.host.wall());
        let mut told = false;
        let seen = |observed: &Observed| {
            if !std::mem::replace(&mut told, true) {
                let store = store.as_ref();
                self.tell(SessionEvent::Waiting { store, observed });
            }
            waiting.held(observed, self.host.wall());
        };
        let (store, host) = (store.as_ref(), self.host.as_ref());
        let claim = &self.lock_at(&store.identity()).claim;
        let ended = stand_by(claim, store, host, patience, stop, seen).await;
        waiting.end();
        if let Ok(Standby::Free { .. }) = ended {
            waiting.announce();
        }
        ended
    }

    /// The outcome of the child, unless it was a plan that is now outdated. A plan that failed needs no comparison.
    ///
    /// # Errors
    /// The plan is outdated, or may be.
    pub(super) async fn unless_outdated(
        &self,
        outcome: Outcome,
        signals: &mut Signals,
    ) -> Result<Outcome, Failure> {
        let (Some(before), Some(compared)) = (self.before.take(), &self.locks[0].compared) else {
            return Ok(outcome);
        };
        if !matches!(outcome, Outcome::Exit(code) if self.success_codes.contains(&code)) {
            return Ok(outcome);
        }
        let outdated = tokio::select! {
            biased;
            outdated = self.compare(&before, compared) => outdated,
            signal = signals.end_requested(Phase::Waiting) => {
                return Ok(Outcome::Signal(signal.kind.number()));
            }
        };
        match outdated {
            Ok(None) => Ok(outcome),
            Ok(Some(why)) => Err(self.outdated(&why)),
            Err(error) => {
                let failure = Failure::from(error);
                let message = format!("the plan may be outdated: {}", failure.message);
                Err(Failure { message, ..failure })
            }
        }
    }

    async fn compare(
        &self,
        before: &Before,
        compared: &ComparedState,
    ) -> Result<Option<Outdated>, StoreError> {
        for (store, left) in self.stores().zip(&before.left) {
            let found = match read(store.as_ref(), self.host.as_ref()).await {
                Err(error) if self.can_do_without(store.as_ref(), error.kind) => None,
                found => found?,
            };
            if let Some(stored) = found
                && left.as_ref() != Some(&stored.record)
                && writes(&stored.record)
            {
                return Ok(Some(Outdated::Locked(stored.record)));
            }
        }
        let state = read(&compared.state, self.host.as_ref()).await?;
        let is_unchanged = state.map(|stored| stored.revision) == before.state;
        Ok((!is_unchanged).then_some(Outdated::Changed))
    }

    fn outdated(&self, why: &Outdated) -> Failure {
        let again = self.context.typed_again();
        let (message, hint) = match why {
            Outdated::Locked(record) => {
                let who = record.lock_info().map_or_else(
                    || "someone".to_owned(),
                    |info| format!("{} ({})", printable(&info.who), printable(&info.operation)),
                );
                let look = self.context.command_line("status");
                (
                    format!("the plan is outdated: {who} has locked the state since it started"),
                    format!("plan again with `{again}`, which waits for the lock; see `{look}`"),
                )
            }
            Outdated::Changed => (
                "the plan is outdated: the state has changed since it started".to_owned(),
                format!("plan again with `{again}`"),
            ),
        };
        Failure::new(exit_code::LOST, message).hint(hint)
    }
}

/// Whether the holder of this lock may write the state. A record that we cannot read may be anything.
fn writes(record: &Record) -> bool {
    record.lock_info().is_none_or(|info| info.operation != PLAN)
}
