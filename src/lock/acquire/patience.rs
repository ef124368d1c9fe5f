//! How long a run waits for a held lock, and who says so.

use std::time::Duration;

/// How long to wait for a held lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Give up after this long; zero makes one attempt.
    For(Duration),
    /// Never give up.
    Forever,
}

impl Patience {
    pub(super) fn left_after(self, waited: Duration) -> Duration {
        match self {
            Self::Forever => Duration::MAX,
            Self::For(limit) => limit.saturating_sub(waited),
        }
    }
}

/// Where the patience of a run comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatienceSource {
    /// The command line of this run.
    CommandLine,
    /// The environment or the default, which all runs share.
    Inherited,
}
