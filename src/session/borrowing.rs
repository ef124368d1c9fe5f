//! Runs under the lock of an `exec` around us: one terraform at a time, as with terraform's own lock.

use std::path::Path;
use std::time::Duration;

use super::{Lending, NeededLock, Outcome, RunSpec, Session, install_signals, reentry};
use crate::child::Command;
use crate::context::Context;
use crate::environment::variable;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::{Patience, PatienceSource};
use crate::lock::lent::{Borrowed, Lent, NotBorrowed};
use crate::system::process::Named;
use crate::system::run_file::lent::Turn;
use crate::terraform::duration::format_duration;

/// Runs the child under the borrowed lock: watches a terraform until it has read the selection, execs any other program.
///
/// # Errors
/// The turn is in use; the child cannot be started; it works on another state than the locked one.
pub(super) async fn run_borrowing(
    context: &Context,
    lent: Vec<NeededLock<'_>>,
    spec: RunSpec,
    borrowed: &Borrowed,
    mut child: Command,
) -> Result<Outcome, Failure> {
    let mut turns = Vec::new();
    if spec.lending == Lending::Nothing {
        turns = take_turns(context, &spec, borrowed).await?;
        reentry::announce_borrowed(&mut child, borrowed.lenders(), &variable);
    }
    context
        .ui
        .detail(|| "running under the lock that is held around this run".to_owned());
    borrowed.hand_on();
    for turn in &turns {
        turn.hand_on();
    }
    if child.view.is_some() {
        return Box::pin(watch(context, lent, spec, &child)).await;
    }
    Err(context.exec_program(&child))
}

/// Runs the child next to us, as in a run with its own lock: what terraform works on can only be told while it starts.
async fn watch(
    context: &Context,
    mut lent: Vec<NeededLock<'_>>,
    spec: RunSpec,
    child: &Command,
) -> Result<Outcome, Failure> {
    // They are already locked: there is nothing to take or to compare.
    for NeededLock { resolved, .. } in &mut lent {
        resolved.stores.clear();
        resolved.init_lock = None;
        resolved.compared = None;
    }
    let session = Session::new(context, lent, spec);
    let mut signals = install_signals()?;
    let ran = session.run(&|_: &[_]| child.clone(), &mut signals).await;
    session.settle().await;
    ran
}

async fn take_turns(
    context: &Context,
    spec: &RunSpec,
    borrowed: &Borrowed,
) -> Result<Vec<Turn>, Failure> {
    let waiting = |who: &[Named]| {
        context.ui.notice(&format!(
            "waiting for {} to end: `tflock exec` lends its lock to one at a time",
            listed(who)
        ));
    };
    let host = context.machine();
    let turns = borrowed.take_turns(&host, |lent| patience(spec, lent), waiting);
    turns.await.map_err(|not| match not {
        NotBorrowed::InUse { who, patience } => taken(context, spec, patience, &who),
        NotBorrowed::NotLent { turn, reason } => not_lent(&turn, &reason),
        NotBorrowed::Lost { key } => lost(context, &key),
        NotBorrowed::Unknown(error) => error.into(),
    })
}

/// As with terraform's own lock, a run does not wait unless told to. The `TFLOCK_WAIT` of `exec` is meant for other locks.
fn patience(spec: &RunSpec, lent: &Lent) -> Patience {
    let is_handed_on = variable("TFLOCK_WAIT").is_none_or(|wait| *wait == *lent.wait);
    match spec.patience_source {
        PatienceSource::Inherited if is_handed_on => Patience::For(Duration::ZERO),
        PatienceSource::Inherited | PatienceSource::CommandLine => spec.patience,
    }
}

fn taken(context: &Context, spec: &RunSpec, patience: Patience, who: &[Named]) -> Failure {
    let gave_up = match patience {
        Patience::For(limit) if !limit.is_zero() => {
            format!(", gave up after {}", format_duration(limit))
        }
        Patience::For(_) | Patience::Forever => String::new(),
    };
    let hint = if context.called_as.is_some() {
        "run one after the other, or let this one wait: `-lock-timeout=15m`".to_owned()
    } else {
        format!(
            "run one after the other, or wait with `{}`",
            spec.longer_wait
        )
    };
    Failure::new(
        exit_code::HELD,
        format!(
            "the state is locked{gave_up}: Error acquiring the state lock: the `tflock exec` around this run lends its \
             lock to one terraform at a time, and {} has it",
            listed(who)
        ),
    )
    .hint(hint)
}

fn not_lent(file: &Path, reason: &str) -> Failure {
    Failure::new(
        exit_code::HELD,
        format!(
            "the state is locked: Error acquiring the state lock: the `tflock exec` around this run cannot lend its lock \
             through `{}`: {reason}",
            file.display()
        ),
    )
    .hint("see who holds the lock with `tflock status`")
}

/// The `exec` around us holds it no more, and is stopping what runs under it.
fn lost(context: &Context, key: &str) -> Failure {
    let look = context.command_line("status");
    Failure::new(
        exit_code::HELD,
        format!(
            "the state is locked: Error acquiring the state lock: the `tflock exec` around this run lost the lock on `{key}` \
             while this run waited for its turn, and nothing was started"
        ),
    )
    .hint(format!("see who holds the lock with `{look}`"))
}

/// A run that could only wait for its own parent.
pub(super) fn refused(context: &Context, key: &str) -> Failure {
    let look = context.command_line("status");
    Failure::new(
        exit_code::HELD,
        format!(
            "the state is locked: Error acquiring the state lock: the terraform run that started this one holds `{key}`, and \
             waiting for it would never end"
        ),
    )
    .hint(format!(
        "run it after that one has ended, or both, one after the other, under `tflock exec`; see `{look}`"
    ))
}

/// The first of the processes; the others are terraform's providers.
fn listed(who: &[Named]) -> String {
    match who {
        [] => "another one".to_owned(),
        [first, ..] => format!("process {first}"),
    }
}
