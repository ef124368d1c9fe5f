//! `tflock exec`: the lock round any program. A terraform inside of it runs under our lock and takes none of its own.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Context as _;

use super::{Context, block_on, variable};
use crate::child::{Command, Successors};
use crate::cli::{ExecArguments, Expiry};
use crate::session::{Outcome, Purpose, run_under_lock};
use crate::target::{self, ChildLocking, Situation};
use crate::terraform::command::lock_disabling_variables;
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
    if target.child_locking == ChildLocking::TurnedOff {
        child.environment = lock_disabling_variables(&variable);
        child.successors = Successors::All;
    }
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
        terraform: context.terraform().ok(),
        longer_wait: format!("--wait 1h exec -- {}", name.to_string_lossy()),
    };
    Ok(run_under_lock(context, situation, target, purpose, child).await?)
}
