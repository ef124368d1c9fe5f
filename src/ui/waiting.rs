//! What a waiting run shows: a progress line at a terminal, elsewhere a line now and then; and the question whether to
//! take over a stale lock.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::holder::{self, duration};
use super::question::Question;
use super::{Reply, Terminal, Ui, Verbosity, queue};
use crate::lock::acquire::{Decision, Observed, Patience};
use crate::lock::liveness::Liveness;
use crate::lock::queue::QueuePosition;
use crate::lock::record::LockId;
use crate::lock::store::StoreError;
use crate::terraform::duration::format_duration;
use crate::text::printable;

/// How often to print a plain line if nothing changes: a CI system ends a job that seems to hang.
const NEXT_LINE: Duration = Duration::from_secs(30);
/// After how long a wait its end should attract attention.
const LONG: Duration = Duration::from_secs(10);
/// How long the store must fail before we say so.
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
    Declined,
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
    /// The place in the queue that was shown last.
    place: Option<usize>,
    /// How long it has lasted.
    waited: Duration,
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
            place: None,
            waited: Duration::ZERO,
            answered: now,
            outage: Outage::NotReported,
        }
    }

    /// Says that the wait is over and the lock is ours; after a long wait, in a way that attracts attention.
    pub fn announce(&self) {
        if self.introduced.is_none() {
            return;
        }
        let text = "the lock is free, going on";
        if self.waited > LONG {
            self.ui.alert(text, &format!("`{}`: {text}", self.what));
        } else {
            self.ui.notice(text);
        }
    }

    /// Updates the display: the lock is held.
    pub fn held(&mut self, observed: &Observed, now: DateTime<Utc>) {
        self.meet(observed, now);
        self.show_progress(observed, now);
    }

    /// Updates the display: the lock is held. If the holder is stale, asks once whether to take over, and returns the
    /// answer.
    pub fn held_unless_taken_over(&mut self, observed: &Observed, now: DateTime<Utc>) -> Decision {
        self.meet(observed, now);
        let decision = self.decision(observed, now);
        self.show_progress(observed, now);
        decision
    }

    fn decision(&mut self, observed: &Observed, now: DateTime<Utc>) -> Decision {
        match &mut self.take_over {
            TakeOver::Asked(question) => match question.reply() {
                None => {}
                Some(Reply::No) => self.take_over = TakeOver::Declined,
                Some(Reply::Yes) => {
                    self.take_over = TakeOver::Granted;
                    return Decision::TakeOver;
                }
            },
            TakeOver::NotAsked if observed.assessment.liveness == Liveness::Stale => {
                self.ask_to_take_over(observed, now);
            }
            TakeOver::NotAsked | TakeOver::Declined | TakeOver::Granted => {}
        }
        Decision::Wait
    }

    fn meet(&mut self, observed: &Observed, now: DateTime<Utc>) {
        self.answered = now;
        self.outage = Outage::NotReported;
        self.waited = observed.waited;
        if self.ui.verbosity == Verbosity::Quiet {
            return;
        }
        let id = observed.stored.record.lock_id();
        if self.introduced.as_ref().map(|known| &known.id) != Some(&id) {
            self.withdraw_question();
            self.take_over = TakeOver::NotAsked;
            self.introduce(observed, "is locked, waiting for it", now);
            self.next_line = observed.waited + NEXT_LINE;
            self.place = observed.position.as_ref().map(QueuePosition::place);
        }
        match self.take_over {
            TakeOver::Asked(_) if observed.assessment.liveness != Liveness::Stale => {
                self.withdraw_question();
                self.ui.notice("the holder is alive; still waiting");
            }
            TakeOver::Granted => {
                self.take_over = TakeOver::Declined;
                self.ui
                    .notice("the lock has changed in the meantime; leaving it alone");
            }
            TakeOver::NotAsked | TakeOver::Asked(_) | TakeOver::Declined => {}
        }
    }

    /// Shows how long the wait has lasted, unless a question is on screen.
    fn show_progress(&mut self, observed: &Observed, now: DateTime<Utc>) {
        let asking = matches!(self.take_over, TakeOver::Asked(_) | TakeOver::Granted);
        if asking || self.ui.verbosity == Verbosity::Quiet {
            return;
        }
        let record = &observed.stored.record;
        let info = record.lock_info();
        let doing = info
            .as_ref()
            .map(|info| holder::doing(record, info, now))
            .map_or_else(String::new, |doing| format!(" [{doing}]"));
        let who = info.map_or_else(|| "someone".to_owned(), |info| printable(&info.who));
        let time = format!("{}{}", duration(observed.waited), self.limit());
        let position = observed.position.as_ref();
        let after =
            |place: Option<String>| place.map_or_else(String::new, |place| format!(", {place}"));
        let place = after(position.and_then(queue::place));
        let short = after(position.and_then(queue::short_place));
        let (whole, word) = (
            holder::liveness(&observed.assessment),
            observed.assessment.liveness.word(),
        );
        let line = format!("waiting for {who}{doing} ({time}){place}: {whole}");
        if self.ui.terminal == Terminal::Capable {
            self.ui.writer.show_progress(vec![
                line,
                format!("waiting for {who}{doing} ({time}){place}: {word}"),
                format!("waiting for {who} ({time}){place}: {word}"),
                format!("waiting for {who} ({time}){short}: {word}"),
                format!("waiting ({time}){short}: {word}"),
                format!("waiting ({time}): {word}"),
            ]);
            return;
        }
        let stands_at = position.map(QueuePosition::place);
        if observed.waited >= self.next_line || stands_at != self.place {
            self.ui.notice(&line);
            self.place = stands_at;
            self.next_line = observed.waited + NEXT_LINE;
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
            "If its holder is still running, the state can be lost. Take the lock over?",
        ));
    }

    fn withdraw_question(&mut self) {
        if matches!(self.take_over, TakeOver::Asked(_))
            && let TakeOver::Asked(question) =
                std::mem::replace(&mut self.take_over, TakeOver::Declined)
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
        let mut rows = holder::rows(&observed.stored.record, &observed.assessment, now);
        let place = observed.position.as_ref().and_then(queue::place);
        rows.extend(place.map(|place| ("queue", place)));
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
    use std::io::{PipeReader, Read as _};
    use std::os::fd::{AsFd as _, OwnedFd};

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;
    use crate::lock::liveness::{Assessment, Replacement};
    use crate::lock::record::Record;
    use crate::lock::store::{Revision, Stored};
    use crate::ui::writer::Writer;
    use crate::ui::{Notifications, Prompts};

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
            position: None,
        }
    }

    /// What is written can be read.
    fn ui(terminal: Terminal, notifications: Notifications) -> (Ui, PipeReader) {
        let (reader, writer) = std::io::pipe().unwrap();
        let writer = Writer::to(Some(File::from(OwnedFd::from(writer))));
        let ui = Ui {
            verbosity: Verbosity::Normal,
            prompts: Prompts::Disabled,
            terminal,
            notifications,
            writer: Box::leak(Box::new(writer)),
        };
        (ui, reader)
    }

    #[test]
    fn the_end_of_a_wait_of_more_than_ten_seconds_rings_and_notifies_at_a_terminal_that_can() {
        let (plain, bell) = ("tflock: the lock is free, going on\n", "\u{7}");
        let osc = "\u{1b}]9;`locks/app`: the lock is free, going on\u{7}";
        let none = Notifications::None;
        for (terminal, notifications, seconds, sign) in [
            (Terminal::Capable, none, 10, String::new()),
            (Terminal::Capable, none, 11, bell.to_owned()),
            (Terminal::Dumb, none, 11, bell.to_owned()),
            (Terminal::None, Notifications::ByTerminal, 11, String::new()),
            (
                Terminal::Capable,
                Notifications::ByTerminal,
                10,
                String::new(),
            ),
            (
                Terminal::Capable,
                Notifications::ByTerminal,
                11,
                format!("{bell}{osc}"),
            ),
        ] {
            let (ui, mut reader) = ui(terminal, notifications);
            let mut waiting = Waiting::new(&ui, "locks/app", Patience::Forever, Utc::now());
            waiting.held(&observed(Duration::from_secs(seconds)), Utc::now());
            waiting.end();
            waiting.announce();
            // A terminal may have the last word: it ends here.
            ui.line("end.".to_owned());
            ui.writer.settle(Duration::from_secs(20));
            let mut said = [0; 4096];
            let length = reader.read(&mut said).unwrap();
            let said = String::from_utf8_lossy(&said[..length]).into_owned();
            let expected = format!("{plain}{sign}end.\n");
            assert!(
                said.ends_with(&expected),
                "{terminal:?}, {seconds} s: {said:?}"
            );
        }
    }

    #[test]
    fn only_terminals_that_are_known_to_notify_are_asked_to() {
        for (program, term, is_known) in [
            ("iTerm.app", "xterm-256color", true),
            ("WezTerm", "xterm-256color", true),
            ("ghostty", "xterm-256color", true),
            ("", "xterm-kitty", true),
            ("", "foot", true),
            ("Apple_Terminal", "xterm-256color", false),
            ("vscode", "xterm-256color", false),
            ("", "linux", false),
        ] {
            let known = Notifications::of(program, term) == Notifications::ByTerminal;
            assert_eq!(known, is_known, "{program} {term}");
        }
    }

    #[test]
    fn without_a_terminal_a_line_is_printed_every_half_minute() {
        let (ui, mut reader) = ui(Terminal::None, Notifications::None);
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
        assert_eq!(said, (0..3000).step_by(30).collect::<Vec<_>>());
    }
}
