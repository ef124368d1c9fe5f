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
    /// What is left of it after a wait.
    #[must_use]
    pub fn after(self, waited: Duration) -> Self {
        match self {
            Self::For(limit) => Self::For(limit.saturating_sub(waited)),
            Self::Forever => Self::Forever,
        }
    }

    /// The same as a time.
    pub(super) fn left_after(self, waited: Duration) -> Duration {
        match self.after(waited) {
            Self::For(left) => left,
            Self::Forever => Duration::MAX,
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
