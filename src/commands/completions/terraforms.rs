//! The words behind a command of terraform's. Workspaces and addresses are read here; terraform itself is asked for the rest:
//! for arguments by its own completion protocol (`COMP_LINE`), for flags by the help of the command, because its protocol has
//! hardly any.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::child::ask;
use crate::context::Context;
use crate::environment::variable;
use crate::terraform::addresses::{Nameable, addresses};
use crate::terraform::workspace::local_workspaces;

/// How long terraform may take to answer, while the user waits at a prompt.
const PATIENCE: Duration = Duration::from_secs(1);

/// What can follow `before`, terraform's command and its arguments, and begins with `current`.
pub(super) fn candidates(context: &Context, before: &[OsString], current: &str) -> Vec<String> {
    let names: Vec<_> = before.iter().map(|word| word.to_string_lossy()).collect();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let directory = context.working_directory();
    let (flag, prefix) = flag_before(&names, current);
    if let Some(nameable) = nameable(&names, flag) {
        let state = state_flag(&names);
        let found = addresses(&directory, &variable, state.as_deref(), nameable);
        return found
            .iter()
            .map(|address| format!("{prefix}{address}"))
            .collect();
    }
    match names[..] {
        _ if is_flag(current) => flags(&help(context, before)),
        // terraform would ask the backend.
        ["workspace" | "env", "select" | "delete", ..] => local_workspaces(&directory, &variable),
        _ => {
            let line = format!("terraform {} {current}", names.join(" "));
            let answer = ask_terraform(context, vec![], &[("COMP_LINE", &line)]);
            answer.lines().map(str::to_owned).collect()
        }
    }
}

/// The flag whose value is typed, if it is one, and what stands before that value in the word. To bash, `=` is a word.
fn flag_before<'a>(before: &[&'a str], current: &'a str) -> (Option<&'a str>, &'a str) {
    if is_flag(current) {
        return match current.find('=') {
            Some(at) => (Some(&current[..at]), &current[..=at]),
            None => (None, ""),
        };
    }
    let flag = match before {
        [.., flag, "="] => Some(*flag),
        [.., flag] => Some(*flag).filter(|flag| takes_next_word(flag)),
        [] => None,
    };
    (flag.filter(|flag| is_flag(flag)), "")
}

/// Whether the value of a flag may stand in a word of its own, of the commands that take addresses.
fn takes_next_word(flag: &str) -> bool {
    const FLAGS: [&str; 8] = [
        "backup",
        "backup-out",
        "id",
        "lock-timeout",
        "replace",
        "state",
        "state-out",
        "target",
    ];
    FLAGS.contains(&flag.trim_start_matches('-'))
}

/// Which addresses can stand behind that flag, or behind that command.
fn nameable(before: &[&str], flag: Option<&str>) -> Option<Nameable> {
    match (flag.map(|flag| flag.trim_start_matches('-')), before) {
        (Some("target"), _) => Some(Nameable::Targets),
        (Some("replace"), _) | (None, ["taint" | "untaint", ..]) => Some(Nameable::Managed),
        (None, ["state", "list" | "mv" | "rm" | "show", ..]) => Some(Nameable::InState),
        _ => None,
    }
}

/// The file that `-state` names.
fn state_flag(before: &[&str]) -> Option<PathBuf> {
    let mut values = before.iter().rev().filter_map(|word| {
        let (flag, value) = word.split_once('=')?;
        (flag.trim_start_matches('-') == "state" && is_flag(flag)).then(|| PathBuf::from(value))
    });
    values.next()
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
    fn an_address_is_wanted_behind_a_flag_or_a_command_that_takes_one() {
        for (before, current, expected) in [
            (
                &["plan"][..],
                "-target=a",
                Some((Nameable::Targets, "-target=")),
            ),
            (&["apply", "-target"], "a", Some((Nameable::Targets, ""))),
            (&["plan", "-target", "="], "", Some((Nameable::Targets, ""))),
            (
                &["plan"],
                "--replace=",
                Some((Nameable::Managed, "--replace=")),
            ),
            (&["taint", "-allow-missing"], "-", None),
            (&["taint"], "", Some((Nameable::Managed, ""))),
            (&["state", "rm", "a"], "b", Some((Nameable::InState, ""))),
            (
                &["state", "rm", "-dry-run"],
                "",
                Some((Nameable::InState, "")),
            ),
            (&["state", "rm", "-backup"], "", None),
            (
                &["state", "rm", "-state=x"],
                "",
                Some((Nameable::InState, "")),
            ),
            (&["state", "pull"], "", None),
            (&["plan"], "-target", None),
            (&["plan"], "-var=target", None),
        ] {
            let (flag, prefix) = flag_before(before, current);
            let wanted = nameable(before, flag).map(|nameable| (nameable, prefix));
            let wanted = wanted.filter(|_| flag.is_some() || !is_flag(current));
            assert_eq!(wanted, expected, "{before:?} {current}");
        }
        assert_eq!(
            state_flag(&["state", "rm", "-state=x", "a"]),
            Some("x".into())
        );
        assert_eq!(state_flag(&["state", "rm", "state=x"]), None);
    }

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
