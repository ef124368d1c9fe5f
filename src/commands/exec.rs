//! `tflock exec`: the lock round any program. A terraform inside of it runs under our lock and takes none of its own.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use anyhow::Context as _;

use super::{Context, block_on, variable};
use crate::child::{Command, Successors};
use crate::cli::{ExecArguments, Expiry};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::host::{Host as _, Machine};
use crate::lock::record::LockId;
use crate::session::{Outcome, Purpose, Selection, run_under_lock};
use crate::stand_in::{self, StandIn};
use crate::target::{self, ChildLocking, Situation};
use crate::terraform::command::lock_disabling_variables;
use crate::terraform::non_empty;
use crate::terraform::program::NAMES;
use crate::ui::Prompts;

/// Runs the program under the lock.
///
/// # Errors
/// Whatever keeps it from running.
pub fn run(context: &Context, arguments: &ExecArguments) -> anyhow::Result<Outcome> {
    block_on(locked(context, arguments)).context("starting the runtime")?
}

async fn locked(context: &Context, arguments: &ExecArguments) -> anyhow::Result<Outcome> {
    let directory = context.working_directory();
    let situation = Situation {
        options: &context.options,
        environment: &variable,
        directory: &directory,
        command: None,
    };
    let target = target::find(situation).await?;
    let (program, rest) = arguments
        .program
        .split_first()
        .context("no program to run")?;
    let mut child = Command::new(program);
    child.arguments = rest.to_vec();
    child.directory = context.chdir.as_ref().map(|_| directory.clone());
    // Removed when the program has ended.
    let _stand_in = match target.child_locking {
        ChildLocking::Kept => {
            child.environment = context.variables_with_own_locking(situation).await?;
            None
        }
        ChildLocking::TurnedOff => {
            child.environment = lock_disabling_variables(&variable);
            child.successors = Successors::All;
            let stand_in = stand_in(context)?;
            let variables = stand_in.as_ref().map(|one| one.variables(&variable));
            child.environment.extend(variables.unwrap_or_default());
            stand_in
        }
    };
    let name = Path::new(program)
        .file_name()
        .unwrap_or(OsStr::new(program));
    let purpose = Purpose {
        operation: "exec".to_owned(),
        command: format!("exec {}", name.to_string_lossy()),
        expire_after: match context.options.expire_after {
            Some(Expiry::After(duration)) => Some(duration),
            Some(Expiry::Never) | None => None,
        },
        patience: context.options.wait,
        prompts: Prompts::Allowed,
        success_codes: &[0],
        selection: Selection::ItsOwn,
        terraform: context.terraform().ok(),
        longer_wait: format!("--wait 1h exec -- {}", name.to_string_lossy()),
    };
    Ok(run_under_lock(context, situation, target, purpose, child).await?)
}

/// What the program finds on PATH instead of the terraform that it would find now; none if there is one around us already,
/// or nothing to stand in for.
fn stand_in(context: &Context) -> Result<Option<StandIn>, Failure> {
    let names = NAMES.map(OsString::from).into_iter();
    let names: Vec<OsString> = names
        .filter(|name| context.program(Some(name)).is_ok())
        .collect();
    if names.is_empty() || non_empty(&variable, stand_in::VARIABLE).is_some() {
        return Ok(None);
    }
    let name = format!("tflock-{}", LockId::from_bytes(Machine.random()));
    let directory = std::env::temp_dir().join(name);
    let made = std::env::current_exe()
        .and_then(|executable| StandIn::install(directory.clone(), names, &executable));
    made.map(Some).map_err(|error| {
        let directory = directory.display();
        Failure::new(
            exit_code::CONFIGURATION,
            format!("cannot make `{directory}`: {error}"),
        )
        .hint("set TMPDIR to a directory that can be written to")
    })
}
