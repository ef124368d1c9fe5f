//! A lock that we hold: confirms, renews and releases it.
//!
//! Every write compares the exact record last seen. If a refusal returns a record of our own ([`super::own`]), the reply
//! to an earlier write was lost: that record is adopted and the write repeated.
//!
//! Every ten seconds the lock is confirmed, by a heartbeat if one is due, else by a read.

mod release;
mod timing;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

pub use self::release::{RELEASE_PATIENCE, Release};
use super::host::{Host, Instant};
use super::own::OwnRecords;
use super::record::{LockId, ProcessIdentity, Record};
use super::store::{Store, StoreError, StoreErrorKind, Stored, Swap};

/// How old an unanswered request may be to be waited for after time has passed unnoticed. The connection of an older one
/// may have died meanwhile, so it is abandoned for a new request.
const SOON_ANSWERED: Duration = Duration::from_secs(1);

/// A lock of ours.
pub struct HeldLock {
    store: Rc<dyn Store>,
    host: Rc<dyn Host>,
    id: LockId,
    own: OwnRecords,
    current: Stored,
    /// When we sent the last request whose reply showed that the lock is ours.
    confirmed: Instant,
    /// When we sent the last heartbeat that is known to have been written.
    beaten: Instant,
    /// When the next confirmation is due.
    next: Instant,
    /// When the next heartbeat is due, where heartbeats are less frequent than confirmations.
    next_beat: Instant,
    /// Confirmations before this time no longer count.
    doubted: Instant,
    child: Option<ProcessIdentity>,
    under_way: Option<Confirmation>,
}

/// A heartbeat or a read that is under way.
struct Confirmation {
    asked: Instant,
    is_beat: bool,
    answer: Pin<Box<dyn Future<Output = Result<Swap, StoreError>>>>,
}

/// The outcome of a renewal.
#[derive(Debug, PartialEq)]
pub enum Renewal {
    /// The lock is still ours.
    Renewed,
    /// The lock is no longer ours; this is the current record.
    Lost(Option<Stored>),
}

impl HeldLock {
    pub(super) fn new(
        store: Rc<dyn Store>,
        host: Rc<dyn Host>,
        id: LockId,
        own: OwnRecords,
        current: Stored,
        confirmed: Instant,
    ) -> Self {
        own.set_held(&current.record);
        let mut held = Self {
            store,
            host,
            id,
            own,
            current,
            confirmed,
            beaten: confirmed,
            next: confirmed,
            next_beat: confirmed,
            doubted: Instant(Duration::ZERO),
            child: None,
            under_way: None,
        };
        held.next_beat = Instant(confirmed.0 + held.beat_interval().unwrap_or_default());
        held.schedule();
        held
    }

    /// The lock's ID in the store.
    #[must_use]
    pub fn id(&self) -> &LockId {
        &self.id
    }

    /// When it was taken, according to its record.
    #[must_use]
    pub fn created(&self) -> String {
        let info = self.current.record.lock_info();
        info.map(|info| info.created).unwrap_or_default()
    }

