//! Makes foreign text safe for a terminal: names, fields, servers' messages, paths. It cannot steer the terminal, hide,
//! imitate our rows or fill the screen.

use console::{measure_text_width, truncate_str};

/// Columns shown of a field.
const FIELD: usize = 300;
/// Columns shown of a message, including its fields.
const MESSAGE: usize = 1500;

/// One field, on one line.
#[must_use]
pub fn printable(text: &str) -> String {
    within(text, FIELD)
}

/// A message with its fields, on one line.
pub(crate) fn message(text: &str) -> String {
    within(text, MESSAGE)
}

/// A command to type; never cut or folded, which would change it.
pub(crate) fn command(text: &str) -> String {
    text.chars().map(shown).collect()
}

fn within(text: &str, columns: usize) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().map(shown));
        // The rest would be cut anyway; it may be megabytes.
        if measure_text_width(&line) > columns {
            break;
        }
    }
    truncate_str(&line, columns, "…").into_owned()
}

fn shown(character: char) -> char {
    if is_unprintable(character) {
        '\u{fffd}'
    } else {
        character
    }
}

/// Control characters; bidirectional controls; zero-width characters and lookalikes of blanks; tags.
#[must_use]
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal_or_hide() {
        for (text, shown) in [
            ("ana@laptop", "ana@laptop"),
            ("müller@büro 状態", "müller@büro 状態"),
            ("\u{1b}[2Jgarbage", "\u{fffd}[2Jgarbage"),
            ("a\u{9b}2Jb\u{7f}", "a\u{fffd}2Jb\u{fffd}"),
            ("a\u{202e}b\u{2066}c\u{200f}", "a\u{fffd}b\u{fffd}c\u{fffd}"),
            ("a\u{200b}b\u{feff}", "a\u{fffd}b\u{fffd}"),
            ("a\u{e0041}b", "a\u{fffd}b"),
            ("one\ntwo\r\n  three", "one two three"),
            ("ana     Holder:   dead", "ana Holder: dead"),
            ("  \u{a0}a\u{2003}\u{3000}b ", "a b"),
            ("", ""),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
    }

    #[test]
    fn a_field_is_cut_at_a_few_hundred_columns() {
        let long = "状".repeat(100_000);
        let shown = printable(&long);
        assert!(measure_text_width(&shown) <= FIELD);
        assert!(shown.ends_with('…'), "{shown}");
        assert_eq!(printable(&"a ".repeat(100_000)).len(), FIELD + 2);
    }

    #[test]
    fn a_command_keeps_its_blanks() {
        assert_eq!(command("tflock 'a  b' \u{1b}"), "tflock 'a  b' \u{fffd}");
    }
}
