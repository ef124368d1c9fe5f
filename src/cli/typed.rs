//! The command line as typed, so that a hint can repeat all of it.

use std::ffi::{OsStr, OsString};

use crate::lock::acquire::PatienceSource;
use crate::text::quoted_words;

/// The typed words, without the options that a hint sets itself: which lock, and how long to wait.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// tflock's options, each with its value.
    options: Vec<Vec<OsString>>,
    command: Vec<OsString>,
    has_wait: bool,
}

/// The options that [`crate::context::Context::command_line`] adds, even if they came from variables, and `--wait`.
const SET_BY_HINTS: [&str; 4] = ["--store", "--table", "--lock-id", "--wait"];

impl Typed {
    pub(super) fn new(options: Vec<Vec<OsString>>, command: Vec<OsString>) -> Self {
        let name = |option: &[OsString]| {
            let word = option.first().and_then(|word| word.to_str());
            let name = word.and_then(|word| word.split('=').next());
            name.unwrap_or_default().to_owned()
        };
        let has_wait = options.iter().any(|option| name(option) == "--wait");
        let options = options.into_iter();
        let options = options.filter(|option| !SET_BY_HINTS.contains(&name(option).as_str()));
        Self {
            options: options.collect(),
            command,
            has_wait,
        }
    }

    pub(super) fn command_name(&self) -> &str {
        let first = self.command.first().and_then(|word| word.to_str());
        first.unwrap_or_default()
    }

    /// Where the value of `--wait` comes from.
    #[must_use]
    pub fn patience_source(&self) -> PatienceSource {
        if self.has_wait {
            PatienceSource::CommandLine
        } else {
            PatienceSource::Inherited
        }
    }

    /// The same command line with `--wait 1h`.
    #[must_use]
    pub fn waiting_longer(&self) -> String {
        let wait = ["--wait", "1h"].map(OsStr::new);
        self.line(wait.into_iter().chain(as_words(&self.command)))
    }

    /// The same command line.
    #[must_use]
    pub fn again(&self) -> String {
        self.with_command(&self.command)
    }

    /// The same options with another command.
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
    fn a_hint_repeats_everything_typed_except_the_wait() {
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
