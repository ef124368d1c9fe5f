//! Keeps all places of a run's locks while the child runs, and releases them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::held_lock::{HeldLock, RELEASE_PATIENCE, Release, Renewal};
use super::host::{Host, Instant};
use super::liveness::HEARTBEAT_INTERVAL;
use super::record::{LockId, ProcessIdentity};
use super::store::{Identity, StoreError, StoreErrorKind, Stored};
use super::together::all;

/// How often to read the clock: timers stop while the machine is suspended, the clock does not.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How far the clock may jump between two readings before the lock is checked, because the machine was suspended.
const SLEPT: Duration = HEARTBEAT_INTERVAL;

/// How long a last renewal may take after its deadline, as after a suspend.
const LAST_TRY: Duration = Duration::from_millis(500);

/// The places of a run's locks: of one as a rule, of several under `exec --dir`.
pub struct HeldLocks {
    /// In the order in which they were taken.
    places: Vec<Place>,
    host: Rc<dyn Host>,
    /// When the clock was last read.
    looked: Instant,
    /// Confirmations before this time no longer count.
    doubted: Instant,
}

struct Place {
    held: HeldLock,
    /// The number of the lock that it belongs to.
    lock: usize,
    standing: Standing,
    /// When to abandon the pending renewal, if at all.
    given_up_at: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Ours, as far as we know.
    Ours,
    /// Perhaps still ours, but not renewed in time: by our promise the child must stop.
    GivenUp,
    /// No longer ours.
    Lost,
}

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
    TimeIsUp {
        /// The lock's name.
        key: String,
    },
}

/// A place that was lost.
#[derive(Debug)]
pub struct Loss {
    /// The lock's name.
    pub key: String,
    /// The place.
    pub place: Identity,
    /// The record that is there now.
    pub now: Option<Stored>,
    /// Whether others had the right to take it.
    pub promise: Promise,
}

/// Whether the lock had expired when a place was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// It had not, or cannot expire.
    Good,
    /// It had: we had been silent for too long.
    Over,
}

/// The outcome of a release.
#[derive(Debug, Default)]
pub struct Released {
    /// Places that may still be held.
    pub failed: Vec<NotReleased>,
    /// Places whose loss was only noticed now.
    pub lost: Vec<Loss>,
}

/// A place that could not be released.
#[derive(Debug)]
pub struct NotReleased {
    /// The last error.
    pub error: StoreError,
    /// The lock's name.
    pub key: String,
    /// The place.
    pub place: Identity,
    /// The ID of the record that is left.
    pub id: LockId,
}

impl HeldLocks {
    /// No places yet.
    #[must_use]
    pub fn none(host: Rc<dyn Host>) -> Self {
        Self {
            places: Vec::new(),
            looked: host.now(),
            doubted: Instant(Duration::ZERO),
            host,
        }
    }

    /// Adds the place that was taken last, which belongs to the lock with that number.
    pub fn push(&mut self, lock: usize, held: HeldLock) {
        self.places.push(Place {
            held,
            lock,
            standing: Standing::Ours,
            given_up_at: None,
        });
    }

    /// The places.
    pub fn held(&self) -> impl Iterator<Item = &HeldLock> {
        self.places.iter().map(|place| &place.held)
    }

    /// The places of the lock with that number.
    pub fn held_of(&self, lock: usize) -> impl Iterator<Item = &HeldLock> {
        self.of(lock).map(|place| &place.held)
    }

