//! Splits the command line into tflock's words and terraform's.
//!
//! terraform writes long options with one dash (`-chdir=DIR`, `-version`), which clap would read as a cluster of short
//! ones. So the leading words are sorted out before clap sees them.

use std::ffi::OsString;

use super::typed::Typed;
use crate::terraform::command::parse_switch;

#[derive(Debug, Default)]
pub(super) struct Argv {
    /// For clap: tflock's options, and its own command with its arguments.
    pub own: Vec<OsString>,
    /// terraform's `-chdir`.
    pub chdir: Option<OsString>,
    /// terraform's words; empty if the command is tflock's own.
    pub terraform: Vec<OsString>,
    /// terraform's `-no-color`, given to one of our commands.
    pub no_color: bool,
    /// The whole line, for hints.
    pub typed: Typed,
}

/// Splits `arguments`. `definition` tells which options take a value and which commands are tflock's own.
pub(super) fn split(arguments: Vec<OsString>, definition: &clap::Command) -> Result<Argv, String> {
    let mut argv = Argv::default();
    let mut options = Vec::new();
    let mut rest = arguments.into_iter().peekable();
    while let Some(word) = rest.peek().and_then(|word| word.to_str()) {
        if !word.starts_with('-') || word == "-" {
            break;
        }
        if word == "-chdir" || word == "-chdir=" {
            return Err("`-chdir` needs a directory, as in `-chdir=environments/prod`".to_owned());
        }
        if let Some(directory) = word.strip_prefix("-chdir=") {
            if argv.chdir.replace(OsString::from(directory)).is_some() {
                return Err("`-chdir` was given twice".to_owned());
            }
            rest.next();
        } else if is_own(word) {
            let words = if takes_value(word, definition) { 2 } else { 1 };
            let option: Vec<OsString> = rest.by_ref().take(words).collect();
            argv.own.extend_from_slice(&option);
            options.push(option);
        } else {
            break;
        }
    }
    let is_own_command = rest
        .peek()
        .is_some_and(|word| definition.find_subcommand(word).is_some());
    let command: Vec<OsString> = rest.collect();
    argv.typed = Typed::new(options, command.clone());
    if is_own_command {
        argv.add_own_command(command)?;
    } else {
        argv.terraform = command;
        // `terraform -v` prints the version. So does `tflock -v`, when there is nothing to be verbose about.
        if argv.terraform.is_empty() && argv.own == ["-v"] {
            argv.terraform = std::mem::take(&mut argv.own);
        }
    }
    Ok(argv)
}

/// Whether the word is an option of ours: two dashes, or a cluster of our short ones.
fn is_own(word: &str) -> bool {
    word.starts_with("--")
        || word
            .strip_prefix('-')
            .is_some_and(|letters| letters.chars().all(|letter| matches!(letter, 'q' | 'v')))
}

fn takes_value(word: &str, definition: &clap::Command) -> bool {
    definition
        .get_arguments()
        .find(|argument| argument.get_long() == word.strip_prefix("--"))
        .is_some_and(|argument| argument.get_action().takes_values())
}

impl Argv {
    /// Adds one of tflock's commands with its arguments; terraform's spellings of its flags become tflock's.
    fn add_own_command(&mut self, command: Vec<OsString>) -> Result<(), String> {
        let mut words = command.into_iter();
        let name = words.next().unwrap_or_default();
        let is_exec = name == "exec";
        let is_force_unlock = name == "force-unlock";
        self.own.push(name);
        while !is_exec && let Some(word) = words.next() {
            let (flag, value) = match word.to_str() {
                // No flags after this.
                Some("--") => {
                    self.own.push(word);
                    break;
                }
                Some(text) => text
                    .split_once('=')
                    .map_or((text, None), |(flag, value)| (flag, Some(value))),
                None => ("", None),
            };
            match flag {
                "-h" | "-help" => self.own.push("--help".into()),
                "-no-color" => self.no_color = is_on(flag, value)?,
                "-force" if is_force_unlock => {
                    self.own.extend(is_on(flag, value)?.then(|| "--yes".into()));
                }
                "-chdir" => {
                    return Err("`-chdir` goes before the command, as with terraform".to_owned());
                }
                _ => self.own.push(word),
            }
        }
        self.own.extend(words);
        Ok(())
    }
}

/// The value of a boolean flag, as Go reads it.
fn is_on(flag: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None => Ok(true),
        Some(value) => parse_switch(value.as_ref()).ok_or_else(|| {
            format!("the value `{value}` of `{flag}` is neither `true` nor `false`")
        }),
    }
}
