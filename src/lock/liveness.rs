//! Whether the holder of a record is alive, as far as it can be told from here.
//!
//! Silence is measured on the observer's own clock, from the moment it first saw a heartbeat, and only such silence decides. What a holder wrote about its own clock is shown to people and never decides: the AWS SDK signs by
//! the server's clock once it has had an answer, so that a clock which is hours wrong does not keep anybody from
//! writing; and a clock that is put right makes a living holder's last word look old.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::host::{Host, Instant, ProcessFate};
use super::record::{Lease, Record, parsed_time};
use super::store::{Revision, Stored};

/// How often a holder renews its record, or looks at it.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// How often a holder renews a lock object of S3.
pub const OBJECT_INTERVAL: Duration = Duration::from_mins(1);
/// The longest that a record is believed about how often it is renewed.
const LONGEST_INTERVAL: Duration = Duration::from_hours(1);
/// Silence before which no holder is worth a remark, by how much a clock may be ahead without seeming wrong.
const SILENT_AFTER: Duration = Duration::from_secs(30);
/// Silence before which no lock is stale.
const STALE_AFTER: Duration = Duration::from_mins(1);
/// The most that two clocks differ if AWS takes the first signatures of both: five minutes each.
const CLOCK_MARGIN: Duration = Duration::from_mins(10);
/// Added to the time between two heartbeats by whoever watches for the next one.
const WATCH_MARGIN: Duration = Duration::from_secs(3);
/// Added to a promise by whoever relies on it, for clocks that run at different speeds.
const PROMISE_MARGIN: Duration = Duration::from_secs(2);

/// What can be said about a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It renews its record, or its process exists on this machine.
    Alive,
    /// Heartbeats are missing, but not for long.
    Silent,
    /// No heartbeat for so long that it is dead or cut off; which of them cannot be told.
    Stale,
    /// It ran on this machine and is proven to have ended.
    Gone(Proof),
    /// It gives no heartbeat, as plain terraform does not.
    Unknown,
    /// Nothing runs: it is a hold, which stays until it is given back or its time is over.
    Hold,
}

impl Liveness {
    /// In one word: what `status --json` says, and whatever has no room for more.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Silent => "silent",
            Self::Stale => "stale",
            Self::Gone(_) => "gone",
            Self::Unknown => "unknown",
            Self::Hold => "hold",
        }
    }
}

/// How a holder of this machine was proven to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Neither it nor anything that it started exists any more.
    Ended,
    /// The machine was booted since.
    Rebooted,
}

/// Whether the protocol may replace a record without anybody's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The holder is proven dead.
    ByProof(Proof),
    /// The holder promised to have stopped after such a silence.
    ByPromise,
    /// Only a person may.
    No,
}

/// One look at a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// What can be said about the holder.
    pub liveness: Liveness,
    /// How long ago the last heartbeat was, as well as it can be told; `None` without heartbeats.
    pub silence: Option<Duration>,
    /// Whether the record may be replaced.
    pub replacement: Replacement,
    /// Whether heartbeats are missing, whatever else tells that the holder is alive.
    pub misses_heartbeats: bool,
    /// How much longer to watch for a heartbeat until more can be said: the holder only seems silent, by its own clock.
    pub settles_in: Option<Duration>,
}

impl Assessment {
    /// What needs no watching.
    fn settled(liveness: Liveness, replacement: Replacement) -> Self {
        Self {
            liveness,
            silence: None,
            replacement,
            misses_heartbeats: false,
            settles_in: None,
        }
    }
}

/// Remembers since when there was no heartbeat.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    seen: Option<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    beat: Beat,
    first: Instant,
    /// Whether it came while we watched: then what the holder's clock says of it does not matter any more.
    was_watched: bool,
}

/// What a sign of life changes, and nothing else does: the lock as it was taken, and the count of its heartbeats. Attributes that
/// others add say nothing of the holder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Beat {
    info: Option<String>,
    count: Option<u64>,
}

impl Beat {
    fn of(record: &Record) -> Self {
        Self {
            info: record.info.clone(),
            count: record.lease.as_ref().and_then(|lease| lease.heartbeat),
        }
    }
}

impl Observer {
    /// What can be said about the holder of what stands in a store, just read: who has the kernel's lock lives.
    pub fn look(&mut self, host: &dyn Host, stored: &Stored) -> Assessment {
        self.look_back(host, stored, host.now())
    }

    /// The same of what a request brought back that was sent at `asked`. Where a swap does not compare heartbeats, the
    /// answer's way back must not count as silence: the holder may have been heard meanwhile.
    pub fn look_back(&mut self, host: &dyn Host, stored: &Stored, asked: Instant) -> Assessment {
        if let Revision::KernelLock { .. } = stored.revision {
            return Assessment::settled(Liveness::Alive, Replacement::No);
        }
        self.assess(host, &stored.record, asked)
    }

