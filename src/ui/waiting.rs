//! What a waiting run shows: a progress line at a terminal, elsewhere a line now and then; and the question whether to
//! take over a stale lock.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::holder::{self, duration};
use super::question::Question;
use super::{Reply, Terminal, Ui, Verbosity};
use crate::lock::acquire::{Decision, Observed, Patience};
use crate::lock::liveness::Liveness;
use crate::lock::record::LockId;
use crate::lock::store::StoreError;
use crate::terraform::duration::format_duration;
use crate::text::printable;

/// When to print the second plain line; each later interval is twice as long.
const SECOND_LINE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// How long the store must fail before it is worth a message.
const SHORTEST_OUTAGE: TimeDelta = TimeDelta::seconds(3);

/// The holder that was shown in full, identified by its lock ID if it has one.
struct Introduced {
    id: Option<LockId>,
    liveness: Liveness,
}

/// The question whether to take over the lock of the introduced holder; asked once for each.
enum TakeOver<'a> {
    /// Not asked.
    NotAsked,
    /// The question is open.
    Asked(Question<'a>),
    /// Answered no, or the question was withdrawn.
    Refused,
    /// Answered yes.
    Granted,
}

/// The display of one wait.
pub struct Waiting<'a> {
    ui: &'a Ui,
    what: String,
    patience: Patience,
    introduced: Option<Introduced>,
    take_over: TakeOver<'a>,
    next_line: Duration,
    pause: Duration,
    answered: DateTime<Utc>,
    outage: Outage,
}

#[derive(PartialEq)]
enum Outage {
    NotReported,
    Reported,
}

impl<'a> Waiting<'a> {
    /// Starts the display of a wait for the lock of `what` at the time `now`.
    #[must_use]
    pub fn new(ui: &'a Ui, what: &str, patience: Patience, now: DateTime<Utc>) -> Self {
        Self {
            ui,
            what: what.to_owned(),
            patience,
            introduced: None,
            take_over: TakeOver::NotAsked,
            next_line: Duration::ZERO,
            pause: SECOND_LINE,
            answered: now,
            outage: Outage::NotReported,
        }
    }

    /// Whether anything was shown, so that the end of the wait should be announced.
    #[must_use]
    pub fn was_shown(&self) -> bool {
        self.introduced.is_some()
    }

    /// Updates the display: the lock is held.
    pub fn held(&mut self, observed: &Observed, now: DateTime<Utc>) {
        self.meet(observed, now);
        self.show_progress(observed);
    }

    /// Updates the display: the lock is held. If the holder is stale, asks once whether to take over, and returns the
    /// answer.
    pub fn held_unless_taken_over(&mut self, observed: &Observed, now: DateTime<Utc>) -> Decision {
        self.meet(observed, now);
        let decision = self.decision(observed, now);
        self.show_progress(observed);
        decision
    }

    fn decision(&mut self, observed: &Observed, now: DateTime<Utc>) -> Decision {
        match &mut self.take_over {
            TakeOver::Asked(question) => match question.reply() {
                None => {}
                Some(Reply::No) => self.take_over = TakeOver::Refused,
                Some(Reply::Yes) => {
                    self.take_over = TakeOver::Granted;
                    return Decision::TakeOver;
                }
            },
            TakeOver::NotAsked if observed.assessment.liveness == Liveness::Stale => {
                self.ask_to_take_over(observed, now);
            }
            TakeOver::NotAsked | TakeOver::Refused | TakeOver::Granted => {}
        }
        Decision::Wait
    }

    fn meet(&mut self, observed: &Observed, now: DateTime<Utc>) {
        self.answered = now;
        self.outage = Outage::NotReported;
        if self.ui.verbosity == Verbosity::Quiet {
            return;
        }
        let id = observed.stored.record.lock_id();
        if self.introduced.as_ref().map(|known| &known.id) != Some(&id) {
            self.withdraw_question();
            self.take_over = TakeOver::NotAsked;
            self.introduce(observed, "is locked, waiting for it", now);
            self.next_line = observed.waited + self.pause;
        }
        match self.take_over {
            TakeOver::Asked(_) if observed.assessment.liveness != Liveness::Stale => {
                self.withdraw_question();
                self.ui.notice("the holder is alive; still waiting");
            }
            TakeOver::Granted => {
                self.take_over = TakeOver::Refused;
                self.ui
                    .notice("the lock has changed in the meantime; leaving it alone");
            }
            TakeOver::NotAsked | TakeOver::Asked(_) | TakeOver::Refused => {}
        }
    }

