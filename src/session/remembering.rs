//! Writes a session's entries into the history of its lock, in parallel to everything else.

use std::rc::Rc;

use super::Session;
use super::one_lock::OneLock;
use super::running::Running;
use crate::child::Ending;
use crate::environment::variable;
use crate::lock::acquire::Observed;
use crate::lock::held_locks::{HeldLocks, Released};
use crate::lock::history::{Entry, HowEnded, Recorder};
use crate::lock::host::Host;
use crate::lock::record::{Record, go_time};
use crate::lock::store::{Identity, Store};

/// The variable that turns the history off.
const VARIABLE: &str = "TFLOCK_HISTORY";

/// The history of the lock in these stores; `None` if it is turned off, or if there can be none.
pub fn recorder(stores: &[Rc<dyn Store>], host: Rc<dyn Host>) -> Option<Recorder> {
    if variable(VARIABLE).is_some_and(|value| value == "off") {
        return None;
    }
    Recorder::of(stores, host)
}

/// The entry for the holder of `record`, whose lock `by` has just ended in that way.
#[must_use]
pub fn ended_by(record: &Record, ended: HowEnded, by: &str, host: &dyn Host) -> Option<Entry> {
    let entry = Entry::of(record, go_time(host.wall()), ended)?;
    Some(Entry {
        by: Some(by.to_owned()),
        ..entry
    })
}

/// This user, as lock infos name users.
#[must_use]
pub fn this_user() -> String {
    let user = whoami::username().unwrap_or_default();
    let hostname = whoami::hostname().unwrap_or_default();
    format!("{user}@{hostname}")
}

impl Session<'_> {
    /// Reads the histories in advance, while the run goes on.
    pub(super) fn look_back(&self) {
        for history in self.locks.iter().filter_map(|lock| lock.history.clone()) {
            let look = async move { history.look().await };
            self.aside.borrow_mut().add(Box::pin(look));
        }
    }

    /// Records the holder whose lock this run has taken over.
    pub(super) fn remember_predecessor(&self, place: &Identity, replaced: &Observed) {
        let lock = self.lock_at(place);
        let (record, by) = (&replaced.stored.record, &lock.claim.info.who);
        let ended = ended_by(record, HowEnded::TakenOver, by, self.host.as_ref());
        self.remember(lock, ended);
    }

    /// Records how this run ends, in parallel to its release.
    pub(super) fn remember_end(&self, running: &Running, locks: &HeldLocks) {
        for lock in &self.locks {
            let ended = if locks.lost_any_of(lock.number) {
                HowEnded::Lost
            } else {
                HowEnded::Released
            };
            self.remember(lock, self.entry(lock, running, locks, ended));
        }
    }

    /// Corrects that entry if the release failed or found the lock lost.
    pub(super) fn remember_release(
        &self,
        running: &Running,
        locks: &HeldLocks,
        released: &Released,
    ) {
        for lock in &self.locks {
            let mut failed = released.failed.iter();
            let mut lost = released.lost.iter();
            let ended = if failed.any(|failed| lock.has(&failed.place)) {
                HowEnded::NotReleased
            } else if lost.any(|loss| lock.has(&loss.place)) {
                HowEnded::Lost
            } else {
                continue;
            };
            self.remember(lock, self.entry(lock, running, locks, ended));
        }
    }

    fn entry(
        &self,
        lock: &OneLock<'_>,
        running: &Running,
        locks: &HeldLocks,
        ended: HowEnded,
    ) -> Option<Entry> {
        if matches!(running, Running::Panicked(_)) {
            // The code that panicked may panic again, and the lock has yet to be released.
            return None;
        }
        let held = locks.held_of(lock.number).last()?;
        let entry = Entry::of(held.record(), go_time(self.host.wall()), ended)?;
        let exit_code = match running {
            Running::Ended {
                ending: Ending::Exited(code),
                ..
            } => Some(*code),
            _ => None,
        };
        Some(Entry { exit_code, ..entry })
    }

    fn remember(&self, lock: &OneLock<'_>, entry: Option<Entry>) {
        if let (Some(history), Some(entry)) = (lock.history.clone(), entry) {
            let add = async move { history.add(entry).await };
            self.aside.borrow_mut().add(Box::pin(add));
        }
    }
}
