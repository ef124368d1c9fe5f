//! Quoting for the shell.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;

use super::printable::is_unprintable;

/// Quotes a word for the shell: every word in a command that we print goes through this function.
#[must_use]
pub fn quoted_for_shell(word: &str) -> Cow<'_, str> {
    let plain = |character: char| {
        character.is_ascii_alphanumeric()
            || matches!(
                character,
                '/' | '.' | '_' | '-' | ':' | '=' | ',' | '@' | '%' | '+'
            )
    };
    // zsh expands a leading `=` to the path of a command.
    if !word.is_empty() && !word.starts_with('=') && word.chars().all(plain) {
        return word.into();
    }
    if !word.chars().any(is_unprintable) {
        return format!("'{}'", word.replace('\'', r"'\''")).into();
    }
    // The syntax of bash, zsh and ksh for characters that cannot be shown.
    let mut quoted = String::from("$'");
    for character in word.chars() {
        match character {
            '\'' | '\\' => quoted.extend(['\\', character]),
            other if is_unprintable(other) => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\U{:08x}", u32::from(other));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted.into()
}

/// Words quoted for the shell, joined by blanks.
#[must_use]
pub fn quoted_words<'a>(words: impl Iterator<Item = &'a OsStr>) -> String {
    let quoted: Vec<String> = words
        .map(|word| quoted_for_shell(&word.to_string_lossy()).into_owned())
        .collect();
    quoted.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_special_characters_are_quoted() {
        let cases = [
            ("states/prod/app.tfstate", "states/prod/app.tfstate"),
            ("", "''"),
            ("two words", "'two words'"),
            ("ana's $HOME", r"'ana'\''s $HOME'"),
            ("a;b", "'a;b'"),
            ("=ls", "'=ls'"),
            ("~", "'~'"),
            ("a\nb'\u{202e}", r"$'a\U0000000ab\'\U0000202e'"),
        ];
        for (word, quoted) in cases {
            assert_eq!(quoted_for_shell(word), quoted);
        }
    }
}
