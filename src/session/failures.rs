//! How a session fails, with the command to type next.

use super::{Outcome, Session};
use crate::child::Difference;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::{Observed, Patience};
use crate::lock::held_locks::HeldLocks;
use crate::lock::liveness::Liveness;
use crate::lock::queue::Ticket;
use crate::lock::store::Store;
use crate::terraform::duration::format_duration;
use crate::ui::{holder, queue};

impl Session<'_> {
    /// The lock in `store` did not become free in time.
    pub(super) fn locked(
        &self,
        store: &dyn Store,
        observed: &Observed,
        waiting: &[Ticket],
    ) -> Failure {
        let gave_up = match self.patience {
            Patience::For(limit) if !limit.is_zero() => {
                format!(", gave up after {}", format_duration(limit))
            }
            Patience::For(_) | Patience::Forever => String::new(),
        };
        let mut rows = holder::lock_info(
            store.key(),
            &observed.stored.record,
            &observed.assessment,
            self.host.wall(),
        );
        rows.extend(queue::summary_of(waiting).map(|text| ("Queue:", text)));
        Failure::new(
            exit_code::HELD,
            format!("the state is locked{gave_up}: Error acquiring the state lock"),
        )
        .lock_info(rows)
        .hint(self.locked_hint(store, observed))
    }

    /// What to do about a held lock: waiting for a dead holder is no advice.
    fn locked_hint(&self, store: &dyn Store, observed: &Observed) -> String {
        let wait = &self.longer_wait;
        let naming = self.reporter.context_naming(&store.identity());
        let id = observed.stored.record.lock_id();
        let removal = || naming.force_unlock_line(id.as_ref());
        match observed.assessment.liveness {
            Liveness::Alive | Liveness::Silent => {
                let look = naming.command_line("status");
                format!("wait longer with `{wait}`, or see `{look}`")
            }
            Liveness::Hold => {
                let release = naming.command_line("release");
                format!(
                    "wait longer with `{wait}`, or ask its owner to release it with `{release}`"
                )
            }
            Liveness::Unknown => format!(
                "wait longer with `{wait}`, or make sure that the holder is dead, then type `{}`",
                removal()
            ),
            Liveness::Stale | Liveness::Gone(_) => format!(
                "make sure that the holder is dead, then type `{}`; or wait longer with `{wait}`",
                removal()
            ),
        }
    }

    pub(super) fn selection_changed_failure(&self, outcome: Outcome) -> Failure {
        let ending = ending(outcome);
        let selected = self.context.command_line("workspace show");
        let look = self.context.command_line("plan");
        Failure::new(
            exit_code::LOST,
            format!(
                "the backend or the workspace was changed while the command was starting ({ending}): it may have worked \
                 on a state that was not locked"
            ),
        )
        .hint(format!(
            "see what is selected with `{selected}`, then run `{look}` and check it"
        ))
    }

    pub(super) fn differs(&self, difference: &Difference, outcome: Outcome) -> Failure {
        let ending = ending(outcome);
        let program = self.context.command_line("--terraform PATH");
        let (what, before) = match difference {
            Difference::Variable(name) => (
                format!("sets `{name}`"),
                format!("set `{name}` before calling tflock"),
            ),
            Difference::Directory(_) => (
                "changes the directory".to_owned(),
                "go there before calling tflock".to_owned(),
            ),
        };
        Failure::new(
            exit_code::CONFIGURATION,
            format!(
                "the `terraform` on PATH {what} and then runs the real one ({ending}): it may have worked on a state that \
                 was not locked"
            ),
        )
        .hint(format!("{before}, or name the real terraform: `{program} …`"))
    }

    /// A lock expired before the child ended; whether another run took it is unknown.
    pub(super) fn not_kept(&self, locks: &HeldLocks, outcome: Outcome) -> Failure {
        let ending = ending(outcome);
        self.ran_without(
            locks,
            format!("the lock could not be renewed in time while the command ran ({ending})"),
        )
    }

    pub(super) fn lost(&self, locks: &HeldLocks, outcome: Outcome) -> Failure {
        let ending = ending(outcome);
        self.ran_without(
            locks,
            format!("the lock was lost while the command ran ({ending})"),
        )
    }

    fn ran_without(&self, locks: &HeldLocks, message: String) -> Failure {
        let mut kept = self.locks.iter();
        let lost = kept.find(|lock| !locks.is_kept(lock.number));
        let look = lost
            .map_or(self.context, |lock| &lock.naming)
            .command_line("plan");
        Failure::new(exit_code::LOST, message).hint(format!(
            "someone else may have changed the state meanwhile: run `{look}` and check it"
        ))
    }
}

fn ending(outcome: Outcome) -> String {
    match outcome {
        Outcome::Exit(code) => format!("it ended with exit code {code}"),
        Outcome::Signal(signal) => format!("it died of {signal}"),
    }
}
