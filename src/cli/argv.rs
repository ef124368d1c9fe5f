//! Where tflock's words end and terraform's begin.
//!
//! terraform writes long options with one dash (`-chdir=DIR`, `-version`), which clap would read as a row of
//! short ones, so the leading words are told apart before clap sees them.

use std::ffi::{OsStr, OsString};

/// A command line, divided.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Argv {
    /// For clap: tflock's options, and its own command with what follows.
    pub own: Vec<OsString>,
    /// terraform's `-chdir`.
    pub chdir: Option<OsString>,
    /// terraform's words; empty where the command is tflock's own.
    pub terraform: Vec<OsString>,
}

/// Divides `arguments`; which options take a value and which commands are tflock's own is read off `definition`.
pub(super) fn split(arguments: Vec<OsString>, definition: &clap::Command) -> Result<Argv, String> {
    let mut argv = Argv::default();
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
                return Err("`-chdir` is given twice".to_owned());
            }
            rest.next();
        } else if is_own(word) {
            let takes_value = takes_value(word, definition);
            argv.own.extend(rest.next());
            if takes_value {
                argv.own.extend(rest.next());
            }
        } else {
            break;
        }
    }
    let is_own_command = rest
        .peek()
        .is_some_and(|word| definition.find_subcommand(word).is_some());
    if is_own_command {
        argv.own.extend(own_command(rest));
    } else {
        argv.terraform = rest.collect();
        // `terraform -v` prints the version; with nothing to be verbose about, so does `tflock -v`.
        if argv.terraform.is_empty() && argv.own == ["-v"] {
            argv.terraform = std::mem::take(&mut argv.own);
        }
    }
    Ok(argv)
}

/// Two dashes, or nothing but short options of ours.
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

/// One of tflock's commands with what follows, terraform's spellings of its flags put into tflock's.
fn own_command(mut words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut own: Vec<OsString> = words.next().into_iter().collect();
    let replacements: &[(&str, &str)] = match own.first().and_then(|name| name.to_str()) {
        Some("force-unlock") => &[("-force", "--yes"), ("-help", "--help"), ("-h", "--help")],
        Some("exec") => &[],
        _ => &[("-help", "--help"), ("-h", "--help")],
    };
    own.extend(words.map(|word| {
        replacements
            .iter()
            .find(|(terraform, _)| word == OsStr::new(terraform))
            .map_or(word, |(_, ours)| OsString::from(ours))
    }));
    own
}
