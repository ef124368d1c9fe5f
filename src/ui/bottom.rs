//! The last line of the terminal: nothing, a line that moves, or a question; and how to get from one to the other.

use console::{Term, measure_text_width, truncate_str};

/// What the last line should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Bottom {
    /// The cursor, at the start of an empty line.
    #[default]
    Empty,
    /// A line that is drawn again and again.
    Moving(Moving),
    /// A question with the cursor behind it. It stays where it was asked.
    Question(String),
}

/// A line in several lengths, and how far its spinner has turned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moving {
    /// The longest first. Cut off in the middle of a number it would say another one.
    pub lines: Vec<String>,
    turn: usize,
}

impl Moving {
    /// A line that has not moved yet.
    pub(super) fn new(lines: impl Into<Vec<String>>) -> Self {
        Self {
            lines: lines.into(),
            turn: 0,
        }
    }

    /// The line for that many columns. It never reaches the last one, where some terminals wrap.
    fn drawn(&self, columns: usize) -> String {
        const SPINNER: [char; 8] = ['⠁', '⠂', '⠄', '⡀', '⢀', '⠠', '⠐', '⠈'];
        // The spinner and a blank stand before it.
        let room = columns.saturating_sub(3);
        let fits = |line: &&String| measure_text_width(line) <= room;
        let line = self.lines.iter().find(fits).or(self.lines.last());
        let line = line.map_or("", String::as_str);
        let spinner = SPINNER[self.turn % SPINNER.len()];
        let drawn = format!("{spinner} {}", truncate_str(line, room, ""));
        truncate_str(&drawn, columns.saturating_sub(1), "").into_owned()
    }
}

/// What the last line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    Clean,
    Moving,
    Question,
}

impl Screen {
    /// What to write so that `words` stand above `bottom`; `None` if nothing is to be done.
    pub(super) fn change_to(
        &mut self,
        bottom: &mut Bottom,
        words: &str,
        is_tick: bool,
    ) -> Option<String> {
        self.change_at(bottom, words, is_tick, || {
            usize::from(Term::stderr().size().1)
        })
    }

    fn change_at(
        &mut self,
        bottom: &mut Bottom,
        words: &str,
        is_tick: bool,
        columns: impl FnOnce() -> usize,
    ) -> Option<String> {
        let is_as_wanted = matches!(
            (*self, &*bottom),
            (Self::Clean, Bottom::Empty) | (Self::Question, Bottom::Question(_))
        );
        if is_as_wanted && words.is_empty() {
            return None;
        }
        let mut bytes = String::new();
        match self {
            Self::Clean => {}
            Self::Moving => bytes.push_str("\r\u{1b}[2K"),
            // What was typed behind it stays with it.
            Self::Question => bytes.push('\n'),
        }
        bytes.push_str(words);
        *self = match bottom {
            Bottom::Empty => Self::Clean,
            Bottom::Question(question) => {
                bytes.push_str(question);
                Self::Question
            }
            Bottom::Moving(moving) => {
                moving.turn += usize::from(is_tick);
                bytes.push_str(&moving.drawn(columns()));
                // Keys that the terminal echoes, as Ctrl-C, would else reach the last column.
                bytes.push('\r');
                Self::Moving
            }
        };
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Moving {
        Moving::new([
            "waiting for ana@laptop (3 s of 15m): alive".to_owned(),
            "waiting (3 s of 15m): alive".to_owned(),
        ])
    }

    #[test]
    fn a_line_is_the_longest_that_leaves_the_last_column_free() {
        let long = "⠁ waiting for ana@laptop (3 s of 15m): alive";
        let short = "⠁ waiting (3 s of 15m): alive";
        for (columns, expected) in [
            (200, long),
            (45, long),
            (44, short),
            (30, short),
            (29, "⠁ waiting (3 s of 15m): aliv"),
            (10, "⠁ waiting"),
            (3, "⠁ "),
            (2, "⠁"),
            (1, ""),
            (0, ""),
        ] {
            assert_eq!(line().drawn(columns), expected, "{columns}");
        }
        let wide = Moving::new(["状態がロックされています".to_owned()]);
        assert_eq!(wide.drawn(10), "⠁ 状態が");
    }

    #[test]
    fn words_go_above_whatever_the_last_line_is() {
        let mut screen = Screen::Clean;
        let mut step = |bottom: Bottom, words: &str| {
            let mut bottom = bottom;
            screen.change_at(&mut bottom, words, false, || 80)
        };
        let ask = || Bottom::Question("Sure? ".to_owned());
        let moving = || Bottom::Moving(Moving::new(["on".to_owned()]));
        assert_eq!(step(Bottom::Empty, ""), None);
        assert_eq!(step(Bottom::Empty, "a\n").as_deref(), Some("a\n"));
        assert_eq!(step(moving(), "").as_deref(), Some("⠁ on\r"));
        assert_eq!(
            step(moving(), "b\n").as_deref(),
            Some("\r\u{1b}[2Kb\n⠁ on\r")
        );
        assert_eq!(step(ask(), "").as_deref(), Some("\r\u{1b}[2KSure? "));
        assert_eq!(step(ask(), ""), None);
        assert_eq!(step(ask(), "c\n").as_deref(), Some("\nc\nSure? "));
        assert_eq!(step(Bottom::Empty, "").as_deref(), Some("\n"));
    }
}
