//! Holds in a session: taking one without running anything, and the errors of runs under one.

use std::borrow::Cow;

use super::holding::Holding;
use super::one_lock::{NeededLock, OneLock};
use super::way::Way;
use super::{Outcome, RunSpec, Session, borrowing, install_signals, reentry};
use crate::context::Context;
use crate::environment::variable;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::held_locks::HeldLocks;
use crate::lock::hold::Hold;
use crate::lock::lent::Nested;
use crate::lock::record::LockId;
use crate::lock::store::Store;
use crate::resolve::{InitLock, InitLocked, LockRequest, ResolvedLock};
use crate::system::hold_file;
use crate::text::printable;

/// The outcome of taking a hold.
pub enum TakenHold {
    /// It is held.
    Held {
        /// Its lock ID.
        id: LockId,
        /// Whether this user's runs on this machine will recognise it.
        is_remembered: bool,
    },
    /// tflock was asked to end; nothing is held.
    Ended(Outcome),
}

/// Takes the lock of `resolved` as a hold, which stays.
///
/// # Errors
/// What keeps it from being taken.
pub async fn take_hold(
    context: &Context,
    request: LockRequest<'_>,
    resolved: ResolvedLock,
    spec: RunSpec,
    hold: Hold,
) -> Result<TakenHold, Failure> {
    if let (Nested::LendsNothing { key }, _) = reentry::look_around(&resolved, &variable).await? {
        return Err(borrowing::refused(context, &key));
    }
    let naming = Cow::Borrowed(context);
    let needed = NeededLock {
        naming,
        request,
        resolved,
    };
    let mut session = Session::new(context, vec![needed], spec);
    let lock = &mut session.locks[0];
    lock.claim.lease.hold = Some(hold);
    // A hold has no process that could be proven dead.
    lock.claim.lease.holder = None;
    lock.claim.under = None;
    lock.way.set(Way::Lock);
    if let Some(InitLock { when, .. }) = lock.init_lock.take()
        && match &when {
            InitLocked::Missing(state) => state.is_missing().await,
            InitLocked::Always => true,
        }
    {
        return Err(no_state_yet()
            .hint("create it first, with `tflock workspace new` or an apply, then hold the lock"));
    }
    let mut signals = install_signals()?;
    let taken = session
        .hold(&mut signals)
        .await
        .map(|holding| match holding {
            Holding::Held(locks, _) => TakenHold::Held {
                id: session.id.clone(),
                is_remembered: session.remember_hold(&locks),
            },
            Holding::Ended(signal) => TakenHold::Ended(Outcome::Signal(signal.kind.number())),
        });
    session.settle().await;
    taken
}

impl Session<'_> {
    /// Leaves the trace by which this user's runs on this machine recognise the hold. Returns whether that succeeded.
    fn remember_hold(&self, locks: &HeldLocks) -> bool {
        let id = &self.id;
        let infos = locks.held().filter_map(|held| held.record().info.clone());
        let noted = match self.context.machine().runs {
            Some(runs) => hold_file::create(&runs, &id.0, infos.collect()),
            None => Err(std::io::ErrorKind::NotFound.into()),
        };
        if let Err(error) = &noted {
            self.context.ui.warning(&format!(
                "cannot remember the hold on this machine ({error}): name it for each run with `--hold {id}`"
            ));
        }
        noted.is_ok()
    }

    /// The hold that was named is not on the lock in `store`.
    pub(super) fn hold_is_gone(&self, store: &dyn Store) -> Failure {
        let lock = self.lock_at(&store.identity());
        let (key, id) = (store.key(), lock.claim.under.as_ref());
        let id = id.map(|id| printable(&id.0)).unwrap_or_default();
        Failure::new(
            exit_code::LOST,
            format!("the hold `{id}` on `{key}` is gone: released, removed or expired"),
        )
        .hint(format!(
            "see who holds the lock with `{}`, and plan again before you apply: others may have changed the state",
            lock.naming.command_line("status")
        ))
    }
}

/// terraform has to lock for itself, and would find the hold on that lock in its way.
pub(super) fn hold_is_in_the_way(lock: &OneLock<'_>) -> Failure {
    no_state_yet().hint(format!(
        "release the hold with `{}`, and hold the lock again when the workspace has a state",
        lock.naming.command_line("release")
    ))
}

fn no_state_yet() -> Failure {
    Failure::new(
        exit_code::CONFIGURATION,
        "this workspace has no state yet: terraform takes the lock itself to create it, and would wait for the hold",
    )
}
