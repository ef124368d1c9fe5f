//! What a run tells the session.

use super::spawn::SpawnError;
use super::{Ending, Process, Signal};
use crate::system::run_file::Sighting;

/// What the session wants to know of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The child has ended, and everything that held its place. The last event.
    Ended(Ending),
    /// The child has been asked to stop, for the first time.
    StopRequested {
        /// The signal that asks for it.
        signal: Signal,
        /// By which way.
        reached: Reached,
    },
    /// A person insisted: the child was asked a second time.
    StopRepeated(Signal),
    /// The child is stopping already; this one was not passed on.
    AlreadyStopping(Signal),
    /// tflock goes on after a suspension. Much time may have passed: the lock wants renewing at once. The child waits for
    /// that a little, see [`super::Run::go_on`].
    Resumed,
    /// Whether the program that does the work is among the processes of this machine: what is known of that has changed.
    Sighted(Sighting),
    /// The child has ended, these have not. Told again whenever it changes.
    WaitingFor(Vec<Process>),
}

/// How a stop request came to the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// tflock passed it on.
    ThroughTflock,
    /// It got it itself.
    Directly,
}

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A signal came while the lock was being taken. Release, then end by it.
    #[error("ended by {} before it was started", .0.kind.number())]
    EndRequested(Signal),
    /// The program could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}
