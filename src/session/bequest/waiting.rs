//! Waits until nothing works under the locks of a killed tflock any more.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Pid;

use super::Will;
use crate::child::{Inheritance, WaitFor, outlast};
use crate::exit_code;
use crate::failure::Failure;
use crate::system::run_file::lent::{Turn, TurnAttempt};
use crate::system::run_file::{self, Place, Sighting};

/// How often to check the places of an `exec`.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// As long as it is kept, nothing can work under the locks or borrow them.
pub(super) struct Outlasted {
    /// The place that we inherited, or the one that we took instead.
    _inherited: Option<OwnedFd>,
    _own: Option<Place>,
    _turns: Vec<Turn>,
}

/// Waits for the run's processes and for those that have borrowed its locks.
///
/// # Errors
/// It cannot be known whether something still works under them.
pub(super) async fn outlast_run(
    inheritance: Inheritance,
    will: &Will,
    runs: Option<&Path>,
) -> Result<Outlasted, Failure> {
    let (group, mut place) = (inheritance.group, inheritance.place);
    let own = if will.waits_for_all
        && let Some(runs) = runs
        && place
            .as_ref()
            .is_none_or(|place| run_file::share(place).is_ok())
        && let Ok(run_file) = run_file::path_of(runs, &will.lock_id.0)
        && let Ok(Some(own)) = Place::take(&run_file)
    {
        // The place that we inherited is shared with the child, and would hide whether the child still has it.
        place = None;
        outlast_group(group, will).await?;
        while !own.is_the_last() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Some(own)
    } else {
        outlast_group(group, will).await?;
        None
    };
    // From here on the locks cannot be borrowed, whatever processes are left.
    let turns = take_back(will).await?;
    let sighting = runs.and_then(|runs| run_file::sighting_of(runs, &will.lock_id.0).ok());
    if sighting == Some(Sighting::Unseen) {
        return Err(Failure::new(
            exit_code::NOT_RELEASED,
            "terraform was never seen on this machine, and may still be running where its client started it",
        ));
    }
    Ok(Outlasted {
        _inherited: place,
        _own: own,
        _turns: turns,
    })
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
