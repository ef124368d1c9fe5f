//! The events that a run reports to the session.

use super::spawn::SpawnError;
use super::view::Difference;
use super::{Ending, Process, Signal};
use crate::system::run_file::Sighting;

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The child and everything that held its place have ended. The last event.
    Ended(Ending),
    /// The child was asked to stop for the first time.
    StopRequested {
        /// The signal.
        signal: Signal,
        /// How it reached the child.
        reached: Reached,
    },
    /// The user insisted: the child was asked a second time.
    StopRepeated(Signal),
    /// The child is already stopping; this signal was not passed on.
    AlreadyStopping(Signal),
    /// tflock resumed after a suspension, which may have been long: renew the lock at once. The child waits a little
    /// for that, see [`super::Run::go_on`].
    Resumed,
    /// New knowledge about whether the program that does the work is a process of this machine.
    Sighted(Sighting),
    /// The program sees something else than what the lock was resolved from.
    Differs(Difference),
    /// The child has ended, but these processes have not. Repeated when they change.
    WaitingFor(Vec<Process>),
}

/// How a stop request came to the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Passed on by tflock.
    ThroughTflock,
    /// The child received it itself.
    Directly,
}

/// Why the run did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A signal came while the lock was being taken. Release, then end by it.
    #[error("ended by {} before it was started", .0.kind.number())]
    EndRequested(Signal),
    /// The program could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}
