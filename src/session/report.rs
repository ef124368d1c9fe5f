//! What a session says about its events. Nothing here decides anything.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::event::SessionEvent;
use super::one_lock::OneLock;
use crate::child::{Command, Difference, Event};
use crate::context::Context;
use crate::lock::acquire::Observed;
use crate::lock::held_locks::{Loss, NotReleased, Promise};
use crate::lock::host::Host;
use crate::lock::liveness::Replacement;
use crate::lock::record::LockId;
use crate::lock::store::{Identity, Store as _, StoreError, StoreErrorKind};
use crate::text::printable;
use crate::ui::{Ui, holder};

/// Turns events into words for the user.
pub(super) struct Reporter<'a> {
    pub(super) context: &'a Context,
    pub(super) ui: Ui,
    pub(super) host: Rc<dyn Host>,
    lock_id: LockId,
    /// For each lock, a context whose command lines address it.
    locks: Vec<Context>,
    /// For each place too: hints have to name the lock that only orders runs that create a workspace.
    places: Vec<(Identity, Context)>,
    /// What was said about signals: some supervisors send the same one many times a second.
    said_of_signals: RefCell<BTreeSet<String>>,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(
        context: &'a Context,
        ui: Ui,
        host: Rc<dyn Host>,
        id: &LockId,
        locks: &[OneLock<'_>],
    ) -> Self {
        let places = locks.iter().flat_map(|lock| {
            let naming = lock.naming.as_ref();
            let turn = lock.turn().map(|turn| {
                let mut naming = naming.clone();
                naming.options.lock_id = Some(turn.key().to_owned());
                (turn.identity(), naming)
            });
            let stores = lock.stores.iter();
            let stores = stores.map(|store| (store.identity(), naming.clone()));
            turn.into_iter().chain(stores)
        });
        Self {
            context,
            ui,
            host,
            lock_id: id.clone(),
            places: places.collect(),
            locks: locks
                .iter()
                .map(|lock| lock.naming.as_ref().clone())
                .collect(),
            said_of_signals: RefCell::default(),
        }
    }
}

