//! The wait between two attempts: until the queue says that it is this run's turn, with an occasional look at the holder.

use std::time::Duration;

use tokio::sync::watch;

use super::claim::Replacing;
use super::stopping::{sleep_or_stop, stopped, unless_stopped};
use super::{Claim, Decision, OUTAGE_PATIENCE, Observed, Patience, Progress, Quest};
use crate::lock::backoff::Backoff;
use crate::lock::hold::Passage;
use crate::lock::host::{Host, Instant};
use crate::lock::liveness::Observer;
use crate::lock::own::OwnRecords;
use crate::lock::queue::Line;
use crate::lock::store::{Refusal, Store, Stored};

/// How long one look may take. Then an attempt is made instead, whose error says what is wrong.
const LOOK: Duration = Duration::from_secs(3);

/// How long one visit to the queue may take. It has shorter limits of its own.
const QUEUE: Duration = Duration::from_secs(10);

/// The wait of one acquisition.
pub(super) struct Turn<'a> {
    claim: &'a Claim,
    store: &'a dyn Store,
    host: &'a dyn Host,
    own: &'a OwnRecords,
    patience: Patience,
    began: Instant,
    /// When the last pause ended.
    paused_until: Instant,
    observer: Observer,
    line: &'a mut Line,
    attempts: Attempts,
}

/// What an attempt takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempts {
    /// One request: the first run in the queue tries instead of looking.
    OneRequest,
    /// Other places have to be taken first, so no attempt is made before the lock looks open.
    NeedOthers,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        quest: &'a Quest<'_>,
        own: &'a OwnRecords,
        line: &'a mut Line,
        attempts: Attempts,
    ) -> Self {
        let host = quest.host.as_ref();
        Self {
            began: host.now(),
            paused_until: host.now(),
            claim: quest.claim,
            store: quest.store.as_ref(),
            host,
            own,
            patience: quest.patience,
            observer: Observer::default(),
            line,
            attempts,
        }
    }

    pub(super) fn patience_left(&self) -> Duration {
        self.patience.left_after(self.host.now().since(self.began))
    }

    /// Assesses a holder that the reply to a request sent at `asked` has shown.
    pub(super) fn observe(&mut self, stored: Stored, asked: Instant) -> Observed {
        let assessment = self.observer.look_back(self.host, &stored, asked);
        let mut seen = Observed {
            assessment,
            stored,
            waited: self.host.now().since(self.began),
            position: None,
        };
        let record = &seen.stored.record;
        self.line
            .competes_under(self.claim.usable_hold(record, self.host));
        if self.is_open(&seen) {
            self.line.sees_it_open();
        } else {
            self.line.sees_holder(record.lock_id());
        }
        seen.position = self.line.position();
        seen
    }

    /// Whether this run may act on that record instead of waiting.
    fn is_open(&self, seen: &Observed) -> bool {
        let passage = self.claim.passage(seen, Decision::Wait, self.host);
        passage != Passage::None
    }

    /// How to get past that record, given a person's `decision`. `None`: by waiting.
    pub(super) async fn past(
        &self,
        seen: &Observed,
        decision: Decision,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<Past> {
        match self.claim.passage(seen, decision, self.host) {
            Passage::None => None,
            Passage::Take(under) => Some(Past::Replacing(Box::new(Replacing {
                seen: seen.clone(),
                under: under.cloned(),
            }))),
            Passage::Restore => {
                let is_answered = self.restore_hold(seen, stop).await;
                is_answered.then_some(Past::HoldRestored)
            }
        }
    }

    /// Restores the hold of a dead run that is not ours to use. True if the store answered: the next look shows the result.
    async fn restore_hold(&self, seen: &Observed, stop: &mut watch::Receiver<bool>) -> bool {
        let hold = seen.stored.record.returns_to();
        let request = self.store.swap(Some(&seen.stored), hold);
        let mut once = Backoff::default();
        let attempt = once.attempt(self.host, OUTAGE_PATIENCE, self.store, request);
        matches!(unless_stopped(self.host, attempt, stop).await, Some(Ok(_)))
    }

    /// Visits the queue if that is due.
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
        seen.position = self.line.position();
    }

    /// Waits until the next attempt is due: it is this run's turn, patience ends, or only an attempt can tell more.
    /// Returns the record that the attempt replaces.
    pub(super) async fn comes(
        &mut self,
        stop: &mut watch::Receiver<bool>,
        progress: &mut dyn FnMut(Progress<'_>) -> Decision,
    ) -> Option<Replacing> {
        loop {
            let gone = self.host.now().since(self.paused_until);
            let (pause, left) = (self.line.pause(gone), self.patience_left());
            sleep_or_stop(self.host, pause.min(left), stop).await;
            self.paused_until = self.host.now();
            // A last attempt before giving up ignores the order: giving up on a free lock helps nobody.
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
            if self.own.contains(&stored.record) || self.claim.misses_its_hold(Some(&stored)) {
                return None;
            }
            let mut seen = self.observe(stored, asked);
            if self.is_open(&seen)
                && self.may_go(stop).await
                && let Some(past) = self.past(&seen, Decision::Wait, stop).await
            {
                return past.replacing();
            }
            self.take_place(&mut seen, stop).await;
            if progress(Progress::HeldBy(&seen)) == Decision::TakeOver
                && let Some(past) = self.past(&seen, Decision::TakeOver, stop).await
            {
                return past.replacing();
            }
        }
    }

    fn looks_first(&self) -> bool {
        self.attempts == Attempts::NeedOthers
            || self.line.lets_others_go_first()
            || self.line.position().is_some() && self.store.refusal() == Refusal::NeedsRead
    }

    /// Whether this run may take the open lock. Runs before it may have left, or may have had the lock between two looks.
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

/// How the next attempt gets past a record.
pub(super) enum Past {
    /// By replacing it.
    Replacing(Box<Replacing>),
    /// Its hold was restored.
    HoldRestored,
}

impl Past {
    /// What the next attempt replaces.
    pub(super) fn replacing(self) -> Option<Replacing> {
        match self {
            Self::Replacing(replacing) => Some(*replacing),
            Self::HoldRestored => None,
        }
    }
}
