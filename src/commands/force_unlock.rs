//! `tflock force-unlock`: asks, then removes exactly the lock that it has shown, or nothing.

mod by_terraform;

use anyhow::Context as _;

use super::remembering::remember;
use super::status::{ObservedPart, changed, look, stores_of};
use crate::cli::ForceUnlockArguments;
use crate::context::{Context, block_on};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::evict::{Removal, remove};
use crate::lock::history::HowEnded;
use crate::lock::host::Host as _;
use crate::lock::liveness::{Assessment, Liveness};
use crate::lock::store::{Revision, Store, Stored};
use crate::session::Outcome;
use crate::ui::{Reply, holder};

/// Removes the lock.
///
/// # Errors
/// It is refused, or the store fails.
pub fn run(context: &Context, arguments: &ForceUnlockArguments) -> anyhow::Result<Outcome> {
    block_on(unlock(context, arguments)).context("starting the runtime")?
}

pub(super) async fn unlock(
    context: &Context,
    arguments: &ForceUnlockArguments,
) -> anyhow::Result<Outcome> {
    let parts = look(context).await?;
    if by_terraform::applies(&parts, arguments) {
        return Err(by_terraform::unlock(context, arguments)?.into());
    }
    let held = ObservedPart::held_of(&parts);
    if let (true, Some(id)) = (held.is_empty(), &arguments.id) {
        let names: Vec<String> = parts
            .iter()
            .map(|ObservedPart { store, .. }| format!("`{}`", store.key()))
            .collect();
        return Err(Failure::new(
            exit_code::REFUSED,
            format!(
                "no lock has the ID `{id}`: {} is not locked",
                names.join(", ")
            ),
        )
        .hint(format!(
            "look at it with `{}`",
            context.command_line("status")
        ))
        .into());
    }
    if held.is_empty() {
        for part in &parts {
            context.ui.notice(&format!(
                "`{}` in {} is not locked: there is nothing to remove",
                part.store.key(),
                part.store.place()
            ));
        }
        return Ok(Outcome::Exit(0));
    }
    for (store, stored, assessment) in &held {
        let rows = holder::rows(&stored.record, assessment, context.machine().wall());
        let title = format!("`{}` is locked in {}", store.key(), store.place());
        if arguments.yes {
            context.ui.notice_with_rows(&title, &rows);
        } else {
            context.ui.subject(&title, &rows);
        }
        if let Revision::KernelLock { .. } = stored.revision {
            // A kernel lock cannot be removed; the store says why.
            remove(*store, &context.machine(), stored)
                .await
                .map_err(Failure::from)?;
        }
        permit(context, arguments, stored, assessment)?;
    }
    if !arguments.yes {
        let lives = |assessment: &Assessment| assessment.liveness == Liveness::Alive;
        let any_lives = held.iter().any(|(_, _, assessment)| lives(assessment));
        confirm(
            context,
            if any_lives {
                "Its holder is alive and will go on without the lock: the state can be lost."
            } else {
                "If its holder is still running, the state can be lost."
            },
        )?;
    }
    let stores = stores_of(&parts);
    for (store, stored, _) in held {
        remove_shown(context, store, stored, arguments).await?;
        let key = store.key();
        context.ui.notice(&match stored.record.returns_to() {
            Some(_) => {
                format!("removed the run's lock of `{key}`; the lock is on hold again")
            }
            None => format!("removed the lock of `{key}`"),
        });
        remember(context, &stores, &stored.record, HowEnded::ForceUnlocked).await;
    }
    Ok(Outcome::Exit(0))
}

fn permit(
    context: &Context,
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
            format!("the current lock is not `{wanted}`; it was left alone"),
        )
        .hint(format!(
            "look at it with `{}`",
            context.command_line("status")
        )));
    }
    if assessment.liveness == Liveness::Alive && !arguments.force {
        return Err(Failure::new(
            exit_code::REFUSED,
            "the holder is alive: it would go on and write the state without its lock",
        )
        .hint(format!(
            "wait until it has ended (see `{}`), or ask its owner to stop it; `--force` removes the lock anyway",
            context.command_line("status")
        )));
    }
    Ok(())
}

