//! `tflock force-unlock`: removes the lock of a dead holder, after asking: exactly what was shown, or nothing.

use anyhow::Context as _;

use super::status::{Seen, changed, look};
use super::{Context, block_on};
use crate::cli::ForceUnlockArguments;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::host::{Host as _, Machine};
use crate::lock::liveness::{Assessment, Liveness};
use crate::lock::removal::{Removal, remove};
use crate::lock::store::{Store, Stored};
use crate::session::Outcome;
use crate::ui::{Reply, holder};

/// Removes the lock.
///
/// # Errors
/// A refusal, or a store that fails.
pub fn run(context: &Context, arguments: &ForceUnlockArguments) -> anyhow::Result<Outcome> {
    block_on(unlock(context, arguments)).context("starting the runtime")?
}

async fn unlock(context: &Context, arguments: &ForceUnlockArguments) -> anyhow::Result<Outcome> {
    let seen = look(context).await?;
    let held: Vec<(&dyn Store, &Stored, &Assessment)> = seen
        .iter()
        .filter_map(|Seen { store, held }| {
            let (stored, assessment) = held.as_ref()?;
            Some((store.as_ref(), stored, assessment))
        })
        .collect();
    if held.is_empty() {
        for place in &seen {
            context.ui.notice(&format!(
                "`{}` in {} is not locked: there is nothing to remove",
                place.store.key(),
                place.store.place()
            ));
        }
        return Ok(Outcome::Exit(0));
    }
    for (store, stored, assessment) in &held {
        context
            .ui
            .notice(&format!("`{}` is locked in {}", store.key(), store.place()));
        context
            .ui
            .rows(&holder::rows(&stored.record, assessment, Machine.wall()));
        permit(arguments, stored, assessment)?;
    }
    if !arguments.yes {
        confirm(context)?;
    }
    for (store, stored, _) in held {
        remove_shown(store, stored, arguments).await?;
        context
            .ui
            .notice(&format!("removed the lock of `{}`", store.key()));
    }
    Ok(Outcome::Exit(0))
}

/// Whether this lock may be removed at all.
fn permit(
    arguments: &ForceUnlockArguments,
    stored: &Stored,
    assessment: &Assessment,
) -> Result<(), Failure> {
    let id = stored.record.lock_id();
    if let Some(wanted) = &arguments.id
        && id.as_ref().map(|id| &id.0) != Some(wanted)
    {
        return Err(Failure::new(
            exit_code::REFUSED,
            format!("the lock that is held is not `{wanted}`, and was left alone"),
        )
        .hint("look at it with `tflock status`"));
    }
    if assessment.liveness == Liveness::Alive && !arguments.force {
        return Err(Failure::new(
            exit_code::REFUSED,
            "the holder is alive: without its lock it would go on and write the state",
        )
        .hint("ask the holder to stop it, or wait with `tflock status`; `--force` removes it all the same"));
    }
    Ok(())
}

fn confirm(context: &Context) -> Result<(), Failure> {
    if !context.ui.can_ask() {
        return Err(
            Failure::new(exit_code::REFUSED, "nobody is there to confirm the removal")
                .hint("run it at a terminal, or confirm with `--yes`"),
        );
    }
    match context
        .ui
        .confirm_in_full("Remove this lock? If its holder still runs, the state can be lost.")
    {
        Reply::Yes => Ok(()),
        Reply::No => Err(Failure::new(
            exit_code::REFUSED,
            "not confirmed: the lock was left alone",
        )
        .hint("type the whole word `yes` to remove it")),
    }
}

/// A heartbeat since it was shown is the same lock, but a living holder: only `--force` goes on then.
async fn remove_shown(
    store: &dyn Store,
    shown: &Stored,
    arguments: &ForceUnlockArguments,
) -> Result<(), Failure> {
    let id = shown.record.lock_id();
    let mut shown = shown.clone();
    loop {
        match remove(store, &Machine, &shown).await? {
            Removal::Removed | Removal::Changed(None) => return Ok(()),
            Removal::Changed(Some(now))
                if arguments.force && id.is_some() && now.record.lock_id() == id =>
            {
                shown = now;
            }
            Removal::Changed(_) => return Err(changed(store)),
        }
    }
}
