//! How a run keeps others out of a state, and how its child locks then.

use std::time::Duration;

use super::Session;
use super::one_lock::{NeededLock, OneLock};
use crate::lock::acquire::Patience;
use crate::resolve::{ChildLocking, InitLocked, ResolvedLock};
use crate::terraform::command::LockSwitch;

/// The `-lock-timeout` of a terraform that waits for ever: a year.
const FOR_EVER: Duration = Duration::from_hours(365 * 24);

/// How a run keeps others out of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the lock itself.
    Lock,
    /// By its turn among runs of ours, while terraform locks for itself.
    Turn,
    /// It does not: the state is compared before and after.
    Shared,
    /// Only by terraform's own lock: the credentials do not permit taking the turn, or only terraform knows which lock it is.
    Terraform,
}

impl Way {
    /// The one to begin with.
    pub(super) fn first(resolved: &ResolvedLock) -> Self {
        match (&resolved.init_lock, resolved.child_locking) {
            _ if resolved.compared.is_some() => Self::Shared,
            (_, ChildLocking::Alone) => Self::Terraform,
            (Some(lock), _) if matches!(lock.when, InitLocked::Always) => Self::Turn,
            _ => Self::Lock,
        }
    }

    /// Whether terraform locks for itself, so that its lock has to be free.
    pub(super) fn leaves_lock_to_terraform(self) -> bool {
        matches!(self, Self::Turn | Self::Terraform)
    }
}

/// Whether a child that locks for itself is told how long to wait: it would fail at once unless the user has set it.
pub(super) fn hands_on_patience(needed: &NeededLock<'_>) -> bool {
    needed.resolved.child_locking == ChildLocking::Kept
        && needed.request.command.is_some_and(|command| {
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

impl Session<'_> {
    /// How the child locks that state, now that others are kept out.
    pub(super) fn locking(&self, lock: &OneLock<'_>) -> ChildLocking {
        match (lock.way.get(), lock.child_locking) {
            (Way::Lock, ChildLocking::Kept) if self.hands_on_patience => {
                handed_on(self.patience_left())
            }
            (Way::Lock, locking) => locking,
            (Way::Shared, _) => ChildLocking::TurnedOff,
            (Way::Turn | Way::Terraform, _) => waiting_itself(self.patience_left()),
        }
    }
}
