//! What a run leaves to its witness if tflock is killed, and how the witness carries it out: it waits until no process works
//! under the lock, then releases it.
//!
//! The witness finds the lock by the command line and environment of the killed tflock, with fresh credentials, for the state
//! that it worked on, whatever has been selected since. It releases the lock only if that is where it was and is the very
//! lock that was taken.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::event::SessionEvent;
use super::remembering::recorder;
use super::report::tell_left;
use super::{Outcome, Session};
use crate::child::{Bequest, Command as Program, Inheritance, WaitFor, outlast};
use crate::cli::{self, Command};
use crate::context::{Context, block_on};
use crate::environment::{command_line, variable};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::held_lock::{HeldLock, RELEASE_PATIENCE};
use crate::lock::held_locks::{HeldLocks, NotReleased};
use crate::lock::history::{Entry, HowEnded};
use crate::lock::host::Host;
use crate::lock::inherit::{Inherited, inherit};
use crate::lock::own::{OwnRecords, Records};
use crate::lock::record::{LockId, Record, go_time};
use crate::lock::store::{Identity, Store, StoreError};
use crate::resolve::{self, LockRequest, ResolvedLock, StateRef};
use crate::shim;
use crate::system::run_file::lent::{self, Loan, Turn, TurnAttempt};
use crate::system::run_file::{self, Place, Sighting};
use crate::terraform::command::{Classified, classify};
use crate::ui::{Prompts, Ui, Verbosity};

/// The pause between two attempts to find the lock.
const PAUSE: Duration = Duration::from_secs(1);

/// How often to check the places of an `exec`.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the witness has to do. May contain secrets of the backend.
#[derive(Serialize, Deserialize)]
struct Will {
    /// The command line, whose first word is the program.
    words: Vec<Vec<u8>>,
    state: StateRef,
    lock_id: LockId,
    places: Vec<Left>,
    /// Whether all processes that the child started have to end.
    waits_for_all: bool,
    /// How the lock is lent, if it is.
    loan: Option<PathBuf>,
    /// The child's arguments, which identify it under any name.
    arguments: Vec<Vec<u8>>,
}

/// What is left in one place.
#[derive(Serialize, Deserialize)]
struct Left {
    place: Identity,
    own: Records,
}

impl Session<'_> {
    /// What the witness gets, so that it can release `locks`. Without it the lock of a killed run stays until the run is proven
    /// dead.
    pub(super) fn bequest(
        &self,
        locks: &HeldLocks,
        command: &Program,
        loan: Option<&Loan>,
    ) -> Option<Bequest> {
        let will = Will {
            words: command_line().map(OsString::into_vec).collect(),
            state: self.state.clone()?,
            lock_id: self.claim.info.id.clone(),
            places: locks.held().map(Left::in_place_of).collect(),
            waits_for_all: command.wait_for == WaitFor::All,
            loan: loan.map(|loan| loan.path().to_owned()),
            arguments: command
                .arguments
                .iter()
                .map(|word| word.clone().into_vec())
                .collect(),
        };
        if will.places.is_empty() {
            return None;
        }
        let prepared = serde_json::to_vec(&will)
            .map_err(Into::into)
            .and_then(|content| Bequest::prepare(&content));
        prepared
            .inspect_err(|error| self.tell(SessionEvent::WithoutBequest(error)))
            .ok()
    }
}

impl Left {
    fn in_place_of(held: &HeldLock) -> Self {
        Self {
            place: held.store().identity(),
            own: held.own().snapshot(),
        }
    }
}

/// Carries out what a killed tflock has left.
#[must_use]
pub fn carry_out(mut inheritance: Inheritance) -> Outcome {
    let content = inheritance.content().ok();
    let will = content.and_then(|content| serde_json::from_slice::<Will>(&content).ok());
    let Some(will) = will else {
        return Outcome::Exit(exit_code::BUG);
    };
    let (context, command) = match context_of(&will) {
        Ok(context) => context,
        Err(failure) => {
            let ui = Ui::new(Verbosity::Normal, Prompts::Refused, true);
            tell_kept(&ui, &failure);
            return Outcome::Exit(exit_code::NOT_RELEASED);
        }
    };
    let released = block_on(release(inheritance, &will, &context, &command));
    let released = released
        .unwrap_or_else(|error| Err(Failure::new(exit_code::NOT_RELEASED, error.to_string())));
    let is_free = released.unwrap_or_else(|failure| {
        let removal = context.force_unlock_line(Some(&will.lock_id));
        tell_kept(&context.ui, &failure);
        context.ui.hint(&format!(
            "once all processes that ran under it have ended: `{removal}`"
        ));
        false
    });
    Outcome::Exit(if is_free { 0 } else { exit_code::NOT_RELEASED })
}

