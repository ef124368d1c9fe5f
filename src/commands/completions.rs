//! `tflock completions`: a shell's completion script; and what such a script asks for while a command line is typed.
//!
//! Nothing goes wrong visibly on a prompt: what cannot be completed has no candidates. No store is ever asked.

mod terraforms;

use std::ffi::{OsStr, OsString};

use crate::cli::{self, Command, CompletionsArguments, Typing, completion_script};
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
    let asked = terraforms_context(&typing);
    let directory = asked
        .as_ref()
        .map(|(context, _)| context.working_directory());
    let directory = directory.or_else(|| std::env::current_dir().ok());
    let directory = directory.unwrap_or_default();
    let offered = typing.candidates(&shell.to_string_lossy(), &directory, move |current| {
        asked.as_ref().map_or_else(Vec::new, |(context, before)| {
            terraforms::candidates(context, before, current)
        })
    });
    if let Ok(offered) = offered {
        let _ = ui::print(&String::from_utf8_lossy(&offered));
    }
    Outcome::Exit(0)
}

/// The options before terraform's command, and that command as far as it has been typed.
fn terraforms_context(typing: &Typing) -> Option<(Context, Vec<OsString>)> {
    let request = cli::parse(typing.before().to_vec()).ok()?;
    let Command::Terraform(before) = &request.command else {
        return None;
    };
    let before = before.clone();
    Some((Context::new(&request, None).ok()?, before))
}
