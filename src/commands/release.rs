//! `tflock release`: releases a hold, or the lock of a dead run of this user on this machine. Someone else's lock only after
//! asking, like `force-unlock`.

mod mine;

use anyhow::Context as _;

use super::force_unlock;
use super::remembering::remember;
use super::status::{ObservedPart, changed, look, stores_of};
use crate::cli::{ForceUnlockArguments, ReleaseArguments};
use crate::context::{Context, block_on};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::evict::{Removal, remove};
use crate::lock::history::HowEnded;
use crate::lock::host::Host as _;
use crate::lock::liveness::{Assessment, Replacement};
use crate::lock::record::Record;
use crate::lock::store::{Store, Stored};
use crate::session::Outcome;
use crate::system::{hold_file, run_file};
use crate::text::printable;

/// Releases the hold.
///
/// # Errors
/// It is refused, or the store fails.
pub fn run(context: &Context, arguments: &ReleaseArguments) -> anyhow::Result<Outcome> {
    block_on(release(context, arguments)).context("starting the runtime")?
}

async fn release(context: &Context, arguments: &ReleaseArguments) -> anyhow::Result<Outcome> {
    if arguments.mine {
        return mine::release_mine(context).await;
    }
    let parts = look(context).await?;
    let named = arguments.id.as_ref().or(context.options.hold.as_ref());
    let held = ObservedPart::held_of(&parts);
    if held.is_empty() {
        return nothing_to_release(context, &parts, named.map(String::as_str));
    }
    let machine = context.machine();
    // Only a run file of this user on this machine proves a death.
    let is_dead = |seen: &Assessment| matches!(seen.replacement, Replacement::ByProof(_));
    let is_own = |record: &Record| {
        let id = record.lock_id().map(|id| id.0);
        named.is_some_and(|named| id.as_ref() == Some(named)) || machine.owns_hold(record)
    };
    for (store, stored, seen) in &held {
        is_named(context, *store, &stored.record, named.map(String::as_str))?;
        if !is_dead(seen) {
            may_be_released(context, *store, &stored.record)?;
        }
    }
    let is_ours =
        |(_, stored, seen): &(_, &Stored, &Assessment)| is_dead(seen) || is_own(&stored.record);
    if !held.iter().all(is_ours) {
        let arguments = ForceUnlockArguments {
            id: arguments.id.clone(),
            force: false,
            yes: arguments.yes,
        };
        return force_unlock::unlock(context, &arguments).await;
    }
    let (mut is_on_hold_again, mut ended) = (false, Vec::new());
    for (store, stored, _) in held {
        is_on_hold_again |= stored.record.returns_to().is_some();
        ended.push(if stored.record.is_hold() {
            (&stored.record, HowEnded::Released)
        } else {
            (&stored.record, HowEnded::Died)
        });
        match remove(store, &machine, stored)
            .await
            .map_err(Failure::from)?
        {
            Removal::Removed | Removal::Changed(None) => {}
            Removal::Changed(Some(_)) => return Err(changed(context, store).into()),
        }
        if let (Some(runs), Some(id)) = (&machine.runs, stored.record.lock_id()) {
            hold_file::remove(runs, &id.0);
            run_file::remove(runs, &id.0);
        }
        let key = store.key();
        context.ui.notice(&match stored.record.returns_to() {
            Some(_) => {
                format!("released the lock that a dead run had left; `{key}` is on hold again")
            }
            None if stored.record.is_hold() => format!("released the hold on `{key}`"),
            None => format!("released the lock of `{key}`, which a dead run had left"),
        });
    }
    for (record, ended) in ended {
        remember(context, &stores_of(&parts), record, ended).await;
    }
    if is_on_hold_again {
        return Box::pin(release(context, arguments)).await;
    }
    Ok(Outcome::Exit(0))
}

/// Succeeds if nothing is locked, unless a certain hold was to be released.
fn nothing_to_release(
    context: &Context,
    parts: &[ObservedPart],
    named: Option<&str>,
) -> anyhow::Result<Outcome> {
    let keys: Vec<String> = parts
        .iter()
        .map(|part| format!("`{}`", part.store.key()))
        .collect();
    let keys = keys.join(", ");
    if let Some(id) = named {
        let message = format!("no hold has the ID `{id}`: {keys} is not locked");
        return Err(Failure::new(exit_code::REFUSED, message)
            .hint("someone has already released it, or it was a hold on another lock")
            .into());
    }
    context.ui.notice(&format!(
        "{keys} is not locked: there is nothing to release"
    ));
    Ok(Outcome::Exit(0))
}

/// Checks that the lock, or the hold that it returns to, is the one that was named, if one was.
fn is_named(
    context: &Context,
    store: &dyn Store,
    record: &Record,
    named: Option<&str>,
) -> Result<(), Failure> {
    let ids = [Some(record), record.hold()].into_iter().flatten();
    let mut ids = ids.filter_map(Record::lock_id);
    match named {
        Some(named) if ids.all(|id| id.0 != named) => Err(Failure::new(
            exit_code::REFUSED,
            format!(
                "the lock of `{}` is not `{}`; it was left alone",
                store.key(),
                printable(named)
            ),
        )
        .hint(format!(
            "look at it with `{}`",
            context.command_line("status")
        ))),
        _ => Ok(()),
    }
}

/// Checks that this is a hold that no run uses.
fn may_be_released(context: &Context, store: &dyn Store, record: &Record) -> Result<(), Failure> {
    let key = store.key();
    let status = context.command_line("status");
    if record.is_hold() {
        return Ok(());
    }
    let who = record
        .lock_info()
        .map_or_else(|| "someone".to_owned(), |info| printable(&info.who));
    if record.returns_to().is_some() {
        return Err(Failure::new(
            exit_code::HELD,
            format!("a run of {who} is using the hold on `{key}`"),
        )
        .hint(format!(
            "wait until that run has ended (see `{status}`), then release the hold"
        )));
    }
    Err(Failure::new(
        exit_code::REFUSED,
        format!("`{key}` is locked by a run of {who}, not by a hold; it was left alone"),
    )
    .hint(format!(
        "see `{status}`; the lock of a dead run is removed with `{}`",
        context.force_unlock_line(record.lock_id().as_ref())
    )))
}
