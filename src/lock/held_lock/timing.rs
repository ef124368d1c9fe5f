//! When a lock is due: its confirmations, its heartbeats, and the deadlines of its promise.

use std::time::Duration;

use super::HeldLock;
use crate::lock::host::Instant;
use crate::lock::liveness::{HEARTBEAT_INTERVAL, interval};
use crate::lock::store::Heartbeats;

/// How many times a confirmation can fail and be retried before the next one would be due.
const ATTEMPTS: u32 = 5;

impl HeldLock {
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

    pub(super) fn is_beat_due(&self, now: Instant) -> bool {
        match self.store.heartbeats() {
            Heartbeats::Compared => true,
            Heartbeats::NotCompared => now >= self.next_beat,
            Heartbeats::None => false,
        }
    }

    /// Called when a confirmation is sent. Schedules a retry before the reply is known, so that failures do not cause a storm of requests.
    pub(super) fn begin(&mut self, asked: Instant, is_beat: bool) {
        self.next = Instant(asked.0 + self.interval() / ATTEMPTS);
        if is_beat {
            let interval = self.beat_interval().unwrap_or_default();
            self.next_beat = Instant(asked.0 + interval / ATTEMPTS);
        }
    }

    fn promise(&self) -> Option<Duration> {
        let lease = self.current.record.lease.as_ref()?;
        lease.expire_after
    }

    /// The longest time between two confirmations.
    pub(in crate::lock) fn interval(&self) -> Duration {
        interval(HEARTBEAT_INTERVAL, self.promise())
    }

    /// The longest time between two heartbeats; `None` without heartbeats.
    pub(super) fn beat_interval(&self) -> Option<Duration> {
        let usual = self.store.heartbeats().interval()?;
        Some(interval(usual, self.promise()))
    }

    /// Schedules the next confirmation.
    pub(super) fn schedule(&mut self) {
        let due = Instant(self.confirmed.0 + self.host.jittered(self.interval()));
        self.next = match self.store.heartbeats() {
            _ if self.confirmed < self.doubted => self.doubted,
            Heartbeats::Compared | Heartbeats::None => due,
            Heartbeats::NotCompared => due.min(self.next_beat),
        };
    }
}
