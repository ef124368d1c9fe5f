//! Locks that tflock does not support are left to terraform's own `force-unlock`, with its own question.

use crate::child::{Command, replace_by};
use crate::cli::ForceUnlockArguments;
use crate::commands::status::ObservedPart;
use crate::context::Context;
use crate::exit_code;
use crate::failure::Failure;

/// Whether terraform's own lock is meant: it is the one that counts, and none of ours has that ID.
pub(super) fn applies(parts: &[ObservedPart], arguments: &ForceUnlockArguments) -> bool {
    parts.iter().any(|part| {
        let ours = part
            .held
            .as_ref()
            .map(|(stored, _)| stored.record.lock_id());
        let is_ours = match (&ours, &arguments.id) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(held), Some(wanted)) => held.as_ref().is_some_and(|held| held.0 == *wanted),
        };
        part.unspoken.is_some() && !is_ours
    })
}

/// Execs `terraform force-unlock`. Returns only on failure.
///
/// # Errors
/// The ID is missing: terraform needs one.
pub(super) fn unlock(
    context: &Context,
    arguments: &ForceUnlockArguments,
) -> Result<Failure, Failure> {
    let Some(id) = &arguments.id else {
        return Err(Failure::new(
            exit_code::USAGE,
            "this lock is terraform's own, and terraform needs its ID to remove it",
        )
        .hint(format!(
            "give the ID that terraform prints when the lock is held: `{}`",
            context.command_line("force-unlock LOCK_ID")
        )));
    };
    let mut words = vec!["force-unlock".into()];
    if arguments.yes {
        words.push("-force".into());
    }
    // After `--` an ID is never read as an option.
    words.extend(["--".into(), id.into()]);
    let program = context.terraform()?;
    let mut terraform = Command::new(&program);
    terraform.arguments = context.with_chdir(words);
    terraform.environment = context.variables_of(&program);
    Ok(replace_by(&terraform).into())
}