    fn of(&self, lock: usize) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(move |place| place.lock == lock)
    }

    /// Splits off the places for which `is_meant` is true, given the number of their lock.
    #[must_use]
    pub fn take_out(&mut self, is_meant: impl Fn(usize, &HeldLock) -> bool) -> Self {
        let places = std::mem::take(&mut self.places).into_iter();
        let (taken, kept) = places.partition(|place| is_meant(place.lock, &place.held));
        self.places = kept;
        Self {
            places: taken,
            host: Rc::clone(&self.host),
            looked: self.looked,
            doubted: self.doubted,
        }
    }

    /// Sets the child; the next heartbeat records it.
    pub fn set_child(&mut self, child: Option<ProcessIdentity>) {
        for place in &mut self.places {
            place.held.set_child(child);
        }
    }

    /// Makes a renewal due at once: time may have passed unnoticed.
    pub fn renew_now(&mut self) {
        self.doubted = self.host.now();
        for place in &mut self.places {
            place.held.renew_now();
        }
    }

    /// Whether the lock has been confirmed since the last call of [`HeldLocks::renew_now`].
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.places
            .iter()
            .all(|place| place.standing == Standing::Ours && place.held.confirmed() >= self.doubted)
    }

    /// After how much silence of ours someone else must ask the child to stop. `None` without a promise.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let held = self.held();
        let first = held.filter_map(HeldLock::must_be_stopped_at).min()?;
        Some(first.since(self.host.now()))
    }

    /// Whether the child ran without the lock.
    #[must_use]
    pub fn lost_any(&self) -> bool {
        self.any_is(Standing::Lost)
    }

    /// Whether the child may have run without the lock, because a renewal came too late.
    #[must_use]
    pub fn gave_up_any(&self) -> bool {
        self.any_is(Standing::GivenUp)
    }

    /// Whether the child ran without the lock with that number.
    #[must_use]
    pub fn lost_any_of(&self, lock: usize) -> bool {
        self.of(lock).any(|place| place.standing == Standing::Lost)
    }

    /// Whether the lock with that number has been ours all the time, and did not expire.
    #[must_use]
    pub fn is_kept(&self, lock: usize) -> bool {
        self.of(lock).all(|place| place.standing == Standing::Ours)
    }

    fn any_is(&self, standing: Standing) -> bool {
        self.places.iter().any(|place| place.standing == standing)
    }

    /// Whether the lock is ours, so that a program may be started under it. A place that was taken long before, because we
    /// waited for another, is checked first; if others may have taken it over by our promise, it must be renewed.
    pub async fn confirm(&mut self) -> bool {
        for place in &mut self.places {
            if place.standing != Standing::Ours {
                return false;
            }
            let now = self.host.now();
            let overdue = place.held.must_stop_at().is_some_and(|limit| limit <= now);
            if !overdue && place.held.next_renewal() > now {
                continue;
            }
            match place.act(self.host.as_ref()).await {
                News::Renewed => {}
                // The next attempt follows soon.
                News::NotRenewed(_) if !overdue => {}
                _ => return false,
            }
        }
        true
    }

    /// Does what is due next, in all places concurrently: none waits for another's store. The future may be dropped at any
    /// time, however often: a pending renewal goes on, and the next call waits for its reply.
    pub async fn next(&mut self) -> News {
        loop {
            let now = self.look_at_clock();
            let host = Rc::clone(&self.host);
            let (acting, idle): (Vec<&mut Place>, Vec<&mut Place>) =
                self.places.iter_mut().partition(|place| place.is_due(now));
            let next = idle.iter().filter_map(|place| place.due()).min();
            let left = next.map_or(LOOK_EVERY, |due| due.since(now));
            // Places that only wait for a reply need no timer.
            let only_waits = idle.is_empty() && !acting.is_empty();
            let pause = async {
                if only_waits {
                    std::future::pending::<()>().await;
                }
                host.sleep(left.min(LOOK_EVERY)).await;
            };
            let mut pause = std::pin::pin!(pause);
            let mut acts: Vec<_> = acting
                .into_iter()
                .map(|place| Box::pin(place.act(host.as_ref())))
                .collect();
            let news = std::future::poll_fn(|context| {
                for act in &mut acts {
                    if let Poll::Ready(news) = act.as_mut().poll(context) {
                        return Poll::Ready(Some(news));
                    }
                }
                pause.as_mut().poll(context).map(|()| None)
            });
            if let Some(news) = news.await {
                return news;
            }
        }
    }

    fn look_at_clock(&mut self) -> Instant {
        let now = self.host.now();
        let unseen = now.since(std::mem::replace(&mut self.looked, now));
        if unseen > LOOK_EVERY + SLEPT {
            self.renew_now();
        }
        now
    }

    /// Releases all places that are still ours: all locks at once, so that none waits for another's store; the places of one
    /// lock in reverse order.
    pub async fn release(&mut self, retrying: impl FnMut(&StoreError)) -> Released {
        let retrying = RefCell::new(retrying);
        let retrying = |error: &StoreError| (retrying.borrow_mut())(error);
        let mut locks: BTreeMap<usize, Vec<&mut Place>> = BTreeMap::new();
        for place in self.places.iter_mut().rev() {
            locks.entry(place.lock).or_default().push(place);
        }
        let releases = locks
            .into_values()
            .rev()
            .map(|places| release_one_by_one(places, &retrying));
        let mut released = Released::default();
        for one in all(releases).await {
            released.failed.extend(one.failed);
            released.lost.extend(one.lost);
        }
        released
    }
}

async fn release_one_by_one(places: Vec<&mut Place>, retrying: &impl Fn(&StoreError)) -> Released {
    let mut released = Released::default();
    for place in places {
        if place.standing == Standing::Lost {
            continue;
        }
        match place.held.release(RELEASE_PATIENCE, retrying).await {
            Ok(Release::Released) => {}
            Ok(Release::Lost(now)) => {
                place.standing = Standing::Lost;
                released.lost.push(place.loss(now));
            }
            Err(error) => released.failed.push(NotReleased {
                key: place.held.store().key().to_owned(),
                place: place.held.store().identity(),
                id: place.held.id().clone(),
                error,
            }),
        }
    }
    released
}

impl Place {
    fn is_due(&self, now: Instant) -> bool {
        self.held.is_renewing() || self.due().is_some_and(|due| due <= now)
    }

    /// When the next action is due: a renewal, or the deadline if renewals fail.
    fn due(&self) -> Option<Instant> {
        let renewal = self.held.next_renewal();
        match self.standing {
            Standing::Ours => Some(
                self.held
                    .must_stop_at()
                    .map_or(renewal, |limit| limit.min(renewal)),
            ),
            Standing::GivenUp if self.held.must_stop_for_good() => None,
            // Keeps the lock alive while the child stops.
            Standing::GivenUp => Some(renewal),
            Standing::Lost => None,
        }
    }

    /// Renews, for as long as the deadline allows; for a moment if it has passed, as after a suspend.
    async fn act(&mut self, host: &dyn Host) -> News {
        let limit = self
            .held
            .must_stop_at()
            .filter(|_| self.standing == Standing::Ours);
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
                self.standing = Standing::Lost;
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
        self.standing = Standing::GivenUp;
        News::TimeIsUp {
            key: self.held.store().key().to_owned(),
        }
    }

    fn loss(&self, now: Option<Stored>) -> Loss {
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

#[cfg(test)]
mod tests;
