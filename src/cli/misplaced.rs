//! Near misses: tflock options typed after terraform's command, and misspelt commands.

use std::ffi::{OsStr, OsString};

use super::completion::is_terraform_command;
use crate::text::quoted_words;

/// Finds options of ours after terraform's command, and says how to type the line after `tflock`. `None` if there are
/// none.
///
/// Go's flag parser treats one dash and two alike, so both are looked for. After `--` there are no options.
#[must_use]
pub fn misplaced_option(command: &[OsString], definition: &clap::Command) -> Option<Misplaced> {
    let mut moved: Vec<&OsStr> = Vec::new();
    let mut kept: Vec<&OsStr> = Vec::new();
    let mut option = None;
    let mut words = command.iter().map(OsString::as_os_str);
    while let Some(word) = words.next() {
        if word == "--" {
            kept.push(word);
            kept.extend(words.by_ref());
            break;
        }
        let Some(argument) = own_option(word, definition) else {
            kept.push(word);
            continue;
        };
        let name = format!("--{}", argument.get_long().unwrap_or_default());
        option.get_or_insert(name);
        moved.push(word);
        let has_value = word.as_encoded_bytes().contains(&b'=');
        if argument.get_action().takes_values() && !has_value {
            moved.extend(words.next());
        }
    }
    let option = option?;
    let moved = moved.into_iter().map(with_two_dashes).collect::<Vec<_>>();
    let moved = moved.iter().map(OsString::as_os_str);
    Some(Misplaced {
        option,
        line: quoted_words(moved.chain(kept)),
    })
}

/// A tflock option typed after terraform's command.
#[derive(Debug, PartialEq)]
pub struct Misplaced {
    /// The option.
    pub option: String,
    /// What to type after `tflock` instead.
    pub line: String,
}

fn own_option<'a>(word: &OsStr, definition: &'a clap::Command) -> Option<&'a clap::Arg> {
    let word = word.to_str()?;
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    let name = name.split('=').next()?;
    // `-help` and `-version` are terraform's too.
    definition
        .get_arguments()
        .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
        .find(|argument| name.len() > 1 && argument.get_long() == Some(name))
}

fn with_two_dashes(word: &OsStr) -> OsString {
    match word.to_str().and_then(|word| word.strip_prefix('-')) {
        Some(name) if !name.starts_with('-') => format!("--{name}").into(),
        _ => word.to_owned(),
    }
}

/// The command of ours that `word` misspells, unless terraform has one of that name.
#[must_use]
pub(super) fn command_similar_to(word: &OsStr, definition: &clap::Command) -> Option<String> {
    let word = word.to_str()?;
    if is_terraform_command(word) {
        return None;
    }
    let near = definition.get_subcommands().find(|command| {
        let name = command.get_name();
        let slips = if name.len() < 6 { 1 } else { 2 };
        distance(word, name) <= slips
    });
    near.map(|command| command.get_name().to_owned())
}

/// Edit distance: letters added, removed, replaced or swapped with a neighbour (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > 2 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let replaced = last[j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            let swapped =
                i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
            if swapped {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::super::definition;
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn misplaced_options_move_before_the_command() {
        for (typed, meant) in [
            ("plan --wait 3s", "--wait 3s plan"),
            ("plan --wait=3s -out p", "--wait=3s plan -out p"),
            ("plan -wait 3s", "--wait 3s plan"),
            (
                "apply -auto-approve --reason x --verbose -target=a",
                "--reason x --verbose apply -auto-approve -target=a",
            ),
            ("plan --wait", "--wait plan"),
        ] {
            let misplaced = misplaced_option(&words(typed), &definition()).unwrap();
            assert_eq!(misplaced.line, meant);
        }
        for fine in [
            "plan -out=x -input=false",
            "state rm -- --wait",
            "plan -help",
            "plan -v",
            "apply -lock-timeout=3s",
        ] {
            assert_eq!(
                misplaced_option(&words(fine), &definition()),
                None,
                "{fine}"
            );
        }
    }

    #[test]
    fn a_typo_is_recognised_unless_it_is_a_terraform_command() {
        for (typed, meant) in [
            ("statsu", Some("status")),
            ("staus", Some("status")),
            ("force-unlok", Some("force-unlock")),
            ("force_unlock", Some("force-unlock")),
            ("exce", Some("exec")),
            ("completion", Some("completions")),
            ("state", None),
            ("test", None),
            ("plans", None),
            ("stacks", None),
            ("no-such-command", None),
            ("", None),
        ] {
            let near = command_similar_to(OsStr::new(typed), &definition());
            assert_eq!(near.as_deref(), meant, "{typed}");
        }
    }
}
