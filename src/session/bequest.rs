//! What a run leaves to its witness if tflock is killed, and how the witness carries it out: it waits until no process works
//! under its locks, then releases them.
//!
//! The witness finds each lock by the command line and environment of the killed tflock, with fresh credentials, for the state
//! that it worked on, whatever has been selected since. It releases a lock only if that is where it was and is the very
//! lock that was taken.

mod release;
mod waiting;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use self::release::release_all;
use self::waiting::outlast_run;
use super::event::SessionEvent;
use super::{Outcome, Session};
use crate::child::{Bequest, Command as Program, Inheritance, WaitFor};
use crate::cli::{self, Command};
use crate::context::{Context, block_on};
use crate::environment::{command_line, variable};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::held_lock::HeldLock;
use crate::lock::held_locks::HeldLocks;
use crate::lock::own::Records;
use crate::lock::record::LockId;
use crate::lock::store::Identity;
use crate::resolve::StateRef;
use crate::shim;
use crate::system::run_file;
use crate::system::run_file::lent::{self, Loan};
use crate::terraform::command::{Classified, LockingCommand, classify};
use crate::ui::{Prompts, Ui, Verbosity};

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
    let (context, command) = match run_of(&will) {
        Ok(context) => context,
        Err(failure) => {
            let ui = Ui::new(Verbosity::Normal, Prompts::Disabled, true);
            tell_kept(&ui, &failure);
            return Outcome::Exit(exit_code::NOT_RELEASED);
        }
    };
    let released = block_on(release(inheritance, &will, &context, command.as_ref()));
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

/// Parses the command line of the killed tflock as it did itself; the command is terraform's, if that locks.
fn run_of(will: &Will) -> Result<(Context, Option<LockingCommand>), Failure> {
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
    let command = match &request.command {
        Command::Terraform(arguments) => match classify(arguments, &variable)? {
            Classified::Locking(command) => Some(command),
            Classified::PassThrough => None,
        },
        _ => None,
    };
    Ok((Context::new(&request, called_as)?, command))
}

/// Waits until nothing works under the locks any more, then releases them. Whether nothing of them is left.
async fn release(
    inheritance: Inheritance,
    will: &Will,
    context: &Context,
    command: Option<&LockingCommand>,
) -> Result<bool, Failure> {
    let runs = context.machine().runs;
    let outlasted = outlast_run(inheritance, will, runs.as_deref()).await?;
    let is_free = release_all(will, context, command).await;
    if is_free {
        if let Some(runs) = &runs {
            run_file::remove(runs, &will.lock_id.0);
        }
        will.loans.iter().for_each(|loan| lent::remove(loan));
    }
    drop(outlasted);
    Ok(is_free)
}
