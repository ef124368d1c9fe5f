//! Reports and shows what happens while the places of the locks are taken.

use std::cell::{Cell, RefCell};

use super::Session;
use super::event::SessionEvent;
use crate::lock::acquire::all::{Onlooker, Wanted};
use crate::lock::acquire::{Decision, Observed, Progress};
use crate::lock::held_locks::NotReleased;
use crate::lock::liveness::Liveness;
use crate::lock::record::LockId;
use crate::ui::waiting::Waiting;

/// Tells the session's listeners, and displays the wait for one place at a time.
pub(super) struct Display<'a> {
    session: &'a Session<'a>,
    places: &'a [Wanted<'a>],
    seen: RefCell<Vec<Reported<'a>>>,
    /// The place whose wait was displayed last.
    shown: Cell<Option<usize>>,
}

/// What was reported about one place.
#[derive(Default)]
struct Reported<'a> {
    waiting: Option<Waiting<'a>>,
    is_told: bool,
    /// The stale holders that were reported.
    stale: Vec<Option<LockId>>,
    replaced: Option<Observed>,
}

impl<'a> Display<'a> {
    pub(super) fn new(session: &'a Session<'_>, places: &'a [Wanted<'_>]) -> Self {
        Self {
            session,
            places,
            seen: RefCell::new(places.iter().map(|_| Reported::default()).collect()),
            shown: Cell::default(),
        }
    }

    /// Removes the progress line.
    pub(super) fn end(&self) {
        for seen in self.seen.borrow_mut().iter_mut() {
            seen.waiting.iter_mut().for_each(Waiting::end);
        }
    }

    /// Reports that all places are held.
    pub(super) fn announce(&self) {
        let seen = self.seen.borrow();
        if let Some(shown) = self.shown.get().map(|index| &seen[index])
            && let (Some(waiting), None) = (&shown.waiting, &shown.replaced)
        {
            waiting.announce();
        }
        for (place, seen) in self.places.iter().zip(seen.iter()) {
            self.session.tell(SessionEvent::Acquired {
                store: place.store.as_ref(),
                id: &place.claim.info.id,
                replaced: seen.replaced.as_ref(),
            });
        }
    }

    fn tell_of(&self, index: usize, observed: &Observed) {
        let store = self.places[index].store.as_ref();
        let seen = &mut self.seen.borrow_mut()[index];
        if !std::mem::replace(&mut seen.is_told, true) {
            self.session.tell(SessionEvent::Waiting { store, observed });
        }
        let id = observed.stored.record.lock_id();
        let is_stale = observed.assessment.liveness == Liveness::Stale;
        if is_stale && seen.stale.last() != Some(&id) {
            seen.stale.push(id);
            self.session.tell(SessionEvent::Stale { store, observed });
        }
    }

    fn show<T>(&self, index: usize, show: impl FnOnce(&mut Waiting<'a>) -> T) -> Option<T> {
        let mut seen = self.seen.borrow_mut();
        if let Some(before) = self.shown.replace(Some(index)).filter(|one| *one != index) {
            seen[before].waiting.iter_mut().for_each(Waiting::end);
        }
        seen[index].waiting.as_mut().map(show)
    }
}

impl Onlooker for Display<'_> {
    fn asking(&self, index: usize) {
        let (session, store) = (self.session, self.places[index].store.as_ref());
        session.tell(SessionEvent::Taking(store));
        self.seen.borrow_mut()[index]
            .waiting
            .get_or_insert_with(|| {
                let (patience, now) = (session.patience_left(), session.host.wall());
                Waiting::new(&session.reporter.ui, store.key(), patience, now)
            });
    }

    fn progress(&self, index: usize, progress: Progress<'_>) -> Decision {
        let now = self.session.host.wall();
        match progress {
            Progress::HeldBy(observed) => {
                self.tell_of(index, observed);
                let decision = self.show(index, |waiting| {
                    waiting.held_unless_taken_over(observed, now)
                });
                decision.unwrap_or(Decision::Wait)
            }
            Progress::Retrying(error) => {
                // It may still arrive, when this run is over.
                if error.kind.may_have_been_applied() {
                    self.session.may_be_left.set(true);
                }
                self.show(index, |waiting| waiting.retrying(error, now));
                Decision::Wait
            }
        }
    }

    fn took_over(&self, index: usize, replaced: &Observed) {
        let place = self.places[index].store.identity();
        self.session.remember_predecessor(&place, replaced);
        self.session.tell(SessionEvent::TookOver(replaced));
        self.seen.borrow_mut()[index].replaced = Some(replaced.clone());
    }

    fn not_given_back(&self, failed: &NotReleased) {
        self.session.tell(SessionEvent::NotReleased(failed));
    }
}
