//! Re-entry: a tflock inside a run that holds the same lock must not wait for that lock.
//!
//! `exec` lends its lock to one terraform at a time, which runs under it. A run of terraform lends nothing: a run nested in
//! it (a provisioner, an external data source) would write a state that its parent is about to write.
//!
//! The child sees `TFLOCK_HELD`. The variable alone proves nothing, since a process can outlive the run that started it: the
//! lock counts as held only if the store says so, under the ID that the variable names.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::child::Command;
use crate::environment::Environment;
use crate::lock::held_lock::HeldLock;
use crate::lock::host::Machine;
use crate::lock::lent::{Announced, Lent, Nested, look_for};
use crate::lock::store::StoreError;
use crate::resolve::{ChildLocking, ResolvedLock};
use crate::system::run_file::{Place, PlaceAttempt};

/// Names the locks that a process runs under, as JSON, the innermost last.
pub const VARIABLE: &str = "TFLOCK_HELD";

/// Announces to the child the locks that it runs under, and how each is lent, including those that we ourselves run under.
pub(super) fn announce<'held>(
    command: &mut Command,
    held: impl Iterator<Item = (&'held HeldLock, Option<&'held Lent>)>,
    environment: Environment<'_>,
) {
    let mut held = held.peekable();
    if held.peek().is_none() {
        // The announcement stays as it is, which includes a lock that we have borrowed for the child.
        return;
    }
    let mut announced = announced_to_us(environment);
    announced.extend(held.map(|(held, lent)| Announced::of(held, lent)));
    tell(command, &announced);
}

/// Announces to a terraform that it has borrowed the locks of these lenders and must not lend them on.
pub(super) fn announce_borrowed(
    command: &mut Command,
    from: &[Lent],
    environment: Environment<'_>,
) {
    let mut announced = announced_to_us(environment);
    let borrowed: Vec<Announced> = announced
        .iter()
        .filter(|one| one.is_from(from))
        .map(Announced::borrowed)
        .collect();
    announced.extend(borrowed);
    tell(command, &announced);
}

fn tell(command: &mut Command, announced: &[Announced]) {
    let json = serde_json::to_string(announced).unwrap_or_default();
    command
        .environment
        .push((OsString::from(VARIABLE), OsString::from(json)));
}

/// Finds out whether this run is nested in one that holds its lock, and how the child then has to lock.
///
/// # Errors
/// The store's error.
pub(super) async fn look_around(
    resolved: &ResolvedLock,
    environment: Environment<'_>,
) -> Result<(Nested, ChildLocking), StoreError> {
    let announced = announced_to_us(environment);
    let (locking, host) = (resolved.child_locking, Machine::default());
    if announced.is_empty() {
        return Ok((Nested::No, locking));
    }
    match look_for(&resolved.stores, &announced, &host).await? {
        Nested::No => {}
        nested => return Ok((nested, locking)),
    }
    // In that case terraform's own lock is free, or held by the terraform that we are inside of.
    match &resolved.init_lock {
        Some(lock) => {
            let turn = std::slice::from_ref(&lock.turn);
            Ok((look_for(turn, &announced, &host).await?, ChildLocking::Kept))
        }
        None => Ok((Nested::No, locking)),
    }
}

/// A place in each run around us that lends its lock, whatever we do inside it. To be kept until we are done.
pub(super) fn places_around(environment: Environment<'_>) -> Vec<Place> {
    let mut runs: Vec<PathBuf> = announced_to_us(environment)
        .into_iter()
        .filter_map(Announced::lending_run)
        .collect();
    runs.dedup();
    let places = runs.iter().filter_map(|run| match Place::try_take(run) {
        Ok(PlaceAttempt::Got(place)) => Some(place),
        Ok(PlaceAttempt::Ending | PlaceAttempt::Ended) | Err(_) => None,
    });
    places.collect()
}

/// The locks announced to us. A value that cannot be parsed was not written by us and announces nothing.
fn announced_to_us(environment: Environment<'_>) -> Vec<Announced> {
    environment(VARIABLE)
        .and_then(|value| serde_json::from_str(value.to_str()?).ok())
        .unwrap_or_default()
}
