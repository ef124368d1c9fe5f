//! `tflock release`: gives back a hold. The own one at once; another's after asking, like `force-unlock`.

use anyhow::Context as _;

use super::force_unlock;
use super::status::{ObservedPart, changed, look};
use crate::cli::{ForceUnlockArguments, ReleaseArguments};
use crate::context::{Context, block_on};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::evict::{Removal, remove};
use crate::lock::host::Host as _;
use crate::lock::record::Record;
use crate::lock::store::{Store, Stored};
use crate::session::Outcome;
use crate::system::hold_file;
use crate::text::printable;

/// Gives back the hold.
///
/// # Errors
/// It is refused, or the store fails.
pub fn run(context: &Context, arguments: &ReleaseArguments) -> anyhow::Result<Outcome> {
    block_on(release(context, arguments)).context("starting the runtime")?
}

async fn release(context: &Context, arguments: &ReleaseArguments) -> anyhow::Result<Outcome> {
    let parts = look(context).await?;
    let named = arguments.id.as_ref().or(context.options.hold.as_ref());
    let holds: Vec<(&dyn Store, &Stored)> = parts
        .iter()
        .filter_map(|ObservedPart { store, held, .. }| {
            let (stored, _) = held.as_ref()?;
            Some((store.as_ref(), stored))
        })
        .collect();
    if holds.is_empty() {
        return nothing_to_release(context, &parts, named.map(String::as_str));
    }
    let machine = context.machine();
    let is_own = |record: &Record| {
        let id = record.lock_id().map(|id| id.0);
        named.is_some_and(|named| id.as_ref() == Some(named)) || machine.owns_hold(record)
    };
    for (store, stored) in &holds {
        may_be_released(context, *store, &stored.record, named.map(String::as_str))?;
    }
    if !holds.iter().all(|(_, stored)| is_own(&stored.record)) {
        let arguments = ForceUnlockArguments {
            id: arguments.id.clone(),
            force: false,
            yes: arguments.yes,
        };
        return force_unlock::unlock(context, &arguments).await;
    }
    for (store, stored) in holds {
        match remove(store, &machine, stored)
            .await
            .map_err(Failure::from)?
        {
            Removal::Removed | Removal::Changed(None) => {}
            Removal::Changed(Some(_)) => return Err(changed(context, store).into()),
        }
        if let (Some(runs), Some(id)) = (&machine.runs, stored.record.lock_id()) {
            hold_file::remove(runs, &id.0);
        }
        context
            .ui
            .notice(&format!("released the hold on `{}`", store.key()));
    }
    Ok(Outcome::Exit(0))
}

/// Nothing is locked: that is what was wanted, unless a certain hold was.
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
            .hint("somebody has released it already, or it was on another lock")
            .into());
    }
    context.ui.notice(&format!(
        "{keys} is not locked: there is nothing to release"
    ));
    Ok(Outcome::Exit(0))
}

/// Only a hold can be released, and only while nobody works under it.
fn may_be_released(
    context: &Context,
    store: &dyn Store,
    record: &Record,
    named: Option<&str>,
) -> Result<(), Failure> {
    let key = store.key();
    let status = context.command_line("status");
    let hold_id = record.hold().and_then(Record::lock_id).map(|id| id.0);
    if let (Some(named), Some(_)) = (named, record.hold())
        && hold_id.as_deref() != Some(named)
    {
        let message = format!("the hold on `{key}` is not `{named}`; it was left alone");
        return Err(
            Failure::new(exit_code::REFUSED, message).hint(format!("look at it with `{status}`"))
        );
    }
    if record.is_hold() {
        return Ok(());
    }
    let who = record
        .lock_info()
        .map_or_else(|| "somebody".to_owned(), |info| printable(&info.who));
    if record.returns_to().is_some() {
        return Err(Failure::new(
            exit_code::HELD,
            format!("a run of {who} works under the hold on `{key}`"),
        )
        .hint(format!(
            "wait until it has ended (see `{status}`), then release the hold"
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
