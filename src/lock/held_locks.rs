//! Keeps a run's locks while the child runs, each in every store that it is held in.

mod release;
mod renewal;

use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

pub use self::release::{NotReleased, Released};
use self::renewal::{KeptLock, Ownership};
pub use self::renewal::{Loss, News, Promise};
use super::held_lock::HeldLock;
use super::host::{Host, Instant};
use super::liveness::HEARTBEAT_INTERVAL;
use super::record::ProcessIdentity;

/// How often to read the clock: timers stop while the machine is suspended, the clock does not.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How far the clock may jump between two readings before the lock is checked, because the machine was suspended.
const SLEPT: Duration = HEARTBEAT_INTERVAL;

/// A run's locks: one as a rule, several under `exec --dir`, and each perhaps in two stores.
pub struct HeldLocks {
    /// In the order in which they were taken.
    kept: Vec<KeptLock>,
    host: Rc<dyn Host>,
    /// When the clock was last read.
    looked: Instant,
    /// Confirmations before this time no longer count.
    doubted: Instant,
}

impl HeldLocks {
    /// None yet.
    #[must_use]
    pub fn none(host: Rc<dyn Host>) -> Self {
        Self {
            kept: Vec::new(),
            looked: host.now(),
            doubted: Instant(Duration::ZERO),
            host,
        }
    }

    /// Adds what was taken last, for the lock with that number.
    pub fn push(&mut self, lock: usize, held: HeldLock) {
        self.kept.push(KeptLock::new(lock, held));
    }

    /// What is held, in the order in which it was taken.
    pub fn held(&self) -> impl Iterator<Item = &HeldLock> {
        self.kept.iter().map(|kept| &kept.held)
    }

    /// What is held of the lock with that number.
    pub fn held_of(&self, lock: usize) -> impl Iterator<Item = &HeldLock> {
        self.of(lock).map(|kept| &kept.held)
    }

    fn of(&self, lock: usize) -> impl Iterator<Item = &KeptLock> {
        self.kept.iter().filter(move |kept| kept.lock == lock)
    }

    /// Splits off those for which `is_meant` is true, given the number of their lock.
    #[must_use]
    pub fn take_out(&mut self, is_meant: impl Fn(usize, &HeldLock) -> bool) -> Self {
        let all = std::mem::take(&mut self.kept).into_iter();
        let (taken, kept) = all.partition(|kept| is_meant(kept.lock, &kept.held));
        self.kept = kept;
        Self {
            kept: taken,
            host: Rc::clone(&self.host),
            looked: self.looked,
            doubted: self.doubted,
        }
    }

    /// Sets the child; the next heartbeat records it.
    pub fn set_child(&mut self, child: Option<ProcessIdentity>) {
        for kept in &mut self.kept {
            kept.held.set_child(child);
        }
    }

    /// Makes a renewal due at once: time may have passed unnoticed.
    pub fn renew_now(&mut self) {
        self.doubted = self.host.now();
        for kept in &mut self.kept {
            kept.held.renew_now();
        }
    }

    /// Whether the lock has been confirmed since the last call of [`HeldLocks::renew_now`].
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.kept
            .iter()
            .all(|kept| kept.ownership == Ownership::Ours && kept.held.confirmed() >= self.doubted)
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
        self.any_is(Ownership::Lost)
    }

    /// Whether the child may have run without the lock, because a renewal came too late.
    #[must_use]
    pub fn gave_up_any(&self) -> bool {
        self.any_is(Ownership::GivenUp)
    }

    /// Whether the child ran without the lock with that number.
    #[must_use]
    pub fn lost_any_of(&self, lock: usize) -> bool {
        self.of(lock).any(|kept| kept.ownership == Ownership::Lost)
    }

    /// Whether the lock with that number has been ours all the time, and did not expire.
    #[must_use]
    pub fn is_kept(&self, lock: usize) -> bool {
        self.of(lock).all(|kept| kept.ownership == Ownership::Ours)
    }

    fn any_is(&self, ownership: Ownership) -> bool {
        self.kept.iter().any(|kept| kept.ownership == ownership)
    }

    /// Whether the lock is ours, so that a program may be started under it. One that was taken long before, because we
    /// waited for another, is checked first; if others may have taken it over by our promise, it must be renewed.
    pub async fn confirm(&mut self) -> bool {
        for kept in &mut self.kept {
            if kept.ownership != Ownership::Ours {
                return false;
            }
            let now = self.host.now();
            let overdue = kept.held.must_stop_at().is_some_and(|limit| limit <= now);
            if !overdue && kept.held.next_renewal() > now {
                continue;
            }
            match kept.act(self.host.as_ref()).await {
                News::Renewed => {}
                // The next attempt follows soon.
                News::NotRenewed(_) if !overdue => {}
                _ => return false,
            }
        }
        true
    }

    /// Does what is due next, in all stores concurrently: none waits for another. The future may be dropped at any
    /// time, however often: a pending renewal goes on, and the next call waits for its reply.
    pub async fn next(&mut self) -> News {
        loop {
            let now = self.look_at_clock();
            let host = Rc::clone(&self.host);
            let (acting, idle): (Vec<&mut KeptLock>, Vec<&mut KeptLock>) =
                self.kept.iter_mut().partition(|kept| kept.is_due(now));
            let next = idle.iter().filter_map(|kept| kept.due()).min();
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
                .map(|kept| Box::pin(kept.act(host.as_ref())))
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
}

#[cfg(test)]
mod tests;
