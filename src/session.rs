//! One run under its locks, one as a rule: acquire, start the child, keep the lock, release, report how it ended.
//!
//! The only room that knows both the lock and the child. Between acquire and release nothing returns early: the child's
//! ending is kept, the lock released, and only then is the ending evaluated.
//!
//! Signals are handled from the first request for a lock to the last. Before that nothing is held, and signals simply end
//! tflock, even if it hangs in a system call.

mod aside;
pub mod bequest;
mod borrowing;
mod conclusion;
mod ending;
mod event;
mod failures;
pub mod hold;
mod holding;
mod hook;
mod one_lock;
pub mod provenance;
pub mod reentry;
pub mod remembering;
mod report;
mod running;
mod selection_watch;
mod set_up;
mod shared;
mod spec;
mod taking;
mod taking_display;
mod way;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use self::aside::Aside;
use self::event::SessionEvent;
use self::holding::Holding;
use self::hook::Hook;
pub use self::one_lock::NeededLock;
use self::one_lock::OneLock;
use self::report::Reporter;
use self::running::{Leaves, Running};
use self::selection_watch::SelectionWatch;
use self::shared::Before;
pub use self::spec::{Lending, RunSpec, Selection};
use crate::child::{Command, Difference, SignalNumber, Signals};
use crate::context::Context;
use crate::environment::variable;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::Patience;
use crate::lock::held_locks::{HeldLocks, Released};
use crate::lock::host::{Host, Instant};
use crate::lock::lent::{Borrowed, Lent, Nested};
use crate::lock::record::LockId;
use crate::lock::store::{Heartbeats, Identity, Store};
use crate::resolve::ChildLocking;
use crate::system::run_file::RunFile;
use crate::system::run_file::lent::Loan;

/// How tflock ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this exit code.
    Exit(u8),
    /// By this signal, as the child did or as it was asked to.
    Signal(SignalNumber),
}

/// Runs a child under the locks that it needs, or under the locks of a run that we are inside of. `child` makes its command,
/// given how the child has to lock for each of them.
///
/// # Errors
/// What keeps the child from running, or a lock from being released.
pub async fn run_under_locks(
    context: &Context,
    needed: Vec<NeededLock<'_>>,
    spec: RunSpec,
    child: &dyn Fn(&[ChildLocking]) -> Command,
) -> Result<Outcome, Failure> {
    let hands_on_patience = needed.iter().any(way::hands_on_patience);
    let mut borrowed = Borrowed::default();
    let (mut ours, mut lent, mut lockings) = (Vec::new(), Vec::new(), Vec::new());
    for one in needed {
        match reentry::look_around(&one.resolved, &variable).await? {
            (Nested::No, _) => ours.push(one),
            (Nested::LendsNothing { key }, _) => return Err(borrowing::refused(&one.naming, &key)),
            (Nested::Borrows(from), locking) => {
                borrowed.join(from);
                lent.push(one);
                lockings.push(match locking {
                    ChildLocking::Kept if hands_on_patience => way::handed_on(spec.patience),
                    locking => locking,
                });
            }
        }
    }
    if ours.is_empty() {
        let child = child(&lockings);
        let run = borrowing::run_borrowing(context, lent, spec, &borrowed, child);
        return Box::pin(run).await;
    }
    // Kept until the end.
    let _places = reentry::places_around(&variable);
    for one in &ours {
        if let Some(notice) = &one.resolved.notice {
            context.ui.notice(notice);
        }
    }
    let is_renewed = |store: &Rc<dyn Store>| store.heartbeats() != Heartbeats::None;
    let is_never_renewed = |one: &NeededLock<'_>| !one.resolved.stores.iter().any(is_renewed);
    if context.options.expire_after.is_some()
        && spec.expire_after.is_some()
        && ours.iter().any(is_never_renewed)
    {
        context.ui.notice(
            "`--expire-after` has no effect: this lock is not renewed; see TFLOCK_S3_HEARTBEAT in `tflock --help`",
        );
    }
    let lending = spec.lending;
    let session = Session {
        hands_on_patience,
        ..Session::new(context, ours, spec)
    };
    session.run_file.replace(session.leave_trace());
    if lending == Lending::OneAtATime {
        session.loans.replace(session.lend());
    }
    let mut signals = install_signals()?;
    let ran = session.run(child, &mut signals).await;
    session.settle().await;
    session.forget_run();
    ran
}

fn install_signals() -> Result<Signals, Failure> {
    Signals::install()
        .map_err(|error| Failure::new(exit_code::BUG, format!("no signal handlers: {error}")))
}

