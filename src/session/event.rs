//! The events of a session, as values. Each is passed once to [`Session::tell`], which passes it on to all listeners.

use super::Session;
use crate::child::{Command, Difference, Event, SignalNumber};
use crate::lock::acquire::{AcquireError, Observed};
use crate::lock::held_lock::HeldLock;
use crate::lock::held_locks::{Loss, NotReleased};
use crate::lock::record::LockId;
use crate::lock::store::state::LockedState;
use crate::lock::store::{Identity, Store, StoreError};
use crate::system::process::Named;

/// Something that happened in a session.
#[derive(Clone, Copy)]
pub(super) enum SessionEvent<'a> {
    /// This lock is about to be requested.
    Taking(&'a dyn Store),
    /// Someone else holds this lock, and the run waits for it; reported once.
    Waiting {
        store: &'a dyn Store,
        observed: &'a Observed,
    },
    /// The holder of this lock has stopped sending heartbeats; reported once per holder.
    Stale {
        store: &'a dyn Store,
        observed: &'a Observed,
    },
    /// This holder's lock was taken over.
    TookOver(&'a Observed),
    /// This lock is held.
    Acquired {
        store: &'a dyn Store,
        id: &'a LockId,
        /// The holder whose lock was taken over.
        replaced: Option<&'a Observed>,
    },
    /// This machine has no directory for the lock, so the run goes without it.
    RunsWithoutLock(&'a StoreError),
    /// The credentials do not permit taking the turn for a new workspace.
    WithoutTurn(&'a AcquireError),
    /// The workspace has no state: terraform creates it and takes its own lock for that.
    NewWorkspace,
    /// No lock is taken; this state is compared instead.
    Comparing(&'a LockedState),
    /// The same for a plan that wanted no lock (`--shared`): it takes the lock.
    NotShared,
    /// The lock could not be confirmed before the child was started: it is taken again.
    LostBeforeStart,
    /// The user wants to stop while requests for the lock are still unanswered.
    Withdrawing,
    /// A request may have created a lock, and its outcome is unknown.
    MayBeLeft,
    /// The child is about to be started.
    Starting(&'a Command),
    /// The witness got no bequest: if tflock is killed, nothing will release the lock.
    WithoutBequest(&'a std::io::Error),
    /// What the child did.
    Child(&'a Event),
    Renewed,
    NotRenewed(&'a StoreError),
    /// The lock is gone or belongs to someone else.
    Lost(&'a Loss),
    /// The lock of this name was not renewed and is about to expire.
    Expiring {
        key: &'a str,
    },
    /// Another workspace or backend was selected while terraform was starting.
    SelectionChanged,
    /// The child's view differs from what the lock was resolved from.
    Differs(&'a Difference),
    /// The child was asked to stop, because of the event before.
    Stopping(&'a Command),
    /// The lock is kept for processes that still run under it.
    Borrowed(&'a [Named]),
    /// A signal has to wait until no process runs under the lock any more.
    DelayedByBorrowers(SignalNumber),
    Releasing,
    /// This lock was ours to the end and is now free.
    Released(&'a dyn Store),
    /// The release failed and is retried.
    ReleasingAgain(&'a StoreError),
    /// A signal has to wait for the release.
    DelayedByRelease(SignalNumber),
    /// The lock is kept for a terraform that may be running on another machine.
    LeftElsewhere(&'a HeldLock),
    /// The lock is left behind.
    NotReleased(&'a NotReleased),
}

impl SessionEvent<'_> {
    /// The place that the event is about, if any.
    fn place(&self) -> Option<Identity> {
        match self {
            Self::Taking(store)
            | Self::Released(store)
            | Self::Waiting { store, .. }
            | Self::Stale { store, .. }
            | Self::Acquired { store, .. } => Some(store.identity()),
            Self::Lost(loss) => Some(loss.place.clone()),
            Self::LeftElsewhere(held) => Some(held.store().identity()),
            Self::NotReleased(failed) => Some(failed.place.clone()),
            _ => None,
        }
    }
}

impl Session<'_> {
    /// Passes an event to all listeners.
    pub(super) fn tell(&self, event: SessionEvent<'_>) {
        if matches!(
            event,
            SessionEvent::MayBeLeft | SessionEvent::LeftElsewhere(_) | SessionEvent::NotReleased(_)
        ) {
            self.may_be_left.set(true);
        }
        self.reporter.report(&event);
        if let Some(hook) = &self.hook {
            let lock = event.place().map(|place| self.lock_at(&place));
            let lock = lock.unwrap_or(&self.locks[0]);
            hook.tell(&event, &lock.claim, self.host.as_ref());
        }
    }
}
