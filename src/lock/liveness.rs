//! Whether the holder of a record is alive, as far as we can tell.
//!
//! Only silence on the observer's own clock decides, measured from when it first saw a heartbeat. The times that a holder
//! wrote by its own clock are shown to people and never decide. A clock can be hours wrong without keeping its holder from
//! writing, because the AWS SDK signs by the server's clock once it has had a reply; and when a clock is corrected, a
//! living holder's last heartbeat suddenly looks old.

mod observer;

use std::time::Duration;

pub use self::observer::Observer;
use super::record::Lease;

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
    /// It is a hold: no process is behind it, and it stays until it is released or reaches its end.
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

/// What one look at a record reveals.
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

#[cfg(test)]
mod tests;
