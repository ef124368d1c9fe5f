//! Gets the lock, certainly and for the right state: repeats attempts until one leaves no doubt.

use std::rc::Rc;
use std::time::Duration;

use super::event::SessionEvent;
use super::selection_watch::SelectionWatch;
use super::taking::{NoUse, Taking, Wanted};
use super::{Selection, Session};
use crate::child::{Signal, Signals};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::Patience;
use crate::lock::held_locks::HeldLocks;
use crate::lock::store::StoreErrorKind;
use crate::resolve::{ChildLocking, InitLocked, LockRequest, ResolvedLock};
use crate::terraform::command::LockSwitch;

/// The `-lock-timeout` of a terraform that waits for ever: a year.
const FOR_EVER: Duration = Duration::from_hours(365 * 24);

/// The outcome of getting the lock.
pub(super) enum Holding {
    /// It is held, and the child has to lock in that way.
    Held(HeldLocks, ChildLocking),
    /// A signal asked tflock to end; nothing is held.
    Ended(Signal),
}

/// How a run keeps others out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By the lock itself.
    Lock,
    /// By its turn among runs of ours, while terraform locks for itself.
    Turn,
    /// It does not: the state is compared before and after.
    Shared,
    /// Only by terraform's own lock: the credentials do not permit taking the turn, or only terraform knows which lock it is.
    Terraform,
}

/// The outcome of one attempt.
enum Attempt {
    Held(HeldLocks),
    Ended(Signal),
    /// It was lost before anything was started.
    Lost,
    /// It was released: no child can run in that way. Try another one.
    TryWay(Way),
}

/// Whether a child that locks for itself gets a `-lock-timeout` from us: without one it would fail at once.
pub(super) fn hands_on_patience(request: &LockRequest<'_>, resolved: &ResolvedLock) -> bool {
    resolved.child_locking == ChildLocking::Kept
        && request.command.is_some_and(|command| {
            command.lock_timeout.is_none() && command.lock != LockSwitch::Skip
        })
}

/// A child that locks for itself, as without tflock, and waits as long as we would.
pub(super) fn handed_on(patience: Patience) -> ChildLocking {
    match patience {
        Patience::For(Duration::ZERO) => ChildLocking::Kept,
        patience => waiting_itself(patience),
    }
}

/// A child that locks for itself and waits that long, whatever its own flags.
fn waiting_itself(patience: Patience) -> ChildLocking {
    match patience {
        Patience::For(left) => ChildLocking::KeptWaiting(left),
        Patience::Forever => ChildLocking::KeptWaiting(FOR_EVER),
    }
}

/// terraform would now work on another state.
pub(super) fn selects_another(message: &str) -> Failure {
    Failure::new(exit_code::CONFIGURATION, message)
        .hint("see what is selected with `tflock workspace show`, then run it again")
}