impl Reporter<'_> {
    pub(super) fn report(&self, event: &SessionEvent<'_>) {
        let ui = &self.ui;
        match event {
            SessionEvent::Taking(store) => {
                ui.detail(|| format!("taking the lock `{}` in {}", store.key(), store.place()));
            }
            // The display of the wait shows these.
            SessionEvent::Waiting { .. } | SessionEvent::Stale { .. } => {}
            SessionEvent::Released(store) => ui.detail(|| format!("released `{}`", store.key())),
            SessionEvent::TookOver(replaced) => self.took_over(replaced),
            SessionEvent::Acquired { store, id, .. } => {
                ui.detail(|| format!("holding `{}` with the lock ID {id}", store.key()));
            }
            SessionEvent::RunsWithoutLock(error) => ui.warning(&format!(
                "running without tflock's own lock; terraform still takes its own: {error}"
            )),
            SessionEvent::WithoutTurn(error) => {
                ui.detail(|| format!("going on without a turn: {error}"));
            }
            SessionEvent::NewWorkspace => ui.detail(|| {
                "the workspace has no state yet: terraform creates it and locks for itself".into()
            }),
            SessionEvent::Comparing(state) => ui.detail(|| {
                format!(
                    "taking no lock: comparing `{}` in {} before and after",
                    state.key(),
                    state.place()
                )
            }),
            SessionEvent::NotShared => ui.notice(
                "the workspace has no state yet, and terraform creates it under its lock: this plan takes the lock too",
            ),
            SessionEvent::LostBeforeStart => {
                ui.notice("the lock was lost before anything was started; taking it again");
            }
            SessionEvent::Withdrawing => ui.notice(
                "ending, but first making sure that no lock is left behind; a second signal ends tflock at once",
            ),
            SessionEvent::MayBeLeft => self.may_be_left(),
            SessionEvent::Starting(command) => {
                ui.detail(|| format!("starting `{}`", command.program.display()));
            }
            SessionEvent::WithoutBequest(error) => ui.detail(|| {
                format!("nothing will release the lock if tflock is killed: {error}")
            }),
            SessionEvent::Child(event) => self.child(event),
            SessionEvent::Renewed => ui.detail(|| "renewed the lock".into()),
            SessionEvent::NotRenewed(error) => {
                ui.detail(|| format!("could not renew the lock: {error}"));
            }
            SessionEvent::Lost(loss) => ui.warning(&lost(loss)),
            SessionEvent::Expiring { key } => {
                ui.warning(&format!("could not renew `{key}`; it is about to expire"));
            }
            SessionEvent::SelectionChanged => ui.warning(
                "the backend or the workspace was changed while terraform was starting: it may work on a state that is \
                 not locked",
            ),
            SessionEvent::Differs(difference) => ui.warning(&differs(difference)),
            SessionEvent::Stopping(command) => self.stopping(command),
            SessionEvent::Borrowed(borrowers) => {
                let list: Vec<String> = borrowers.iter().map(ToString::to_string).collect();
                let list = match list.as_slice() {
                    [] => "processes that cannot be seen from here".to_owned(),
                    list => list.join(", "),
                };
                ui.notice(&format!(
                    "waiting for processes that still run under the lock before releasing it: {list}"
                ));
            }
            SessionEvent::DelayedByBorrowers(signal) => {
                self.say_once(format!("got {signal}; the lock is still in use"));
            }
            SessionEvent::Releasing => ui.detail(|| "releasing the lock".into()),
            SessionEvent::ReleasingAgain(error) => self.releasing_again(error),
            SessionEvent::DelayedByRelease(signal) => {
                self.say_once(format!("got {signal}; releasing the lock first"));
            }
            SessionEvent::LeftElsewhere(held) => {
                let naming = self.context_naming(&held.store().identity());
                naming.ui.warning(
                    "the lock is NOT released: the command was killed, and the terraform that it started was never seen on \
                     this machine, so it may still be running",
                );
                let removal = naming.force_unlock_line(Some(held.id()));
                naming.ui.hint(&format!("once it has ended: `{removal}`"));
            }
            SessionEvent::NotReleased(failed) => {
                tell_left(self.context_naming(&failed.place), failed);
            }
        }
    }

    /// A context whose command lines address the lock in that place.
    pub(super) fn context_naming(&self, place: &Identity) -> &Context {
        let mut places = self.places.iter();
        let named = places.find(|(other, _)| other == place);
        named.map_or(self.context, |(_, naming)| naming)
    }

    fn took_over(&self, replaced: &Observed) {
        let title = match replaced.assessment.replacement {
            Replacement::ByProof(_) => "took over a dead lock",
            Replacement::ByPromise if replaced.stored.record.is_hold() => {
                "took over a hold that had ended"
            }
            Replacement::ByPromise => "took over an expired lock",
            // The user has seen the holder and agreed.
            Replacement::No => return self.ui.notice("took over the stale lock"),
        };
        let record = &replaced.stored.record;
        let rows = holder::rows(record, &replaced.assessment, self.host.wall());
        self.ui.notice_with_rows(title, &rows);
    }

    fn may_be_left(&self) {
        let id = &self.lock_id;
        self.ui.warning(&format!(
            "the lock {id} may have been left behind: the store has not answered"
        ));
        for naming in &self.locks {
            self.ui.hint(&format!(
                "once it answers again: `{}`, then `{}` if it is there",
                naming.command_line("status"),
                naming.command_line(&format!("force-unlock {id}")),
            ));
        }
    }

    fn child(&self, event: &Event) {
        match event {
            Event::StopRequested { signal, .. } => self
                .ui
                .detail(|| format!("asked to stop by {}", signal.kind.number())),
            Event::AlreadyStopping(signal) => self.say_once(format!(
                "ignored {}: the command is already stopping; a second signal would make terraform exit without saving",
                signal.kind.number()
            )),
            Event::WaitingFor(processes) => {
                let list: Vec<String> = processes
                    .iter()
                    .map(|process| format!("{} ({})", process.id, process.name))
                    .collect();
                let list = match list.as_slice() {
                    [] => "which ones cannot be seen from here".to_owned(),
                    list => list.join(", "),
                };
                self.ui.notice(&format!(
                    "waiting for leftover processes before releasing the lock: {list}"
                ));
            }
            Event::StopRepeated(_)
            | Event::Ended(_)
            | Event::Resumed
            | Event::Sighted(_)
            | Event::Differs(_) => {}
        }
    }

    fn stopping(&self, command: &Command) {
        let program = std::path::Path::new(&command.program).file_name();
        let program = program.unwrap_or(&command.program).to_string_lossy();
        self.ui.warning(&format!(
            "stopping `{program}` gracefully; terraform still saves its state, but without the lock"
        ));
    }

    fn releasing_again(&self, error: &StoreError) {
        let next = if error.kind.is_about_credentials() {
            "log in again; retrying for one minute"
        } else {
            "retrying for one minute, please leave it running"
        };
        self.ui
            .warning(&format!("the lock is not released yet: {error}; {next}"));
    }

    fn say_once(&self, text: String) {
        if !self.said_of_signals.borrow().contains(&text) {
            self.ui.notice(&text);
            self.said_of_signals.borrow_mut().insert(text);
        }
    }
}

fn differs(difference: &Difference) -> String {
    match difference {
        Difference::Variable(name) => {
            format!("terraform sees another `{name}` than the lock was resolved from")
        }
        Difference::Directory(directory) => format!(
            "terraform works in `{}`, which is not the directory that the lock was resolved for",
            printable(&directory.to_string_lossy())
        ),
    }
}

fn lost(loss: &Loss) -> String {
    let key = &loss.key;
    match &loss.now {
        None if loss.promise == Promise::Over => {
            format!("lost `{key}`: not renewed in time, another run took it over")
        }
        None => format!("the lock `{key}` is gone: someone removed it while it was ours"),
        Some(stored) => {
            let who = stored
                .record
                .lock_info()
                .map_or_else(|| "someone else".to_owned(), |info| printable(&info.who));
            format!("the lock `{key}` is no longer ours: {who} has it now")
        }
    }
}

/// A lock that could not be released, and the command that removes it; commands of `naming` address that lock.
pub(super) fn tell_left(naming: &Context, failed: &NotReleased) {
    naming
        .ui
        .warning(&format!("the lock is NOT released: {}", failed.error));
    let condition = match failed.error.kind {
        StoreErrorKind::AccessDenied => "with credentials that are allowed to",
        kind if kind.is_about_credentials() => "once you have logged in again",
        _ => "once the store answers again",
    };
    let removal = naming.force_unlock_line(Some(&failed.id));
    naming.ui.hint(&format!("{condition}: `{removal}`"));
}