fn tell_kept(ui: &Ui, failure: &Failure) {
    let why = &failure.message;
    ui.warning(&format!(
        "tflock was killed, and the lock is NOT released: {why}"
    ));
}

/// Parses the command line of the killed tflock as it did itself.
fn context_of(will: &Will) -> Result<(Context, Command), Failure> {
    let mut words = will.words.iter().cloned().map(OsString::from_vec);
    let zeroth = words.next();
    let path = variable("PATH");
    let called_as = shim::called_as(zeroth.as_deref(), path.as_deref());
    let words = words.collect();
    let request = if called_as.is_some() {
        cli::parse_as_terraform(words)
    } else {
        cli::parse(words)
    };
    // tflock has parsed it before.
    let request = request.map_err(|_| Failure::new(exit_code::BUG, "the command line is lost"))?;
    Ok((Context::new(&request, called_as)?, request.command))
}

/// Waits for the run's processes, then releases the lock. Returns whether nothing of it is left.
async fn release(
    inheritance: Inheritance,
    will: &Will,
    context: &Context,
    command: &Command,
) -> Result<bool, Failure> {
    let (group, mut place) = (inheritance.group, inheritance.place);
    let runs = context.machine().runs;
    if will.waits_for_all
        && let Some(runs) = &runs
        && place
            .as_ref()
            .is_none_or(|place| run_file::share(place).is_ok())
        && let Ok(own) = Place::take(runs, &will.lock_id.0)
    {
        // The place that we inherited is shared with the child, and would hide whether the child still has it.
        place = None;
        outlast_group(group, will).await?;
        while !own.is_the_last() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    } else {
        outlast_group(group, will).await?;
    }
    // From here on the lock cannot be borrowed, whatever processes are left.
    let turn = take_back(will).await?;
    let sighting = runs
        .as_ref()
        .and_then(|runs| run_file::sighting_of(runs, &will.lock_id.0).ok());
    if sighting == Some(Sighting::Unseen) {
        return Err(Failure::new(
            exit_code::NOT_RELEASED,
            "terraform was never seen on this machine, and may still be running where its client started it",
        ));
    }
    let host: Rc<dyn Host> = Rc::new(context.machine());
    let resolved = find(will, context, command, host.as_ref()).await?;
    let is_free = release_places(will, context, resolved, &host).await?;
    if is_free && let Some(runs) = &runs {
        run_file::remove(runs, &will.lock_id.0);
    }
    if let (true, Some(loan)) = (is_free, &will.loan) {
        lent::remove(loan);
    }
    drop((place, turn));
    Ok(is_free)
}

/// Records in the history how the run ended.
async fn remember_killed(stores: &[Rc<dyn Store>], record: Option<&Record>, host: &Rc<dyn Host>) {
    let until = go_time(host.wall());
    let entry = record.and_then(|record| Entry::of(record, until, HowEnded::Killed));
    if let (Some(recorder), Some(entry)) = (recorder(stores, Rc::clone(host)), entry) {
        recorder.add_at_end(entry).await;
    }
}

/// Takes the turn of the loan for good, once no other process has it.
async fn take_back(will: &Will) -> Result<Option<Turn>, Failure> {
    let Some(loan) = &will.loan else {
        return Ok(None);
    };
    loop {
        match Turn::try_take(loan) {
            Ok(TurnAttempt::Got(turn)) => return Ok(Some(turn)),
            Ok(TurnAttempt::LoanEnded) => return Ok(None),
            Ok(TurnAttempt::InUse(_)) => tokio::time::sleep(LOOK_EVERY).await,
            Err(error) => {
                return Err(Failure::new(
                    exit_code::NOT_RELEASED,
                    format!("unknown whether a terraform still runs under it: {error}"),
                ));
            }
        }
    }
}

