//! What the child has been asked: the one stop request that everybody's signals add up to.

use std::time::Duration;

use tokio::time::Instant;

use super::policy::History;
use super::signal::Signal;

/// How long a request from a process waits for word that the child got it directly: systemd signals every process of a
/// unit, Jenkins every process of a build, and the child's copy must not be followed by one of ours. They take
/// microseconds and some milliseconds.
pub(super) const SETTLING: Duration = Duration::from_millis(200);

/// See [`History`], with times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    None,
    Settling { signal: Signal, until: Instant },
    Made { at: Instant },
}

impl Request {
    pub(super) fn history(self, now: Instant) -> History {
        match self {
            Self::None => History::NotAsked,
            Self::Settling { .. } => History::Settling,
            Self::Made { at } => History::Asked(now.saturating_duration_since(at)),
        }
    }

    /// When it is to be passed on, if nothing else happens.
    pub(super) fn due(self) -> Option<Instant> {
        match self {
            Self::Settling { until, .. } => Some(until),
            Self::None | Self::Made { .. } => None,
        }
    }
}