    /// Shows how long the wait has lasted, unless a question is on screen.
    fn show_progress(&mut self, observed: &Observed) {
        let asking = matches!(self.take_over, TakeOver::Asked(_) | TakeOver::Granted);
        if asking || self.ui.verbosity == Verbosity::Quiet {
            return;
        }
        let who = observed
            .stored
            .record
            .lock_info()
            .map_or_else(|| "somebody".to_owned(), |info| printable(&info.who));
        let time = format!("{}{}", duration(observed.waited), self.limit());
        let line = format!(
            "waiting for {who} ({time}): {}",
            holder::liveness(&observed.assessment)
        );
        if self.ui.terminal == Terminal::Capable {
            let word = observed.assessment.liveness.word();
            self.ui.writer.show_progress(vec![
                line,
                format!("waiting for {who} ({time}): {word}"),
                format!("waiting ({time}): {word}"),
            ]);
        } else if observed.waited >= self.next_line {
            self.ui.notice(&line);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            self.next_line = observed.waited + self.pause;
        }
    }

    fn ask_to_take_over(&mut self, observed: &Observed, now: DateTime<Utc>) {
        if self.ui.verbosity == Verbosity::Quiet || !Question::can_be_asked(self.ui) {
            return;
        }
        self.ui.writer.clear_bottom();
        let known = self.introduced.as_ref().map(|known| known.liveness);
        if known != Some(Liveness::Stale) {
            self.introduce(
                observed,
                "has a holder that stopped sending heartbeats",
                now,
            );
        }
        self.take_over = TakeOver::Asked(Question::ask(
            self.ui,
            "If its holder still runs, the state can be lost. Take the lock over?",
        ));
    }

    fn withdraw_question(&mut self) {
        if matches!(self.take_over, TakeOver::Asked(_))
            && let TakeOver::Asked(question) =
                std::mem::replace(&mut self.take_over, TakeOver::Refused)
        {
            question.withdraw();
        }
    }

    /// A request failed and will be retried.
    pub fn retrying(&mut self, error: &StoreError, now: DateTime<Utc>) {
        let text = format!("{error}; trying again");
        let is_lasting = now.signed_duration_since(self.answered) >= SHORTEST_OUTAGE;
        if self.ui.verbosity == Verbosity::Verbose {
            self.ui.detail(|| text);
        } else if is_lasting && self.outage == Outage::NotReported {
            self.outage = Outage::Reported;
            self.ui.notice(&text);
        }
    }

    /// The wait is over: removes the progress line.
    pub fn end(&mut self) {
        self.withdraw_question();
        self.ui.writer.clear_bottom();
    }

    fn introduce(&mut self, observed: &Observed, state: &str, now: DateTime<Utc>) {
        self.introduced = Some(Introduced {
            id: observed.stored.record.lock_id(),
            liveness: observed.assessment.liveness,
        });
        let title = format!("`{}` {state}", self.what);
        let rows = holder::rows(&observed.stored.record, &observed.assessment, now);
        self.ui.notice_with_rows(&title, &rows);
    }

    fn limit(&self) -> String {
        match self.patience {
            Patience::For(limit) => format!(" of {}", format_duration(limit)),
            Patience::Forever => String::new(),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::{AsFd as _, OwnedFd};

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;
    use crate::lock::liveness::{Assessment, Replacement};
    use crate::lock::record::Record;
    use crate::lock::store::{Revision, Stored};
    use crate::ui::Prompts;
    use crate::ui::writer::Writer;

    fn observed(waited: Duration) -> Observed {
        Observed {
            stored: Stored {
                record: Record {
                    info: None,
                    lease: None,
                },
                revision: Revision::Bytes(Vec::new()),
            },
            assessment: Assessment {
                liveness: Liveness::Unknown,
                silence: None,
                replacement: Replacement::No,
                misses_heartbeats: false,
                settles_in: None,
            },
            waited,
        }
    }

    #[test]
    fn without_a_terminal_the_second_line_comes_after_half_a_minute_and_the_others_ever_later() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let writer = Writer::to(Some(File::from(OwnedFd::from(writer))));
        let ui = Ui {
            verbosity: Verbosity::Normal,
            prompts: Prompts::Refused,
            terminal: Terminal::None,
            writer: Box::leak(Box::new(writer)),
        };
        let mut waiting = Waiting::new(&ui, "locks/app", Patience::Forever, Utc::now());
        let mut said = Vec::new();
        for second in 0..3000 {
            waiting.held(&observed(Duration::from_secs(second)), Utc::now());
            ui.writer.settle(Duration::from_secs(20));
            let mut readable = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
            if poll(&mut readable, PollTimeout::ZERO).unwrap() > 0 {
                said.push(second);
                assert!(reader.read(&mut [0; 4096]).unwrap() < 4096);
            }
        }
        assert_eq!(said, [0, 30, 90, 210, 450, 930, 1530, 2130, 2730]);
    }
}
