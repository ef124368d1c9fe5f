//! Which records are a run's own: those that it has sent and had no answer for, and those that it holds.
//!
//! A lock ID does not tell. Two machines that woke from one memory image can draw the same one, and each would then take the
//! other's lock for its own lost answer. So what was sent is kept, and compared whole.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::host::Instant;
use super::record::Record;
use super::store::{Identity, Store};

/// How long a request that was given up may still be carried out: a signature is good for a quarter of an hour, and for longer
/// if our clock was ahead.
const LATEST: Duration = Duration::from_hours(1);

/// What is a run's own in each place of its lock, from its first attempt to its end. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Own(Rc<RefCell<Vec<(Identity, OwnRecords)>>>);

impl Own {
    /// What is its own in the place of `store`.
    #[must_use]
    pub fn in_place_of(&self, store: &dyn Store) -> OwnRecords {
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

/// What is a run's own in one place. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct OwnRecords(Rc<RefCell<Records>>);

/// The same as it is at one moment, for whoever gives back the lock of a run that was killed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Records {
    /// What is not known to have been carried out, nor to have failed, and when it was sent.
    attempts: Vec<(Instant, Record)>,
    /// The lock that is held, or could not be given back.
    held: Option<Record>,
}

impl OwnRecords {
    /// `attempt` is about to be sent.
    pub fn sends(&self, attempt: &Record, now: Instant) {
        let attempts = &mut self.0.borrow_mut().attempts;
        attempts.retain(|(sent, _)| now.since(*sent) < LATEST);
        attempts.push((now, attempt.clone()));
    }

    /// It is known what came of `attempt`: it stands there no more, or never will.
    pub fn hears_of(&self, attempt: &Record) {
        let attempts = &mut self.0.borrow_mut().attempts;
        let last = attempts
            .iter()
            .rposition(|(_, sent)| attempt.is_exactly(sent));
        last.map(|index| attempts.remove(index));
    }

    /// `record` is the lock that is held.
    pub fn holds(&self, record: &Record) {
        let records = &mut *self.0.borrow_mut();
        records
            .attempts
            .retain(|(_, sent)| !record.is_exactly(sent));
        records.held = Some(record.clone());
    }

    /// The lock that was held is gone.
    pub fn holds_no_more(&self) {
        self.0.borrow_mut().held = None;
    }

    /// Whether `stored`, which stands in the place, is one of them.
    #[must_use]
    pub fn have(&self, stored: &Record) -> bool {
        let records = self.0.borrow();
        let is_held = records.held.iter().any(|held| stored.is_same_lock_as(held));
        is_held
            || records
                .attempts
                .iter()
                .any(|(_, sent)| stored.is_exactly(sent))
    }

    /// Whether none of them can stand in the place.
    #[must_use]
    pub fn are_gone(&self) -> bool {
        let records = self.0.borrow();
        records.held.is_none() && records.attempts.is_empty()
    }

    /// What they are now.
    #[must_use]
    pub fn now(&self) -> Records {
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
    fn an_attempt_is_ones_own_until_its_answer_comes() {
        let host = Simulation::default().machine().tflock();
        let (first, second) = (record(&host), record(&host));
        let own = Own::default().in_place_of(&MemoryStore::default());
        assert!(own.are_gone() && !own.have(&first));
        own.sends(&first, host.now());
        own.sends(&second, host.now());
        assert!(own.have(&first) && own.have(&second));
        own.hears_of(&second);
        assert!(own.have(&first) && !own.have(&second));
        own.hears_of(&first);
        assert!(own.are_gone());
    }

    #[test]
    fn an_attempt_of_which_nothing_was_heard_for_an_hour_cannot_come_any_more() {
        let host = Simulation::default().machine().tflock();
        let (first, second) = (record(&host), record(&host));
        let own = OwnRecords::default();
        own.sends(&first, host.now());
        own.sends(&second, Instant(host.now().0 + LATEST));
        assert!(own.have(&second) && !own.have(&first));
    }

    #[test]
    fn a_lock_that_is_held_is_ones_own_whatever_its_last_heartbeat_and_an_attempt_is_not() {
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
        own.sends(&sent, host.now());
        assert!(!own.have(&renewed), "another's renewals are not ours");
        own.hears_of(&sent);
        own.holds(&sent);
        assert!(own.have(&renewed) && !own.are_gone());
        own.holds_no_more();
        assert!(own.are_gone());
    }

    #[test]
    fn each_place_of_a_lock_has_its_own_and_a_run_finds_them_again() {
        let host = Simulation::default().machine().tflock();
        let (run, store) = (Own::default(), MemoryStore::default());
        run.in_place_of(&store).sends(&record(&host), host.now());
        assert!(!run.clone().in_place_of(&store).are_gone());
        assert!(Own::default().in_place_of(&store).are_gone());
    }
}
