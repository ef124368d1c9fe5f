//! What goes to stdout: the data of `status`, help, versions and completion scripts.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::LAST_WORDS;
use super::writer::Writer;
use crate::text::printable::is_unprintable;

/// Why stdout did not take it.
#[derive(Debug, thiserror::Error)]
pub enum NotPrinted {
    /// Whoever read it has gone away, as `head` does.
    #[error("nobody reads stdout any more")]
    NoReader,
    /// A full disk, and the like.
    #[error("cannot write to stdout: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for NotPrinted {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NoReader,
            _ => Self::Failed(error),
        }
    }
}

/// Writes to stdout, behind all that was said before.
///
/// # Errors
/// When stdout does not take it.
pub fn print(text: &str) -> Result<(), NotPrinted> {
    Writer::stderr().settle(LAST_WORDS);
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// Writes a JSON value to stdout, on several lines. What could steer a terminal is escaped: JSON itself asks that only of
/// the C0 control characters.
///
/// # Errors
/// When stdout does not take it.
pub fn print_json(value: &serde_json::Value) -> Result<(), NotPrinted> {
    print(&escaped(&format!("{value:#}\n")))
}

/// Such characters can only be in strings, where `\u` stands for each.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_unprintable(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // A string takes whatever is written to it.
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn json_has_no_character_that_steers_a_terminal_and_says_the_same() {
        let value = json!({
            "a\u{9b}2J": "\u{1b}[2J\u{7f}\u{202e}\u{200b}\u{e0041} über 状態 \u{1f512}\n\t\"\\",
        });
        let text = escaped(&format!("{value:#}\n"));
        assert!(text.contains(r"\u009b2J"), "{text}");
        assert!(
            text.contains(r"\u202e\u200b\udb40\udc41 über 状態"),
            "{text}"
        );
        assert!(!text.chars().any(|one| one != '\n' && is_unprintable(one)));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
