//! `tflock exec`: holds one lock, or several, while any program runs. A terraform inside it runs under our lock if it works
//! on a locked state, and takes its own lock on any other state. One that is called by its path locks for itself.

mod directories;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::child::{Command, WaitFor};
use crate::cli::{ExecArguments, Expiry, split_chdir};
use crate::context::{Context, block_on};
use crate::environment::variable;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::Patience;
use crate::resolve::ChildLocking;
use crate::session::{Lending, Outcome, RunSpec, Selection, run_under_locks};
use crate::shim;
use crate::terraform::command::{Classified, LockSwitch, classify};
use crate::terraform::duration::format_duration;
use crate::terraform::program::{NAMES, known_name};
use crate::text::printable;
use crate::ui::Prompts;

/// Runs the program under the lock.
///
/// # Errors
/// Why it cannot run.
pub fn run(context: &Context, arguments: &ExecArguments) -> anyhow::Result<Outcome> {
    block_on(locked(context, arguments)).context("starting the runtime")?
}

async fn locked(context: &Context, arguments: &ExecArguments) -> anyhow::Result<Outcome> {
    let directories = directories::named(context, &arguments.dir)?;
    let needed = directories::locks(&directories).await?;
    if context.options.hold.is_some() && needed.len() > 1 {
        return Err(directories::one_hold_for_several(context, &needed).into());
    }
    let (program, rest) = arguments
        .program
        .split_first()
        .context("no program to run")?;
    let inside = variables(context)?;
    let child = |lockings: &[ChildLocking]| {
        let mut child = Command::new(program);
        child.arguments = rest.to_vec();
        child.directory = context.chdir.as_ref().map(|_| context.working_directory());
        child.wait_for = WaitFor::All;
        child.environment.clone_from(&inside);
        if lockings.contains(&ChildLocking::TurnedOff)
            && let Some(name) = terraform_by_path(program, rest)
        {
            context.ui.notice(&format!(
                "`{}` takes its own lock, and would be refused on the state that is locked here: call it by name, as `{name}`",
                printable(&program.to_string_lossy())
            ));
        }
        if lockings
            .iter()
            .any(|locking| matches!(locking, ChildLocking::KeptWaiting(_)))
        {
            context.ui.notice(
                "terraform must lock this workspace itself, so other runs can take the lock between two commands of the program",
            );
        }
        child
    };
    let name = Path::new(program)
        .file_name()
        .unwrap_or(OsStr::new(program));
    let spec = RunSpec {
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
        lending: Lending::OneAtATime,
        patience_source: context.typed.patience_source(),
        longer_wait: context.typed_waiting_longer(),
    };
    Ok(run_under_locks(context, needed, spec, &child).await?)
}

/// The name of a terraform that takes a lock but is not called through its shim.
fn terraform_by_path(program: &OsStr, arguments: &[OsString]) -> Option<&'static str> {
    let name = known_name(Path::new(program)).filter(|name| program != *name)?;
    let (_, words) = split_chdir(arguments.to_vec());
    let takes_lock = matches!(
        classify(&words, &variable),
        Ok(Classified::Locking(command)) if command.lock == LockSwitch::Take
    );
    takes_lock.then_some(name)
}

/// The program's environment: a shim for each terraform on PATH, and our options for those.
fn variables(context: &Context) -> Result<Vec<(OsString, OsString)>, Failure> {
    let options = &context.options;
    let wait = match options.wait {
        Patience::For(limit) => format_duration(limit),
        Patience::Forever => "forever".to_owned(),
    };
    let mut variables = vec![
        ("TFLOCK_WAIT".into(), wait.into()),
        switch("TFLOCK_NO_INPUT", options.no_input),
        switch("TFLOCK_QUIET", options.quiet),
        switch("TFLOCK_LOG", options.verbose),
    ];
    if options.hold.is_some() {
        // The hold is on this lock only.
        variables.push(("TFLOCK_HOLD".into(), OsString::new()));
    }
    let reason = options.reason.as_ref();
    variables.extend(reason.map(|reason| ("TFLOCK_REASON".into(), reason.into())));
    let on_event = options.on_event.as_deref().map(wherever_it_is_called);
    variables.extend(on_event.map(|program| ("TFLOCK_ON_EVENT".into(), program.into())));

    let path = variable("PATH");
    let names = NAMES.into_iter();
    let names: Vec<&str> = names.filter(|name| context.finds(name)).collect();
    if names.is_empty() {
        return Ok(variables);
    }
    let places = shim::places(&variable);
    let outside = path.map(|path| shim::path_without(&path));
    let path = std::env::current_exe()
        .map_err(Into::into)
        .and_then(|executable| shim::install(&places, &names, &executable, outside.as_deref()));
    let path = path.map_err(|error| {
        Failure::new(
            exit_code::CONFIGURATION,
            format!("cannot create the terraform shim: {error}"),
        )
        .hint("set XDG_STATE_HOME to a directory of your own (mode 700)")
    })?;
    variables.push(("PATH".into(), path));
    Ok(variables)
}

/// A program as it is found from any directory: by its name on PATH, or by an absolute path.
fn wherever_it_is_called(program: &Path) -> PathBuf {
    let is_name = program.components().count() == 1;
    match std::path::absolute(program) {
        Ok(absolute) if !is_name => absolute,
        _ => program.to_owned(),
    }
}

fn switch(name: &str, is_on: bool) -> (OsString, OsString) {
    (name.into(), is_on.to_string().into())
}