    /// What `record` says, which was asked for at `asked`, together with what was seen before.
    pub fn assess(&mut self, host: &dyn Host, record: &Record, asked: Instant) -> Assessment {
        let id = record.lock_id();
        let Some(lease) = &record.lease else {
            return Assessment::settled(Liveness::Unknown, Replacement::No);
        };
        if record.is_hold() {
            let replacement = if record.is_over(host.wall()) {
                Replacement::ByPromise
            } else {
                Replacement::No
            };
            return Assessment::settled(Liveness::Hold, replacement);
        }
        let fate = match (&lease.holder, &id) {
            (Some(holder), Some(id)) => host.fate_of(holder, id),
            _ => ProcessFate::Elsewhere,
        };
        let Some(interval) = interval_of(lease) else {
            // Nothing tells whether it lives on a machine that this one is a copy of.
            let fate = match fate {
                ProcessFate::Rebooted => ProcessFate::Elsewhere,
                fate => fate,
            };
            return by_fate(fate, Liveness::Unknown, Replacement::No);
        };
        let (silent_after, stale_after) = (silent_after(interval), stale_after(interval));
        let seen = self.watch(host.now(), record);
        let observed = asked.since(seen.first);
        let fate = match fate {
            // This may be a copy of the holder's disk: a living one would have renewed by then.
            ProcessFate::Rebooted if observed < silent_after => ProcessFate::Elsewhere,
            fate => fate,
        };
        let claimed = if seen.was_watched {
            Some(observed)
        } else {
            claimed_silence(host.wall(), lease.heartbeat_at.as_deref())
        };
        let settles_in = (interval + WATCH_MARGIN).checked_sub(observed);
        let settles_in = settles_in.filter(|left| !left.is_zero());
        let is_stale = claimed.is_some_and(|claimed| claimed >= stale_after + CLOCK_MARGIN);
        let liveness = if observed >= stale_after || is_stale {
            Liveness::Stale
        } else if claimed.is_none_or(|claimed| claimed.max(observed) >= silent_after) {
            Liveness::Silent
        } else {
            Liveness::Alive
        };
        let replacement = match lease.expire_after {
            Some(promise) if observed >= promise + PROMISE_MARGIN => Replacement::ByPromise,
            _ => Replacement::No,
        };
        let told = by_fate(fate, liveness, replacement);
        Assessment {
            silence: Some(claimed.unwrap_or_default().max(observed)),
            misses_heartbeats: claimed.unwrap_or_default().max(observed) >= silent_after,
            settles_in: settles_in
                .filter(|_| matches!(told.liveness, Liveness::Silent | Liveness::Stale)),
            ..told
        }
    }

    fn watch(&mut self, now: Instant, record: &Record) -> &Seen {
        let beat = Beat::of(record);
        let before = self.seen.take();
        let was_watched = before
            .as_ref()
            .is_some_and(|seen| seen.beat.info == beat.info);
        self.seen.insert(match before {
            Some(seen) if seen.beat == beat => seen,
            _ => Seen {
                beat,
                first: now,
                was_watched,
            },
        })
    }
}

/// How often a holder that promised so does at the latest what it else does every `usual`: a third of a promise, so that a
/// lost heartbeat does not break it.
#[must_use]
pub fn interval(usual: Duration, promise: Option<Duration>) -> Duration {
    promise.map_or(usual, |promise| usual.min(promise / 3))
}

/// How often the holder of a record renews it at the latest, as the record says; `None` if it does not.
fn interval_of(lease: &Lease) -> Option<Duration> {
    lease.heartbeat?;
    let usual = lease.renewed_every.unwrap_or(HEARTBEAT_INTERVAL);
    Some(interval(usual.min(LONGEST_INTERVAL), lease.expire_after))
}

/// Silence after which a holder is worth a remark: two heartbeats are missing.
fn silent_after(interval: Duration) -> Duration {
    SILENT_AFTER.max(interval * 3)
}

/// Silence after which a lock is stale: five heartbeats are missing.
fn stale_after(interval: Duration) -> Duration {
    STALE_AFTER.max(interval * 6)
}

/// How long ago the last heartbeat was if the holder's clock is right. A time that cannot be read, or that lies ahead by more
/// than a heartbeat or two, tells nothing.
fn claimed_silence(wall: DateTime<Utc>, heartbeat_at: Option<&str>) -> Option<Duration> {
    let age = wall.signed_duration_since(parsed_time(heartbeat_at?)?);
    match age.to_std() {
        Ok(age) => Some(age),
        Err(_) => ((-age).to_std().ok()? < SILENT_AFTER).then_some(Duration::ZERO),
    }
}

/// A proof beats what the heartbeats say; a promise is still good while a process is only stopped.
fn by_fate(fate: ProcessFate, otherwise: Liveness, replacement: Replacement) -> Assessment {
    let (liveness, replacement) = match fate {
        ProcessFate::Running => (Liveness::Alive, replacement),
        ProcessFate::Ended => (
            Liveness::Gone(Proof::Ended),
            Replacement::ByProof(Proof::Ended),
        ),
        ProcessFate::Rebooted => (
            Liveness::Gone(Proof::Rebooted),
            Replacement::ByProof(Proof::Rebooted),
        ),
        ProcessFate::Elsewhere => (otherwise, replacement),
    };
    Assessment::settled(liveness, replacement)
}

#[cfg(test)]
mod tests;
