//! The end of a session: releases the lock, and decides how tflock ends.

use std::pin::pin;
use std::time::Duration;

use super::event::SessionEvent;
use super::running::Running;
use super::{Outcome, Session};
use crate::child::{Ending, Output, Phase, Signal, Signals, StartError};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::held_locks::{HeldLocks, Released};

/// How long a release may keep failing before we say so.
const WORTH_A_WORD: Duration = Duration::from_secs(2);

impl Session<'_> {
    /// Releases the locks. Signals are delayed until that is done; the first one that asked tflock to end is returned.
    pub(super) async fn release(
        &self,
        locks: &mut HeldLocks,
        signals: &mut Signals,
    ) -> (Released, Option<Signal>) {
        if locks.held().next().is_some() {
            self.tell(SessionEvent::Releasing);
        }
        let begun = self.host.now();
        let (mut told, mut refused) = (false, false);
        let mut asked_to_end = None;
        let mut releasing = pin!(locks.release(|error| {
            // Problems that resolve themselves at once are not reported: expired keys of a role, one lost request.
            let credentials = error.kind.is_about_credentials();
            let refused_again = credentials && std::mem::replace(&mut refused, credentials);
            let lasts = self.host.now().since(begun) >= WORTH_A_WORD;
            if (lasts || refused_again) && !std::mem::replace(&mut told, true) {
                self.tell(SessionEvent::ReleasingAgain(error));
            }
        }));
        loop {
            tokio::select! {
                biased;
                released = &mut releasing => return (released, asked_to_end),
                signal = signals.end_requested(Phase::Releasing) => {
                    asked_to_end = asked_to_end.or(Some(signal));
                    self.tell(SessionEvent::DelayedByRelease(signal.kind.number()));
                }
            }
        }
    }

    /// Reports the locks that were not released, or were lost.
    pub(super) fn tell_released(&self, released: &Released) {
        for failed in &released.failed {
            self.tell(SessionEvent::NotReleased(failed));
        }
        for loss in &released.lost {
            self.tell(SessionEvent::Lost(loss));
        }
    }

    /// Decides how tflock ends: by the child's ending, unless something is worse than that.
    ///
    /// # Errors
    /// The child was not started, or ran without the lock.
    pub(super) fn conclude(
        &self,
        running: Running,
        locks: &HeldLocks,
        released: &Released,
    ) -> Result<Outcome, Failure> {
        self.tell_released(released);
        let outcome = match running {
            Running::Panicked(panic) => std::panic::resume_unwind(panic),
            Running::NotStarted(StartError::EndRequested(signal)) => {
                return Ok(Outcome::Signal(signal.kind.number()));
            }
            Running::NotStarted(StartError::Spawn(error)) => return Err(error.into()),
            Running::Ended {
                ending: Ending::Signalled(signal),
                ..
            } => Outcome::Signal(signal),
            Running::Ended {
                ending: Ending::Exited(code),
                ..
            } => Outcome::Exit(code),
        };
        if locks.lost_any() || !released.lost.is_empty() {
            return Err(self.lost(locks, outcome));
        }
        if locks.gave_up_any() {
            return Err(self.not_kept(locks, outcome));
        }
        if let Some(difference) = self.difference.borrow().as_ref() {
            return Err(self.differs(difference, outcome));
        }
        if self.selection_changed.get() {
            return Err(self.selection_changed_failure(outcome));
        }
        match outcome {
            Outcome::Exit(code)
                if self.success_codes.contains(&code) && !released.failed.is_empty() =>
            {
                Ok(Outcome::Exit(exit_code::NOT_RELEASED))
            }
            outcome => Ok(outcome),
        }
    }
}

/// Waits for a slow reader to take the child's output. The lock is already free; a signal ends the wait.
pub(super) async fn deliver(output: &mut Output, signals: &mut Signals) {
    tokio::select! {
        () = output.delivered() => {}
        _ = signals.end_requested(Phase::Waiting) => {}
    }
}
