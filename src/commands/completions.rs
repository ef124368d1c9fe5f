//! `tflock completions`: a shell's completion script, for tflock's words and terraform's.

use crate::cli::{CompletionsArguments, completion_script};
use crate::session::Outcome;
use crate::ui;

/// Prints the script.
///
/// # Errors
/// When stdout does not take it.
pub fn run(arguments: &CompletionsArguments) -> anyhow::Result<Outcome> {
    ui::print(&completion_script(arguments.shell))?;
    Ok(Outcome::Exit(0))
}
