//! Reports the findings: a line for each check as soon as it is done, or a JSON object at the end.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::lock::store::StoreError;
use crate::session::Outcome;
use crate::text::printable::{self, printable};
use crate::ui::{NotPrinted, print, print_json};

/// The version of the JSON object: it only grows.
const VERSION: u32 = 1;

/// How findings are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Lines,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Nothing is wrong, but something could be better.
    Advice,
    /// Something is wrong; with the exit code that a run would have.
    Fault(u8),
    NotTried,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Advice => "advice",
            Self::Fault(_) => "fault",
            Self::NotTried => "skipped",
        }
    }
}

struct Finding {
    check: &'static str,
    verdict: Verdict,
    message: String,
    next: Option<String>,
    /// Text to copy as it is.
    block: Option<String>,
}

/// All findings so far.
pub(super) struct Report {
    form: Form,
    findings: Vec<Finding>,
}

pub(super) type Told = Result<(), NotPrinted>;

impl Report {
    pub(super) fn new(form: Form) -> Self {
        Self {
            form,
            findings: Vec::new(),
        }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    pub(super) fn good(&mut self, check: &'static str, message: impl Into<String>) -> Told {
        self.add(check, Verdict::Good, message.into(), None, None)
    }

    pub(super) fn not_tried(&mut self, check: &'static str, why: impl Into<String>) -> Told {
        self.add(check, Verdict::NotTried, why.into(), None, None)
    }

    pub(super) fn advice(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        next: impl Into<String>,
    ) -> Told {
        self.add(
            check,
            Verdict::Advice,
            message.into(),
            Some(next.into()),
            None,
        )
    }

    pub(super) fn advice_with_block(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        next: impl Into<String>,
        block: String,
    ) -> Told {
        let next = Some(next.into());
        self.add(check, Verdict::Advice, message.into(), next, Some(block))
    }

    pub(super) fn fault(&mut self, check: &'static str, failure: Failure) -> Told {
        let verdict = Verdict::Fault(failure.exit_code);
        self.add(check, verdict, failure.message, failure.hint, None)
    }

    /// Reports the result of a request.
    pub(super) fn tried(
        &mut self,
        check: &'static str,
        tried: Result<impl Into<String>, StoreError>,
    ) -> Told {
        match tried {
            Ok(message) => self.good(check, message),
            Err(error) => self.fault(check, Failure::of_check(error)),
        }
    }

    fn add(
        &mut self,
        check: &'static str,
        verdict: Verdict,
        message: String,
        next: Option<String>,
        block: Option<String>,
    ) -> Told {
        let finding = Finding {
            check,
            verdict,
            message,
            next,
            block,
        };
        let told = match self.form {
            Form::Lines => print(&finding.lines()),
            Form::Json => Ok(()),
        };
        self.findings.push(finding);
        told
    }

    pub(super) fn has_fault(&self, check: &str) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|found| found.check == check && matches!(found.verdict, Verdict::Fault(_)))
    }

    /// Withdraws the fault of that check, which has been repaired.
    pub(super) fn repaired(&mut self, check: &'static str, message: &str) -> Told {
        self.findings.retain(|finding| finding.check != check);
        self.good(check, message)
    }

    /// Ends with the exit code of the first fault: later ones may be its consequences.
    pub(super) fn conclude(self) -> Result<Outcome, NotPrinted> {
        let faults = self
            .findings
            .iter()
            .filter_map(|finding| match finding.verdict {
                Verdict::Fault(code) => Some(code),
                Verdict::Good | Verdict::Advice | Verdict::NotTried => None,
            });
        let faults: Vec<u8> = faults.collect();
        let exit_code = faults.first().copied().unwrap_or(0);
        match self.form {
            Form::Json => {
                let checks: Vec<Value> = self.findings.iter().map(Finding::as_json).collect();
                print_json(&json!({
                    "version": VERSION,
                    "status": if faults.is_empty() { "ok" } else { "fault" },
                    "exit_code": exit_code,
                    "checks": checks,
                }))?;
            }
            Form::Lines => print(&match faults.len() {
                0 => "no faults\n".to_owned(),
                1 => "1 fault\n".to_owned(),
                count => format!("{count} faults\n"),
            })?,
        }
        Ok(Outcome::Exit(exit_code))
    }
}

impl Finding {
    fn lines(&self) -> String {
        let style = match self.verdict {
            Verdict::Good => console::Style::new().green(),
            Verdict::Advice => console::Style::new().yellow(),
            Verdict::Fault(_) => console::Style::new().red().bold(),
            Verdict::NotTried => console::Style::new().dim(),
        };
        let word = style.apply_to(format!("{:<7}", self.verdict.word()));
        let mut text = format!("{word}  {:<20}  {}\n", self.check, printable(&self.message));
        if let Some(next) = &self.next {
            let indent = " ".repeat(31);
            text = format!(
                "{text}{indent}next: {}
",
                printable::command(next)
            );
        }
        if let Some(block) = &self.block {
            text.push_str(block);
        }
        text
    }

    fn as_json(&self) -> Value {
        json!({
            "check": self.check,
            "status": self.verdict.word(),
            "message": self.message,
            "next": self.next,
            "block": self.block,
        })
    }
}
