//! The child process: how terraform starts, what every signal means while it runs, and how it ends.
//!
//! This module ensures that terraform gets each stop request exactly once, however it was sent, and keeps its terminal,
//! job control and output as if tflock were not there. `docs/signals.md` has the details.
//!
//! It must never kill the child, and knows nothing of locks: the caller of [`Run::next`] decides what to do about an
//! ending, a suspension or a lost lock.

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
mod run;
mod sighting;
mod signal;
mod signals;
mod spawn;
mod stop_request;
mod terminal;
mod title;
mod view;
mod witness;

pub use ask::ask;
pub use bequest::{Bequest, Inheritance};
pub use ending::{Ending, SignalNumber, die_of};
pub use event::{Event, Reached, StartError};
pub use group::Process;
pub use outlasting::outlast;
pub use output::Output;
pub use policy::{Action, History, Phase, REPEAT_AFTER, Recipient, decide};
pub use replace::replace_by;
pub use run::Run;
pub use sighting::Worker;
pub use signal::{Kind, Origin, Signal};
#[cfg(test)]
pub(crate) use signals::ONE_AT_A_TIME;
pub use signals::Signals;
pub use spawn::{Command, SpawnError, WaitFor};
pub use terminal::HandOver;
pub use title::rename_this_process;
pub use view::{Difference, View};
pub use witness::Witness;