struct Session<'a> {
    context: &'a Context,
    reporter: Reporter<'a>,
    host: Rc<dyn Host>,
    begun: Instant,
    /// The ID of all its locks.
    id: LockId,
    /// In the order in which they are taken; at least one.
    locks: Vec<OneLock<'a>>,
    /// What the state was before, if it is compared instead of locked.
    before: RefCell<Option<Before>>,
    /// The trace that this run leaves on its machine.
    run_file: RefCell<Option<RunFile>>,
    /// How each of the locks is lent, if they are.
    loans: RefCell<Vec<Loan>>,
    /// Whether a lock of ours may be left behind, so that the trace is still needed.
    may_be_left: Cell<bool>,
    /// Work that goes on in parallel to the run.
    aside: RefCell<Aside>,
    /// The program of `--on-event`.
    hook: Option<Hook>,
    patience: Patience,
    /// Whether a child that locks for itself gets the rest of our patience.
    hands_on_patience: bool,
    longer_wait: String,
    success_codes: &'static [u8],
    selection: Selection,
    /// Watches the selection, from before our last check until terraform has read it.
    selection_watch: RefCell<Option<SelectionWatch>>,
    /// Whether the selection changed while the child may have been reading it.
    selection_changed: Cell<bool>,
    /// How the child's view differs from what the lock was resolved from.
    difference: RefCell<Option<Difference>>,
}

impl<'a> Session<'a> {
    /// The lock that has that place.
    fn lock_at(&self, place: &Identity) -> &OneLock<'a> {
        let mut locks = self.locks.iter();
        locks.find(|lock| lock.has(place)).unwrap_or(&self.locks[0])
    }
}

impl Session<'_> {
    /// Takes the locks, runs the child under them, releases them.
    ///
    /// # Errors
    /// Whatever kept the child from running, or a lock from being released.
    async fn run(
        &self,
        child: &dyn Fn(&[ChildLocking]) -> Command,
        signals: &mut Signals,
    ) -> Result<Outcome, Failure> {
        let (mut locks, lockings) = match self.hold(signals).await? {
            Holding::Held(locks, lockings) => (locks, lockings),
            Holding::Ended(signal) => return Ok(Outcome::Signal(signal.kind.number())),
        };
        let mut command = child(&lockings);
        let mut run_file = self.run_file.take();
        let loans = self.loans.take();
        let lent = loans
            .iter()
            .map(|loan| lent(loan, run_file.as_ref(), &command));
        let lent: Vec<Lent> = lent.collect();
        let held = self.locks.iter().flat_map(|lock| {
            let lent = lent.get(lock.number);
            locks.held_of(lock.number).map(move |held| (held, lent))
        });
        reentry::announce(&mut command, held, &variable);
        self.look_back();
        let mut aside = self.aside.take();
        let run = self.run_child(&command, signals, &mut locks, run_file.as_mut(), &loans);
        let mut running = aside.beside(run).await;
        if !loans.is_empty() {
            self.wait_for_borrowers(&loans, run_file.as_ref(), &mut locks, signals)
                .await;
        }
        self.run_file.replace(run_file);
        self.loans.replace(loans);
        let is_left_elsewhere = matches!(
            running,
            Running::Ended {
                leaves: Leaves::ProgramElsewhere,
                ..
            }
        );
        let (released, asked_to_end) = if is_left_elsewhere {
            for held in locks.held() {
                self.tell(SessionEvent::LeftElsewhere(held));
            }
            (Released::default(), None)
        } else {
            self.remember_end(&running, &locks);
            aside.join(self.aside.take());
            let release = self.release(&mut locks, signals);
            aside.beside(release).await
        };
        self.aside.replace(aside);
        self.remember_release(&running, &locks, &released);
        if !is_left_elsewhere {
            self.tell_free(&locks, &released);
        }
        if let Running::Ended {
            output, witness, ..
        } = &mut running
        {
            if let Some(witness) = witness.take() {
                witness.dismiss();
            }
            if asked_to_end.is_none() {
                conclusion::deliver(output, signals).await;
            }
        }
        let outcome = self.conclude(running, &locks, &released)?;
        Box::pin(self.unless_outdated(outcome, signals)).await
    }

    /// Reports each place of the locks that were ours to the end and are free.
    fn tell_free(&self, locks: &HeldLocks, released: &Released) {
        for lock in &self.locks {
            if locks.lost_any_of(lock.number) {
                continue;
            }
            for held in locks.held_of(lock.number) {
                let store = held.store();
                let place = store.identity();
                if !released.failed.iter().any(|failed| failed.place == place) {
                    self.tell(SessionEvent::Released(store));
                }
            }
        }
    }

    /// Removes the trace of the run, unless it may have left a lock behind.
    fn forget_run(&self) {
        self.loans.take().into_iter().for_each(Loan::remove);
        if let Some(run_file) = self.run_file.take()
            && !self.may_be_left.get()
        {
            run_file.remove();
        }
    }

    /// Finishes the work that goes on in parallel, unless it takes too long.
    async fn settle(&self) {
        self.aside.take().end(self.host.as_ref()).await;
        if let Some(hook) = &self.hook {
            hook.settle();
        }
    }
}

/// What the child needs to borrow the lock.
fn lent(loan: &Loan, run_file: Option<&RunFile>, child: &Command) -> Lent {
    let mut variables = child.environment.iter();
    let wait = variables.find(|(name, _)| name == "TFLOCK_WAIT");
    Lent {
        turn: loan.path().to_owned(),
        run: run_file.map(|file| file.path().to_owned()),
        wait: wait.map_or_else(String::new, |(_, wait)| wait.to_string_lossy().into_owned()),
    }
}

#[cfg(test)]
mod tests;