impl Session<'_> {
    /// Gets the lock, or its substitute if terraform has to lock for itself.
    ///
    /// # Errors
    /// What keeps it from being held.
    pub(super) async fn hold(&self, signals: &mut Signals) -> Result<Holding, Failure> {
        let mut way = match (&self.init_lock, self.child_locking) {
            _ if self.compared.is_some() => Way::Shared,
            (_, ChildLocking::Alone) => Way::Terraform,
            (Some(lock), _) if matches!(lock.when, InitLocked::Always) => Way::Turn,
            _ => Way::Lock,
        };
        loop {
            way = match self.attempt(way, signals).await? {
                Attempt::Held(locks) => return Ok(Holding::Held(locks, self.locking(way))),
                Attempt::Ended(signal) => return Ok(Holding::Ended(signal)),
                Attempt::TryWay(Way::Turn) if self.claim.under.is_some() => {
                    return Err(self.hold_is_in_the_way());
                }
                Attempt::TryWay(other) => other,
                Attempt::Lost => {
                    self.tell(SessionEvent::LostBeforeStart);
                    way
                }
            }
        }
    }

    fn locking(&self, way: Way) -> ChildLocking {
        match (way, self.child_locking) {
            (Way::Lock, ChildLocking::Kept) if self.hands_on_patience => {
                handed_on(self.patience_left())
            }
            (Way::Lock, locking) => locking,
            (Way::Shared, _) => ChildLocking::TurnedOff,
            (Way::Turn | Way::Terraform, _) => waiting_itself(self.patience_left()),
        }
    }

    /// The rest of our patience, after the whole seconds that have passed.
    pub(super) fn patience_left(&self) -> Patience {
        let gone = self.host.now().since(self.begun).as_secs();
        match self.patience {
            Patience::For(limit) => Patience::For(limit.saturating_sub(Duration::from_secs(gone))),
            Patience::Forever => Patience::Forever,
        }
    }

    async fn attempt(&self, way: Way, signals: &mut Signals) -> Result<Attempt, Failure> {
        let (taking, no_use) = self.take(&self.wanted(way), signals).await;
        let held = match (taking, &no_use) {
            (Taking::Held(held), _) => held,
            (Taking::Free(before), None) => {
                self.before.replace(Some(before));
                Vec::new()
            }
            (Taking::StateIsMissing, None) => {
                self.tell(SessionEvent::NotShared);
                return Ok(Attempt::TryWay(Way::Lock));
            }
            (Taking::Unreadable(error), None) => return Err(error.into()),
            (Taking::Failed { error, .. }, Some(_)) => {
                if error.maybe_left.is_some() {
                    self.tell(SessionEvent::MayBeLeft);
                }
                Vec::new()
            }
            (Taking::Stopped, _) | (_, Some(_)) => Vec::new(),
            (
                Taking::TimedOut {
                    key,
                    observed,
                    queue,
                },
                None,
            ) => return Err(self.locked(&key, &observed, &queue)),
            (Taking::HoldGone { key }, None) => return Err(self.hold_is_gone(&key)),
            (Taking::Failed { index: 0, error }, None)
                if way == Way::Turn && error.error.kind == StoreErrorKind::AccessDenied =>
            {
                self.tell(SessionEvent::WithoutTurn(&error));
                return Ok(Attempt::TryWay(Way::Terraform));
            }
            (Taking::Failed { error, .. }, None) => {
                self.may_be_left
                    .set(self.may_be_left.get() || error.maybe_left.is_some());
                return Err(Failure::not_acquired(error, |words| {
                    self.context.command_line(words)
                }));
            }
        };
        let mut locks = HeldLocks::new(held, Rc::clone(&self.host));
        if let Some(no_use) = no_use {
            let ended = self.give_back(&mut locks, signals).await;
            return Ok(match (no_use, ended) {
                (NoUse::EndRequested(signal), _) | (NoUse::StateIsMissing, Some(signal)) => {
                    Attempt::Ended(signal)
                }
                (NoUse::StateIsMissing, None) => {
                    self.tell(SessionEvent::NewWorkspace);
                    Attempt::TryWay(Way::Turn)
                }
            });
        }
        if let Err(failure) = self.still_wanted().await {
            self.give_back(&mut locks, signals).await;
            return Err(failure);
        }
        if !locks.confirm().await {
            let ended = self.give_back(&mut locks, signals).await;
            return Ok(ended.map_or(Attempt::Lost, Attempt::Ended));
        }
        match way {
            Way::Lock | Way::Shared => Ok(Attempt::Held(locks)),
            Way::Turn => {
                self.leave_to_terraform(locks.split_off(1), locks, signals)
                    .await
            }
            Way::Terraform => {
                let nothing = HeldLocks::new(Vec::new(), Rc::clone(&self.host));
                self.leave_to_terraform(locks, nothing, signals).await
            }
        }
    }

    /// What to take for that way. The lock itself in any case: having held it proves that it is free now, and that we did not
    /// jump the queue.
    fn wanted(&self, way: Way) -> Wanted<'_> {
        let turn = match (way, &self.init_lock) {
            (Way::Turn, Some(lock)) => Some(Rc::clone(&lock.turn)),
            _ => None,
        };
        let unless_missing = match (way, &self.init_lock) {
            (Way::Lock, Some(lock)) => match &lock.when {
                InitLocked::Missing(state) => Some(state),
                InitLocked::Always => None,
            },
            _ => None,
        };
        Wanted {
            stores: turn
                .into_iter()
                .chain(self.stores.iter().cloned())
                .collect(),
            unless_missing,
            compared: self.compared.as_ref().filter(|_| way == Way::Shared),
        }
    }

    /// Releases terraform's own lock, for terraform to take, and keeps the turn.
    async fn leave_to_terraform(
        &self,
        mut own: HeldLocks,
        mut turn: HeldLocks,
        signals: &mut Signals,
    ) -> Result<Attempt, Failure> {
        let is_under_hold = own.held().any(|held| held.record().returns_to().is_some());
        let (released, mut ended) = self.release(&mut own, signals).await;
        self.tell_released(&released);
        if ended.is_none() && released.failed.is_empty() && !is_under_hold {
            return Ok(Attempt::Held(turn));
        }
        ended = ended.or(self.give_back(&mut turn, signals).await);
        match ended {
            Some(signal) => Ok(Attempt::Ended(signal)),
            None if is_under_hold => Err(self.hold_is_in_the_way()),
            None => Err(Failure::new(
                exit_code::UNREACHABLE,
                "terraform has to lock for itself, and its lock could not be freed for it: nothing was started",
            )
            .hint("remove the lock as said above, then run it again")),
        }
    }

    /// Checks that the locked state is still the one that terraform would use.
    ///
    /// # Errors
    /// It is not.
    async fn still_wanted(&self) -> Result<(), Failure> {
        if let (Some(selected), Selection::AtStart) = (&self.selected, self.selection) {
            self.selection_watch
                .replace(Some(SelectionWatch::new(selected.clone())));
        }
        match self.is_unchanged().await {
            Some(true) => Ok(()),
            Some(false) => Err(selects_another(
                "the backend or the workspace was changed while the lock was being taken",
            )),
            None => Err(selects_another(
                "the backend and the workspace could not be read again once the lock was taken",
            )),
        }
    }

    /// Whether the locked state is still the one that terraform would use; `None` if unknown.
    pub(super) async fn is_unchanged(&self) -> Option<bool> {
        match &self.selected {
            Some(selected) => selected.is_unchanged().await,
            None => Some(true),
        }
    }

    /// Releases a lock under which nothing was started. Returns the first signal that asked tflock to end meanwhile.
    async fn give_back(&self, locks: &mut HeldLocks, signals: &mut Signals) -> Option<Signal> {
        let (released, asked_to_end) = self.release(locks, signals).await;
        self.tell_released(&released);
        asked_to_end
    }
}
