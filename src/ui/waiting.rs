//! What a waiting run shows: at a terminal a line that moves, elsewhere a plain line now and then.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::holder::{self, duration};
use super::{Ui, Verbosity};
use crate::lock::acquire::{Observed, Patience};
use crate::lock::record::LockId;
use crate::lock::store::StoreError;
use crate::terraform::duration::format_duration;

/// When the second plain line comes; each further one after twice as long.
const SECOND_LINE: Duration = Duration::from_secs(30);
/// The longest time between plain lines.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// How long a store fails before that is worth a word.
const SHORTEST_OUTAGE: TimeDelta = TimeDelta::seconds(3);
/// How often the moving line moves.
const TICK: Duration = Duration::from_millis(120);

/// The holder that was shown in full: by its lock ID, where it has one.
#[derive(PartialEq)]
struct Introduced(Option<LockId>);

/// The display of one wait.
pub struct Waiting<'a> {
    ui: &'a Ui,
    what: String,
    patience: Patience,
    bar: Option<ProgressBar>,
    introduced: Option<Introduced>,
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
            bar: None,
            introduced: None,
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
        self.answered = now;
        self.outage = Outage::NotTold;
        if self.ui.verbosity == Verbosity::Quiet {
            return;
        }
        let record = &observed.stored.record;
        let holder = Introduced(record.lock_id());
        if self.introduced.as_ref() != Some(&holder) {
            self.introduced = Some(holder);
            self.introduce(observed, now);
            self.next_line = observed.waited + self.pause;
        }
        let who = record.lock_info().map_or_else(
            || "somebody".to_owned(),
            |info| holder::printable(&info.who),
        );
        // The end of it is cut off where a terminal is narrow.
        let line = format!(
            "waiting for {who} ({}{}): {}",
            duration(observed.waited),
            self.limit(),
            holder::liveness(&observed.assessment),
        );
        // A terminal that cannot move its cursor (`TERM=dumb`) shows no bar.
        if self.ui.stderr.is_term() && !self.bar().is_hidden() {
            self.bar().set_message(line);
        } else if observed.waited >= self.next_line {
            self.ui.notice(&line);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            self.next_line = observed.waited + self.pause;
        }
    }

    /// A request failed, and is made again.
    pub fn retrying(&mut self, error: &StoreError, now: DateTime<Utc>) {
        let text = format!("{error}; trying again");
        let lasts = now.signed_duration_since(self.answered) >= SHORTEST_OUTAGE;
        if self.ui.verbosity == Verbosity::Verbose {
            self.suspended(|ui| ui.detail(|| text));
        } else if lasts && self.outage == Outage::NotTold {
            self.outage = Outage::Told;
            self.suspended(|ui| ui.notice(&text));
        }
    }

    /// The wait is over: the line goes, and what was there before stays.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn introduce(&mut self, observed: &Observed, now: DateTime<Utc>) {
        let what = self.what.clone();
        let rows = holder::rows(&observed.stored.record, &observed.assessment, now);
        self.suspended(|ui| {
            ui.notice_with_rows(&format!("`{what}` is locked, waiting for it"), &rows);
        });
    }

    /// Writes above the moving line.
    fn suspended(&self, write: impl FnOnce(&Ui)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write(self.ui)),
            None => write(self.ui),
        }
    }

    fn bar(&mut self) -> &ProgressBar {
        self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(
                None,
                ProgressDrawTarget::term(self.ui.stderr.clone(), 10),
            );
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        })
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
