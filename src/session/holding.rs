//! Gets the locks, certainly and for the right states: repeats attempts until one leaves no doubt.

use std::rc::Rc;
use std::time::Duration;

use super::event::SessionEvent;
use super::hold::hold_is_in_the_way;
use super::selection_watch::SelectionWatch;
use super::taking::{Goal, NoUse, Taking};
use super::way::Way;
use super::{Selection, Session};
use crate::child::{Signal, Signals};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::Patience;
use crate::lock::acquire::all::Wanted;
use crate::lock::held_lock::HeldLock;
use crate::lock::held_locks::HeldLocks;
use crate::lock::store::StoreErrorKind;
use crate::resolve::{ChildLocking, InitLocked};

/// The outcome of getting the lock.
pub(super) enum Holding {
    /// They are held, and the child is to lock in that way, for each of them.
    Held(HeldLocks, Vec<ChildLocking>),
    /// The signal that asked for the end; nothing is held.
    Ended(Signal),
}

/// The outcome of one attempt.
enum Attempt {
    Held(HeldLocks),
    Ended(Signal),
    /// One was lost before anything was started.
    Lost,
    /// All were released: one of the locks has to be taken in another way.
    Again,
}

/// terraform would now work on another state.
pub(super) fn selects_another(message: &str) -> Failure {
    Failure::new(exit_code::CONFIGURATION, message)
        .hint("see what is selected with `tflock workspace show`, then run it again")
}

/// A lock that was taken could not be released before waiting for another one.
fn stuck() -> Failure {
    Failure::new(
        exit_code::UNREACHABLE,
        "a lock could not be released before waiting for another one: nothing was started",
    )
    .hint("remove the lock as said above, then run it again")
}

/// Two directories reach one lock in two ways: a run that waited for the second would wait for itself.
fn same_lock([first, second]: &[String; 2]) -> Failure {
    Failure::new(
        exit_code::CONFIGURATION,
        format!("`{first}` and `{second}` are one lock, reached in two ways"),
    )
    .hint("use the same endpoint and the same options for both")
}

