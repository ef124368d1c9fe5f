//! One run's part in the queue: its ticket, its place, and when it may try for the lock.
//!
//! No problem with the queue fails the run: it then waits as if there were no queue.

mod visiting;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

pub use self::visiting::read;
use super::order::{self, opens_after, pace};
use super::{QueuePosition, Ticket};
use crate::lock::host::{Host, Instant};
use crate::lock::record::LockId;
use crate::lock::store::Store;
use crate::lock::store::companion::{Companion, KnownDocument};

/// How often a run without a place in the queue tries for the lock.
const WITHOUT_PLACE: Duration = Duration::from_millis(600);
/// The shortest pause between two looks, however long they take.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// Removes a ticket, concurrently with the run.
pub type Leaving = Pin<Box<dyn Future<Output = ()>>>;

/// Whether this run has a place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Membership {
    /// Not yet, or not for now.
    Outside,
    Inside,
    /// There is no usable queue.
    NoQueue,
}

/// One run in the queue of one lock.
pub struct Line {
    store: Rc<dyn Store>,
    host: Rc<dyn Host>,
    mine: Ticket,
    companion: Option<Companion>,
    membership: Membership,
    /// Whether our ticket may be in the queue: it was sent.
    may_be_there: bool,
    /// The queue as last seen.
    seen: KnownDocument,
    before: Vec<Ticket>,
    behind: usize,
    /// Who was before us when we last saw our place, or who was there when we arrived.
    seen_before: Option<Vec<LockId>>,
    holder: Option<LockId>,
    /// The hold that this run may use: then it only waits for others under that hold.
    under: Option<LockId>,
    /// When to visit the queue next.
    next_visit: Instant,
    /// Since when the lock could be taken, as far as we have seen.
    open_since: Option<Instant>,
}

impl Line {
    /// A run that has not entered the queue yet.
    #[must_use]
    pub fn new(store: Rc<dyn Store>, host: Rc<dyn Host>, ticket: Ticket) -> Self {
        Self {
            next_visit: host.now(),
            store,
            host,
            mine: ticket.shortened(),
            companion: None,
            membership: Membership::Outside,
            may_be_there: false,
            seen: KnownDocument::Unread,
            before: Vec::new(),
            behind: 0,
            seen_before: None,
            holder: None,
            under: None,
            open_since: None,
        }
    }

    /// Where this run is in the queue; `None` without a place.
    #[must_use]
    pub fn position(&self) -> Option<QueuePosition> {
        (self.membership == Membership::Inside).then(|| QueuePosition {
            before: self.before.clone(),
            behind: self.behind,
        })
    }

    /// Whether other runs come before this one.
    #[must_use]
    pub fn lets_others_go_first(&self) -> bool {
        self.membership == Membership::Inside && !self.before.is_empty()
    }

    /// The lock was seen held by `holder`.
    pub fn sees_holder(&mut self, holder: Option<LockId>) {
        self.open_since = None;
        if let Some(holder) = &holder {
            self.before = order::behind(&self.before, holder).to_vec();
        }
        self.holder = holder;
    }

    /// The lock was seen with a hold that this run may use, or with none.
    pub fn competes_under(&mut self, hold: Option<LockId>) {
        if self.under != hold {
            self.under = hold;
            self.next_visit = self.host.now();
        }
    }

    /// The lock was seen free, or its holder dead.
    pub fn sees_it_open(&mut self) {
        self.open_since.get_or_insert(self.host.now());
    }

    /// Whether this run may take a lock that is open.
    #[must_use]
    pub fn may_go(&self) -> bool {
        !self.lets_others_go_first() || self.opens_in().is_some_and(|left| left.is_zero())
    }

    /// How much longer the lock is reserved for the runs before this one.
    fn opens_in(&self) -> Option<Duration> {
        let open_for = self.host.now().since(self.open_since?);
        Some(opens_after(self.before.len()).saturating_sub(open_for))
    }

    /// How long to wait before the next look at the lock; the last one took `elapsed`.
    #[must_use]
    pub fn pause(&self, elapsed: Duration) -> Duration {
        let pause = match self.membership {
            Membership::Inside => {
                let pause = self.host.jittered(pace(self.before.len()));
                pause.saturating_sub(elapsed).max(SHORTEST_PAUSE)
            }
            Membership::Outside | Membership::NoQueue => self.host.jittered(WITHOUT_PLACE),
        };
        match self.opens_in() {
            Some(left) => pause.min(left.max(order::FIRST)),
            None => pause,
        }
    }
}
