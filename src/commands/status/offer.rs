//! The question at the end of `status`: whether to release a stale lock, or to wait for a held one.

use std::time::Duration;

use super::{LockStatus, ObservedPart, status, stores_of};
use crate::commands::remembering::remember;
use crate::context::Context;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::{Observed, Patience};
use crate::lock::evict::{Removal, remove};
use crate::lock::history::HowEnded;
use crate::lock::host::Host as _;
use crate::lock::liveness::Observer;
use crate::lock::read::read;
use crate::lock::store::Store;
use crate::ui::Reply;
use crate::ui::waiting::Waiting;

/// How often to look while waiting for the lock to become free.
const LOOK_EVERY: Duration = Duration::from_millis(700);

/// Asks whether to release a stale lock or to wait for a held one; the default is no. Returns the status afterwards.
pub(super) async fn offer(
    context: &Context,
    parts: &[ObservedPart],
) -> Result<LockStatus, Failure> {
    let status = status(parts);
    let question = match status {
        LockStatus::Free | LockStatus::Unknown => return Ok(status),
        LockStatus::Stale => "Release it?",
        LockStatus::Held => "Wait until it is free?",
    };
    if context.ui.confirm(question) == Reply::No {
        return Ok(status);
    }
    for part in parts {
        if status == LockStatus::Stale {
            release(context, part).await?;
            if let Some((released, _)) = &part.held {
                let stores = stores_of(parts);
                remember(context, &stores, &released.record, HowEnded::ForceUnlocked).await;
            }
        } else {
            wait_until_free(context, part.store.as_ref()).await?;
        }
    }
    let is_under_hold = |part: &ObservedPart| {
        let held = part.held.as_ref();
        held.is_some_and(|(stored, _)| stored.record.returns_to().is_some())
    };
    let (text, status) = match status {
        LockStatus::Stale if parts.iter().any(is_under_hold) => (
            "released the run; the lock is on hold again",
            LockStatus::Held,
        ),
        LockStatus::Stale => ("released", LockStatus::Free),
        LockStatus::Held | LockStatus::Unknown | LockStatus::Free => {
            ("the lock is free", LockStatus::Free)
        }
    };
    context.ui.notice(text);
    Ok(status)
}

async fn release(context: &Context, part: &ObservedPart) -> Result<(), Failure> {
    let Some((shown, _)) = &part.held else {
        return Ok(());
    };
    match remove(part.store.as_ref(), &context.machine(), shown).await? {
        Removal::Removed => Ok(()),
        Removal::Changed(_) => Err(changed(context, part.store.as_ref())),
    }
}

/// The failure of a removal that found another record.
pub(in crate::commands) fn changed(context: &Context, store: &dyn Store) -> Failure {
    Failure::new(
        exit_code::REFUSED,
        format!(
            "the lock `{}` has changed since it was shown; it was left alone",
            store.key()
        ),
    )
    .hint(format!(
        "look again with `{}`",
        context.command_line("status")
    ))
}

async fn wait_until_free(context: &Context, store: &dyn Store) -> Result<(), Failure> {
    let machine = context.machine();
    let started = machine.now();
    let mut observer = Observer::default();
    let mut waiting = Waiting::new(
        &context.ui,
        store.key(),
        context.options.wait,
        machine.wall(),
    );
    while let Some(stored) = read(store, &machine).await? {
        let look = Observed {
            assessment: observer.look(&machine, &stored),
            waited: machine.now().since(started),
            position: None,
            stored,
        };
        if let Patience::For(limit) = context.options.wait
            && look.waited >= limit
        {
            waiting.end();
            let longer = context.typed_waiting_longer();
            return Err(Failure::new(exit_code::HELD, "the lock is still held")
                .hint(format!("wait longer with `{longer}`")));
        }
        waiting.held(&look, machine.wall());
        machine.sleep(machine.jittered(LOOK_EVERY)).await;
    }
    Ok(())
}
