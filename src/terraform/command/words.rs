//! Splits `TF_CLI_ARGS…` into words exactly as terraform does (`mattn/go-shellwords`, as its `main.go` uses it). That
//! differs from a shell: nothing is expanded, `#` starts no comment, a backquoted or `$(…)` part stays as it is, and
//! `;`, `&`, `|`, `<` and `>` end the line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    SingleQuotes,
    DoubleQuotes,
    Backquotes,
    Substitution,
}

/// The words of a line, or `None` if terraform refuses it because something is unclosed.
pub(super) fn split(line: &OsStr) -> Option<Vec<OsString>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut inside: Option<Inside> = None;
    let mut bytes = line.as_bytes().iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, inside) {
            (b'\\', Some(Inside::SingleQuotes)) => word.get_or_insert_default().push(byte),
            (b'\\', _) => {
                let escaped = bytes.next()?;
                word.get_or_insert_default().push(escaped);
            }
            (b' ' | b'\t' | b'\r' | b'\n', None) => {
                words.extend(word.take().map(OsString::from_vec));
            }
            (b'\'', None) => inside = Some(Inside::SingleQuotes),
            (b'"', None) => inside = Some(Inside::DoubleQuotes),
            (b'\'', Some(Inside::SingleQuotes)) | (b'"', Some(Inside::DoubleQuotes)) => {
                inside = None;
                // Empty quotes are an argument too: an empty one.
                word.get_or_insert_default();
            }
            (b'`', None | Some(Inside::Backquotes)) => {
                inside = inside.is_none().then_some(Inside::Backquotes);
                word.get_or_insert_default().push(byte);
            }
            (b'(', None | Some(Inside::Substitution)) => {
                let opens =
                    inside.is_none() && word.as_ref().is_some_and(|word| word.ends_with(b"$"));
                if !opens {
                    return None;
                }
                inside = Some(Inside::Substitution);
                word.get_or_insert_default().push(byte);
            }
            // An unmatched `)` opens instead: 1.11.4 accepts them in pairs.
            (b')', None | Some(Inside::Substitution)) => {
                inside = inside.is_none().then_some(Inside::Substitution);
                word.get_or_insert_default().push(byte);
            }
            (b';' | b'&' | b'|' | b'<' | b'>', None) => {
                // The `2` of `2>` is a descriptor, not an argument.
                let begins_with_digit = word
                    .as_ref()
                    .and_then(|word| word.first())
                    .is_some_and(u8::is_ascii_digit);
                if byte == b'>' && begins_with_digit {
                    word = None;
                }
                break;
            }
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word.map(OsString::from_vec));
    inside.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terraform::real_terraform;
    use proptest::prelude::*;

    fn words(line: &str) -> Option<Vec<String>> {
        split(OsStr::new(line)).map(|words| {
            words
                .into_iter()
                .map(|word| word.into_string().unwrap())
                .collect()
        })
    }

    /// These words on one line, quoted for a shell.
    fn quoted(words: &[OsString]) -> OsString {
        let one = |word: &OsString| {
            let inside = word.as_bytes().split(|&byte| byte == b'\'');
            let inside = inside.collect::<Vec<_>>().join(&br"'\''"[..]);
            [b"'", inside.as_slice(), b"'"].concat()
        };
        let words: Vec<Vec<u8>> = words.iter().map(one).collect();
        OsString::from_vec(words.join(&b' '))
    }

    #[test]
    fn words_are_split_at_blanks_outside_of_quotes() {
        for (line, expected) in [
            ("", vec![]),
            ("  \t\n ", vec![]),
            ("-a  -b", vec!["-a", "-b"]),
            ("-var 'a=b c'", vec!["-var", "a=b c"]),
            (r#"-var "a=\"b\" c""#, vec!["-var", "a=\"b\" c"]),
            (r"a\ b '\'", vec!["a b", "\\"]),
            ("'' x", vec!["", "x"]),
            ("a #b", vec!["a", "#b"]),
            ("$HOME `a b` $(c d)", vec!["$HOME", "`a b`", "$(c d)"]),
            ("a ; b", vec!["a"]),
            ("a 2>b", vec!["a"]),
            ("a=2>b", vec!["a=2"]),
            ("''>b", vec![""]),
        ] {
            assert_eq!(
                words(line).as_deref(),
                Some(&expected.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()[..]),
                "{line}"
            );
        }
    }

    #[test]
    fn terraform_agrees_on_the_first_word_and_on_what_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for line in [
            "'a b' c",
            r#""a\nb""#,
            r"a\ b",
            "a#b",
            "a;b",
            "a&b",
            "ab>c",
            "$HOME",
            "$(date x)",
            "`date x`",
            "a)b)c",
            "a(b",
            "a)b",
            "\"a",
            "'a",
            "a\\",
            "`a",
            "it'\\''s",
            "é",
            "a\"b\"'c'",
            r"`a\`b`",
            r"$(a\)b)",
        ] {
            let output = real_terraform::run(
                directory.path(),
                &["fmt", "-no-color"],
                &[("TF_CLI_ARGS_fmt", line)],
            );
            let said = String::from_utf8(output.stderr).unwrap()
                + &String::from_utf8(output.stdout).unwrap();
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            let expected = match words(line) {
                None => "Error parsing extra CLI args from TF_CLI_ARGS_fmt".to_owned(),
                Some(words) => {
                    let first = words[0].split_whitespace().collect::<Vec<_>>().join(" ");
                    format!("No file or directory at {first}")
                }
            };
            assert!(
                said.contains(&expected),
                "{line}: expected {expected:?} in {said:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn quoted_words_are_split_into_the_same_words(words in prop::collection::vec(prop::collection::vec(1..=255_u8, 0..8), 0..5)) {
            let words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
            prop_assert_eq!(split(&quoted(&words)), Some(words));
        }

        #[test]
        fn no_line_makes_it_panic(line in prop::collection::vec(prop::sample::select(b"ab2 \\'\"`$();>\xff".to_vec()), 0..20)) {
            let _ = split(&OsString::from_vec(line));
        }
    }
}
