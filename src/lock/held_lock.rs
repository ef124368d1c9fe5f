//! A lock that we hold: renews, checks and releases it.
//!
//! Every write compares the exact record last seen. If a refusal returns a record of our own ([`super::own`]), the reply
//! to an earlier write was lost: that record is adopted and the write repeated.
//!
//! Every ten seconds the lock is confirmed, by a heartbeat if one is due, else by a read.

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

/// How long to retry a release before reporting it as failed.
pub const RELEASE_PATIENCE: Duration = Duration::from_mins(1);
/// How many times a confirmation can fail and be retried before the next one would be due.
const ATTEMPTS: u32 = 5;
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

/// The outcome of a release.
#[derive(Debug, PartialEq)]
pub enum Release {
    /// The lock is released.
    Released,
    /// The lock was no longer ours; the current record was left alone.
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

    /// When the next confirmation is due.
    #[must_use]
    pub fn next_renewal(&self) -> Instant {
        self.next
    }

    /// The deadline for asking the child to stop if the lock is not renewed before: two thirds of the promise after the last
    /// heartbeat. `None` without a promise.
    #[must_use]
    pub fn must_stop_at(&self) -> Option<Instant> {
        Some(Instant(self.beaten.0 + self.promise()? * 2 / 3))
    }

    /// Whether a heartbeat after [`HeldLock::must_stop_at`] is too late to keep the lock. Where a swap compares heartbeats,
    /// a late one still keeps others out. Where it does not, another run may already have seen the silence and sent its
    /// write.
    #[must_use]
    pub fn must_stop_for_good(&self) -> bool {
        self.store.heartbeats() != Heartbeats::Compared
    }

    /// The deadline for someone else to ask the child to stop if we could not: three quarters of the promise after the last
    /// heartbeat. `None` without a promise.
    #[must_use]
    pub fn must_be_stopped_at(&self) -> Option<Instant> {
        Some(Instant(self.beaten.0 + self.promise()? * 3 / 4))
    }

    /// Whether the lock has expired: we have been silent for longer than we promised.
    #[must_use]
    pub fn is_promise_over(&self) -> bool {
        let silence = self.host.now().since(self.beaten);
        self.promise().is_some_and(|promise| silence >= promise)
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

    fn is_beat_due(&self, now: Instant) -> bool {
        match self.store.heartbeats() {
            Heartbeats::Compared => true,
            Heartbeats::NotCompared => now >= self.next_beat,
            Heartbeats::None => false,
        }
    }

    /// Schedules a retry before the reply is known, so that failures do not cause a storm of requests.
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
        self.own.clear_held();
        Renewal::Lost(other)
    }

    fn adopt(&mut self, stored: Stored) {
        self.own.set_held(&stored.record);
        self.current = stored;
    }

    /// Releases the lock, retrying transient errors; `retrying` is called for each.
    ///
    /// # Errors
    /// Permanent errors at once, transient ones after `patience`.
    pub async fn release(
        &mut self,
        patience: Duration,
        retrying: impl FnMut(&StoreError),
    ) -> Result<Release, StoreError> {
        let released = self.give_back(patience, retrying).await;
        if released.is_ok() {
            self.own.clear_held();
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
                Ok(Swap::Refused(Some(stored))) if self.own.contains(&stored.record) => {
                    adopted.count(self.store.as_ref())?;
                    self.adopt(stored);
                }
                Ok(Swap::Refused(_)) if unanswered => return Ok(Release::Released),
                Ok(Swap::Refused(other)) => return Ok(Release::Lost(other)),
                Err(error) => {
                    unanswered |= error.kind.may_have_been_applied();
                    // The user may log in again meanwhile.
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

    /// Keeps the lock alive while the release keeps failing.
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
