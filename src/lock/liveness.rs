//! Whether the holder of a record is alive, as far as it can be told from here.
//!
//! Silence is measured on the observer's own clock, from the moment it first saw a record as it is now, and only such
//! silence decides. What a holder wrote about its own clock is shown to people and never decides: the AWS SDK signs by
//! the server's clock once it has had an answer, so that a clock which is hours wrong does not keep anybody from
//! writing; and a clock that is put right makes a living holder's last word look old.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::host::{Host, Instant, ProcessFate};
use super::record::Record;
use super::store::{Revision, Stored};

/// How often a holder renews its record.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// Silence after which a holder is worth a remark: two heartbeats are missing.
pub const SILENT_AFTER: Duration = Duration::from_secs(30);
/// Silence after which a lock is stale: six heartbeats are missing.
const STALE_AFTER: Duration = Duration::from_mins(1);
/// The most that two clocks differ if AWS takes the first signatures of both: five minutes each.
const CLOCK_MARGIN: Duration = Duration::from_mins(10);
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
}

/// Remembers since when a record has not changed.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    seen: Option<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    record: Record,
    first: Instant,
}

impl Observer {
    /// What can be said about the holder of what stands in a store: who has the kernel's lock lives.
    pub fn look(&mut self, host: &dyn Host, stored: &Stored) -> Assessment {
        if let Revision::KernelLock { .. } = stored.revision {
            return Assessment {
                liveness: Liveness::Alive,
                silence: None,
                replacement: Replacement::No,
            };
        }
        self.assess(host, &stored.record)
    }

    /// What `record`, just read, says together with what was seen before.
    pub fn assess(&mut self, host: &dyn Host, record: &Record) -> Assessment {
        let id = record.lock_id();
        let Some(lease) = &record.lease else {
            return Assessment {
                liveness: Liveness::Unknown,
                silence: None,
                replacement: Replacement::No,
            };
        };
        let fate = match (&lease.holder, &id) {
            (Some(holder), Some(id)) => host.fate_of(holder, id),
            _ => ProcessFate::Elsewhere,
        };
        if lease.heartbeat.is_none() {
            // Nothing tells whether it lives on a machine that this one is a copy of.
            let fate = match fate {
                ProcessFate::Rebooted => ProcessFate::Elsewhere,
                fate => fate,
            };
            return Assessment {
                silence: None,
                ..by_fate(fate, Liveness::Unknown, Replacement::No)
            };
        }
        let observed = self.unchanged_for(host.now(), record);
        let fate = match fate {
            // This may be a copy of the holder's disk: a living one would have renewed by then.
            ProcessFate::Rebooted if observed < SILENT_AFTER => ProcessFate::Elsewhere,
            fate => fate,
        };
        let claimed = lease
            .heartbeat_at
            .as_deref()
            .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
            .map(|time| {
                let age = host.wall().signed_duration_since(time.with_timezone(&Utc));
                age.to_std().unwrap_or(Duration::ZERO)
            });
        let claimed = claimed.unwrap_or_default();
        let liveness = if claimed.saturating_sub(CLOCK_MARGIN).max(observed) >= STALE_AFTER {
            Liveness::Stale
        } else if claimed.max(observed) >= SILENT_AFTER {
            Liveness::Silent
        } else {
            Liveness::Alive
        };
        let replacement = match lease.expire_after {
            Some(promise) if observed >= promise + PROMISE_MARGIN => Replacement::ByPromise,
            _ => Replacement::No,
        };
        Assessment {
            silence: Some(claimed.max(observed)),
            ..by_fate(fate, liveness, replacement)
        }
    }

    /// The whole record counts: a holder that takes the lock anew bears the same lock ID and counts from zero again.
    fn unchanged_for(&mut self, now: Instant, record: &Record) -> Duration {
        match &self.seen {
            Some(seen) if seen.record == *record => now.since(seen.first),
            _ => {
                self.seen = Some(Seen {
                    record: record.clone(),
                    first: now,
                });
                Duration::ZERO
            }
        }
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
    Assessment {
        liveness,
        silence: None,
        replacement,
    }
}

#[cfg(test)]
mod tests;
