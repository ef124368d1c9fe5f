//! What a waiting run shows: at a terminal a line that moves, elsewhere a plain line now and then; and what it asks
//! where the holder seems to be dead.

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

/// When the second plain line comes; each further one after twice as long.
const SECOND_LINE: Duration = Duration::from_secs(30);
/// The longest time between plain lines.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// How long a store fails before that is worth a word.
const SHORTEST_OUTAGE: TimeDelta = TimeDelta::seconds(3);

/// A holder that was shown in full: by its lock ID, where it has one.
struct Introduced {
    id: Option<LockId>,
    liveness: Liveness,
}

/// Whether a person was asked to take over the lock of the holder that was introduced; each is asked about once.
enum TakeOver<'a> {
    /// Not asked.
    NotAsked,
    /// The question stands.
    Asked(Question<'a>),
    /// No, or the question was taken back.
    Refused,
    /// Yes.
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

/// Whether it was said that the store does not answer.
#[derive(PartialEq)]
enum Outage {
    NotTold,
    Told,
}

impl<'a> Waiting<'a> {
    /// The display of a wait for the lock of `what` that begins `now`.
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
            outage: Outage::NotTold,
        }
    }

    /// Whether anything was shown, so that the end of the wait is worth a word.
    #[must_use]
    pub fn was_shown(&self) -> bool {
        self.introduced.is_some()
    }

    /// Somebody holds the lock.
    pub fn held(&mut self, observed: &Observed, now: DateTime<Utc>) {
        self.meet(observed, now);
        self.move_on(observed);
    }

    /// Somebody holds the lock. If they are stale it is asked, once, whether to take their place, and here is the answer.
    pub fn held_unless_taken_over(&mut self, observed: &Observed, now: DateTime<Utc>) -> Decision {
        self.meet(observed, now);
        let decision = self.decision(observed, now);
        self.move_on(observed);
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

    /// Introduces a holder that was not known, and says what has changed about one that was.
    fn meet(&mut self, observed: &Observed, now: DateTime<Utc>) {
        self.answered = now;
        self.outage = Outage::NotTold;
        if self.ui.verbosity == Verbosity::Quiet {
            return;
        }
        let id = observed.stored.record.lock_id();
        if self.introduced.as_ref().map(|known| &known.id) != Some(&id) {
            self.take_question_back();
            self.take_over = TakeOver::NotAsked;
            self.introduce(observed, "is locked, waiting for it", now);
            self.next_line = observed.waited + self.pause;
        }
        match self.take_over {
            TakeOver::Asked(_) if observed.assessment.liveness != Liveness::Stale => {
                self.take_question_back();
                self.ui.notice("the holder is alive; still waiting");
            }
            TakeOver::Granted => {
                self.take_over = TakeOver::Refused;
                self.ui
                    .notice("the lock has changed meanwhile, and was left alone");
            }
            TakeOver::NotAsked | TakeOver::Asked(_) | TakeOver::Refused => {}
        }
    }

    /// Says how long it has lasted, unless a question is what the terminal shows.
    fn move_on(&mut self, observed: &Observed) {
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
            self.ui.writer.move_line(vec![
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
        if self.ui.verbosity == Verbosity::Quiet || !Question::can_be_put(self.ui) {
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
        self.take_over = TakeOver::Asked(Question::put(
            self.ui,
            "If its holder still runs, the state can be lost. Take the lock over?",
        ));
    }

    fn take_question_back(&mut self) {
        if matches!(self.take_over, TakeOver::Asked(_))
            && let TakeOver::Asked(question) =
                std::mem::replace(&mut self.take_over, TakeOver::Refused)
        {
            question.withdraw();
        }
    }

    /// A request failed, and is made again.
    pub fn retrying(&mut self, error: &StoreError, now: DateTime<Utc>) {
        let text = format!("{error}; trying again");
        let lasts = now.signed_duration_since(self.answered) >= SHORTEST_OUTAGE;
        if self.ui.verbosity == Verbosity::Verbose {
            self.ui.detail(|| text);
        } else if lasts && self.outage == Outage::NotTold {
            self.outage = Outage::Told;
            self.ui.notice(&text);
        }
    }

    /// The wait is over: the line goes, and what was there before stays.
    pub fn end(&mut self) {
        self.take_question_back();
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
