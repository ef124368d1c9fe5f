//! One lock in one store while the child runs: when it is renewed, how long a renewal may take, and how it went.

use std::time::Duration;

use crate::lock::held_lock::{HeldLock, Renewal};
use crate::lock::host::{Host, Instant};
use crate::lock::store::{Identity, StoreError, StoreErrorKind, Stored};

/// How long a last renewal may take after its deadline, as after a suspend.
const LAST_TRY: Duration = Duration::from_millis(500);

/// What happened to the lock while the child ran.
#[derive(Debug)]
pub enum News {
    /// It is still ours: a heartbeat was written, or a check succeeded.
    Renewed,
    /// It could not be renewed; the next attempt follows soon.
    NotRenewed(StoreError),
    /// The lock is no longer ours: the child must stop.
    Lost(Loss),
    /// It was not renewed in time, and by our promise others may soon take it over: the child must stop.
    Expiring {
        /// The lock's name.
        key: String,
    },
}

/// A lock that was lost in one store.
#[derive(Debug)]
pub struct Loss {
    /// The lock's name.
    pub key: String,
    /// Where it was.
    pub place: Identity,
    /// The record that is there now.
    pub now: Option<Stored>,
    /// Whether others had the right to take it.
    pub promise: Promise,
}

/// Whether the lock had expired when it was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// It had not, or cannot expire.
    Good,
    /// It had: we had been silent for too long.
    Over,
}

/// A lock that is held in one store, and how its renewal goes.
pub(super) struct KeptLock {
    pub(super) held: HeldLock,
    /// The number of the lock that it belongs to.
    pub(super) lock: usize,
    pub(super) ownership: Ownership,
    /// When to abandon the pending renewal, if at all.
    given_up_at: Option<Instant>,
}

/// Whether a lock is still ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ownership {
    /// Ours, as far as we know.
    Ours,
    /// Perhaps still ours, but not renewed in time: by our promise the child must stop.
    GivenUp,
    /// No longer ours.
    Lost,
}

impl KeptLock {
    pub(super) fn new(lock: usize, held: HeldLock) -> Self {
        Self {
            held,
            lock,
            ownership: Ownership::Ours,
            given_up_at: None,
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.held.is_renewing() || self.due().is_some_and(|due| due <= now)
    }

    /// When the next action is due: a renewal, or the deadline if renewals fail.
    pub(super) fn due(&self) -> Option<Instant> {
        let renewal = self.held.next_renewal();
        match self.ownership {
            Ownership::Ours => Some(
                self.held
                    .must_stop_at()
                    .map_or(renewal, |limit| limit.min(renewal)),
            ),
            Ownership::GivenUp if self.held.must_stop_for_good() => None,
            // Keeps the lock alive while the child stops.
            Ownership::GivenUp => Some(renewal),
            Ownership::Lost => None,
        }
    }

    /// Renews, for as long as the deadline allows; for a moment if it has passed, as after a suspend.
    pub(super) async fn act(&mut self, host: &dyn Host) -> News {
        let limit = self
            .held
            .must_stop_at()
            .filter(|_| self.ownership == Ownership::Ours);
        let is_final = self.held.must_stop_for_good();
        let is_over = |now: Instant| is_final && limit.is_some_and(|limit| limit <= now);
        if is_over(host.now()) {
            self.held.give_up_renewal();
            return self.give_up();
        }
        if !self.held.is_renewing() {
            let now = host.now();
            let least = if is_final { Duration::ZERO } else { LAST_TRY };
            // Not beyond the next heartbeat: if the connection is silently dead, there is time for another attempt.
            self.given_up_at = limit.map(|limit| {
                let attempt = limit.since(now).min(self.held.interval()).max(least);
                Instant(now.0 + attempt)
            });
        }
        let over = async {
            match self.given_up_at {
                Some(at) => host.sleep(at.since(host.now())).await,
                None => std::future::pending().await,
            }
        };
        let renewal = tokio::select! {
            biased;
            renewal = self.held.renew() => Some(renewal),
            () = over => None,
        };
        let renewal = renewal.unwrap_or_else(|| {
            self.held.give_up_renewal();
            Err(self.no_answer())
        });
        match renewal {
            Ok(Renewal::Renewed) if is_over(host.now()) => self.give_up(),
            Ok(Renewal::Renewed) => News::Renewed,
            Ok(Renewal::Lost(now)) => {
                self.ownership = Ownership::Lost;
                News::Lost(self.loss(now))
            }
            Err(_) if limit.is_some_and(|limit| limit <= host.now()) => self.give_up(),
            Err(error) => News::NotRenewed(error),
        }
    }

    fn no_answer(&self) -> StoreError {
        StoreError {
            action: "renewing the lock",
            place: self.held.store().place(),
            kind: StoreErrorKind::Unreachable,
            message: "no answer in time".to_owned(),
            remedy: None,
        }
    }

    fn give_up(&mut self) -> News {
        self.ownership = Ownership::GivenUp;
        News::Expiring {
            key: self.held.store().key().to_owned(),
        }
    }

    pub(super) fn loss(&self, now: Option<Stored>) -> Loss {
        Loss {
            key: self.held.store().key().to_owned(),
            place: self.held.store().identity(),
            now,
            promise: if self.held.is_promise_over() {
                Promise::Over
            } else {
                Promise::Good
            },
        }
    }
}
