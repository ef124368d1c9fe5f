//! `tflock hold`: takes the lock and ends. The lock stays, with no process behind it, until `release`.

use anyhow::Context as _;
use chrono::TimeDelta;

use crate::cli::HoldArguments;
use crate::context::{Context, block_on};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::hold::{Hold, OPERATION};
use crate::lock::host::Host as _;
use crate::lock::read::read;
use crate::resolve::{self, ChildLocking, LockRequest, ResolvedLock};
use crate::session::hold::{TakenHold, take_hold};
use crate::session::{Lending, Outcome, RunSpec, Selection};
use crate::ui::{self, Prompts};

/// Takes the hold, and prints its lock ID.
///
/// # Errors
/// Why it cannot be taken.
pub fn run(context: &Context, arguments: &HoldArguments) -> anyhow::Result<Outcome> {
    block_on(hold(context, arguments)).context("starting the runtime")?
}

async fn hold(context: &Context, arguments: &HoldArguments) -> anyhow::Result<Outcome> {
    let directory = context.working_directory();
    let request = LockRequest::new(&context.options, &directory);
    let resolved = resolve::find(request).await?;
    refuse_a_second(context, &resolved).await?;
    let key = resolved.stores.first().map(|store| store.key().to_owned());
    let notice = resolved.notice.clone();
    let is_terraforms_own = resolved.child_locking == ChildLocking::TurnedOff;
    let end = arguments
        .r#for
        .and_then(|time| TimeDelta::from_std(time).ok())
        .and_then(|time| context.machine().wall().checked_add_signed(time));
    let spec = RunSpec {
        operation: OPERATION.to_owned(),
        command: OPERATION.to_owned(),
        expire_after: None,
        patience: context.options.wait,
        prompts: Prompts::Allowed,
        success_codes: &[0],
        selection: Selection::AtStart,
        lending: Lending::Nothing,
        patience_source: context.typed.patience_source(),
        longer_wait: context.typed_waiting_longer(),
    };
    let taken = take_hold(context, request, resolved, spec, Hold::until(end)).await?;
    let (id, is_remembered) = match taken {
        TakenHold::Held { id, is_remembered } => (id, is_remembered),
        TakenHold::Ended(outcome) => return Ok(outcome),
    };
    if let Some(notice) = notice {
        context.ui.notice(&notice);
    }
    if !is_terraforms_own {
        context
            .ui
            .notice("this hold is tflock's own lock: it does not keep out plain `terraform`");
    }
    let key = key.unwrap_or_default();
    if is_remembered {
        let release = context.command_line("release");
        context.ui.notice(&format!(
            "`{key}` is on hold for your runs on this machine until you type `{release}`"
        ));
    }
    if let Err(error) = ui::print(&format!("{id}\n")) {
        context
            .ui
            .warning(&format!("the hold has the lock ID {id}"));
        return Err(error.into());
    }
    Ok(Outcome::Exit(0))
}

/// Refuses a second hold of the same user: it would only wait for the first.
async fn refuse_a_second(context: &Context, resolved: &ResolvedLock) -> Result<(), Failure> {
    let machine = context.machine();
    for store in &resolved.stores {
        let Some(stored) = read(store.as_ref(), &machine).await? else {
            continue;
        };
        if let Some(hold) = stored.record.hold()
            && machine.owns_hold(hold)
        {
            let id = hold.lock_id().map(|id| id.0).unwrap_or_default();
            return Err(Failure::new(
                exit_code::HELD,
                format!("you already hold `{}`, with the lock ID {id}", store.key()),
            )
            .hint(format!(
                "your runs use this hold; end it with `{}`",
                context.command_line("release")
            )));
        }
    }
    Ok(())
}
