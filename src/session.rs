//! One run under the lock: acquire, start the child, keep the lock, release, say how it ended.
//!
//! The only file that knows both the lock and the child. Between acquire and release nothing returns early: the
//! child's ending is kept, the lock released, and only then is the ending looked at.

mod creation;
pub mod nesting;
mod running;
mod taking;
mod words;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use self::creation::Creation;
use self::running::Running;
use self::taking::Taking;
use crate::child::{
    Command, Ending, Output, Phase, Signal, SignalNumber, Signals, StartError, replace_by,
};
use crate::ci;
use crate::commands::{Context, variable};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::{Claim, Patience};
use crate::lock::host::Host;
use crate::lock::keeper::{Keeper, Released};
use crate::lock::record::{Lease, LockId, LockInfo};
use crate::lock::store::Store;
use crate::system::run_file::{Run, RunFile};
use crate::target::{Situation, Target};
use crate::ui::{Prompts, Ui};

/// How long a release fails before somebody is told why it takes so long.
const WORTH_A_WORD: Duration = Duration::from_secs(2);

/// How tflock ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this exit code.
    Exit(u8),
    /// By this signal, as the child did or as it was asked to.
    Signal(SignalNumber),
}

/// What the lock is wanted for.
#[derive(Clone, Debug)]
pub struct Purpose {
    /// terraform's word for it.
    pub operation: String,
    /// The command as a person would say it.
    pub command: String,
    /// The promise to have stopped after this much silence.
    pub expire_after: Option<Duration>,
    /// How long to wait for the lock.
    pub patience: Patience,
    /// Whether a question may be asked meanwhile.
    pub prompts: Prompts,
    /// The exit codes of the child that mean success.
    pub success_codes: &'static [u8],
    /// The words after `tflock` that wait for longer.
    pub longer_wait: String,
    /// Whether the program works on what was selected when it was started.
    pub selection: Selection,
    /// The terraform that runs under the lock.
    pub terraform: Option<PathBuf>,
}

/// Which backend and workspace the program works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those that are selected when it starts: terraform reads them once.
    AtStart,
    /// It may select others itself, and whatever works on them takes their lock.
    ItsOwn,
}

/// Runs `child` under the lock of `target`, or under that of a run that we are inside of.
///
/// # Errors
/// Whatever keeps it from running, or the lock from being given back.
pub async fn run_under_lock(
    context: &Context,
    situation: Situation<'_>,
    target: Target,
    purpose: Purpose,
    mut child: Command,
) -> Result<Outcome, Failure> {
    if nesting::is_held_around(&target.stores, &variable).await? {
        context
            .ui
            .detail(|| "running under the lock that is held around this run".to_owned());
        return Err(replace_by(&child).into());
    }
    if let Some(notice) = &target.notice {
        context.ui.notice(notice);
    }
    if let Some(held) = variable(nesting::VARIABLE) {
        child.environment.push((nesting::VARIABLE.into(), held));
    }
    let ui = match purpose.prompts {
        Prompts::Allowed => context.ui.clone(),
        Prompts::Refused => context.ui.without_prompts(),
    };
    let host: Rc<dyn Host> = Rc::new(context.machine());
    let claim = claim(context, &target, &purpose, host.as_ref());
    let run_file = run_file(context, situation.directory, &claim, &child);
    let session = Session {
        context,
        ui: &ui,
        claim,
        host,
        stores: target.stores.clone(),
        success_codes: purpose.success_codes,
        is_unchanged: &|| situation.still_means(&target),
        selection: purpose.selection,
        is_astray: Cell::new(false),
        not_passed_on: RefCell::default(),
        patience: purpose.patience,
        longer_wait: purpose.longer_wait,
        creation: target.created_on_use.as_ref().map(|state| Creation {
            state,
            terraform: purpose.terraform,
        }),
    };
    let mut signals = Signals::install()
        .map_err(|error| Failure::new(exit_code::BUG, format!("no signal handlers: {error}")))?;
    session.run(child, &mut signals, run_file).await
}

