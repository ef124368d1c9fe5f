//! What a session says: who holds the lock, what became of it, what to type next.

use std::borrow::Cow;

use super::{Outcome, Session};
use crate::child::{Command, Event};
use crate::context::Context;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::{Observed, Patience};
use crate::lock::keeper::{Loss, NotReleased, Promise, Released};
use crate::lock::liveness::{Liveness, Replacement};
use crate::lock::store::{StoreError, StoreErrorKind};
use crate::terraform::duration::format_duration;
use crate::text::printable;
use crate::ui::holder;

impl Session<'_> {
    pub(super) fn tell_replaced(&self, replaced: &Observed) {
        let title = match replaced.assessment.replacement {
            Replacement::ByProof(_) => "took over a dead lock",
            Replacement::ByPromise => "took over an expired lock",
            // On the word of a person, who was shown all of it.
            Replacement::No => return self.ui.notice("took over the stale lock"),
        };
        let record = &replaced.stored.record;
        let rows = holder::rows(record, &replaced.assessment, self.host.wall());
        self.ui.notice_with_rows(title, &rows);
    }

    pub(super) fn tell_no_place(&self, error: &StoreError) {
        self.ui.warning(&format!(
            "running without a lock of tflock's own, terraform only takes its own: {error}"
        ));
    }

    pub(super) fn locked(&self, key: &str, observed: &Observed) -> Failure {
        let record = &observed.stored.record;
        let turn_or_lock = self.naming(key);
        let gave_up = match self.patience {
            Patience::For(limit) if !limit.is_zero() => {
                format!(", gave up after {}", format_duration(limit))
            }
            Patience::For(_) | Patience::Forever => String::new(),
        };
        Failure::new(
            exit_code::HELD,
            format!("the state is locked{gave_up}: Error acquiring the state lock"),
        )
        .lock_info(holder::lock_info(
            key,
            record,
            &observed.assessment,
            self.host.wall(),
        ))
        .hint(self.waiting_hint(&turn_or_lock, observed))
    }

    /// What to do about a lock that did not become free: a dead holder is not waited for.
    fn waiting_hint(&self, turn_or_lock: &Context, observed: &Observed) -> String {
        let wait = &self.longer_wait;
        let id = observed.stored.record.lock_id();
        let removal = || turn_or_lock.removal_line(id.as_ref());
        match observed.assessment.liveness {
            Liveness::Alive | Liveness::Silent => {
                let look = turn_or_lock.command_line("status");
                format!("wait longer with `{wait}`, or see `{look}`")
            }
            Liveness::Unknown => format!(
                "wait longer with `{wait}`, or make sure that the holder is dead and type `{}`",
                removal()
            ),
            Liveness::Stale | Liveness::Gone(_) => format!(
                "make sure that the holder is dead and type `{}`, or wait longer with `{wait}`",
                removal()
            ),
        }
    }

    /// What names the lock of that name in commands: the turn has to be named, other than the lock itself.
    fn naming(&self, key: &str) -> Cow<'_, Context> {
        let turn = self.init_lock.as_ref().map(|lock| lock.turn.key());
        if turn != Some(key) {
            return Cow::Borrowed(self.context);
        }
        let mut context = self.context.clone();
        context.options.lock_id = Some(key.to_owned());
        Cow::Owned(context)
    }

    pub(super) fn tell_withdrawing(&self) {
        self.ui.notice(
            "ending, but first making sure that no lock is left behind; once more ends at once",
        );
    }

    pub(super) fn tell_perhaps_left(&self) {
        self.may_be_left.set(true);
        let id = &self.claim.info.id;
        self.ui.warning(&format!(
            "the lock {id} may have been left behind: the store has not answered"
        ));
        self.ui.hint(&format!(
            "once it answers again: `{}`, then `{}` if it is there",
            self.context.command_line("status"),
            self.context.command_line(&format!("force-unlock {id}")),
        ));
    }

    pub(super) fn tell_event(&self, event: &Event) {
        match event {
            Event::StopRequested { signal, .. } => self
                .ui
                .detail(|| format!("asked to stop by {}", signal.kind.number())),
            Event::AlreadyStopping(signal) => {
                // One of each kind is enough: some supervisors repeat themselves many times a second.
                if self
                    .not_passed_on
                    .borrow_mut()
                    .insert(signal.kind.number().0)
                {
                    self.ui.notice(&format!(
                        "ignored {}: the command is already stopping; a second signal would make terraform exit without \
                         saving",
                        signal.kind.number()
                    ));
                }
            }
            Event::WaitingFor(processes) => {
                let list: Vec<String> = processes
                    .iter()
                    .map(|process| format!("{} ({})", process.id, process.name))
                    .collect();
                self.ui.notice(&format!(
                    "waiting for leftover processes before releasing the lock: {}",
                    list.join(", ")
                ));
            }
            Event::StopRepeated(_) | Event::Ended(_) | Event::Resumed | Event::Sighted(_) => {}
        }
    }

    pub(super) fn tell_releasing_again(&self, error: &StoreError) {
        let next = if error.kind.is_about_credentials() {
            "log in again; retrying for one minute"
        } else {
            "retrying for one minute, please leave it running"
        };
        self.ui
            .warning(&format!("the lock is not released yet: {error}; {next}"));
    }

    pub(super) fn tell_not_released(&self, failed: &NotReleased) {
        self.may_be_left.set(true);
        tell_left(&self.naming(&failed.key), failed);
    }

    pub(super) fn tell_released(&self, released: &Released) {
        for failed in &released.failed {
            self.tell_not_released(failed);
        }
        for loss in &released.lost {
            self.tell_lost(loss);
        }
    }

    pub(super) fn tell_lost(&self, loss: &Loss) {
        let key = &loss.key;
        self.ui.warning(&match &loss.now {
            None if loss.promise == Promise::Over => {
                format!("lost `{key}`: not renewed in time, another run took it over")
            }
            None => format!("the lock `{key}` is gone: somebody removed it while it was ours"),
            Some(stored) => {
                let who = stored
                    .record
                    .lock_info()
                    .map_or_else(|| "somebody else".to_owned(), |info| printable(&info.who));
                format!("the lock `{key}` is not ours any more: {who} has it now")
            }
        });
    }

    pub(super) fn tell_time_is_up(&self, key: &str) {
        self.ui
            .warning(&format!("could not renew `{key}`; it is about to expire"));
    }

    pub(super) fn tell_stopping(&self, command: &Command) {
        let program = std::path::Path::new(&command.program).file_name();
        let program = program.unwrap_or(&command.program).to_string_lossy();
        self.ui.warning(&format!(
            "stopping `{program}` gracefully; terraform still saves its state, but without the lock"
        ));
    }

    pub(super) fn tell_selection_changed(&self) {
        self.ui.warning(
            "the backend or the workspace was changed while terraform was starting: it may work on a state that is not \
             locked",
        );
    }

    pub(super) fn astray(&self, outcome: Outcome) -> Failure {
        let ending = ending(outcome);
        let selected = self.context.command_line("workspace show");
        let look = self.context.command_line("plan");
        Failure::new(
            exit_code::LOST,
            format!(
                "the backend or the workspace was changed while the command was starting ({ending}): it may have worked \
                 on a state that was not locked"
            ),
        )
        .hint(format!(
            "see what is selected with `{selected}`, then run `{look}` and read it"
        ))
    }

    /// Its time was up, and whether anybody took the lock is not known.
    pub(super) fn not_kept(&self, outcome: Outcome) -> Failure {
        let ending = ending(outcome);
        self.run_without_lock(format!(
            "the lock could not be renewed in time while the command ran ({ending})"
        ))
    }

    pub(super) fn lost(&self, outcome: Outcome) -> Failure {
        let ending = ending(outcome);
        self.run_without_lock(format!(
            "the lock was lost while the command ran ({ending})"
        ))
    }

    fn run_without_lock(&self, message: String) -> Failure {
        let look = self.context.command_line("plan");
        Failure::new(exit_code::LOST, message).hint(format!(
            "somebody else may have changed the state meanwhile: run `{look}` and read it"
        ))
    }
}

/// What became of a lock that could not be given back, and what removes it; `naming` names it in commands.
pub(super) fn tell_left(naming: &Context, failed: &NotReleased) {
    naming
        .ui
        .warning(&format!("the lock is NOT released: {}", failed.error));
    let condition = match failed.error.kind {
        StoreErrorKind::AccessDenied => "with credentials that are allowed to",
        kind if kind.is_about_credentials() => "once you have logged in again",
        _ => "once the store answers again",
    };
    let removal = naming.removal_line(Some(&failed.id));
    naming.ui.hint(&format!("{condition}: `{removal}`"));
}

fn ending(outcome: Outcome) -> String {
    match outcome {
        Outcome::Exit(code) => format!("it ended with exit code {code}"),
        Outcome::Signal(signal) => format!("it died of {signal}"),
    }
}