    /// Its record, as last seen.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.current.record
    }

    /// The records of its run in this store.
    #[must_use]
    pub fn own(&self) -> &OwnRecords {
        &self.own
    }

    /// The store that it is held in.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// When the lock was last known to be ours.
    #[must_use]
    pub fn confirmed(&self) -> Instant {
        self.confirmed
    }

    /// Sets the program that runs under the lock; the next heartbeat records it.
    pub fn set_child(&mut self, child: Option<ProcessIdentity>) {
        self.child = child;
    }

    /// Makes a confirmation due at once, because time may have passed unnoticed. A pending one is finished first if it is
    /// recent.
    pub fn renew_now(&mut self) {
        let now = self.host.now();
        self.doubted = now;
        self.next = now;
        if let Some(request) = &self.under_way
            && now.since(request.asked) >= SOON_ANSWERED
        {
            self.under_way = None;
        }
    }

    /// Whether a renewal is pending, which [`HeldLock::renew`] will finish.
    #[must_use]
    pub fn is_renewing(&self) -> bool {
        self.under_way.is_some()
    }

    /// Abandons a pending renewal; the next write finds out whether it succeeded.
    pub fn give_up_renewal(&mut self) {
        self.under_way = None;
    }

    /// Writes a heartbeat if one is due, else checks that the lock is still ours.
    ///
    /// If the future is dropped, its request stays pending, and the next call goes on waiting for the reply.
    ///
    /// # Errors
    /// The store's error. The lock may still be ours; the next renewal is due soon.
    pub async fn renew(&mut self) -> Result<Renewal, StoreError> {
        let mut adopted = Adoptions::default();
        loop {
            let (asked, is_beat, answer) = self.ask().await;
            match answer? {
                Swap::Done(Some(stored)) => return Ok(self.renewed(stored, asked, is_beat)),
                Swap::Done(None) => return Ok(self.lost(None)),
                Swap::Refused(Some(stored)) if self.own.contains(&stored.record) => {
                    adopted.count(self.store.as_ref())?;
                    self.adopt(stored);
                }
                Swap::Refused(other) => return Ok(self.lost(other)),
            }
        }
    }

    /// The reply to the pending request, or to a new one, and when that was sent.
    async fn ask(&mut self) -> (Instant, bool, Result<Swap, StoreError>) {
        if self.under_way.is_none() {
            self.under_way = Some(self.request());
        }
        let answer = match &mut self.under_way {
            // It is not taken out before it is answered, so that it outlives this call.
            Some(request) => (
                request.asked,
                request.is_beat,
                request.answer.as_mut().await,
            ),
            None => unreachable!("one was made"),
        };
        self.under_way = None;
        answer
    }

    fn request(&mut self) -> Confirmation {
        let asked = self.host.now();
        let is_beat = self.is_beat_due(asked);
        self.begin(asked, is_beat);
        let store = Rc::clone(&self.store);
        let expected = self.current.clone();
        if !is_beat {
            let own = self.own.clone();
            let look = async move {
                let found = store.look(&expected).await?;
                Ok(match &found {
                    Some(stored) if own.contains(&stored.record) => Swap::Done(found),
                    _ => Swap::Refused(found),
                })
            };
            return Confirmation {
                asked,
                is_beat,
                answer: Box::pin(look),
            };
        }
        let mut record = expected.record.renewed(self.host.wall());
        if let Some(holder) = record
            .lease
            .as_mut()
            .and_then(|lease| lease.holder.as_mut())
        {
            holder.child = self.child;
        }
        let write = async move { store.swap(Some(&expected), Some(&record)).await };
        Confirmation {
            asked,
            is_beat,
            answer: Box::pin(write),
        }
    }

    fn renewed(&mut self, stored: Stored, asked: Instant, is_beat: bool) -> Renewal {
        self.adopt(stored);
        self.confirmed = asked;
        if is_beat {
            self.beaten = asked;
            self.next_beat = Instant(asked.0 + self.beat_interval().unwrap_or_default());
        }
        self.schedule();
        Renewal::Renewed
    }

    fn lost(&mut self, other: Option<Stored>) -> Renewal {
        self.own.clear_held();
        Renewal::Lost(other)
    }

    fn adopt(&mut self, stored: Stored) {
        self.own.set_held(&stored.record);
        self.current = stored;
    }
}

/// Counts how often a record of our own was found instead of the one last seen. Once or twice means a lost reply; a store
/// whose comparison never succeeds would go on for ever.
#[derive(Default)]
struct Adoptions(u32);

impl Adoptions {
    const MOST: u32 = 8;

    fn count(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        self.0 += 1;
        if self.0 <= Self::MOST {
            return Ok(());
        }
        Err(StoreError {
            action: "comparing the record",
            place: store.place(),
            kind: StoreErrorKind::Unsuitable,
            message: "the record is ours, but every write that compares it is refused".to_owned(),
            remedy: None,
        })
    }
}

#[cfg(test)]
mod tests;
