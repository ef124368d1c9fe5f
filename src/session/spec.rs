//! What a command wants of its session.

use std::time::Duration;

use crate::lock::acquire::{Patience, PatienceSource};
use crate::ui::Prompts;

/// What a run is, and how it treats its lock.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// `Operation` in terraform's lock info.
    pub operation: String,
    /// The command as a person would say it.
    pub command: String,
    /// The promise: after this much silence the lock expires.
    pub expire_after: Option<Duration>,
    /// How long to wait for the lock.
    pub patience: Patience,
    /// Whether prompts are allowed.
    pub prompts: Prompts,
    /// The exit codes of the child that mean success.
    pub success_codes: &'static [u8],
    /// The command line that waits longer, for hints.
    pub longer_wait: String,
    /// Which backend and workspace the program works on.
    pub selection: Selection,
    /// Whether others may run under the lock meanwhile.
    pub lending: Lending,
    /// Where `patience` comes from.
    pub patience_source: PatienceSource,
}

/// Whether a run lends its lock to the programs that it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lending {
    /// No: it writes the state itself, and a nested run would write it, too.
    Nothing,
    /// To one terraform at a time.
    OneAtATime,
}

/// Which backend and workspace the program works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those selected when it starts: terraform reads them once.
    AtStart,
    /// It may select others itself; a terraform that works on those takes their lock.
    ItsOwn,
    /// The command itself names its state, whatever is selected.
    Named,
}
