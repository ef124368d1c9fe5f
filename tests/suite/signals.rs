//! However a run is stopped: terraform gets one request, saves its state, and the lock is released.
//!
//! The rows of `docs/signals.md`, each against the real terraform where its words or its state matter, and against
//! the scripted one where the order of things does.

pub mod apply;
mod around;
mod bequeathed;
mod beside;
mod clients;
pub mod console;
mod hang_up;
mod jobs;
mod keys;
mod killed;
mod left_behind;
mod nested;
mod output;
mod phases;
mod prompt;
mod resumed;
mod sent;
mod shell;

use crate::support::processes;
