//! One run under the lock: acquire, start the child, keep the lock, release, report how it ended.
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

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use self::aside::Aside;
use self::event::SessionEvent;
use self::holding::Holding;
use self::hook::Hook;
use self::reentry::{Lent, Nested};
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
use crate::lock::acquire::{Claim, Patience};
use crate::lock::held_locks::Released;
use crate::lock::history::Recorder;
use crate::lock::host::{Host, Instant};
use crate::lock::store::{Heartbeats, Store};
use crate::resolve::{
    ChildLocking, ComparedState, InitLock, LockRequest, MissingDirectory, ResolvedLock, Selected,
    StateRef,
};
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

/// Runs a child under the lock of `resolved`, or under the lock of a run that we are inside of. `child` makes its command,
/// given how the child has to lock.
///
/// # Errors
/// What keeps the child from running, or the lock from being released.
pub async fn run_under_lock(
    context: &Context,
    request: LockRequest<'_>,
    resolved: ResolvedLock,
    spec: RunSpec,
    child: &dyn Fn(ChildLocking) -> Command,
) -> Result<Outcome, Failure> {
    let hands_on_patience = holding::hands_on_patience(&request, &resolved);
    match reentry::look_around(&resolved, &variable).await? {
        Nested::No => {}
        Nested::Refused { key } => return Err(borrowing::refused(context, &key)),
        Nested::Borrows { locking, borrowed } => {
            let locking = match locking {
                ChildLocking::Kept if hands_on_patience => holding::handed_on(spec.patience),
                locking => locking,
            };
            let child = child(locking);
            let run = borrowing::run_borrowing(context, request, resolved, spec, &borrowed, child);
            return Box::pin(run).await;
        }
    }
    // Kept until the end.
    let _places = reentry::places_around(&variable);
    if let Some(notice) = &resolved.notice {
        context.ui.notice(notice);
    }
    let is_renewed = |store: &Rc<dyn Store>| store.heartbeats() != Heartbeats::None;
    if context.options.expire_after.is_some()
        && spec.expire_after.is_some()
        && !resolved.stores.iter().any(is_renewed)
    {
        context.ui.notice(
            "`--expire-after` has no effect: this lock is not renewed; see TFLOCK_S3_HEARTBEAT in `tflock --help`",
        );
    }
    let lending = spec.lending;
    let session = Session {
        hands_on_patience,
        ..Session::new(context, request, resolved, spec)
    };
    let run_file = session.leave_trace(request.directory);
    session.run_file.replace(run_file);
    if lending == Lending::OneAtATime {
        session.loan.replace(set_up::loan(context, &session.claim));
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
    stores: Vec<Rc<dyn Store>>,
    child_locking: ChildLocking,
    init_lock: Option<InitLock>,
    /// The state, if it is compared instead of locked, and what it was before.
    compared: Option<ComparedState>,
    before: RefCell<Option<Before>>,
    missing_directory: MissingDirectory,
    claim: Claim,
    /// The trace that this run leaves on its machine.
    run_file: RefCell<Option<RunFile>>,
    /// How the lock is lent, if it is.
    loan: RefCell<Option<Loan>>,
    /// Whether a lock of ours may be left behind, so that the trace is still needed.
    may_be_left: Cell<bool>,
    /// Work that goes on in parallel to the run.
    aside: RefCell<Aside>,
    history: Option<Rc<Recorder>>,
    /// The program of `--on-event`.
    hook: Option<Hook>,
    patience: Patience,
    /// Whether a child that locks for itself gets the rest of our patience.
    hands_on_patience: bool,
    longer_wait: String,
    success_codes: &'static [u8],
    /// The backend and workspace that the lock was resolved from.
    selected: Option<Selected>,
    /// What is locked, for the witness.
    state: Option<StateRef>,
    selection: Selection,
    /// Watches the selection, from before our last check until terraform has read it.
    selection_watch: RefCell<Option<SelectionWatch>>,
    /// Whether the selection changed while the child may have been reading it.
    selection_changed: Cell<bool>,
    /// How the child's view differs from what the lock was resolved from.
    difference: RefCell<Option<Difference>>,
}

impl Session<'_> {
    /// Takes the lock, runs the child under it, releases it.
    ///
    /// # Errors
    /// What kept the child from running, or the lock from being released.
    async fn run(
        &self,
        child: &dyn Fn(ChildLocking) -> Command,
        signals: &mut Signals,
    ) -> Result<Outcome, Failure> {
        let (mut locks, locking) = match self.hold(signals).await? {
            Holding::Held(locks, locking) => (locks, locking),
            Holding::Ended(signal) => return Ok(Outcome::Signal(signal.kind.number())),
        };
        let mut command = child(locking);
        let mut run_file = self.run_file.take();
        let loan = self.loan.take();
        let lent = loan
            .as_ref()
            .map(|loan| lent(loan, run_file.as_ref(), &command));
        reentry::announce(&mut command, locks.held(), lent.as_ref(), &variable);
        self.look_back();
        let mut aside = self.aside.take();
        let run = self.run_child(
            &command,
            signals,
            &mut locks,
            run_file.as_mut(),
            loan.as_ref(),
        );
        let mut running = aside.beside(run).await;
        if let Some(loan) = &loan {
            self.wait_for_borrowers(loan, run_file.as_ref(), &mut locks, signals)
                .await;
        }
        self.run_file.replace(run_file);
        self.loan.replace(loan);
        let is_left_elsewhere = matches!(
            running,
            Running::Ended {
                leaves: Leaves::ProgramElsewhere,
                ..
            }
        );
        let held = locks.held();
        let keys: Vec<String> = held.map(|held| held.store().key().to_owned()).collect();
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
        let is_left = |key: &String| released.failed.iter().any(|failed| failed.key == *key);
        if !locks.lost_any() && !is_left_elsewhere {
            for key in keys.iter().filter(|key| !is_left(key)) {
                self.tell(SessionEvent::Released { key });
            }
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

    /// Removes the trace of the run, unless it may have left a lock behind.
    fn forget_run(&self) {
        if let Some(loan) = self.loan.take() {
            loan.remove();
        }
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
