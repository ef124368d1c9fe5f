//! A lock that is held: renewing it, looking after it, and giving it back.
//!
//! Every write compares the exact record last seen. A refusal that brings a record of our own back ([`super::own`]) is an
//! earlier write whose answer was lost: it is adopted, and the write is made anew.
//!
//! Every ten seconds the lock is confirmed, by a heartbeat if one is due and else by a look.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::backoff::Backoff;
use super::host::{Host, Instant};
use super::liveness::{HEARTBEAT_INTERVAL, interval};
use super::own::OwnRecords;
use super::record::{LockId, ProcessIdentity, Record};
use super::store::{Heartbeats, Store, StoreError, StoreErrorKind, Stored, Swap};

/// How long a release is tried before it is reported as failed.
pub const RELEASE_PATIENCE: Duration = Duration::from_mins(1);
/// How many times a heartbeat or a look can fail and be tried again before the next one would be due.
const ATTEMPTS: u32 = 5;
/// How long a request may go unanswered before it is given up for another, where time may have passed unnoticed: its
/// connection may have died meanwhile.
const SOON_ANSWERED: Duration = Duration::from_secs(1);

/// A lock of ours.
pub struct HeldLock {
    store: Rc<dyn Store>,
    host: Rc<dyn Host>,
    id: LockId,
    own: OwnRecords,
    current: Stored,
    /// When the last request that showed the lock to be ours was sent.
    confirmed: Instant,
    /// When the last heartbeat that is known to have been written was sent.
    beaten: Instant,
    /// When the lock is to be confirmed again.
    next: Instant,
    /// Where heartbeats are rarer than that: when one is to be written again.
    next_beat: Instant,
    /// What was known of the lock before this is in doubt.
    doubted: Instant,
    child: Option<ProcessIdentity>,
    under_way: Option<Request>,
}

/// A heartbeat or a look that is under way.
struct Request {
    asked: Instant,
    is_beat: bool,
    answer: Pin<Box<dyn Future<Output = Result<Swap, StoreError>>>>,
}

/// What came of a renewal.
#[derive(Debug, PartialEq)]
pub enum Renewal {
    /// The lock is still ours.
    Renewed,
    /// It is not: this stands in its place.
    Lost(Option<Stored>),
}

/// What came of a release.
#[derive(Debug, PartialEq)]
pub enum Release {
    /// Given back.
    Released,
    /// It was no longer ours; what stands there was left alone.
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
        own.holds(&current.record);
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

    /// The ID that the lock bears in the store.
    #[must_use]
    pub fn id(&self) -> &LockId {
        &self.id
    }

    /// When it was taken, as its record says.
    #[must_use]
    pub fn created(&self) -> String {
        let info = self.current.record.lock_info();
        info.map(|info| info.created).unwrap_or_default()
    }

