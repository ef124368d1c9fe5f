//! Durations in the syntax of terraform's flags: Go's `time.ParseDuration`.
//!
//! Never accepts a bare number: `-lock-timeout=10` is an error in terraform, and seconds would be a guess.

use std::fmt::Write as _;
use std::time::Duration;

/// Go's longest duration: 2^63 - 1 nanoseconds, about 292 years.
const LONGEST: u128 = i64::MAX as u128;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is empty.
    #[error("a duration is missing: write it as `10s` or `1h15m`")]
    Empty,
    /// A number without a unit; only `0` needs none.
    #[error(
        "`{text}` has no unit: write `{text}s` for seconds, or another unit as in `300ms` or `1h15m`"
    )]
    MissingUnit {
        /// The text.
        text: String,
    },
    /// A unit that Go does not know.
    #[error(
        "`{text}` has the unknown unit `{unit}`: the units are `ns`, `us`, `ms`, `s`, `m` and `h`"
    )]
    UnknownUnit {
        /// The text.
        text: String,
        /// The part in place of a unit.
        unit: String,
    },
    /// Not a sequence of numbers with units.
    #[error("`{text}` is not a duration: write it as `10s`, `300ms` or `1h15m`")]
    Malformed {
        /// The text.
        text: String,
    },
    /// Longer than Go can represent.
    #[error("`{text}` is longer than the 292 years that a duration can hold")]
    TooLong {
        /// The text.
        text: String,
    },
}

/// Parses a duration such as `300ms`, `90s`, `1h15m`, `1.5h` or `0`.
///
/// A negative duration becomes [`Duration::ZERO`]: terraform accepts it, and makes one attempt.
///
/// # Errors
///
/// The text is not a duration. A bare number has an error of its own, since people mean seconds by it.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) => (false, text),
        None => return Err(DurationError::Empty),
    };
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    let malformed = || DurationError::Malformed {
        text: text.to_owned(),
    };
    if unsigned.is_empty() {
        return Err(malformed());
    }
    let too_long = || DurationError::TooLong {
        text: text.to_owned(),
    };
    let mut total: u128 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (number, after_number) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(malformed());
        }
        let (unit, after_unit) = split_while(after_number, |c| !c.is_ascii_digit() && c != '.');
        if unit.is_empty() {
            return Err(DurationError::MissingUnit {
                text: text.to_owned(),
            });
        }
        let nanoseconds_in_unit = unit_length(unit).ok_or_else(|| DurationError::UnknownUnit {
            text: text.to_owned(),
            unit: unit.to_owned(),
        })?;
        if !whole.is_empty() {
            let whole: u64 = whole.parse().map_err(|_| too_long())?;
            total += u128::from(whole) * nanoseconds_in_unit;
        }
        total += fraction_of(fraction, nanoseconds_in_unit);
        if total > LONGEST {
            return Err(too_long());
        }
        rest = after_unit;
    }
    if negative {
        return Ok(Duration::ZERO);
    }
    let nanoseconds = u64::try_from(total).map_err(|_| too_long())?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// Formats a duration so that [`parse_duration`] reads it back: `1h15m`, `1.5s`, `300ms`, `0s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut text = String::new();
    let seconds = duration.as_secs();
    for (unit, length, modulus) in [("h", 3600, u64::MAX), ("m", 60, 60)] {
        let count = seconds / length % modulus;
        if count > 0 {
            let _ = write!(text, "{count}{unit}");
        }
    }
    let nanoseconds = duration.subsec_nanos();
    match (seconds % 60, nanoseconds) {
        (0, 0) if text.is_empty() => text.push_str("0s"),
        (0, 0) => {}
        (0, 1..1_000) => push_decimal(&mut text, nanoseconds, 1, "ns"),
        (0, 1_000..1_000_000) => push_decimal(&mut text, nanoseconds, 1_000, "us"),
        (0, _) => push_decimal(&mut text, nanoseconds, 1_000_000, "ms"),
        (whole, 0) => {
            let _ = write!(text, "{whole}s");
        }
        (whole, _) => {
            let fraction = format!("{nanoseconds:09}");
            let _ = write!(text, "{whole}.{}s", fraction.trim_end_matches('0'));
        }
    }
    text
}

/// Nanoseconds in one unit. Go accepts both micro signs: U+00B5 and U+03BC.
fn unit_length(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `0.<digits>` of a unit in whole nanoseconds; digits beyond the eighteenth cannot change the result.
fn fraction_of(digits: &str, nanoseconds_in_unit: u128) -> u128 {
    let mut numerator: u128 = 0;
    let mut denominator: u128 = 1;
    for digit in digits.bytes().take(18) {
        numerator = numerator * 10 + u128::from(digit - b'0');
        denominator *= 10;
    }
    numerator * nanoseconds_in_unit / denominator
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// Appends `nanoseconds` in a unit of `length` nanoseconds, as a decimal without trailing zeros.
fn push_decimal(text: &mut String, nanoseconds: u32, length: u32, unit: &str) {
    let _ = write!(text, "{}", nanoseconds / length);
    let remainder = nanoseconds % length;
    if remainder > 0 {
        let width = length.ilog10() as usize;
        let fraction = format!("{remainder:0width$}");
        let _ = write!(text, ".{}", fraction.trim_end_matches('0'));
    }
    text.push_str(unit);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms_that_go_accepts_are_read() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("+0", 0),
            ("300ms", 300_000_000),
            ("90s", 90_000_000_000),
            ("1h15m", 4_500_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("+7us", 7_000),
            ("7\u{b5}s", 7_000),
            ("7\u{3bc}s", 7_000),
            ("1s2ns", 1_000_000_002),
            ("0.100000000000000000000h", 360_000_000_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_nanos(nanoseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_bare_number_is_an_error_that_suggests_seconds() {
        let error = parse_duration("10").unwrap_err();
        assert_eq!(
            error,
            DurationError::MissingUnit {
                text: "10".to_owned()
            }
        );
        assert!(error.to_string().contains("`10s`"), "{error}");
        assert!(matches!(
            parse_duration("1h15"),
            Err(DurationError::MissingUnit { .. })
        ));
    }

    #[test]
    fn what_go_rejects_is_rejected() {
        for text in [
            "", "-", "+", ".", "s", "1x", "1 s", "ten", "1.2.3s", "1S", "--1s", "3000000h",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_negative_duration_is_one_attempt() {
        assert_eq!(parse_duration("-5s"), Ok(Duration::ZERO));
        assert!(parse_duration("-5").is_err());
    }

    #[test]
    fn durations_are_formatted_as_people_write_them() {
        for text in [
            "0s", "1h15m", "1m30s", "1.5s", "300ms", "1.5ms", "7us", "3ns", "1m500ms",
        ] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }

    proptest! {
        #[test]
        fn formatted_durations_are_parsed_back(nanoseconds in 0..=i64::MAX.unsigned_abs()) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+]?[0-9.]{0,25}[a-zµ ]{0,3}[0-9.]{0,3}\\PC{0,4}") {
            let _ = parse_duration(&text);
        }
    }
}
