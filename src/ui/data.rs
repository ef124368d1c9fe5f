//! Output to stdout: the data of `status`, help, versions and completion scripts.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::FINAL_WAIT;
use super::writer::Writer;
use crate::text::printable::is_unprintable;

/// Why writing to stdout failed.
#[derive(Debug, thiserror::Error)]
pub enum NotPrinted {
    /// The reader closed the pipe, as `head` does.
    #[error("the reader of stdout is gone")]
    NoReader,
    /// A full disk or the like.
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

/// Writes to stdout, after all earlier messages.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(text: &str) -> Result<(), NotPrinted> {
    Writer::stderr().settle(FINAL_WAIT);
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// Writes a JSON value to stdout, pretty-printed. Characters that could steer a terminal are escaped: JSON itself
/// requires that only for the C0 control characters.
///
/// # Errors
/// When stdout cannot be written.
pub fn print_json(value: &serde_json::Value) -> Result<(), NotPrinted> {
    print(&escaped(&format!("{value:#}\n")))
}

/// The same on one line.
///
/// # Errors
/// When stdout cannot be written.
pub fn print_json_line(value: &serde_json::Value) -> Result<(), NotPrinted> {
    print(&escaped(&format!("{value}\n")))
}

/// Such characters occur only in strings, where `\u` escapes are valid.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_unprintable(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
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
    fn json_is_escaped_for_terminals_without_changing_its_value() {
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