/// The trace of the run, from before its lock is asked for. Where none can be left, nothing can be proven of the run later.
fn run_file(
    context: &Context,
    directory: &Path,
    claim: &Claim,
    child: &Command,
) -> Option<RunFile> {
    let runs = context.machine().runs?;
    let directories = [context.directory.clone(), directory.to_owned()];
    let run = Run::of_this_process(&claim.info.id.0, &child.arguments, &directories)?;
    match RunFile::create(&runs, run) {
        Ok(file) => Some(file),
        Err(error) => {
            context.ui.detail(|| {
                let runs = runs.display();
                format!(
                    "no trace of this run in `{runs}`, so that its death cannot be proven: {error}"
                )
            });
            None
        }
    }
}

fn claim(context: &Context, target: &Target, purpose: &Purpose, host: &dyn Host) -> Claim {
    let reason = context.options.reason.clone();
    let run_url = ci::run_url(&variable);
    let words: Vec<&str> = reason.iter().chain(&run_url).map(String::as_str).collect();
    let user = whoami::username().unwrap_or_default();
    let hostname = whoami::hostname().unwrap_or_default();
    let own_version = format!("tflock {}", env!("CARGO_PKG_VERSION"));
    Claim {
        info: LockInfo {
            id: LockId::from_bytes(host.unique()),
            operation: purpose.operation.clone(),
            info: words.join(" "),
            who: format!("{user}@{hostname}"),
            version: target.terraform_version.clone().unwrap_or(own_version),
            created: String::new(),
            path: target.path.clone(),
        },
        lease: Lease {
            tflock_version: env!("CARGO_PKG_VERSION").to_owned(),
            command: purpose.command.clone(),
            reason,
            run_url,
            heartbeat: None,
            heartbeat_at: None,
            expire_after: purpose.expire_after,
            holder: host.this_process(),
        },
    }
}

struct Session<'a> {
    context: &'a Context,
    ui: &'a Ui,
    host: Rc<dyn Host>,
    stores: Vec<Rc<dyn Store>>,
    claim: Claim,
    patience: Patience,
    longer_wait: String,
    creation: Option<Creation<'a>>,
    success_codes: &'static [u8],
    /// Whether the lock is still that of what terraform would work on; `None` if that cannot be told.
    is_unchanged: &'a dyn Fn() -> Option<bool>,
    selection: Selection,
    /// Whether what was selected changed while the child may have been reading it.
    is_astray: Cell<bool>,
    /// The signals of which it was said that they are not passed on.
    not_passed_on: RefCell<BTreeSet<i32>>,
}

