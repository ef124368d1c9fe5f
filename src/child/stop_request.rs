//! The stop request to the child: one, however many signals ask for it.

use std::time::Duration;

use tokio::time::Instant;

use super::policy::History;
use super::signal::Signal;

/// How long a request from a process waits for the witness to report that the child got it directly: systemd signals
/// every process of a unit, Jenkins every process of a build, and ours must not follow the child's own copy. Their
/// signals take microseconds to milliseconds.
pub(super) const SETTLING: Duration = Duration::from_millis(200);

/// See [`History`], with times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopRequest {
    None,
    Settling { signal: Signal, until: Instant },
    Made { at: Instant },
}

impl StopRequest {
    pub(super) fn history(self, now: Instant) -> History {
        match self {
            Self::None => History::NotAsked,
            Self::Settling { .. } => History::Settling,
            Self::Made { at } => History::Asked(now.saturating_duration_since(at)),
        }
    }

    pub(super) fn due(self) -> Option<Instant> {
        match self {
            Self::Settling { until, .. } => Some(until),
            Self::None | Self::Made { .. } => None,
        }
    }
}
