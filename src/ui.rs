//! Every byte that tflock itself writes.
//!
//! Messages go to stderr, because stdout is terraform's; only data such as that of `status` goes to stdout. An
//! uncontended run writes nothing unless it is verbose.

mod bottom;
mod data;
pub mod holder;
pub mod keys;
mod question;
pub mod queue;
mod terminal;
pub mod waiting;
mod writer;

use std::io::IsTerminal as _;
use std::time::Duration;

use console::{Style, Term};

pub use self::data::{NotPrinted, print, print_json, print_json_line};
pub use self::terminal::Notifications;
use self::terminal::Terminal;
use self::writer::{Importance, Writer};
use crate::failure::Failure;
use crate::text::printable::{self, printable};

/// How long to wait at the end of a run for the last messages to be read.
const FINAL_WAIT: Duration = Duration::from_secs(1);

/// How much to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// What the user must know.
    Normal,
    /// What tflock does and why.
    Verbose,
}

/// Whether prompts are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompts {
    /// At a terminal.
    Allowed,
    /// Never.
    Disabled,
}

/// The user's answer to a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Yes.
    Yes,
    /// Any other answer, or none.
    No,
}

impl Reply {
    fn parse(line: &str) -> Self {
        match line.trim() {
            "y" | "Y" | "yes" | "Yes" | "YES" => Self::Yes,
            _ => Self::No,
        }
    }
}

/// Where messages and prompts go.
#[derive(Clone, Debug)]
pub struct Ui {
    verbosity: Verbosity,
    prompts: Prompts,
    terminal: Terminal,
    notifications: Notifications,
    writer: &'static Writer,
}

impl Ui {
    /// Writes to this process's stderr; `no_color` is whether `NO_COLOR` is set.
    #[must_use]
    pub fn new(verbosity: Verbosity, prompts: Prompts, no_color: bool) -> Self {
        let stderr = Term::stderr();
        console::set_colors_enabled_stderr(stderr.features().colors_supported() && !no_color);
        console::set_colors_enabled(Term::stdout().features().colors_supported() && !no_color);
        let terminal = Terminal::of(&stderr);
        let prompts = if terminal != Terminal::None && std::io::stdin().is_terminal() {
            prompts
        } else {
            Prompts::Disabled
        };
        Self {
            verbosity,
            prompts,
            terminal,
            notifications: Notifications::None,
            writer: Writer::stderr(),
        }
    }

    /// The same UI at a terminal with such notifications.
    #[must_use]
    pub fn with_notifications(self, notifications: Notifications) -> Self {
        Self {
            notifications,
            ..self
        }
    }

    /// The same UI without prompts.
    #[must_use]
    pub fn without_prompts(&self) -> Self {
        Self {
            prompts: Prompts::Disabled,
            ..self.clone()
        }
    }

    /// Whether prompting is possible and allowed.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.prompts == Prompts::Allowed
    }

    /// Prints an error with its details and hint.
    pub fn failure(&self, failure: &Failure) {
        let label = Style::new().for_stderr().red().bold().apply_to("error:");
        let mut lines = vec![format!("{label} {}", printable::message(&failure.message))];
        for (label, text) in &failure.lock_info {
            let line = format!("{label:<12} {}", printable(text));
            lines.push(line.trim_end().to_owned());
        }
        lines.extend(lay_out(&failure.details, &Style::new().for_stderr().dim()));
        lines.extend(failure.hint.iter().map(|hint| hint_line(hint)));
        self.say(&lines, Importance::Message);
    }

    /// Prints a warning; the run goes on.
    pub fn warning(&self, text: &str) {
        let label = Style::new()
            .for_stderr()
            .yellow()
            .bold()
            .apply_to("warning:");
        self.line(format!("{label} {}", printable::message(text)));
    }

    /// Prints what to type next.
    pub fn hint(&self, text: &str) {
        self.line(hint_line(text));
    }

    /// Prints a notice, unless quiet.
    pub fn notice(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.line(format!("tflock: {}", printable::message(text)));
        }
    }

    /// Prints a notice that should attract attention: with a bell at a terminal, and a notification if the terminal is known
    /// to support them.
    pub fn alert(&self, text: &str, notification: &str) {
        if self.terminal == Terminal::None || self.verbosity < Verbosity::Normal {
            return self.notice(text);
        }
        let sign = match self.notifications {
            Notifications::None => "\u{7}".to_owned(),
            // OSC 9, as iTerm2 has it.
            Notifications::ByTerminal => {
                format!("\u{7}\u{1b}]9;{}\u{7}", printable(notification))
            }
        };
        let text = format!("tflock: {}\n{sign}", printable::message(text));
        self.writer.say(text, Importance::Message);
    }

    /// Prints a notice with its rows, unless quiet.
    pub fn notice_with_rows(&self, text: &str, rows: &[(&'static str, String)]) {
        if self.verbosity >= Verbosity::Normal {
            self.subject(text, rows);
        }
    }

    /// Prints what a prompt or a refusal is about, even if quiet.
    pub fn subject(&self, text: &str, rows: &[(&'static str, String)]) {
        let mut lines = vec![format!("tflock: {}", printable::message(text))];
        lines.extend(lay_out(rows, &Style::new().for_stderr().dim()));
        self.say(&lines, Importance::Message);
    }

    /// Prints what tflock does and why, if verbose.
    pub fn detail(&self, text: impl FnOnce() -> String) {
        if self.verbosity >= Verbosity::Verbose {
            let text = format!("tflock: {}", printable::message(&text()));
            let text = Style::new().for_stderr().dim().apply_to(text).to_string();
            self.say(&[text], Importance::Detail);
        }
    }

    /// Call before the process ends or execs: gives pending messages a moment to be read.
    pub fn settle(&self) {
        self.writer.settle(FINAL_WAIT);
    }

    /// Asks a yes-or-no question; the default is no.
    #[must_use]
    pub fn confirm(&self, question: &str) -> Reply {
        let line = self.ask(&format!("{question} [y/N] "));
        line.map_or(Reply::No, |line| Reply::parse(&line))
    }

    /// Asks for the full word `yes`.
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
        self.show_question(question);
        // No lock is held here, and no one can answer a question that they have not seen.
        self.writer.settle(Duration::MAX);
        let mut reply = String::new();
        let read = std::io::stdin().read_line(&mut reply);
        if !matches!(read, Ok(length) if length > 0) {
            // At the end of input the cursor is still on the question's line.
            self.writer.clear_bottom();
            return None;
        }
        self.writer.end_answered_question();
        Some(reply.trim().to_owned())
    }

    fn show_question(&self, question: &str) {
        let question = Style::new().for_stderr().bold().apply_to(question);
        self.writer.show_question(question.to_string());
    }

    fn line(&self, text: String) {
        self.say(&[text], Importance::Message);
    }

    fn say(&self, lines: &[String], importance: Importance) {
        self.writer.say(lines.join("\n") + "\n", importance);
    }
}

fn hint_line(text: &str) -> String {
    let label = Style::new().for_stderr().cyan().bold().apply_to("hint:");
    format!("{label} {}", printable::command(text))
}

/// Lays out rows for stdout.
#[must_use]
pub fn stdout_rows(rows: &[(&'static str, String)]) -> Vec<String> {
    lay_out(rows, &Style::new().dim())
}

/// A row without a label gets no column.
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
