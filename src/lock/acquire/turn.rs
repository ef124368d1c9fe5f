//! The pause between two attempts: until it is this run's turn, as far as the queue tells, with a look now and then at
//! who holds the lock.

use std::time::Duration;

use tokio::sync::watch;

use super::{Decision, Observed, Patience, Progress, sleep_or_stop, stopped};
use crate::lock::host::{Host, Instant};
use crate::lock::liveness::{Observer, Replacement};
use crate::lock::own::OwnRecords;
use crate::lock::queue::Line;
use crate::lock::store::{Refusal, Store, Stored};

/// How long one look may take before an attempt is made instead, which tells what is wrong.
const LOOK: Duration = Duration::from_secs(3);

/// How long the queue may be asked at a time; it ends by itself before.
const QUEUE: Duration = Duration::from_secs(10);

/// The wait of one acquisition.
pub(super) struct Turn<'a> {
    store: &'a dyn Store,
    host: &'a dyn Host,
    own: &'a OwnRecords,
    patience: Patience,
    began: Instant,
    /// When the last pause ended.
    paused_until: Instant,
    observer: Observer,
    line: &'a mut Line,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        store: &'a dyn Store,
        host: &'a dyn Host,
        own: &'a OwnRecords,
        patience: Patience,
        line: &'a mut Line,
    ) -> Self {
        Self {
            began: host.now(),
            paused_until: host.now(),
            store,
            host,
            own,
            patience,
            observer: Observer::default(),
            line,
        }
    }

    pub(super) fn patience_left(&self) -> Duration {
        self.patience.left_after(self.host.now().since(self.began))
    }

    /// What can be said of a lock that was seen held, in the answer to a request sent at `asked`.
    pub(super) fn observe(&mut self, stored: Stored, asked: Instant) -> Observed {
        let assessment = self.observer.look_back(self.host, &stored, asked);
        if assessment.replacement == Replacement::No {
            self.line.sees_holder(stored.record.lock_id());
        } else {
            self.line.sees_it_open();
        }
        Observed {
            assessment,
            stored,
            waited: self.host.now().since(self.began),
            standing: self.line.standing(),
        }
    }

    /// Looks at the queue if that is due.
    pub(super) async fn take_place(
        &mut self,
        seen: &mut Observed,
        stop: &mut watch::Receiver<bool>,
    ) {
        let left = self.patience_left().min(QUEUE);
        tokio::select! {
            biased;
            () = stopped(stop) => {}
            () = self.line.visit_if_due() => {}
            () = self.host.sleep(left) => {}
        }
        seen.standing = self.line.standing();
    }

    /// Ends when it is time for another attempt: by turn, at the end of the patience, or because something has to be
    /// found out. Returns whose lock is to be replaced by it.
    pub(super) async fn comes(
        &mut self,
        stop: &mut watch::Receiver<bool>,
        progress: &mut dyn FnMut(Progress<'_>) -> Decision,
    ) -> Option<Observed> {
        loop {
            let gone = self.host.now().since(self.paused_until);
            let (pause, left) = (self.line.pause(gone), self.patience_left());
            sleep_or_stop(self.host, pause.min(left), stop).await;
            self.paused_until = self.host.now();
            // With the last of its patience a run asks whoever comes first: nobody wants to give up on a free lock.
            if *stop.borrow() || left <= pause || !self.looks_first() {
                return None;
            }
            let asked = self.host.now();
            let answer = tokio::select! {
                biased;
                () = stopped(stop) => return None,
                answer = self.store.read() => answer,
                () = self.host.sleep(LOOK) => return None,
            };
            let Ok(found) = answer else {
                return None;
            };
            let Some(stored) = found else {
                self.line.sees_it_open();
                if self.may_go(stop).await {
                    return None;
                }
                continue;
            };
            if self.own.have(&stored.record) {
                return None;
            }
            let mut seen = self.observe(stored, asked);
            if seen.assessment.replacement != Replacement::No && self.may_go(stop).await {
                return Some(seen);
            }
            self.take_place(&mut seen, stop).await;
            if progress(Progress::HeldBy(&seen)) == Decision::TakeOver {
                return Some(seen);
            }
        }
    }

    fn looks_first(&self) -> bool {
        self.line.lets_others_go_first()
            || self.line.standing().is_some() && self.store.refusal() == Refusal::AsksAgain
    }

    /// Whether this run may take what is open. Those before it may have gone, or one of them may have had the lock
    /// between two looks.
    async fn may_go(&mut self, stop: &mut watch::Receiver<bool>) -> bool {
        if self.line.lets_others_go_first() {
            let left = self.patience_left().min(QUEUE);
            tokio::select! {
                biased;
                () = stopped(stop) => {}
                () = self.line.visit() => {}
                () = self.host.sleep(left) => {}
            }
        }
        self.line.may_go()
    }
}
