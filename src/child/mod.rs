//! The child process: how terraform is started, what every signal means while it runs, and how it ended.
//!
//! The promise kept here is that terraform gets each stop request exactly once, however it was sent, and keeps its
//! terminal, its job control and its output as if tflock were not there. `docs/signals.md` tells the whole story.
//!
//! This module must never kill the child, and knows nothing of locks: what to do about an ending, a suspension or a lost
//! lock is decided by whoever asks [`Run::next`] for events.

mod ask;
mod bequest;
mod ending;
mod event;
mod group;
mod inherited;
mod job;
mod orphaned;
mod outlasting;
mod output;
mod policy;
mod replace;
mod request;
mod run;
mod sighting;
mod signal;
mod signals;
mod spawn;
mod terminal;
mod title;
mod witness;

pub use ask::ask;
pub use bequest::{Bequest, Inheritance};
pub use ending::{Ending, SignalNumber, die_of};
pub use event::{Event, Reached, StartError};
pub use group::Process;
pub use outlasting::outlast;
pub use output::Output;
pub use policy::{Action, History, Phase, Place, REPEAT_AFTER, decide};
pub use replace::replace_by;
pub use run::Run;
pub use signal::{Kind, Origin, Signal};
pub use signals::Signals;
pub use spawn::{Command, SpawnError, WaitFor};
pub use terminal::HandOver;
pub use title::rename_this_process;
pub use witness::Witness;
