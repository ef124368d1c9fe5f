//! terraform commands that write a state without locking it. They take our lock where it is the one that counts, else they
//! pass through.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;

use crate::child::Command;
use crate::cli::StoreChoice;
use crate::context::Context;
use crate::failure::Failure;
use crate::lock::host::Machine;
use crate::lock::read::read;
use crate::resolve::{self, ChildLocking, LockRequest, MissingDirectory, ResolvedLock};
use crate::session::{Lending, NeededLock, Outcome, RunSpec, Selection, run_under_locks};
use crate::terraform::command::StateWriter;
use crate::ui::Prompts;

/// Runs the command under our lock; `None` if it should pass through.
///
/// # Errors
/// What keeps terraform from running under that lock.
pub(super) async fn locked(
    context: &Context,
    program: &Path,
    arguments: &[OsString],
    writer: &StateWriter,
) -> Result<Option<Outcome>, Failure> {
    let directory = context.working_directory();
    let request = LockRequest::new(&context.options, &directory);
    // If there is no lock to be found, terraform reports why.
    let Ok(mut resolved) = resolve::find_for_writer(request, writer).await else {
        return Ok(None);
    };
    if !is_the_one_that_counts(context, &resolved).await {
        return Ok(None);
    }
    resolved.missing_directory = MissingDirectory::RunWithoutLock;
    let child = |_: &[ChildLocking]| {
        let mut child = Command::new(program);
        child.environment = context.variables_of(program);
        child.arguments = context.with_chdir(arguments.to_vec());
        child
    };
    let spec = RunSpec {
        operation: writer.name().replace(' ', "-"),
        command: writer.name().to_owned(),
        expire_after: None,
        patience: context.options.wait,
        prompts: Prompts::Allowed,
        longer_wait: context.typed_waiting_longer(),
        success_codes: &[0],
        selection: Selection::Named,
        lending: Lending::Nothing,
        patience_source: context.typed.patience_source(),
    };
    let needed = NeededLock {
        naming: Cow::Borrowed(context),
        request,
        resolved,
    };
    run_under_locks(context, vec![needed], spec, &child)
        .await
        .map(Some)
}

/// Whether our lock is the one that counts. It is not where we would hold terraform's own lock, or where only that counts.
/// A local state has terraform's own lock, too: there ours counts while someone holds it, such as an `exec` between two of
/// its commands.
async fn is_the_one_that_counts(context: &Context, resolved: &ResolvedLock) -> bool {
    if resolved.child_locking != ChildLocking::Kept || resolved.unspoken.is_some() {
        return false;
    }
    if !resolved.is_of_local_state() || context.options.store != StoreChoice::Auto {
        return true;
    }
    for store in &resolved.stores {
        if !matches!(read(store.as_ref(), &Machine::default()).await, Ok(None)) {
            return true;
        }
    }
    false
}
