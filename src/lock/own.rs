//! The records that belong to a run: those that it holds, and those that it has sent without learning the outcome.
//!
//! A lock ID alone does not identify them. Two machines that woke from one memory image can draw the same ID, and each
//! would take the other's lock for its own write whose reply was lost. So we keep what was sent and compare it whole.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::host::Instant;
use super::record::Record;
use super::store::{Identity, Store};

/// How long an abandoned request may still be carried out: a signature is valid for a quarter of an hour, and longer if our
/// clock was ahead.
const LATEST: Duration = Duration::from_hours(1);

/// A run's own records in each store of its lock, from its first attempt to its end. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Own(Rc<RefCell<Vec<(Identity, OwnRecords)>>>);

impl Own {
    /// Its own records in `store`.
    #[must_use]
    pub fn in_store(&self, store: &dyn Store) -> OwnRecords {
        let place = store.identity();
        let mut places = self.0.borrow_mut();
        if let Some((_, records)) = places.iter().find(|(other, _)| *other == place) {
            return records.clone();
        }
        let records = OwnRecords::default();
        places.push((place, records.clone()));
        records
    }
}

/// A run's own records in one store. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct OwnRecords(Rc<RefCell<Records>>);

/// A snapshot of them, for the witness that releases the lock of a killed run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Records {
    /// Writes whose outcome is unknown, and when they were sent.
    attempts: Vec<(Instant, Record)>,
    /// The lock that is held, or could not be released.
    held: Option<Record>,
}

impl OwnRecords {
    /// Adds `attempt`, which is about to be sent.
    pub fn add_attempt(&self, attempt: &Record, now: Instant) {
        let attempts = &mut self.0.borrow_mut().attempts;
        attempts.retain(|(sent, _)| now.since(*sent) < LATEST);
        attempts.push((now, attempt.clone()));
    }

    /// Removes `attempt`: its outcome is known.
    pub fn remove_attempt(&self, attempt: &Record) {
        let attempts = &mut self.0.borrow_mut().attempts;
        let last = attempts
            .iter()
            .rposition(|(_, sent)| attempt.is_exactly(sent));
        last.map(|index| attempts.remove(index));
    }

    /// Sets `record` as the lock that is held.
    pub fn set_held(&self, record: &Record) {
        let records = &mut *self.0.borrow_mut();
        records
            .attempts
            .retain(|(_, sent)| !record.is_exactly(sent));
        records.held = Some(record.clone());
    }

    /// Forgets the lock that was held: it is gone.
    pub fn clear_held(&self) {
        self.0.borrow_mut().held = None;
    }

    /// Whether `stored`, as read from the store, is one of them.
    #[must_use]
    pub fn contains(&self, stored: &Record) -> bool {
        let records = self.0.borrow();
        let is_held = records.held.iter().any(|held| stored.is_same_lock_as(held));
        is_held
            || records
                .attempts
                .iter()
                .any(|(_, sent)| stored.is_exactly(sent))
    }

    /// Whether none of them can be in the store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let records = self.0.borrow();
        records.held.is_none() && records.attempts.is_empty()
    }

    /// What they are now.
    #[must_use]
    pub fn snapshot(&self) -> Records {
        self.0.borrow().clone()
    }
}

impl From<Records> for OwnRecords {
    fn from(records: Records) -> Self {
        Self(Rc::new(RefCell::new(records)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::host::Host as _;
    use crate::lock::store::memory::MemoryStore;
    use crate::simulation::{SimulatedHost, Simulation};

    fn record(host: &SimulatedHost) -> Record {
        let claim = host.claim(None);
        Record::new(&claim.info, claim.lease)
    }

    #[test]
    fn an_attempt_belongs_to_the_run_until_its_outcome_is_known() {
        let host = Simulation::default().machine().tflock();
        let (first, second) = (record(&host), record(&host));
        let own = Own::default().in_store(&MemoryStore::default());
        assert!(own.is_empty() && !own.contains(&first));
        own.add_attempt(&first, host.now());
        own.add_attempt(&second, host.now());
        assert!(own.contains(&first) && own.contains(&second));
        own.remove_attempt(&second);
        assert!(own.contains(&first) && !own.contains(&second));
        own.remove_attempt(&first);
        assert!(own.is_empty());
    }

    #[test]
    fn an_attempt_without_a_reply_can_no_longer_arrive_after_an_hour() {
        let host = Simulation::default().machine().tflock();
        let (first, second) = (record(&host), record(&host));
        let own = OwnRecords::default();
        own.add_attempt(&first, host.now());
        own.add_attempt(&second, Instant(host.now().0 + LATEST));
        assert!(own.contains(&second) && !own.contains(&first));
    }

    #[test]
    fn a_held_lock_is_recognised_whatever_its_heartbeat_and_an_attempt_is_not() {
        let host = Simulation::default().machine().tflock();
        let sent = record(&host);
        let renewed = Record {
            lease: sent.lease.clone().map(|lease| super::super::record::Lease {
                heartbeat: Some(7),
                ..lease
            }),
            ..sent.clone()
        };
        let own = OwnRecords::default();
        own.add_attempt(&sent, host.now());
        assert!(!own.contains(&renewed), "not what was sent");
        own.remove_attempt(&sent);
        own.set_held(&sent);
        assert!(own.contains(&renewed) && !own.is_empty());
        own.clear_held();
        assert!(own.is_empty());
    }

    #[test]
    fn a_run_has_its_own_records_in_each_store_and_finds_them_again() {
        let host = Simulation::default().machine().tflock();
        let (run, store) = (Own::default(), MemoryStore::default());
        run.in_store(&store).add_attempt(&record(&host), host.now());
        assert!(!run.clone().in_store(&store).is_empty());
        assert!(Own::default().in_store(&store).is_empty());
    }
}