impl Session<'_> {
    /// Holds the locks, or what replaces one where terraform has to lock for itself.
    ///
    /// # Errors
    /// Whatever keeps them from being held.
    pub(super) async fn hold(&self, signals: &mut Signals) -> Result<Holding, Failure> {
        loop {
            match self.attempt(signals).await? {
                Attempt::Held(locks) => {
                    let lockings = self.locks.iter().map(|lock| self.locking(lock));
                    return Ok(Holding::Held(locks, lockings.collect()));
                }
                Attempt::Ended(signal) => return Ok(Holding::Ended(signal)),
                Attempt::Lost => self.tell(SessionEvent::LostBeforeStart),
                Attempt::Again => {}
            }
        }
    }

    /// The rest of our patience, after the whole seconds that have passed.
    pub(super) fn patience_left(&self) -> Patience {
        let gone = self.host.now().since(self.begun).as_secs();
        self.patience.after(Duration::from_secs(gone))
    }

    async fn attempt(&self, signals: &mut Signals) -> Result<Attempt, Failure> {
        let (taking, no_use) = self.take(&self.goal(), signals).await;
        let nothing = || HeldLocks::none(Rc::clone(&self.host));
        let mut locks = match (taking, &no_use) {
            (Taking::Held(held), _) => held,
            (Taking::Free(before), None) => {
                self.before.replace(Some(before));
                nothing()
            }
            (Taking::StateIsMissing, None) => {
                self.tell(SessionEvent::NotShared);
                self.locks[0].way.set(Way::Lock);
                return Ok(Attempt::Again);
            }
            (Taking::Unreadable(error), None) => return Err(error.into()),
            (Taking::Failed { error, .. }, Some(_)) => {
                if error.maybe_left.is_some() {
                    self.tell(SessionEvent::MayBeLeft);
                }
                nothing()
            }
            (Taking::Stopped, _) | (_, Some(_)) => nothing(),
            (
                Taking::TimedOut {
                    store,
                    observed,
                    queue,
                },
                None,
            ) => return Err(self.locked(store.as_ref(), &observed, &queue)),
            (Taking::HoldGone { store }, None) => return Err(self.hold_is_gone(store.as_ref())),
            (Taking::Same { keys }, None) => return Err(same_lock(&keys)),
            (Taking::Stuck, None) => return Err(stuck()),
            (Taking::Failed { store, error }, None) => {
                let place = store.identity();
                let lock = self.lock_at(&place);
                if error.error.kind == StoreErrorKind::AccessDenied && lock.takes_turn_at(&place) {
                    self.tell(SessionEvent::WithoutTurn(&error));
                    lock.way.set(Way::Terraform);
                    return Ok(Attempt::Again);
                }
                self.may_be_left
                    .set(self.may_be_left.get() || error.maybe_left.is_some());
                return Err(Failure::not_acquired(*error, |words| {
                    lock.naming.command_line(words)
                }));
            }
        };
        if let Some(no_use) = no_use {
            let ended = self.give_back(&mut locks, signals).await;
            return match (no_use, ended) {
                (NoUse::EndRequested(signal), _) | (NoUse::StateIsMissing(_), Some(signal)) => {
                    Ok(Attempt::Ended(signal))
                }
                (NoUse::StateIsMissing(lock), None) => {
                    self.tell(SessionEvent::NewWorkspace);
                    let lock = &self.locks[lock];
                    if lock.claim.under.is_some() {
                        return Err(hold_is_in_the_way(lock));
                    }
                    lock.way.set(Way::Turn);
                    Ok(Attempt::Again)
                }
            };
        }
        if let Err(failure) = self.still_wanted().await {
            self.give_back(&mut locks, signals).await;
            return Err(failure);
        }
        if !locks.confirm().await {
            let ended = self.give_back(&mut locks, signals).await;
            return Ok(ended.map_or(Attempt::Lost, Attempt::Ended));
        }
        let mut ways = self.locks.iter().map(|lock| lock.way.get());
        if ways.any(Way::leaves_lock_to_terraform) {
            return self.leave_to_terraform(locks, signals).await;
        }
        Ok(Attempt::Held(locks))
    }

    /// What to take: every lock, even if terraform takes it itself later, so that no run in its queue is overtaken.
    fn goal(&self) -> Goal<'_> {
        let mut goal = Goal {
            places: Vec::new(),
            unless_missing: Vec::new(),
            compared: None,
        };
        for lock in &self.locks {
            let way = lock.way.get();
            let turn = lock.turn().filter(|_| way == Way::Turn);
            let stores = turn.into_iter().chain(&lock.stores);
            goal.places.extend(stores.map(|store| Wanted {
                store: Rc::clone(store),
                claim: &lock.claim,
                lock: lock.number,
            }));
            if let (Way::Lock, Some(init_lock)) = (way, &lock.init_lock)
                && let InitLocked::Missing(state) = &init_lock.when
            {
                goal.unless_missing.push((lock.number, state));
            }
            let compared = lock.compared.as_ref().filter(|_| way == Way::Shared);
            goal.compared = goal.compared.or(compared);
        }
        goal
    }

    /// Releases terraform's own locks where terraform takes them itself, and keeps the turns.
    async fn leave_to_terraform(
        &self,
        mut locks: HeldLocks,
        signals: &mut Signals,
    ) -> Result<Attempt, Failure> {
        let mut own = locks.take_out(|number, held| {
            let lock = &self.locks[number];
            let is_turn = lock.takes_turn_at(&held.store().identity());
            lock.way.get().leaves_lock_to_terraform() && !is_turn
        });
        let returns_to_hold = |held: &HeldLock| held.record().returns_to().is_some();
        let under_hold = own.held().find(|held| returns_to_hold(held));
        let under_hold = under_hold.map(|held| self.lock_at(&held.store().identity()));
        let (released, mut ended) = self.release(&mut own, signals).await;
        self.tell_released(&released);
        if ended.is_none() && released.failed.is_empty() && under_hold.is_none() {
            return Ok(Attempt::Held(locks));
        }
        ended = ended.or(self.give_back(&mut locks, signals).await);
        match (ended, under_hold) {
            (Some(signal), _) => Ok(Attempt::Ended(signal)),
            (None, Some(lock)) => Err(hold_is_in_the_way(lock)),
            (None, None) => Err(Failure::new(
                exit_code::UNREACHABLE,
                "terraform has to lock for itself, and its lock could not be freed for it: nothing was started",
            )
            .hint("remove the lock as said above, then run it again")),
        }
    }

    /// Checks that the locked state is still the one that terraform would use.
    ///
    /// # Errors
    /// It is not.
    async fn still_wanted(&self) -> Result<(), Failure> {
        for lock in &self.locks {
            if let (Some(selected), Selection::AtStart) = (&lock.selected, self.selection) {
                self.selection_watch
                    .replace(Some(SelectionWatch::new(selected.clone())));
            }
            match lock.is_unchanged().await {
                Some(true) => {}
                Some(false) => {
                    return Err(selects_another(
                        "the backend or the workspace was changed while the lock was being taken",
                    ));
                }
                None => {
                    return Err(selects_another(
                        "the backend and the workspace could not be read again once the lock was taken",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Releases locks under which nothing was started. The first signal that wanted an end meanwhile is returned.
    async fn give_back(&self, locks: &mut HeldLocks, signals: &mut Signals) -> Option<Signal> {
        let (released, asked_to_end) = self.release(locks, signals).await;
        self.tell_released(&released);
        asked_to_end
    }
}