    /// Its record, as it was last seen.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.current.record
    }

    /// What is its run's own in its place.
    #[must_use]
    pub fn own(&self) -> &OwnRecords {
        &self.own
    }

    /// Where it is held.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// When the lock was last known to be ours.
    #[must_use]
    pub fn confirmed(&self) -> Instant {
        self.confirmed
    }

    /// Notes the program that runs under the lock; the next renewal writes it.
    pub fn set_child(&mut self, child: Option<ProcessIdentity>) {
        self.child = child;
    }

    /// When the lock is to be confirmed again.
    #[must_use]
    pub fn next_renewal(&self) -> Instant {
        self.next
    }

    /// When whoever works under the lock must have been asked to stop, if it has not been renewed by then: two thirds
    /// of the promise after the last heartbeat. `None` without a promise.
    #[must_use]
    pub fn must_stop_at(&self) -> Option<Instant> {
        Some(Instant(self.beaten.0 + self.promise()? * 2 / 3))
    }

    /// Whether nothing that comes after [`HeldLock::must_stop_at`] can save the lock. Where a swap compares heartbeats, a
    /// late one keeps others out. Where it does not, somebody may have seen our silence, and their write is on its way.
    #[must_use]
    pub fn must_stop_for_good(&self) -> bool {
        self.store.heartbeats() != Heartbeats::Compared
    }

    /// When whoever works under the lock must have been asked to stop by somebody else, if we have not been able to: three
    /// quarters of the promise after the last heartbeat. `None` without a promise.
    #[must_use]
    pub fn must_be_stopped_at(&self) -> Option<Instant> {
        Some(Instant(self.beaten.0 + self.promise()? * 3 / 4))
    }

    /// Whether we have been silent for longer than we promised.
    #[must_use]
    pub fn is_promise_over(&self) -> bool {
        let silence = self.host.now().since(self.beaten);
        self.promise().is_some_and(|promise| silence >= promise)
    }

    /// Asks for a confirmation at once, because time may have passed unnoticed. One that is under way comes to its end
    /// first, if that is soon.
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

    /// Whether a renewal is under way, to be brought to its end by [`HeldLock::renew`].
    #[must_use]
    pub fn is_renewing(&self) -> bool {
        self.under_way.is_some()
    }

    /// Waits no longer for the answer to a renewal; the next write finds out what became of it.
    pub fn give_up_renewal(&mut self) {
        self.under_way = None;
    }

    /// Writes a heartbeat if one is due, else looks whether the lock is still ours.
    ///
    /// If it is dropped half-way the request stays under way, and the next call goes on waiting for its answer.
    ///
    /// # Errors
    /// The store's failure. The lock may still be ours; the next renewal is due soon.
    pub async fn renew(&mut self) -> Result<Renewal, StoreError> {
        let mut adopted = Adoptions::default();
        loop {
            let (asked, is_beat, answer) = self.ask().await;
            match answer? {
                Swap::Done(Some(stored)) => return Ok(self.renewed(stored, asked, is_beat)),
                Swap::Done(None) => return Ok(self.lost(None)),
                Swap::Refused(Some(stored)) if self.own.have(&stored.record) => {
                    adopted.count(self.store.as_ref())?;
                    self.adopt(stored);
                }
                Swap::Refused(other) => return Ok(self.lost(other)),
            }
        }
    }

    /// The answer to the request that is under way, or to a new one, and when it was sent.
    async fn ask(&mut self) -> (Instant, bool, Result<Swap, StoreError>) {
        if self.under_way.is_none() {
            self.under_way = Some(self.request());
        }
        let answer = match &mut self.under_way {
            // It stays in its place meanwhile, so that it outlives this call.
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

    fn request(&mut self) -> Request {
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
                    Some(stored) if own.have(&stored.record) => Swap::Done(found),
                    _ => Swap::Refused(found),
                })
            };
            return Request {
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
        Request {
            asked,
            is_beat,
            answer: Box::pin(write),
        }
    }

    fn is_beat_due(&self, now: Instant) -> bool {
        match self.store.heartbeats() {
            Heartbeats::Compared => true,
            Heartbeats::NotCompared => now >= self.next_beat,
            Heartbeats::None => false,
        }
    }

    /// Due again before the answer is known, so that a failure does not turn into a storm.
    fn begin(&mut self, asked: Instant, is_beat: bool) {
        self.next = Instant(asked.0 + self.interval() / ATTEMPTS);
        if is_beat {
            let interval = self.beat_interval().unwrap_or_default();
            self.next_beat = Instant(asked.0 + interval / ATTEMPTS);
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
        self.own.holds_no_more();
        Renewal::Lost(other)
    }

    fn adopt(&mut self, stored: Stored) {
        self.own.holds(&stored.record);
        self.current = stored;
    }

    /// Gives the lock back, repeating through what may pass; `retrying` hears of each failure.
    ///
    /// # Errors
    /// The last failure, once `patience` has run out or at once if it will not pass.
    pub async fn release(
        &mut self,
        patience: Duration,
        retrying: impl FnMut(&StoreError),
    ) -> Result<Release, StoreError> {
        let released = self.give_back(patience, retrying).await;
        if released.is_ok() {
            self.own.holds_no_more();
        }
        released
    }

    async fn give_back(
        &mut self,
        patience: Duration,
        mut retrying: impl FnMut(&StoreError),
    ) -> Result<Release, StoreError> {
        let mut unanswered = false;
        let mut backoff = Backoff::default();
        let mut adopted = Adoptions::default();
        self.give_up_renewal();
        loop {
            let rest = self.current.record.returns_to();
            match self.store.swap(Some(&self.current), rest).await {
                Ok(Swap::Done(_)) => return Ok(Release::Released),
                Ok(Swap::Refused(Some(stored))) if self.own.have(&stored.record) => {
                    adopted.count(self.store.as_ref())?;
                    self.adopt(stored);
                }
                Ok(Swap::Refused(_)) if unanswered => return Ok(Release::Released),
                Ok(Swap::Refused(other)) => return Ok(Release::Lost(other)),
                Err(error) => {
                    unanswered |= error.kind.may_have_been_applied();
                    // A person may log in again meanwhile.
                    let may_pass = error.kind.is_transient() || error.kind.is_about_credentials();
                    match backoff.pause(self.host.as_ref(), patience) {
                        Some(pause) if may_pass => {
                            retrying(&error);
                            self.host.sleep(pause).await;
                            if let Some(Renewal::Lost(now)) = self.renew_if_due().await {
                                return Ok(if unanswered {
                                    Release::Released
                                } else {
                                    Release::Lost(now)
                                });
                            }
                        }
                        _ => return Err(error),
                    }
                }
            }
        }
    }

    /// So that nobody takes us for dead while the release goes on failing.
    async fn renew_if_due(&mut self) -> Option<Renewal> {
        if self.next > self.host.now() {
            return None;
        }
        self.renew().await.ok()
    }

    fn promise(&self) -> Option<Duration> {
        let lease = self.current.record.lease.as_ref()?;
        lease.expire_after
    }

    /// The longest time between two confirmations.
    pub(super) fn interval(&self) -> Duration {
        interval(HEARTBEAT_INTERVAL, self.promise())
    }

    /// The time between two heartbeats; `None` where there are none.
    fn beat_interval(&self) -> Option<Duration> {
        let usual = self.store.heartbeats().interval()?;
        Some(interval(usual, self.promise()))
    }

    fn schedule(&mut self) {
        let due = Instant(self.confirmed.0 + self.host.jittered(self.interval()));
        self.next = match self.store.heartbeats() {
            _ if self.confirmed < self.doubted => self.doubted,
            Heartbeats::Compared | Heartbeats::None => due,
            Heartbeats::NotCompared => due.min(self.next_beat),
        };
    }
}

/// How often a record of our own was found in the place of the one last seen. Once or twice is a lost answer; a
/// store that never takes the comparison would go on for ever.
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
            message: "the record is ours, and yet every write that compares it is refused"
                .to_owned(),
            remedy: None,
        })
    }
}

#[cfg(test)]
mod tests;
