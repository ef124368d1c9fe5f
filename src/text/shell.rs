//! Words as a shell reads them back.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;

use super::printable::is_unprintable;

/// A word as a shell reads it back: the one function through which words get into a command that is printed.
#[must_use]
pub fn quoted_for_shell(word: &str) -> Cow<'_, str> {
    let plain = |character: char| {
        character.is_ascii_alphanumeric()
            || matches!(
                character,
                '/' | '.' | '_' | '-' | ':' | '=' | ',' | '@' | '%' | '+'
            )
    };
    // zsh reads a first `=` as the path of a command.
    if !word.is_empty() && !word.starts_with('=') && word.chars().all(plain) {
        return word.into();
    }
    if !word.chars().any(is_unprintable) {
        return format!("'{}'", word.replace('\'', r"'\''")).into();
    }
    // As bash, zsh and ksh read what cannot be shown.
    let mut quoted = String::from("$'");
    for character in word.chars() {
        match character {
            '\'' | '\\' => quoted.extend(['\\', character]),
            other if is_unprintable(other) => {
                // A string takes whatever is written to it.
                let _ = write!(quoted, "\\U{:08x}", u32::from(other));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted.into()
}

/// Words as a shell reads them back.
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
    fn a_word_is_quoted_where_a_shell_would_read_it_otherwise() {
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