fn confirm(context: &Context, danger: &str) -> Result<(), Failure> {
    if !context.ui.can_ask() {
        return Err(Failure::new(
            exit_code::REFUSED,
            "cannot ask for confirmation: no terminal",
        )
        .hint("run it at a terminal, or confirm with `--yes`"));
    }
    let question = format!("{danger}\nRemove this lock?");
    match context.ui.confirm_in_full(&question) {
        Reply::Yes => Ok(()),
        Reply::No => Err(Failure::new(
            exit_code::REFUSED,
            "not confirmed: the lock was left alone",
        )
        .hint("type `yes` in full to remove it")),
    }
}

/// Removes the lock that was shown. A heartbeat since then means that its holder is alive: then only `--force` removes it.
async fn remove_shown(
    context: &Context,
    store: &dyn Store,
    shown: &Stored,
    arguments: &ForceUnlockArguments,
) -> Result<(), Failure> {
    let mut shown = shown.clone();
    loop {
        match remove(store, &context.machine(), &shown).await? {
            Removal::Removed | Removal::Changed(None) => return Ok(()),
            Removal::Changed(Some(now))
                if arguments.force && now.record.is_same_lock_as(&shown.record) =>
            {
                shown = now;
            }
            Removal::Changed(_) => return Err(changed(context, store)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;
    use crate::lock::record::{LockId, LockInfo, Record};
    use crate::lock::store::memory::MemoryStore;

    /// Removes a lock whose record has changed since it was shown.
    fn remove_after(
        force: bool,
        change: impl FnOnce(&Record) -> Option<Record>,
    ) -> (Result<(), Failure>, MemoryStore) {
        let context = Context::new(&cli::parse_as_terraform(Vec::new()).unwrap(), None).unwrap();
        let arguments = ForceUnlockArguments {
            force,
            yes: true,
            id: None,
        };
        let store = MemoryStore::default();
        let lease = r#"{"TflockVersion":"0","Command":"apply","Heartbeat":0}"#;
        let info = LockInfo {
            id: LockId("62d1ec43-aa57-55e6-d9b5-0461699f1699".to_owned()),
            ..LockInfo::default()
        };
        let record = Record::new(&info, serde_json::from_str(lease).unwrap());
        store.overwrite(Some(record));
        let shown = store.current().unwrap();
        store.overwrite(change(&shown.record));
        let removed = block_on(remove_shown(&context, &store, &shown, &arguments)).unwrap();
        (removed, store)
    }

    #[test]
    fn not_even_force_removes_another_lock_than_the_one_that_was_shown() {
        let change = |record: &Record| {
            let mut info = record.lock_info()?;
            info.id = LockId("4db125df-d950-b194-cf41-df3ed13f0cf1".to_owned());
            Some(Record::new(&info, record.lease.clone()?))
        };
        for force in [false, true] {
            let (removed, store) = remove_after(force, change);
            assert_eq!(removed.unwrap_err().exit_code, exit_code::REFUSED);
            assert!(store.current().is_some());
        }
    }

    #[test]
    fn force_alone_removes_the_lock_that_was_shown_after_another_heartbeat() {
        let beat = |record: &Record| Some(record.renewed(chrono::Utc::now()));
        let (removed, store) = remove_after(false, beat);
        assert_eq!(removed.unwrap_err().exit_code, exit_code::REFUSED);
        assert!(store.current().is_some());
        let (removed, store) = remove_after(true, beat);
        assert!(removed.is_ok() && store.current().is_none());
    }

    #[test]
    fn a_lock_that_is_gone_by_then_needs_no_removal() {
        for force in [false, true] {
            let (removed, _) = remove_after(force, |_| None);
            assert!(removed.is_ok());
        }
    }
}
