//! Takes the lock: one conditional write if it is free, else retries until it is, or patience runs out.
//!
//! A write whose reply was lost may have succeeded. So each attempt is kept until its outcome is known
//! ([`super::own`]): a refusal that returns one of them means that the earlier write succeeded, and a run that gives up
//! first removes whatever its attempts may have left.

pub mod all;
mod claim;
mod patience;
pub mod standby;
mod stopping;
mod turn;
mod withdrawal;

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use self::all::{Beside, NotHeld};
pub use self::claim::Claim;
use self::claim::Replacing;
pub use self::patience::{Patience, PatienceSource};
use self::stopping::{LEEWAY, sleep_or_stop, stopped, unless_stopped};
use self::turn::Turn;
use self::withdrawal::{WITHDRAWAL_PATIENCE, Withdrawal, remove_own};
use super::backoff::Backoff;
use super::held_lock::HeldLock;
use super::host::{Host, Instant};
use super::liveness::Assessment;
use super::own::OwnRecords;
use super::queue::{Leaving, Line, Standing};
use super::record::{LockId, Record};
use super::store::{Store, StoreError, StoreErrorKind, Stored, Swap};

/// How long a store may fail before an acquisition gives up.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(10);
/// When a record of ours was written if no attempt of this acquisition wrote it: unknown.
const LONG_AGO: Instant = Instant(Duration::ZERO);

/// A lock that someone else holds, as last seen.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The record.
    pub stored: Stored,
    /// What is known about its holder.
    pub assessment: Assessment,
    /// How long this run has waited.
    pub waited: Duration,
    /// Where this run is in the queue; `None` if it has no place in it.
    pub standing: Option<Standing>,
}

/// What an acquisition reports on its way.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Someone else holds the lock.
    HeldBy(&'a Observed),
    /// A request failed and will be repeated.
    Retrying(&'a StoreError),
}

/// The caller's answer to [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on as the protocol does by itself.
    Wait,
    /// Replace exactly the record that was reported: a person says that its holder is dead.
    TakeOver,
}

/// How an acquisition ended.
pub enum Acquisition {
    /// We hold the lock.
    Held {
        /// The lock.
        held: HeldLock,
        /// Whose lock was taken over, and why that was allowed.
        replaced: Option<Observed>,
        /// Takes this run out of the queue, if it has a ticket there. Nothing depends on it.
        leaving: Option<Leaving>,
    },
    /// Patience ran out.
    TimedOut(Box<Observed>),
    /// The hold to run under is gone.
    HoldGone,
    /// A stop was requested; nothing of ours is left in the store.
    Stopped,
}

/// An acquisition that failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct AcquireError {
    /// The last failure.
    #[source]
    pub error: StoreError,
    /// The ID of a lock that may have been left behind: the store never answered.
    pub maybe_left: Option<LockId>,
}

/// Takes the lock of `store` in the order of its queue, waiting for its holder for as long as `patience` allows.
///
/// `stop` turning true ends the wait and withdraws a pending attempt, within six seconds. `progress` is called after each
/// look at the lock and must not block.
///
/// # Errors
/// Permanent errors at once; transient ones, silence included, after ten seconds. Withdrawing an attempt that may have
/// succeeded takes up to five seconds more.
pub async fn acquire(
    store: Rc<dyn Store>,
    host: Rc<dyn Host>,
    claim: &Claim,
    patience: Patience,
    stop: watch::Receiver<bool>,
    progress: impl FnMut(Progress<'_>) -> Decision,
) -> Result<Acquisition, AcquireError> {
    let mut nothing = Beside::nothing(Rc::clone(&host));
    let quest = Quest {
        store,
        host,
        claim,
        patience,
    };
    match acquire_beside(&mut nothing, quest, stop, progress).await? {
        Beyond::Acquired(acquisition) => Ok(acquisition),
        Beyond::OthersNotHeld(_) => unreachable!("there are no others"),
    }
}

/// The outcome of an acquisition that needs other places to be held.
enum Beyond {
    Acquired(Acquisition),
    /// One of those could not be taken.
    OthersNotHeld(NotHeld),
}

/// What an acquisition is for.
struct Quest<'a> {
    store: Rc<dyn Store>,
    host: Rc<dyn Host>,
    claim: &'a Claim,
    patience: Patience,
}

/// Takes a place that may only be requested while those of `beside` are held. While it waits they are released.
async fn acquire_beside(
    beside: &mut Beside<'_>,
    quest: Quest<'_>,
    stop: watch::Receiver<bool>,
    progress: impl FnMut(Progress<'_>) -> Decision,
) -> Result<Beyond, AcquireError> {
    let ticket = quest.claim.ticket(quest.host.as_ref(), quest.patience);
    let mut line = Line::new(Rc::clone(&quest.store), Rc::clone(&quest.host), ticket);
    let attempts = Box::pin(attempt(beside, &quest, stop, progress, &mut line));
    let not_held = match attempts.await {
        Ok(Attempted::Held { held, replaced }) => {
            return Ok(Beyond::Acquired(Acquisition::Held {
                held,
                replaced,
                leaving: line.served(),
            }));
        }
        Ok(Attempted::TimedOut(seen)) => Ok(Beyond::Acquired(Acquisition::TimedOut(seen))),
        Ok(Attempted::HoldGone) => Ok(Beyond::Acquired(Acquisition::HoldGone)),
        Ok(Attempted::Stopped) => Ok(Beyond::Acquired(Acquisition::Stopped)),
        Ok(Attempted::OthersNotHeld(why)) => Ok(Beyond::OthersNotHeld(why)),
        Err(error) => Err(error),
    };
    line.give_up().await;
    not_held
}

impl Quest<'_> {
    fn held(&self, own: &OwnRecords, stored: Stored, confirmed: Instant) -> HeldLock {
        let (store, host) = (Rc::clone(&self.store), Rc::clone(&self.host));
        let id = self.claim.info.id.clone();
        HeldLock::new(store, host, id, own.clone(), stored, confirmed)
    }
}

/// How the attempts ended.
enum Attempted {
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

async fn attempt(
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

#[cfg(test)]
mod tests;
