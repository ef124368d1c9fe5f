//! `tflock completions`: a shell's completion script; and what such a script asks for while a command line is typed.
//!
//! Nothing goes wrong visibly on a prompt: what cannot be completed has no candidates. No store is ever asked.

mod lock_ids;
mod terraforms;

use std::ffi::{OsStr, OsString};

use crate::cli::{self, Command, CompletionsArguments, Kind, Typing, completion_script};
use crate::context::Context;
use crate::environment::variable;
use crate::session::Outcome;
use crate::ui;

/// Prints the script.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(arguments: &CompletionsArguments) -> anyhow::Result<Outcome> {
    ui::print(&completion_script(arguments.shell)?)?;
    Ok(Outcome::Exit(0))
}

/// Prints what `shell` is to offer for the command line in `arguments`.
#[must_use]
pub fn answer(shell: &OsStr, arguments: Vec<OsString>) -> Outcome {
    let index = variable("_CLAP_COMPLETE_INDEX");
    let index = index.and_then(|index| index.to_str()?.parse().ok());
    let typing = Typing::new(arguments, index);
    let request = cli::parse(typing.before().to_vec()).ok();
    let context = request.and_then(|request| {
        let context = Context::new(&request, None).ok()?;
        Some((context, request.command))
    });
    let directory = context
        .as_ref()
        .map(|(context, _)| context.working_directory());
    let directory = directory.or_else(|| std::env::current_dir().ok());
    let directory = directory.unwrap_or_default();
    let words = move |kind: Kind, current: &str| match (kind, &context) {
        (Kind::Terraforms, Some((context, Command::Terraform(before)))) => {
            terraforms::candidates(context, before, current)
        }
        (Kind::Lock, Some((context, Command::Release(_)))) => lock_ids::of_releasable(context),
        (Kind::Lock, Some((context, _))) => lock_ids::of_directory(context),
        (Kind::Hold, _) => lock_ids::of_own_holds(),
        _ => Vec::new(),
    };
    if let Ok(offered) = typing.candidates(&shell.to_string_lossy(), &directory, words) {
        let _ = ui::print(&String::from_utf8_lossy(&offered));
    }
    Outcome::Exit(0)
}
