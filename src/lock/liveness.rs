//! Whether the holder of a record is alive, as far as we can tell.
//!
//! Only silence on the observer's own clock decides, measured from when it first saw a heartbeat. The times that a holder
//! wrote by its own clock are shown to people and never decide. A clock can be hours wrong without keeping its holder from
//! writing, because the AWS SDK signs by the server's clock once it has had a reply; and when a clock is corrected, a
//! living holder's last heartbeat suddenly looks old.

use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::host::{Host, Instant, ProcessFate};
use super::record::{Lease, Record, parsed_time};
use super::store::{Revision, Stored};

/// How often a holder renews or checks its record.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// How often a holder renews a lock object in S3.
pub const OBJECT_INTERVAL: Duration = Duration::from_mins(1);
/// The longest renewal interval that we accept from a record.
const LONGEST_INTERVAL: Duration = Duration::from_hours(1);
/// The least silence before a holder is reported as silent; also how far a clock may be ahead before we call it wrong.
const SILENT_AFTER: Duration = Duration::from_secs(30);
/// The least silence before a lock is stale.
const STALE_AFTER: Duration = Duration::from_mins(1);
/// How much two clocks can differ if AWS accepts the first signatures of both: five minutes each.
const CLOCK_MARGIN: Duration = Duration::from_mins(10);
/// How much longer than the heartbeat interval to watch for the next heartbeat.
const WATCH_MARGIN: Duration = Duration::from_secs(3);
/// Added to a promise before we rely on it, for clocks that run at different speeds.
const PROMISE_MARGIN: Duration = Duration::from_secs(2);

/// What is known about a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It renews its record, or its process exists on this machine.
    Alive,
    /// It has missed heartbeats, but not for long.
    Silent,
    /// No heartbeat for so long that it is either dead or cut off.
    Stale,
    /// It ran on this machine and is proven to have ended.
    Gone(Proof),
    /// It sends no heartbeats, like plain terraform.
    Unknown,
    /// It is a hold: no process stands behind it, and it stays until it is released or ends by itself.
    Hold,
}

impl Liveness {
    /// In one word, as in `status --json`.
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
    /// The machine has been rebooted since.
    Rebooted,
}

/// Whether the protocol may replace a record without asking a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The holder is proven dead.
    ByProof(Proof),
    /// The lock has expired: the holder promised to have stopped after such a silence.
    ByPromise,
    /// No, only a person may.
    No,
}

/// What one look at a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// What is known about the holder.
    pub liveness: Liveness,
    /// How long ago the last heartbeat was, as far as we can tell; `None` without heartbeats.
    pub silence: Option<Duration>,
    /// Whether the record may be replaced.
    pub replacement: Replacement,
    /// Whether heartbeats are missing, even if something else shows that the holder is alive.
    pub misses_heartbeats: bool,
    /// How much longer to watch for a heartbeat before this is certain: so far the holder only seems silent, by its own
    /// clock.
    pub settles_in: Option<Duration>,
}

impl Assessment {
    /// An assessment that needs no watching.
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

/// Remembers when it first saw the current heartbeat.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    seen: Option<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    beat: Beat,
    first: Instant,
    /// Since when it cannot have been gone and come back ([`rewritable_after`]).
    followed: Instant,
    /// When it was last asked for, and was still there.
    last: Instant,
    /// Whether it arrived while we watched: then the holder's clock no longer matters.
    was_watched: bool,
}

