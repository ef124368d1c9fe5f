//! What a run leaves to its witness if tflock is killed, and how the witness carries it out: it waits until no process works
//! under its locks, then releases them.
//!
//! The witness finds each lock by the command line and environment of the killed tflock, with fresh credentials, for the state
//! that it worked on, whatever has been selected since. It releases a lock only if that is where it was and is the very
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
use crate::lock::together::all;
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
    /// The ID of all its locks.
    lock_id: LockId,
    locks: Vec<LeftLock>,
    /// Whether all that the child started has to end.
    waits_for_all: bool,
    /// How the locks are lent, if they are.
    loans: Vec<PathBuf>,
    /// The child's arguments, which identify it under any name.
    arguments: Vec<Vec<u8>>,
}

/// One lock.
#[derive(Serialize, Deserialize)]
struct LeftLock {
    /// The directory in which terraform works on that state, as for `-chdir`; tflock's own if `None`.
    chdir: Option<Vec<u8>>,
    state: StateRef,
    places: Vec<Left>,
}

/// What is left in one place.
#[derive(Serialize, Deserialize)]
struct Left {
    place: Identity,
    own: Records,
}

impl Session<'_> {
    /// What the witness gets, so that it can release `locks`. Without it the locks of a killed run stay until the run is proven
    /// dead.
    pub(super) fn bequest(
        &self,
        locks: &HeldLocks,
        command: &Program,
        loans: &[Loan],
    ) -> Option<Bequest> {
        let left = self.locks.iter().filter_map(|lock| {
            let chdir = lock.naming.chdir.clone();
            Some(LeftLock {
                chdir: chdir.map(|chdir| chdir.into_os_string().into_vec()),
                state: lock.state.clone()?,
                places: locks.held_of(lock.number).map(Left::in_place_of).collect(),
            })
        });
        let will = Will {
            words: command_line().map(OsString::into_vec).collect(),
            lock_id: self.id.clone(),
            locks: left.filter(|lock| !lock.places.is_empty()).collect(),
            waits_for_all: command.wait_for == WaitFor::All,
            loans: loans.iter().map(|loan| loan.path().to_owned()).collect(),
            arguments: command
                .arguments
                .iter()
                .map(|word| word.clone().into_vec())
                .collect(),
        };
        if will.locks.is_empty() {
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
        tell_kept(&context.ui, &failure);
        for lock in &will.locks {
            hint_at_removal(&lock.naming(&context), &will);
        }
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

fn hint_at_removal(naming: &Context, will: &Will) {
    let removal = naming.force_unlock_line(Some(&will.lock_id));
    naming.ui.hint(&format!(
        "once all processes that ran under it have ended: `{removal}`"
    ));
}

impl LeftLock {
    /// A context whose command lines address it.
    fn naming(&self, context: &Context) -> Context {
        let chdir = self.chdir.clone().map(OsString::from_vec);
        Context {
            chdir: chdir.map(PathBuf::from),
            ..context.clone()
        }
    }
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

/// Waits for the run's processes, then releases the locks. Returns whether nothing of them is left.
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
    // From here on the locks cannot be borrowed, whatever processes are left.
    let turns = take_back(will).await?;
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
    let locks = will
        .locks
        .iter()
        .map(|lock| release_lock(lock, will, context, command, &host));
    let is_free = all(locks).await.into_iter().all(|is_free| is_free);
    if is_free && let Some(runs) = &runs {
        run_file::remove(runs, &will.lock_id.0);
    }
    if is_free {
        will.loans.iter().for_each(|loan| lent::remove(loan));
    }
    drop((place, turns));
    Ok(is_free)
}

/// Releases that lock, or says that it could not. Returns whether nothing of it is left.
async fn release_lock(
    lock: &LeftLock,
    will: &Will,
    context: &Context,
    command: &Command,
    host: &Rc<dyn Host>,
) -> bool {
    let naming = lock.naming(context);
    let released = async {
        let resolved = find(lock, &naming, command, host.as_ref()).await?;
        release_places(lock, will, &naming, resolved, host).await
    };
    released.await.unwrap_or_else(|failure| {
        tell_kept(&naming.ui, &failure);
        hint_at_removal(&naming, will);
        false
    })
}

/// Records in the history how the run ended.
async fn remember_killed(stores: &[Rc<dyn Store>], record: Option<&Record>, host: &Rc<dyn Host>) {
    let until = go_time(host.wall());
    let entry = record.and_then(|record| Entry::of(record, until, HowEnded::Killed));
    if let (Some(recorder), Some(entry)) = (recorder(stores, Rc::clone(host)), entry) {
        recorder.add_at_end(entry).await;
    }
}

/// Takes the turns of all loans for good, once they are not in use.
async fn take_back(will: &Will) -> Result<Vec<Turn>, Failure> {
    let mut turns = Vec::new();
    for loan in &will.loans {
        loop {
            match Turn::try_take(loan) {
                Ok(TurnAttempt::Got(turn)) => turns.push(turn),
                Ok(TurnAttempt::LoanEnded) => {}
                Ok(TurnAttempt::InUse(_)) => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    continue;
                }
                Err(error) => {
                    return Err(Failure::new(
                        exit_code::NOT_RELEASED,
                        format!("unknown whether a terraform still runs under it: {error}"),
                    ));
                }
            }
            break;
        }
    }
    Ok(turns)
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
    lock: &LeftLock,
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
        match resolve::find_for(request, lock.state.clone()).await {
            Err(_) if host.now().since(begun) < RELEASE_PATIENCE => host.sleep(PAUSE).await,
            found => return found,
        }
    }
}

/// Gives back all places of a lock, the last first, and says so. Whether none of ours is left.
async fn release_places(
    lock: &LeftLock,
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
    let mut held = HeldLocks::none(Rc::clone(host));
    let (mut failed, mut lost) = (Vec::new(), Vec::new());
    let mut retrying = |_: &StoreError| {};
    for left in &lock.places {
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
            Ok(Inherited::Ours(ours)) => held.push(0, ours),
            Ok(Inherited::NotOurs(None)) => {}
            Ok(Inherited::NotOurs(Some(_))) => lost.push(key),
            Err(error) => failed.push(NotReleased {
                key,
                place: left.place.clone(),
                id: will.lock_id.clone(),
                error,
            }),
        }
    }
    let record = held.held().last().map(|ours| ours.record().clone());
    let released = held.release(&mut retrying).await;
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
    if record.is_some() && failed.is_empty() && lost.is_empty() {
        remember_killed(&places, record.as_ref(), host).await;
        let program = if will.waits_for_all {
            "the program"
        } else {
            "terraform"
        };
        let key = match will.locks.as_slice() {
            [_] => String::new(),
            _ => places
                .last()
                .map_or_else(String::new, |store| format!("`{}` ", store.key())),
        };
        context.ui.notice(&format!(
            "tflock was killed; {program} has ended and the lock {key}is released"
        ));
    }
    Ok(failed.is_empty())
}
