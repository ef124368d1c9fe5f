//! Watches the heartbeats of a holder from look to look, and assesses it.

use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{
    Assessment, Liveness, Proof, Replacement, SILENT_AFTER, interval_of, silent_after, stale_after,
};
use crate::lock::host::{Host, Instant, ProcessFate};
use crate::lock::record::{Lease, Record, parsed_time};
use crate::lock::store::{Revision, Stored};

/// How much two clocks can differ if AWS accepts the first signatures of both: five minutes each.
const CLOCK_MARGIN: Duration = Duration::from_mins(10);
/// How much longer than the heartbeat interval to watch for the next heartbeat.
const WATCH_MARGIN: Duration = Duration::from_secs(3);
/// Added to a promise before we rely on it, for clocks that run at different speeds.
const PROMISE_MARGIN: Duration = Duration::from_secs(2);

/// Remembers when it first saw the current heartbeat.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    seen: Option<LastBeat>,
}

/// The heartbeat seen last.
#[derive(Clone, Debug)]
struct LastBeat {
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
    ) -> &LastBeat {
        let beat = Beat::of(record);
        let before = self.seen.take();
        let was_watched = before
            .as_ref()
            .is_some_and(|seen| seen.beat.info == beat.info);
        self.seen.insert(match before {
            Some(seen) if seen.beat == beat => LastBeat {
                followed: if look.end.since(seen.last) < rewritable_after {
                    seen.followed
                } else {
                    look.end
                },
                last: look.start,
                ..seen
            },
            _ => LastBeat {
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
