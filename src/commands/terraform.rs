//! `tflock <terraform command>`: runs terraform under the lock if it would lock, else execs it.

mod writing;

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::child::{Command, HandOver, View};
use crate::cli::{Expiry, Misplaced, misplaced_option};
use crate::context::{Context, block_on};
use crate::environment::variable;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::{Patience, PatienceSource};
use crate::lock::liveness::HEARTBEAT_INTERVAL;
use crate::resolve::{self, ChildLocking, LockRequest, ResolvedLock};
use crate::session::{Lending, NeededLock, Outcome, RunSpec, Selection, run_under_locks};
use crate::terraform::command::{
    Classified, Effect, Input, LockSwitch, LockingCommand, classify, state_writer,
};
use crate::ui::Prompts;

/// How long after its last heartbeat a plan's lock expires: a plan writes no state.
const PLAN_EXPIRY: Duration = Duration::from_mins(1);
/// The same for stores with one heartbeat a minute.
const PLAN_OBJECT_EXPIRY: Duration = Duration::from_mins(5);

const LONGER_WAIT: Duration = Duration::from_hours(1);

/// Runs terraform with `arguments`.
///
/// # Errors
/// Why terraform cannot run under its lock.
pub fn run(context: &Context, arguments: Vec<OsString>) -> anyhow::Result<Outcome> {
    let program = context.terraform()?;
    let classified = classify(&arguments, &variable).map_err(Failure::from)?;
    if matches!(classified, Classified::Locking(_))
        && context.called_as.is_none()
        && let Some(misplaced) = misplaced_option(&arguments)
    {
        return Err(misplaced_failure(context, &misplaced).into());
    }
    let command = match classified {
        // terraform reports a missing directory.
        Classified::Locking(command) if context.working_directory().is_dir() => command,
        Classified::Locking(_) | Classified::PassThrough => {
            if let Some(writer) = state_writer(&arguments, &variable) {
                let written = writing::locked(context, &program, &arguments, &writer);
                if let Some(outcome) = block_on(written).context("starting the runtime")?? {
                    return Ok(outcome);
                }
            }
            return Err(pass_through(context, &program, arguments).into());
        }
    };
    if command.lock == LockSwitch::Skip {
        context.ui.notice("`-lock=false`: running without a lock");
        return Err(pass_through(context, &program, arguments).into());
    }
    block_on(locked(context, &program, arguments, &command)).context("starting the runtime")?
}

fn plan_expiry(resolved: &ResolvedLock) -> Duration {
    let stores = resolved.stores.iter();
    match stores.map(|store| store.heartbeats().interval()).min() {
        Some(Some(interval)) if interval > HEARTBEAT_INTERVAL => PLAN_OBJECT_EXPIRY,
        _ => PLAN_EXPIRY,
    }
}

/// Refuses the option now: terraform would only refuse it after the wait for the lock.
fn misplaced_failure(context: &Context, misplaced: &Misplaced) -> Failure {
    Failure::new(
        exit_code::USAGE,
        format!(
            "`{}` is a tflock option: it must come before the command",
            misplaced.option
        ),
    )
    .hint(format!("type `{}`", context.command_line(&misplaced.line)))
}

/// Execs terraform with everything unchanged.
fn pass_through(context: &Context, program: &Path, arguments: Vec<OsString>) -> Failure {
    let mut command = Command::new(program);
    command.arguments = context.with_chdir(arguments);
    command.environment = context.variables_of(program);
    context.exec_program(&command)
}

async fn locked(
    context: &Context,
    program: &Path,
    arguments: Vec<OsString>,
    command: &LockingCommand,
) -> anyhow::Result<Outcome> {
    let directory = context.working_directory();
    let request = LockRequest {
        command: Some(command),
        ..LockRequest::new(&context.options, &directory)
    };
    let resolved = resolve::find(request).await?;
    let deciding = resolved.deciding_variables(&request)?;
    let child = |lockings: &[ChildLocking]| {
        let locking = lockings[0];
        let mut child = Command::new(program);
        child.environment = context.variables_of(program);
        if context.is_shim() {
            // Our caller may run several programs like us, and Ctrl-C should reach all of them.
            child.hand_over = HandOver::OnDemand;
        }
        let arguments = match locking {
            ChildLocking::Kept | ChildLocking::Alone => arguments.clone(),
            ChildLocking::TurnedOff => command.arguments_with_lock_held(),
            ChildLocking::KeptWaiting(left) => command.arguments_with_lock_timeout(left),
        };
        if matches!(
            locking,
            ChildLocking::TurnedOff | ChildLocking::KeptWaiting(_)
        ) {
            let changed = command.variables_with_flag_inserted();
            child.environment.extend(changed);
        }
        child.arguments = context.with_chdir(arguments);
        child.view = Some(View {
            directory: directory.clone(),
            variables: deciding.clone(),
        });
        child
    };
    let promised = match (context.options.expire_after, command.effect) {
        (Some(Expiry::After(duration)), _) => Some(duration),
        (None, Effect::ReadsState) => Some(plan_expiry(&resolved)),
        (Some(Expiry::Never), _) | (None, Effect::WritesState) => None,
    };
    let longer_wait = match command.lock_timeout {
        Some(_) => context.typed_with(&command.typed_with_lock_timeout(LONGER_WAIT)),
        None => context.typed_waiting_longer(),
    };
    let spec = RunSpec {
        operation: command.operation.to_owned(),
        command: command.name.to_owned(),
        expire_after: promised,
        patience: command
            .lock_timeout
            .map_or(context.options.wait, Patience::For),
        prompts: match command.input {
            Input::Allowed => Prompts::Allowed,
            Input::Disabled => Prompts::Disabled,
        },
        longer_wait,
        success_codes: command.success_codes,
        selection: Selection::AtStart,
        lending: Lending::Nothing,
        patience_source: match command.lock_timeout {
            Some(_) => PatienceSource::CommandLine,
            None => context.typed.patience_source(),
        },
    };
    // For the command lines in hints.
    let naming = resolved
        .local_name
        .as_ref()
        .map(|name| context.for_local_lock(name));
    let telling = naming.as_ref().unwrap_or(context);
    let needed = NeededLock {
        naming: Cow::Borrowed(telling),
        request,
        resolved,
    };
    Ok(run_under_locks(telling, vec![needed], spec, &child).await?)
}
