//! The last line of the terminal: empty, a progress line, or a question; and the transitions between them.

use console::{Term, measure_text_width, truncate_str};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Bottom {
    /// Nothing; the cursor is at the start of the line.
    #[default]
    Empty,
    /// A progress line, redrawn in place.
    Progress(Progress),
    /// A question, followed by the cursor. It stays where it was asked.
    Question(String),
}

/// A progress line in several lengths, and the position of its spinner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Longest first. A line cut in the middle of a number would show a wrong one.
    pub lines: Vec<String>,
    turn: usize,
}

impl Progress {
    pub(super) fn new(lines: impl Into<Vec<String>>) -> Self {
        Self {
            lines: lines.into(),
            turn: 0,
        }
    }

    /// The line that fits into `columns`. It never uses the last column, where some terminals wrap.
    fn drawn(&self, columns: usize) -> String {
        const SPINNER: [char; 8] = ['⠁', '⠂', '⠄', '⡀', '⢀', '⠠', '⠐', '⠈'];
        // Two columns for spinner and blank, one to leave free.
        let room = columns.saturating_sub(3);
        let fits = |line: &&String| measure_text_width(line) <= room;
        let line = self.lines.iter().find(fits).or(self.lines.last());
        let line = line.map_or("", String::as_str);
        let spinner = SPINNER[self.turn % SPINNER.len()];
        let drawn = format!("{spinner} {}", truncate_str(line, room, ""));
        truncate_str(&drawn, columns.saturating_sub(1), "").into_owned()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    Clean,
    Progress,
    Question,
}

impl Screen {
    /// What to write to print `words` above `bottom`; `None` if nothing changes.
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
            Self::Progress => bytes.push_str("\r\u{1b}[2K"),
            // Keep the question's line with what was typed on it.
            Self::Question => bytes.push('\n'),
        }
        bytes.push_str(words);
        *self = match bottom {
            Bottom::Empty => Self::Clean,
            Bottom::Question(question) => {
                bytes.push_str(question);
                Self::Question
            }
            Bottom::Progress(progress) => {
                progress.turn += usize::from(is_tick);
                bytes.push_str(&progress.drawn(columns()));
                // Echoed keys such as Ctrl-C would otherwise reach the last column.
                bytes.push('\r');
                Self::Progress
            }
        };
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Progress {
        Progress::new([
            "waiting for ana@laptop (3 s of 15m): alive".to_owned(),
            "waiting (3 s of 15m): alive".to_owned(),
        ])
    }

    #[test]
    fn the_longest_line_that_leaves_the_last_column_free_is_shown() {
        let long = "⠁ waiting for ana@laptop (3 s of 15m): alive";
        let short = "⠁ waiting (3 s of 15m): alive";
        for (columns, expected) in [
            (200, long),
            (45, long),
            (44, short),
            (30, short),
            (29, "⠁ waiting (3 s of 15m): aliv"),
            (20, "⠁ waiting (3 s of 1"),
            (10, "⠁ waiting"),
            (3, "⠁ "),
            (2, "⠁"),
            (1, ""),
            (0, ""),
        ] {
            assert_eq!(line().drawn(columns), expected, "{columns}");
        }
        let wide = Progress::new(["状態がロックされています".to_owned()]);
        assert_eq!(wide.drawn(10), "⠁ 状態が");
    }

    #[test]
    fn messages_go_above_the_last_line() {
        let mut screen = Screen::Clean;
        let mut step = |bottom: Bottom, words: &str| {
            let mut bottom = bottom;
            screen.change_at(&mut bottom, words, false, || 80)
        };
        let ask = || Bottom::Question("Sure? ".to_owned());
        let progress = || Bottom::Progress(Progress::new(["on".to_owned()]));
        assert_eq!(step(Bottom::Empty, ""), None);
        assert_eq!(step(Bottom::Empty, "a\n").as_deref(), Some("a\n"));
        assert_eq!(step(progress(), "").as_deref(), Some("⠁ on\r"));
        assert_eq!(
            step(progress(), "b\n").as_deref(),
            Some("\r\u{1b}[2Kb\n⠁ on\r")
        );
        assert_eq!(step(ask(), "").as_deref(), Some("\r\u{1b}[2KSure? "));
        assert_eq!(step(ask(), ""), None);
        assert_eq!(step(ask(), "c\n").as_deref(), Some("\nc\nSure? "));
        assert_eq!(step(Bottom::Empty, "").as_deref(), Some("\n"));
    }
}