impl Session<'_> {
    /// Takes the lock, runs `command` under it, gives it back.
    ///
    /// # Errors
    /// Whatever kept the command from running, or the lock from being given back.
    async fn run(
        &self,
        mut command: Command,
        signals: &mut Signals,
        mut run_file: Option<RunFile>,
    ) -> Result<Outcome, Failure> {
        let mut creation = self.creation.as_ref();
        let (mut keeper, asked_to_end) = loop {
            // Looked for while the lock is taken, so that it costs no time.
            let is_missing = async {
                match creation {
                    Some(creation) => creation.state.is_missing().await,
                    None => false,
                }
            };
            let ((taking, asked_to_end), is_missing) = tokio::join!(self.take(signals), is_missing);
            let held = match taking {
                Taking::Held(held) => held,
                Taking::TimedOut { key, observed } => {
                    forget(run_file);
                    return Err(self.locked(key, &observed));
                }
                Taking::Failed(error) => {
                    if error.maybe_left.is_none() {
                        forget(run_file);
                    }
                    return Err(Failure::not_acquired(error, |words| {
                        self.context.command_line(words)
                    }));
                }
                Taking::Stopped => Vec::new(),
            };
            let mut keeper = Keeper::new(held, Rc::clone(&self.host));
            if asked_to_end.is_some() {
                break (keeper, asked_to_end);
            }
            if (self.is_unchanged)() != Some(true) {
                self.give_back(&mut keeper, signals).await;
                return Err(Failure::new(
                    exit_code::CONFIGURATION,
                    "the backend or the workspace was changed while the lock was being taken",
                )
                .hint("see what is selected with `tflock workspace show`, then run it again"));
            }
            // Once more, because the one we waited for may have created it.
            match creation.take().filter(|_| is_missing) {
                Some(creation) if creation.state.is_missing().await => {
                    if let Some(signal) = self.give_back(&mut keeper, signals).await {
                        return Ok(Outcome::Signal(signal.kind.number()));
                    }
                    creation.carry_out(self.context);
                }
                _ if keeper.confirm().await => break (keeper, None),
                _ => {
                    self.ui.notice(
                        "the lock was lost again before anything was started: taking it anew",
                    );
                    if let Some(signal) = self.give_back(&mut keeper, signals).await {
                        return Ok(Outcome::Signal(signal.kind.number()));
                    }
                }
            }
        };
        nesting::announce(&mut command, keeper.held());
        let mut running = match asked_to_end {
            Some(signal) => Running::NotStarted(StartError::EndRequested(signal)),
            None => {
                self.run_child(&command, signals, &mut keeper, run_file.as_mut())
                    .await
            }
        };
        let (released, asked_to_end) = self.release(&mut keeper, signals).await;
        if released.failed.is_empty() {
            forget(run_file);
        }
        if let Running::Ended(_, output) = &mut running
            && asked_to_end.is_none()
        {
            deliver(output, signals).await;
        }
        self.conclude(running, &keeper, &released)
    }

    /// Releases a lock under which nothing was started. The first signal that wanted an end meanwhile is returned.
    async fn give_back(&self, keeper: &mut Keeper, signals: &mut Signals) -> Option<Signal> {
        let (released, asked_to_end) = self.release(keeper, signals).await;
        self.tell_released(&released);
        asked_to_end
    }

    /// Signals wait meanwhile: a release takes as long as it takes. The first that wants an end is returned.
    async fn release(
        &self,
        keeper: &mut Keeper,
        signals: &mut Signals,
    ) -> (Released, Option<Signal>) {
        self.ui.detail(|| "releasing the lock".to_owned());
        let begun = self.host.now();
        let (mut told, mut refused) = (false, false);
        let mut asked_to_end = None;
        let mut releasing = pin!(keeper.release(|error| {
            // What mends itself at once is not worth a word: new keys of a role, or another attempt.
            let credentials = error.kind.is_about_credentials();
            let refused_again = credentials && std::mem::replace(&mut refused, credentials);
            let lasts = self.host.now().since(begun) >= WORTH_A_WORD;
            if (lasts || refused_again) && !std::mem::replace(&mut told, true) {
                self.tell_releasing_again(error);
            }
        }));
        loop {
            tokio::select! {
                biased;
                released = &mut releasing => return (released, asked_to_end),
                signal = signals.end_requested(Phase::Releasing) => {
                    asked_to_end = asked_to_end.or(Some(signal));
                    self.ui.notice(&format!(
                        "{} waits: the lock is being released",
                        signal.kind.number()
                    ));
                }
            }
        }
    }

    fn conclude(
        &self,
        running: Running,
        keeper: &Keeper,
        released: &Released,
    ) -> Result<Outcome, Failure> {
        self.tell_released(released);
        let outcome = match running {
            Running::Panicked(panic) => std::panic::resume_unwind(panic),
            Running::NotStarted(StartError::EndRequested(signal)) => {
                return Ok(Outcome::Signal(signal.kind.number()));
            }
            Running::NotStarted(StartError::Spawn(error)) => return Err(error.into()),
            Running::Ended(Ending::Signalled(signal), _) => Outcome::Signal(signal),
            Running::Ended(Ending::Exited(code), _) => Outcome::Exit(code),
        };
        if keeper.lost_any() || !released.lost.is_empty() {
            return Err(self.lost(outcome));
        }
        if keeper.gave_up_any() {
            return Err(self.not_kept(outcome));
        }
        if self.is_astray.get() {
            return Err(self.astray(outcome));
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

/// Nothing of the run is left in the store.
fn forget(run_file: Option<RunFile>) {
    if let Some(run_file) = run_file {
        run_file.remove();
    }
}

/// Waits for a slow reader to take what the child wrote. The lock is free by now, and a signal ends the wait.
async fn deliver(output: &mut Output, signals: &mut Signals) {
    tokio::select! {
        () = output.delivered() => {}
        _ = signals.end_requested(Phase::Waiting) => {}
    }
}

#[cfg(test)]
mod tests;
