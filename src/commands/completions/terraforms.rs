//! The words behind a command of terraform's. terraform itself is asked: for arguments by its own completion protocol
//! (`COMP_LINE`), for flags by the help of the command, because its protocol has hardly any.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use crate::child::ask;
use crate::context::Context;
use crate::environment::variable;
use crate::terraform::workspace::local_workspaces;

/// How long terraform may take to answer, while the user waits at a prompt.
const PATIENCE: Duration = Duration::from_secs(1);

/// What can follow `before`, terraform's command and its arguments, and begins with `current`.
pub(super) fn candidates(context: &Context, before: &[OsString], current: &OsStr) -> Vec<String> {
    let current = current.to_string_lossy();
    let mut offered = if is_flag(&current) {
        flags(&help(context, before))
    } else {
        words(context, before, &current)
    };
    offered.retain(|word| word.starts_with(&*current));
    offered
}

fn words(context: &Context, before: &[OsString], current: &str) -> Vec<String> {
    let names: Vec<_> = before.iter().map(|word| word.to_string_lossy()).collect();
    if let ["workspace" | "env", "select" | "delete", ..] =
        names.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..]
    {
        // terraform would ask the backend.
        return local_workspaces(&context.working_directory(), &variable);
    }
    let line = format!("terraform {} {current}", names.join(" "));
    let answer = ask_terraform(context, vec![], &[("COMP_LINE", &line)]);
    answer.lines().map(str::to_owned).collect()
}

fn help(context: &Context, before: &[OsString]) -> String {
    let command = before
        .iter()
        .take_while(|word| !is_flag(&word.to_string_lossy()))
        .cloned();
    ask_terraform(context, command.chain(["-help".into()]).collect(), &[])
}

fn is_flag(word: &str) -> bool {
    word.starts_with('-')
}

/// The flags that a help text lists: at the start of a line, indented by two, with what belongs to their value cut off.
fn flags(help: &str) -> Vec<String> {
    let mut flags: Vec<String> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| line.starts_with('-'))
        .map(|line| {
            let end = line.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'));
            let (flag, rest) = line.split_at(end.unwrap_or(line.len()));
            let has_value = rest.starts_with('=') && !rest.starts_with("=false");
            format!("{flag}{}", if has_value { "=" } else { "" })
        })
        .collect();
    flags.sort_unstable();
    flags.dedup();
    flags
}

fn ask_terraform(
    context: &Context,
    arguments: Vec<OsString>,
    variables: &[(&str, &str)],
) -> String {
    let Ok(program) = context.terraform() else {
        return String::new();
    };
    let mut command = crate::child::Command::new(&program);
    command.arguments = arguments;
    command.directory = Some(context.working_directory());
    command.environment = context.variables_of(&program);
    let own = [("CHECKPOINT_DISABLE", "1"), ("TF_LOG", "")];
    for (name, value) in own.iter().chain(variables) {
        command.environment.push((name.into(), value.into()));
    }
    ask(&command, PATIENCE).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_that_a_help_text_lists() {
        let help = "Usage: terraform [global options] plan [options]\n\n  Says -this in a sentence.\n\n  \
                    -destroy            Select -target\n                      -not-this\n  -refresh=false      Skip\n  \
                    -target=resource    Limit\n  -var 'foo=bar'      Set\n  -state=path\n";
        assert_eq!(
            flags(help),
            ["-destroy", "-refresh", "-state=", "-target=", "-var"]
        );
    }
}
