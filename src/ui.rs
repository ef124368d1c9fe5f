//! Every byte that tflock itself writes.
//!
//! Words go to stderr, because stdout is terraform's; only the data of `status` goes to stdout. Nothing is
//! written by an uncontended run unless it was asked to be verbose.

pub mod holder;
mod question;
pub mod waiting;

use std::io::{IsTerminal as _, Write as _};

use console::{Style, Term};

use crate::failure::Failure;

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
    stderr: Term,
}

impl Ui {
    /// Speaks to this process's stderr; `no_color` is whether `NO_COLOR` is set.
    #[must_use]
    pub fn new(verbosity: Verbosity, prompts: Prompts, no_color: bool) -> Self {
        let stderr = Term::stderr();
        console::set_colors_enabled_stderr(stderr.features().colors_supported() && !no_color);
        console::set_colors_enabled(Term::stdout().features().colors_supported() && !no_color);
        let prompts = if stderr.is_term() && std::io::stdin().is_terminal() {
            prompts
        } else {
            Prompts::Refused
        };
        Self {
            verbosity,
            prompts,
            stderr,
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
        self.line(&format!("{label} {}", failure.message));
        self.rows(&failure.details);
        if let Some(hint) = &failure.hint {
            self.hint(hint);
        }
    }

    /// What the user must know although the run goes on.
    pub fn warning(&self, text: &str) {
        let label = Style::new()
            .for_stderr()
            .yellow()
            .bold()
            .apply_to("warning:");
        self.line(&format!("{label} {text}"));
    }

    /// What to type next.
    pub fn hint(&self, text: &str) {
        let label = Style::new().for_stderr().cyan().bold().apply_to("hint:");
        self.line(&format!("{label} {text}"));
    }

    /// What a person wants to know.
    pub fn notice(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.line(&format!("tflock: {text}"));
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
        self.line(&format!("tflock: {text}"));
        self.rows(rows);
    }

    /// What is done and why, for those who asked.
    pub fn detail(&self, text: impl FnOnce() -> String) {
        if self.verbosity >= Verbosity::Verbose {
            let text = format!("tflock: {}", text());
            self.line(&Style::new().for_stderr().dim().apply_to(text).to_string());
        }
    }

    /// Indented rows of label and text, on stderr.
    pub fn rows(&self, rows: &[(&'static str, String)]) {
        let label = Style::new().for_stderr().dim();
        for line in lay_out(rows, &label) {
            self.line(&line);
        }
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
        self.prompt(question);
        let mut reply = String::new();
        let read = std::io::stdin().read_line(&mut reply);
        if !matches!(read, Ok(length) if length > 0) {
            // The end of the input leaves the cursor behind the question.
            self.line("");
            return None;
        }
        Some(reply.trim().to_owned())
    }

    /// The words of a question, with the cursor behind them.
    fn prompt(&self, question: &str) {
        let question = Style::new().for_stderr().bold().apply_to(question);
        self.write(&question.to_string());
    }

    fn line(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// A message that cannot be written has nobody to read it.
    fn write(&self, text: &str) {
        let _ = (&self.stderr).write_all(text.as_bytes());
    }
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
            if label.is_empty() {
                format!("  {text}")
            } else {
                format!("  {}  {text}", style.apply_to(format!("{label:width$}")))
            }
        })
        .collect()
}

/// Writes data to stdout.
///
/// # Errors
/// When stdout is gone.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