async fn outlast_group(group: Option<Pid>, will: &Will) -> Result<(), Failure> {
    let Some(group) = group else {
        return Ok(());
    };
    let wait_for = if will.waits_for_all {
        WaitFor::All
    } else {
        WaitFor::Terraform
    };
    let arguments = will.arguments.iter().cloned().map(OsString::from_vec);
    let arguments: Vec<OsString> = arguments.collect();
    outlast(group, wait_for, &arguments).await.map_err(|error| {
        Failure::new(
            exit_code::NOT_RELEASED,
            format!("unknown what still runs under it: {error}"),
        )
    })
}

/// Finds the lock as the killed tflock did. Retries for a minute, in case the user is just repairing a file.
async fn find(
    will: &Will,
    context: &Context,
    command: &Command,
    host: &dyn Host,
) -> Result<ResolvedLock, Failure> {
    let locking = match command {
        Command::Terraform(arguments) => match classify(arguments, &variable)? {
            Classified::Locking(locking) => Some(locking),
            Classified::PassThrough => None,
        },
        _ => None,
    };
    let directory = context.working_directory();
    let request = LockRequest {
        command: locking.as_ref(),
        ..LockRequest::new(&context.options, &directory)
    };
    let begun = host.now();
    loop {
        match resolve::find_for(request, will.state.clone()).await {
            Err(_) if host.now().since(begun) < RELEASE_PATIENCE => host.sleep(PAUSE).await,
            found => return found,
        }
    }
}

/// Gives back all places, the last first, and says so. Whether none of ours is left.
async fn release_places(
    will: &Will,
    context: &Context,
    resolved: ResolvedLock,
    host: &Rc<dyn Host>,
) -> Result<bool, Failure> {
    let context = match &resolved.local_name {
        Some(name) => Cow::Owned(context.for_local_lock(name)),
        None => Cow::Borrowed(context),
    };
    let places = resolved.stores.clone();
    let turn = resolved.init_lock.map(|lock| lock.turn);
    let turn_key = turn.as_ref().map(|turn| turn.key().to_owned());
    let found: Vec<Rc<dyn Store>> = turn.into_iter().chain(resolved.stores).collect();
    let (mut held, mut failed, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    let mut retrying = |_: &StoreError| {};
    for left in &will.places {
        let is_there = |store: &&Rc<dyn Store>| store.identity() == left.place;
        let Some(store) = found.iter().find(is_there) else {
            return Err(Failure::new(
                exit_code::NOT_RELEASED,
                "the environment or the AWS files now select another lock",
            ));
        };
        let host = Rc::clone(host);
        let (store, own) = (Rc::clone(store), OwnRecords::from(left.own.clone()));
        let key = store.key().to_owned();
        match inherit(store, host, will.lock_id.clone(), own, &mut retrying).await {
            Ok(Inherited::Ours(ours)) => held.push(ours),
            Ok(Inherited::NotOurs(None)) => {}
            Ok(Inherited::NotOurs(Some(_))) => lost.push(key),
            Err(error) => failed.push(NotReleased {
                key,
                id: will.lock_id.clone(),
                error,
            }),
        }
    }
    let had_any = !held.is_empty();
    let record = held.last().map(|ours| ours.record().clone());
    let released = HeldLocks::new(held, Rc::clone(host))
        .release(&mut retrying)
        .await;
    failed.extend(released.failed);
    lost.extend(released.lost.into_iter().map(|loss| loss.key));
    for key in &lost {
        context.ui.notice(&format!(
            "tflock was killed; the lock `{key}` now belongs to another run and was left alone"
        ));
    }
    for failed in &failed {
        let mut naming = context.clone().into_owned();
        if turn_key.as_ref() == Some(&failed.key) {
            naming.options.lock_id = Some(failed.key.clone());
        }
        tell_left(&naming, failed);
    }
    if had_any && failed.is_empty() && lost.is_empty() {
        remember_killed(&places, record.as_ref(), host).await;
        context.ui.notice(if will.waits_for_all {
            "tflock was killed; the program has ended and the lock is released"
        } else {
            "tflock was killed; terraform has ended and the lock is released"
        });
    }
    Ok(failed.is_empty())
}
