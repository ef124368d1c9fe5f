//! Every byte that tflock itself writes.
//!
//! Words go to stderr, because stdout is terraform's; only the data of `status` goes to stdout. Nothing is
//! written by an uncontended run unless it was asked to be verbose.

mod bottom;
mod data;
pub mod holder;
mod question;
pub mod waiting;
mod writer;

use std::io::IsTerminal as _;
use std::time::Duration;

use console::{Style, Term, is_dumb};

pub use self::data::{NotPrinted, print, print_json};
use self::writer::{Weight, Writer};
use crate::failure::Failure;
use crate::text::printable::{self, printable};

/// How long the end of a run waits for somebody to read the last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// What a person must know.
    Normal,
    /// What is done and why.
    Verbose,
}

/// Whether questions may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompts {
    /// At a terminal.
    Allowed,
    /// Never.
    Refused,
}

/// What a person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Agreed.
    Yes,
    /// Anything else, or nothing.
    No,
}

impl Reply {
    fn to_yes_or_no(line: &str) -> Self {
        match line.trim() {
            "y" | "Y" | "yes" | "Yes" | "YES" => Self::Yes,
            _ => Self::No,
        }
    }
}

/// The user's terminal, or what stands in its place.
#[derive(Clone, Debug)]
pub struct Ui {
    verbosity: Verbosity,
    prompts: Prompts,
    /// Whether stderr is a terminal, and what it can do.
    terminal: Terminal,
    writer: &'static Writer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Terminal {
    None,
    /// It cannot move its cursor (`TERM=dumb`).
    Dumb,
    Capable,
}

impl Ui {
    /// Speaks to this process's stderr; `no_color` is whether `NO_COLOR` is set.
    #[must_use]
    pub fn new(verbosity: Verbosity, prompts: Prompts, no_color: bool) -> Self {
        let stderr = Term::stderr();
        console::set_colors_enabled_stderr(stderr.features().colors_supported() && !no_color);
        console::set_colors_enabled(Term::stdout().features().colors_supported() && !no_color);
        let terminal = match stderr.is_term() {
            false => Terminal::None,
            true if is_dumb() => Terminal::Dumb,
            true => Terminal::Capable,
        };
        let prompts = if terminal != Terminal::None && std::io::stdin().is_terminal() {
            prompts
        } else {
            Prompts::Refused
        };
        Self {
            verbosity,
            prompts,
            terminal,
            writer: Writer::stderr(),
        }
    }

    /// The same, which asks nothing.
    #[must_use]
    pub fn without_prompts(&self) -> Self {
        Self {
            prompts: Prompts::Refused,
            ..self.clone()
        }
    }

    /// Whether there is a person who can be asked.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.prompts == Prompts::Allowed
    }

    /// An error, what belongs to it, and what to type next.
    pub fn failure(&self, failure: &Failure) {
        let label = Style::new().for_stderr().red().bold().apply_to("error:");
        let mut lines = vec![format!("{label} {}", printable::message(&failure.message))];
        for (label, text) in &failure.lock_info {
            let line = format!("{label:<12} {}", printable(text));
            lines.push(line.trim_end().to_owned());
        }
        lines.extend(lay_out(&failure.details, &Style::new().for_stderr().dim()));
        lines.extend(failure.hint.iter().map(|hint| as_hint(hint)));
        self.say(&lines, Weight::Word);
    }

    /// What the user must know although the run goes on.
    pub fn warning(&self, text: &str) {
        let label = Style::new()
            .for_stderr()
            .yellow()
            .bold()
            .apply_to("warning:");
        self.line(format!("{label} {}", printable::message(text)));
    }

    /// What to type next.
    pub fn hint(&self, text: &str) {
        self.line(as_hint(text));
    }

    /// What a person wants to know.
    pub fn notice(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.line(format!("tflock: {}", printable::message(text)));
        }
    }

    /// What a person wants to know, and the rows that belong to it.
    pub fn notice_with_rows(&self, text: &str, rows: &[(&'static str, String)]) {
        if self.verbosity >= Verbosity::Normal {
            self.subject(text, rows);
        }
    }

    /// What a question or a refusal is about: whoever is asked must see it, however quiet it is to be.
    pub fn subject(&self, text: &str, rows: &[(&'static str, String)]) {
        let mut lines = vec![format!("tflock: {}", printable::message(text))];
        lines.extend(lay_out(rows, &Style::new().for_stderr().dim()));
        self.say(&lines, Weight::Word);
    }

    /// What is done and why, for those who asked.
    pub fn detail(&self, text: impl FnOnce() -> String) {
        if self.verbosity >= Verbosity::Verbose {
            let text = format!("tflock: {}", printable::message(&text()));
            let text = Style::new().for_stderr().dim().apply_to(text).to_string();
            self.say(&[text], Weight::Detail);
        }
    }

    /// Before the process ends or becomes another program: gives whoever reads a moment to take what was said last.
    pub fn settle(&self) {
        self.writer.settle(LAST_WORDS);
    }

    /// Asks a question that is answered with `y` or `n`; the default is no.
    #[must_use]
    pub fn confirm(&self, question: &str) -> Reply {
        let line = self.ask(&format!("{question} [y/N] "));
        line.map_or(Reply::No, |line| Reply::to_yes_or_no(&line))
    }

    /// Asks for the whole word `yes`.
    #[must_use]
    pub fn confirm_in_full(&self, question: &str) -> Reply {
        match self
            .ask(&format!("{question} Only `yes` is accepted: "))
            .as_deref()
        {
            Some("yes") => Reply::Yes,
            _ => Reply::No,
        }
    }

    fn ask(&self, question: &str) -> Option<String> {
        if !self.can_ask() {
            return None;
        }
        self.put_question(question);
        // Nothing is held meanwhile, and what nobody has seen nobody can answer.
        self.writer.settle(Duration::MAX);
        let mut reply = String::new();
        let read = std::io::stdin().read_line(&mut reply);
        if !matches!(read, Ok(length) if length > 0) {
            // The end of the input leaves the cursor behind the question.
            self.writer.clear_bottom();
            return None;
        }
        self.writer.end_answered_question();
        Some(reply.trim().to_owned())
    }

    /// The words of a question, with the cursor behind them.
    fn put_question(&self, question: &str) {
        let question = Style::new().for_stderr().bold().apply_to(question);
        self.writer.put_question(question.to_string());
    }

    fn line(&self, text: String) {
        self.say(&[text], Weight::Word);
    }

    fn say(&self, lines: &[String], weight: Weight) {
        self.writer.say(lines.join("\n") + "\n", weight);
    }
}

fn as_hint(text: &str) -> String {
    let label = Style::new().for_stderr().cyan().bold().apply_to("hint:");
    format!("{label} {}", printable::command(text))
}

/// Rows for stdout.
#[must_use]
pub fn stdout_rows(rows: &[(&'static str, String)]) -> Vec<String> {
    lay_out(rows, &Style::new().dim())
}

/// A row that has no label stands alone.
fn lay_out(rows: &[(&'static str, String)], style: &Style) -> Vec<String> {
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    rows.iter()
        .map(|(label, text)| {
            let text = printable(text);
            if label.is_empty() {
                format!("  {text}")
            } else {
                format!("  {}  {text}", style.apply_to(format!("{label:width$}")))
            }
        })
        .collect()
}
