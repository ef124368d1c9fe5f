//! The attempts of one acquisition: write, judge the answer, wait for the holder, write again.

use std::time::Duration;

use tokio::sync::watch;

use super::all::{Beside, NotHeld};
use super::claim::{Claim, Replacing};
use super::stopping::{LEEWAY, sleep_or_stop, unless_stopped};
use super::turn::Turn;
use super::withdrawal::{WITHDRAWAL_PATIENCE, Withdrawal};
use super::{AcquireError, Decision, OUTAGE_PATIENCE, Observed, Progress, Quest};
use crate::lock::backoff::Backoff;
use crate::lock::held_lock::HeldLock;
use crate::lock::host::Instant;
use crate::lock::queue::Line;
use crate::lock::record::Record;
use crate::lock::store::{Store, StoreError, StoreErrorKind, Swap};

/// When a record of ours was written if no attempt of this acquisition wrote it: unknown.
const LONG_AGO: Instant = Instant(Duration::ZERO);

/// How the attempts ended.
pub(super) enum Attempted {
    Held {
        held: HeldLock,
        replaced: Option<Observed>,
    },
    TimedOut(Box<Observed>),
    HoldGone,
    Stopped,
    OthersNotHeld(NotHeld),
}

impl Attempted {
    fn held(held: HeldLock, replacing: Option<Replacing>) -> Self {
        Self::Held {
            held,
            replaced: replacing.and_then(Replacing::taken_over),
        }
    }
}

/// Repeats the write until the lock is held, or it is certain that it will not be.
pub(super) async fn attempt(
    beside: &mut Beside<'_>,
    quest: &Quest<'_>,
    mut stop: watch::Receiver<bool>,
    mut progress: impl FnMut(Progress<'_>) -> Decision,
    line: &mut Line,
) -> Result<Attempted, AcquireError> {
    let (store, host, claim) = (quest.store.as_ref(), quest.host.as_ref(), quest.claim);
    let mut replacing: Option<Replacing> = None;
    let own = claim.own.in_store(store);
    let withdrawal = Withdrawal::of(claim, &own, store, host);
    let mut turn = Turn::new(quest, &own, line, beside.attempts());
    // Since when a record of ours may be in the store without our knowing.
    let mut unanswered: Option<Instant> = None;
    let mut backoff = Backoff::default();
    let mut vanishing = Backoff::default();
    loop {
        if *stop.borrow() {
            return withdrawal.after_stop(WITHDRAWAL_PATIENCE).await;
        }
        if let Err(why) = beside.take_those_before().await {
            return withdrawal.before(Attempted::OthersNotHeld(why)).await;
        }
        let asked = host.now();
        let record = claim.record(replacing.as_ref(), host, store.heartbeats());
        own.add_attempt(&record, asked);
        let request = request(store, claim, replacing.as_ref(), &record);
        let attempt = backoff.attempt(host, OUTAGE_PATIENCE, store, request);
        let attempt = unless_stopped(host, attempt, &mut stop);
        let Some(answer) = beside.keep(attempt).await else {
            if !store.may_have_arrived() {
                own.remove_attempt(&record);
            }
            return withdrawal.after_stop(WITHDRAWAL_PATIENCE - LEEWAY).await;
        };
        let refused = match answer {
            Ok(Swap::Done(Some(stored))) => {
                own.remove_attempt(&record);
                let held = quest.held(&own, stored, asked);
                return Ok(Attempted::held(held, replacing));
            }
            Ok(Swap::Done(None)) => None,
            Ok(Swap::Refused(stored)) => stored,
            Err(error) => {
                if error.kind.may_have_been_applied() {
                    unanswered.get_or_insert(asked);
                } else {
                    own.remove_attempt(&record);
                }
                match backoff.pause(host, OUTAGE_PATIENCE) {
                    Some(pause) if error.kind.is_transient() => {
                        progress(Progress::Retrying(&error));
                        let pause = sleep_or_stop(host, pause, &mut stop);
                        beside.keep(pause).await;
                        continue;
                    }
                    _ => return Err(withdrawal.after(error).await),
                }
            }
        };
        backoff = Backoff::default();
        // Includes this attempt: the network may have duplicated it, and a reply to the copy says nothing of the original.
        let is_own = matches!(&refused, Some(stored) if own.contains(&stored.record));
        own.remove_attempt(&record);
        let own_since = unanswered;
        // Whatever is there now, no pending attempt of ours was applied before this one was sent.
        unanswered = unanswered.map(|_| asked);
        if !is_own && claim.misses_its_hold(refused.as_ref()) {
            return withdrawal.before(Attempted::HoldGone).await;
        }
        let Some(stored) = refused else {
            // The lock was freed between our write and the read that followed.
            replacing = None;
            let Some(pause) = vanishing.pause(host, OUTAGE_PATIENCE) else {
                return Err(withdrawal.after(refuses_without_reason(store)).await);
            };
            let pause = sleep_or_stop(host, pause, &mut stop);
            beside.keep(pause).await;
            continue;
        };
        vanishing = Backoff::default();
        if is_own {
            // Others may have seen it ever since the first attempt that could have written it.
            let held = quest.held(&own, stored, own_since.unwrap_or(LONG_AGO));
            return Ok(Attempted::held(held, replacing));
        }
        if let Some(why) = beside.is_held_there(&stored) {
            return Ok(Attempted::OthersNotHeld(why));
        }
        let mut seen = turn.observe(stored, asked);
        if let Some(past) = turn.past(&seen, Decision::Wait, &mut stop).await {
            replacing = past.replacing();
            continue;
        }
        if turn.patience_left().is_zero() {
            return withdrawal.before(Attempted::TimedOut(Box::new(seen))).await;
        }
        if let Err(why) = beside.give_back().await {
            return withdrawal.before(Attempted::OthersNotHeld(why)).await;
        }
        turn.take_place(&mut seen, &mut stop).await;
        if progress(Progress::HeldBy(&seen)) == Decision::TakeOver
            && let Some(past) = turn.past(&seen, Decision::TakeOver, &mut stop).await
        {
            replacing = past.replacing();
            continue;
        }
        let comes = turn.comes(&mut stop, &mut progress);
        replacing = beside.clearing(comes).await;
    }
}

/// One attempt to write `record`.
async fn request(
    store: &dyn Store,
    claim: &Claim,
    replacing: Option<&Replacing>,
    record: &Record,
) -> Result<Swap, StoreError> {
    let expected = replacing.map(|one| &one.seen.stored);
    if claim.under.is_some() && expected.is_none() {
        // A free lock is not the hold that was named.
        let found = store.read().await.map_err(StoreError::before_writing)?;
        return Ok(Swap::Refused(found));
    }
    store.swap(expected, Some(record)).await
}

/// The error for a store that refuses every write although it has no record.
fn refuses_without_reason(store: &dyn Store) -> StoreError {
    StoreError {
        action: "taking the lock",
        place: store.place(),
        kind: StoreErrorKind::Unsuitable,
        message: "every write is refused although there is no lock".to_owned(),
        remedy: None,
    }
}
