//! The flag syntax of Go's `flag` package: `-x` and `--x` are the same, a value follows `=` or is the next argument,
//! and the first argument that is not a flag, or `--`, ends the flags.
//!
//! Does not check whether a command has a flag: an unknown one counts as a switch, and terraform will refuse it.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

/// The flags of all locking commands of terraform and OpenTofu that take the next argument as their value.
const TAKES_A_VALUE: [&str; 19] = [
    "backup",
    "backup-out",
    "config",
    "deprecation",
    "exclude",
    "exclude-file",
    "generate-config-out",
    "invoke",
    "json-into",
    "lock-timeout",
    "out",
    "parallelism",
    "replace",
    "state",
    "state-out",
    "target",
    "target-file",
    "var",
    "var-file",
];

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flag<'a> {
    /// Its name without dashes.
    pub(super) name: &'a [u8],
    /// Its value; `None` for a switch without one.
    pub(super) value: Option<&'a OsStr>,
    pub(super) place: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At the end: all arguments are flags.
    OfArguments,
    /// At a `--` or the first argument that is not a flag; positional arguments begin at this index.
    AtPositional(usize),
    /// At something that Go refuses: `---x`, `-=x`, or a flag whose value is missing.
    AtError,
}

/// The flags at the beginning of `arguments`.
pub(super) fn scan(arguments: &[OsString]) -> (Vec<Flag<'_>>, End) {
    let mut flags = Vec::new();
    let mut index = 0;
    while let Some(argument) = arguments.get(index) {
        let bytes = argument.as_bytes();
        if bytes == b"--" {
            return (flags, End::AtPositional(index + 1));
        }
        let Some(one_dash) = bytes.strip_prefix(b"-").filter(|rest| !rest.is_empty()) else {
            return (flags, End::AtPositional(index));
        };
        let body = one_dash.strip_prefix(b"-").unwrap_or(one_dash);
        if matches!(body.first(), None | Some(b'-' | b'=')) {
            return (flags, End::AtError);
        }
        let equals = body.iter().position(|byte| *byte == b'=');
        let name = &body[..equals.unwrap_or(body.len())];
        let (value, length) = match equals {
            Some(equals) => (Some(OsStr::from_bytes(&body[equals + 1..])), 1),
            None if takes_a_value(name) => match arguments.get(index + 1) {
                Some(next) => (Some(next.as_os_str()), 2),
                None => return (flags, End::AtError),
            },
            None => (None, 1),
        };
        flags.push(Flag {
            name,
            value,
            place: index..index + length,
        });
        index += length;
    }
    (flags, End::OfArguments)
}

/// `arguments` without the flags of that name; anything after the flags stays.
pub(super) fn without_flag(arguments: &[OsString], name: &str) -> Vec<OsString> {
    let (flags, _) = scan(arguments);
    let is_removed = |index: usize| {
        flags
            .iter()
            .any(|flag| flag.name == name.as_bytes() && flag.place.contains(&index))
    };
    arguments
        .iter()
        .enumerate()
        .filter(|(index, _)| !is_removed(*index))
        .map(|(_, argument)| argument.clone())
        .collect()
}

/// Go's `strconv.ParseBool`, which parses every switch with a value.
#[must_use]
pub fn parse_switch(value: &OsStr) -> Option<bool> {
    match value.as_bytes() {
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(false),
        _ => None,
    }
}

fn takes_a_value(name: &[u8]) -> bool {
    TAKES_A_VALUE.iter().any(|known| known.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStringExt;

    fn arguments(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn read(words: &[&str]) -> (Vec<(String, Option<String>)>, End) {
        let arguments = arguments(words);
        let (flags, end) = scan(&arguments);
        let flags = flags
            .iter()
            .map(|flag| {
                (
                    String::from_utf8_lossy(flag.name).into_owned(),
                    flag.value.map(|value| value.to_string_lossy().into_owned()),
                )
            })
            .collect();
        (flags, end)
    }

    fn flag(name: &str, value: Option<&str>) -> (String, Option<String>) {
        (name.to_owned(), value.map(str::to_owned))
    }

    #[test]
    fn one_dash_and_two_are_the_same() {
        let expected = vec![flag("lock", Some("false")), flag("json", None)];
        assert_eq!(
            read(&["-lock=false", "-json"]),
            (expected.clone(), End::OfArguments)
        );
        assert_eq!(
            read(&["--lock=false", "--json"]),
            (expected, End::OfArguments)
        );
    }

    #[test]
    fn a_value_is_the_next_argument_even_if_it_looks_like_a_flag() {
        assert_eq!(
            read(&["-var", "-lock=false", "-lock-timeout", "5s", "-var=a=b"]),
            (
                vec![
                    flag("var", Some("-lock=false")),
                    flag("lock-timeout", Some("5s")),
                    flag("var", Some("a=b"))
                ],
                End::OfArguments
            )
        );
    }

    #[test]
    fn a_switch_never_takes_the_next_argument() {
        assert_eq!(
            read(&["-lock", "false", "-json"]),
            (vec![flag("lock", None)], End::AtPositional(1))
        );
    }

    #[test]
    fn the_first_positional_or_two_dashes_end_the_flags() {
        for (words, begin) in [
            (&["-json", "plan.out", "-lock=false"][..], 1),
            (&["-json", "--", "-lock=false"], 2),
            (&["-"], 0),
            (&[""], 0),
        ] {
            assert_eq!(read(words).1, End::AtPositional(begin), "{words:?}");
        }
    }

    #[test]
    fn what_go_rejects_is_an_error() {
        for words in [&["---lock"][..], &["-=x"], &["--=x"], &["-out"]] {
            assert_eq!(read(words).1, End::AtError, "{words:?}");
        }
    }

    #[test]
    fn only_flags_of_that_name_are_removed() {
        let kept = without_flag(
            &arguments(&[
                "-lock",
                "-lock-timeout",
                "5s",
                "--lock=true",
                "-var",
                "-lock",
                "x",
                "-lock",
            ]),
            "lock",
        );
        assert_eq!(
            kept,
            arguments(&["-lock-timeout", "5s", "-var", "-lock", "x", "-lock"])
        );
    }

    #[test]
    fn the_table_of_value_flags_is_sorted() {
        assert!(TAKES_A_VALUE.is_sorted());
    }

    proptest! {
        #[test]
        fn flags_cover_the_arguments_up_to_their_end(
            words in prop::collection::vec(prop::collection::vec(prop::sample::select(b"-=vaxo\xff".to_vec()), 0..5), 0..8)
        ) {
            let arguments: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
            let (flags, end) = scan(&arguments);
            let mut next = 0;
            for flag in &flags {
                prop_assert_eq!(flag.place.start, next);
                next = flag.place.end;
            }
            match end {
                End::OfArguments => prop_assert_eq!(next, arguments.len()),
                End::AtPositional(begin) => prop_assert!(begin == next || begin == next + 1),
                End::AtError => prop_assert!(next < arguments.len()),
            }
        }
    }
}
