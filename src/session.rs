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
mod shared;
mod taking;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use self::aside::Aside;
use self::event::SessionEvent;
use self::holding::Holding;
use self::hook::Hook;
use self::provenance::Provenance;
use self::reentry::{Lent, Nested};
use self::report::Reporter;
use self::running::{Leaves, Running};
use self::selection_watch::SelectionWatch;
use self::shared::Before;
use crate::child::{
    Command, Difference, Ending, Output, Phase, Signal, SignalNumber, Signals, StartError,
};
use crate::context::Context;
use crate::environment::variable;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::{Claim, Patience, PatienceSource};
use crate::lock::held_locks::{HeldLocks, Released};
use crate::lock::history::Recorder;
use crate::lock::host::{Host, Instant};
use crate::lock::own::Own;
use crate::lock::record::{Lease, LockId, LockInfo};
use crate::lock::store::{Heartbeats, Store};
use crate::resolve::{
    ChildLocking, ComparedState, InitLock, LockRequest, MissingDirectory, ResolvedLock, Selected,
    StateRef, Whereabouts,
};
use crate::shim;
use crate::system::run_file::lent::Loan;
use crate::system::run_file::{Run, RunFile};
use crate::ui::Prompts;

/// How long a release may keep failing before we say so.
const WORTH_A_WORD: Duration = Duration::from_secs(2);

/// How tflock ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this exit code.
    Exit(u8),
    /// By this signal, as the child did or as it was asked to.
    Signal(SignalNumber),
}

/// What a run is, and how it treats its lock.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// `Operation` in terraform's lock info.
    pub operation: String,
    /// The command as a person would say it.
    pub command: String,
    /// The promise: after this much silence the lock expires.
    pub expire_after: Option<Duration>,
    /// How long to wait for the lock.
    pub patience: Patience,
    /// Whether prompts are allowed.
    pub prompts: Prompts,
    /// The exit codes of the child that mean success.
    pub success_codes: &'static [u8],
    /// The command line that waits longer, for hints.
    pub longer_wait: String,
    /// Which backend and workspace the program works on.
    pub selection: Selection,
    /// Whether others may run under the lock meanwhile.
    pub lending: Lending,
    /// Where `patience` comes from.
    pub patience_source: PatienceSource,
}

/// Whether a run lends its lock to the programs that it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lending {
    /// No: it writes the state itself, and a nested run would write it, too.
    Nothing,
    /// To one terraform at a time.
    OneAtATime,
}

/// Which backend and workspace the program works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those selected when it starts: terraform reads them once.
    AtStart,
    /// It may select others itself; a terraform that works on those takes their lock.
    ItsOwn,
    /// The command itself names its state, whatever is selected.
    Named,
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
        session.loan.replace(loan(context, &session.claim));
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

/// Creates what is needed to lend the lock. Without a directory for it nothing is lent.
fn loan(context: &Context, claim: &Claim) -> Option<Loan> {
    let directories = shim::places(&variable).into_iter();
    let directories = directories.map(|place| place.join("runs"));
    match Loan::create(directories, &claim.info.id.0) {
        Ok(loan) => Some(loan),
        Err(error) => {
            context
                .ui
                .detail(|| format!("cannot lend the lock to a terraform inside: {error}"));
            None
        }
    }
}

fn hook(context: &Context) -> Option<Hook> {
    let program = context.options.on_event.clone()?;
    Some(Hook::new(program, context.ui.clone()))
}