/// What only the holder changes: the lock info, and the count of its heartbeats. Attributes that others add say nothing about
/// the holder.
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
    /// Assesses the holder of a record that was just read. The holder of a kernel lock is alive.
    pub fn look(&mut self, host: &dyn Host, stored: &Stored) -> Assessment {
        self.look_back(host, stored, host.now())
    }

    /// Assesses the holder of a record in the reply to a request sent at `asked`. Where a swap does not compare heartbeats,
    /// the time that the reply took must not count as silence: the holder may have sent a heartbeat meanwhile.
    pub fn look_back(&mut self, host: &dyn Host, stored: &Stored, asked: Instant) -> Assessment {
        if let Revision::KernelLock { .. } = stored.revision {
            return Assessment::settled(Liveness::Alive, Replacement::No);
        }
        self.assess(host, &stored.record, asked)
    }

    /// Assesses the holder of `record`, requested at `asked`, with what was seen before.
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
            // This machine may be a copy of the one that it still runs on.
            let fate = match fate {
                ProcessFate::Rebooted => ProcessFate::Elsewhere,
                fate => fate,
            };
            return by_fate(fate, Liveness::Unknown, Replacement::No);
        };
        let (silent_after, stale_after) = (silent_after(interval), stale_after(interval));
        let seen = self.watch(asked..host.now(), record, rewritable_after(lease, interval));
        let observed = asked.since(seen.first);
        let fate = match fate {
            // This machine may be a copy of the holder's: then a heartbeat would come in this time.
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
            Some(promise) if asked.since(seen.followed) >= promise + PROMISE_MARGIN => {
                Replacement::ByPromise
            }
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

    /// Notes that `record` was read at some time of `look`, which follows the look before if it ends within `rewritable_after`.
    fn watch(
        &mut self,
        look: Range<Instant>,
        record: &Record,
        rewritable_after: Duration,
    ) -> &Seen {
        let beat = Beat::of(record);
        let before = self.seen.take();
        let was_watched = before
            .as_ref()
            .is_some_and(|seen| seen.beat.info == beat.info);
        self.seen.insert(match before {
            Some(seen) if seen.beat == beat => Seen {
                followed: if look.end.since(seen.last) < rewritable_after {
                    seen.followed
                } else {
                    look.end
                },
                last: look.start,
                ..seen
            },
            _ => Seen {
                beat,
                first: look.end,
                followed: look.end,
                last: look.start,
                was_watched,
            },
        })
    }
}

/// How long nobody may have looked before the heartbeat seen last can be there again, although others have come meanwhile. The
/// renewal of an S3 object compares no heartbeats: one that arrives late writes over newer ones.
fn rewritable_after(lease: &Lease, interval: Duration) -> Duration {
    if lease.renewed_every.is_some() {
        interval
    } else {
        Duration::MAX
    }
}

/// How often a holder with this promise acts, if it otherwise does so every `usual`: at least every third of the promise, so
/// that one lost heartbeat does not break it.
#[must_use]
pub fn interval(usual: Duration, promise: Option<Duration>) -> Duration {
    promise.map_or(usual, |promise| usual.min(promise / 3))
}

/// How often the holder of a record renews it at least, according to the record; `None` if it does not.
fn interval_of(lease: &Lease) -> Option<Duration> {
    lease.heartbeat?;
    let usual = lease.renewed_every.unwrap_or(HEARTBEAT_INTERVAL);
    Some(interval(usual.min(LONGEST_INTERVAL), lease.expire_after))
}

/// The silence after which a holder is silent: two heartbeats are missing.
fn silent_after(interval: Duration) -> Duration {
    SILENT_AFTER.max(interval * 3)
}

/// The silence after which a lock is stale: five heartbeats are missing.
fn stale_after(interval: Duration) -> Duration {
    STALE_AFTER.max(interval * 6)
}

/// How long ago the last heartbeat was if the holder's clock is right. `None` for a time that cannot be read, or that is in
/// the future by more than a heartbeat or two.
fn claimed_silence(wall: DateTime<Utc>, heartbeat_at: Option<&str>) -> Option<Duration> {
    let age = wall.signed_duration_since(parsed_time(heartbeat_at?)?);
    match age.to_std() {
        Ok(age) => Some(age),
        Err(_) => ((-age).to_std().ok()? < SILENT_AFTER).then_some(Duration::ZERO),
    }
}

/// A proof beats the heartbeats. A promise holds even while the process exists: it may be suspended.
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
