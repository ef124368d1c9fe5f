//! The command line as it was typed, so that a hint can repeat the whole of it.

use std::ffi::{OsStr, OsString};

use crate::lock::acquire::PatienceSaid;
use crate::text::quoted_words;

/// What was typed, without what a hint says anew: which lock it is about, and how long to wait for it.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// tflock's options, each with its value.
    options: Vec<Vec<OsString>>,
    /// The command, and what follows it.
    command: Vec<OsString>,
    /// Whether `--wait` is among it.
    says_wait: bool,
}

/// The options that [`crate::context::Context::command_line`] says, be they from the environment, and `--wait`.
const SAID_ANEW: [&str; 4] = ["--store", "--table", "--lock-id", "--wait"];

impl Typed {
    pub(super) fn new(options: Vec<Vec<OsString>>, command: Vec<OsString>) -> Self {
        let name = |option: &[OsString]| {
            let word = option.first().and_then(|word| word.to_str());
            let name = word.and_then(|word| word.split('=').next());
            name.unwrap_or_default().to_owned()
        };
        let says_wait = options.iter().any(|option| name(option) == "--wait");
        let options = options.into_iter();
        let options = options.filter(|option| !SAID_ANEW.contains(&name(option).as_str()));
        Self {
            options: options.collect(),
            command,
            says_wait,
        }
    }

    /// The first word of the command.
    pub(super) fn command_name(&self) -> &str {
        let first = self.command.first().and_then(|word| word.to_str());
        first.unwrap_or_default()
    }

    /// Whether it says how long this run is to wait.
    #[must_use]
    pub fn patience_said(&self) -> PatienceSaid {
        if self.says_wait {
            PatienceSaid::ToThisRun
        } else {
            PatienceSaid::InGeneral
        }
    }

    /// The same words, waiting for an hour.
    #[must_use]
    pub fn waiting_longer(&self) -> String {
        let wait = ["--wait", "1h"].map(OsStr::new);
        self.line(wait.into_iter().chain(as_words(&self.command)))
    }

    /// The same options with other words for the command.
    #[must_use]
    pub fn with_command(&self, command: &[OsString]) -> String {
        self.line(as_words(command))
    }

    fn line<'a>(&'a self, command: impl Iterator<Item = &'a OsStr>) -> String {
        let options = self.options.iter().flatten().map(OsString::as_os_str);
        quoted_words(options.chain(command))
    }
}

fn as_words(words: &[OsString]) -> impl Iterator<Item = &OsStr> {
    words.iter().map(OsString::as_os_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<OsString> {
        text.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_hint_has_all_that_was_typed_but_the_wait() {
        let typed = Typed::new(
            vec![
                words(&["--wait", "0"]),
                words(&["--reason", "the db's key"]),
                words(&["--table=locks"]),
                words(&["-v"]),
            ],
            words(&["apply", "-target=module.db[\"a\"]", "-var", "a=b c"]),
        );
        assert_eq!(
            typed.waiting_longer(),
            r#"--reason 'the db'\''s key' -v --wait 1h apply '-target=module.db["a"]' -var 'a=b c'"#
        );
    }
}