fn claim(
    context: &Context,
    directory: &Path,
    resolved: &ResolvedLock,
    spec: &RunSpec,
    host: &dyn Host,
) -> Claim {
    let reason = context.options.reason.clone();
    let Provenance { run_url, origin } = provenance::of_this_run(directory, &variable);
    let words: Vec<&str> = reason.iter().chain(&run_url).map(String::as_str).collect();
    let user = whoami::username().unwrap_or_default();
    let hostname = whoami::hostname().unwrap_or_default();
    let own_version = format!("tflock {}", env!("CARGO_PKG_VERSION"));
    Claim {
        info: LockInfo {
            id: LockId::from_bytes(host.unique()),
            operation: spec.operation.clone(),
            info: words.join(" "),
            who: format!("{user}@{hostname}"),
            version: resolved.terraform_version.clone().unwrap_or(own_version),
            created: String::new(),
            path: resolved.path.clone(),
        },
        lease: Lease {
            tflock_version: env!("CARGO_PKG_VERSION").to_owned(),
            command: spec.command.clone(),
            reason,
            run_url,
            origin,
            hold: None,
            heartbeat: None,
            heartbeat_at: None,
            renewed_every: None,
            expire_after: spec.expire_after,
            holder: host.this_process(),
        },
        under: context.options.hold.clone().map(LockId),
        own: Own::default(),
    }
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

impl<'a> Session<'a> {
    /// A session that has left no trace yet.
    fn new(
        context: &'a Context,
        request: LockRequest<'_>,
        resolved: ResolvedLock,
        spec: RunSpec,
    ) -> Self {
        let ui = match spec.prompts {
            Prompts::Allowed => context.ui.clone(),
            Prompts::Refused => context.ui.without_prompts(),
        };
        let host: Rc<dyn Host> = Rc::new(context.machine());
        let claim = claim(context, request.directory, &resolved, &spec, host.as_ref());
        let turn = resolved.init_lock.as_ref();
        let history = remembering::recorder(&resolved.stores, Rc::clone(&host));
        Self {
            context,
            history: history.map(Rc::new),
            reporter: Reporter {
                context,
                ui,
                host: Rc::clone(&host),
                lock_id: claim.info.id.clone(),
                turn: turn.map(|lock| lock.turn.key().to_owned()),
                said_of_signals: RefCell::default(),
            },
            claim,
            begun: host.now(),
            run_file: RefCell::default(),
            loan: RefCell::default(),
            may_be_left: Cell::new(false),
            host,
            selected: (spec.selection != Selection::Named).then(|| request.selected(&resolved)),
            state: Some(resolved.state()),
            stores: resolved.stores,
            child_locking: resolved.child_locking,
            init_lock: resolved.init_lock,
            compared: resolved.compared,
            before: RefCell::default(),
            missing_directory: resolved.missing_directory,
            hands_on_patience: false,
            success_codes: spec.success_codes,
            selection: spec.selection,
            selection_watch: RefCell::default(),
            selection_changed: Cell::new(false),
            difference: RefCell::default(),
            patience: spec.patience,
            longer_wait: spec.longer_wait,
            aside: RefCell::default(),
            hook: hook(context),
        }
    }

    /// Creates the run file, before the lock is requested. Without it the run's death can never be proven.
    fn leave_trace(&self, directory: &Path) -> Option<RunFile> {
        let runs = self.context.machine().runs?;
        let directories = [self.context.directory.clone(), directory.to_owned()];
        let run = Run::of_this_process(&self.claim.info.id.0, &directories)?;
        let whereabouts = self.state.as_ref().map(|state| {
            let (stores, command) = (&self.stores, &self.claim.lease.command);
            let options = &self.context.options;
            Whereabouts::of(
                options,
                directory,
                command,
                state,
                stores,
                self.init_lock.as_ref(),
            )
        });
        let run = run.with_whereabouts(whereabouts.unwrap_or_default());
        match RunFile::create(&runs, run) {
            Ok(file) => Some(file),
            Err(error) => {
                self.context.ui.detail(|| {
                    let runs = runs.display();
                    format!(
                        "cannot leave a trace of this run in `{runs}`, so its death could not be proven: {error}"
                    )
                });
                None
            }
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
                deliver(output, signals).await;
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

    /// Releases the locks. Signals are delayed until that is done; the first one that asked tflock to end is returned.
    async fn release(
        &self,
        locks: &mut HeldLocks,
        signals: &mut Signals,
    ) -> (Released, Option<Signal>) {
        if locks.held().next().is_some() {
            self.tell(SessionEvent::Releasing);
        }
        let begun = self.host.now();
        let (mut told, mut refused) = (false, false);
        let mut asked_to_end = None;
        let mut releasing = pin!(locks.release(|error| {
            // Problems that resolve themselves at once are not reported: expired keys of a role, one lost request.
            let credentials = error.kind.is_about_credentials();
            let refused_again = credentials && std::mem::replace(&mut refused, credentials);
            let lasts = self.host.now().since(begun) >= WORTH_A_WORD;
            if (lasts || refused_again) && !std::mem::replace(&mut told, true) {
                self.tell(SessionEvent::ReleasingAgain(error));
            }
        }));
        loop {
            tokio::select! {
                biased;
                released = &mut releasing => return (released, asked_to_end),
                signal = signals.end_requested(Phase::Releasing) => {
                    asked_to_end = asked_to_end.or(Some(signal));
                    self.tell(SessionEvent::DelayedByRelease(signal.kind.number()));
                }
            }
        }
    }

    /// Reports the locks that were not released, or were lost.
    fn tell_released(&self, released: &Released) {
        for failed in &released.failed {
            self.tell(SessionEvent::NotReleased(failed));
        }
        for loss in &released.lost {
            self.tell(SessionEvent::Lost(loss));
        }
    }

    fn conclude(
        &self,
        running: Running,
        locks: &HeldLocks,
        released: &Released,
    ) -> Result<Outcome, Failure> {
        self.tell_released(released);
        let outcome = match running {
            Running::Panicked(panic) => std::panic::resume_unwind(panic),
            Running::NotStarted(StartError::EndRequested(signal)) => {
                return Ok(Outcome::Signal(signal.kind.number()));
            }
            Running::NotStarted(StartError::Spawn(error)) => return Err(error.into()),
            Running::Ended {
                ending: Ending::Signalled(signal),
                ..
            } => Outcome::Signal(signal),
            Running::Ended {
                ending: Ending::Exited(code),
                ..
            } => Outcome::Exit(code),
        };
        if locks.lost_any() || !released.lost.is_empty() {
            return Err(self.lost(outcome));
        }
        if locks.gave_up_any() {
            return Err(self.not_kept(outcome));
        }
        if let Some(difference) = self.difference.borrow().as_ref() {
            return Err(self.differs(difference, outcome));
        }
        if self.selection_changed.get() {
            return Err(self.selection_changed_failure(outcome));
        }
        match outcome {
            Outcome::Exit(code)
                if self.success_codes.contains(&code) && !released.failed.is_empty() =>
            {
                Ok(Outcome::Exit(exit_code::NOT_RELEASED))
            }
            outcome => Ok(outcome),
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

/// Waits for a slow reader to take the child's output. The lock is already free; a signal ends the wait.
async fn deliver(output: &mut Output, signals: &mut Signals) {
    tokio::select! {
        () = output.delivered() => {}
        _ = signals.end_requested(Phase::Waiting) => {}
    }
}

#[cfg(test)]
mod tests;
