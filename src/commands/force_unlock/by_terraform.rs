//! A lock that tflock does not speak is terraform's to remove: its own `force-unlock`, with its own question.

use crate::child::{Command, replace_by};
use crate::cli::ForceUnlockArguments;
use crate::commands::status::Seen;
use crate::context::Context;
use crate::exit_code;
use crate::failure::Failure;

/// Whether it is terraform's own lock that is meant: it counts here, and none of ours bears that ID.
pub(super) fn applies(seen: &[Seen], arguments: &ForceUnlockArguments) -> bool {
    seen.iter().any(|place| {
        let ours = place
            .held
            .as_ref()
            .map(|(stored, _)| stored.record.lock_id());
        let is_ours = match (&ours, &arguments.id) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(held), Some(wanted)) => held.as_ref().is_some_and(|held| held.0 == *wanted),
        };
        place.unspoken.is_some() && !is_ours
    })
}

/// Becomes `terraform force-unlock`. Returns only what keeps it from that.
///
/// # Errors
/// An ID that is missing: terraform does not unlock without one.
pub(super) fn unlock(
    context: &Context,
    arguments: &ForceUnlockArguments,
) -> Result<Failure, Failure> {
    let Some(id) = &arguments.id else {
        return Err(Failure::new(
            exit_code::USAGE,
            "this lock is terraform's own, and terraform removes it only by its ID",
        )
        .hint(format!(
            "name the ID that terraform prints when it meets the lock: `{}`",
            context.command_line("force-unlock LOCK_ID")
        )));
    };
    let mut words = vec!["force-unlock".into()];
    if arguments.yes {
        words.push("-force".into());
    }
    // An ID is never read as an option.
    words.extend(["--".into(), id.into()]);
    let mut terraform = Command::new(context.terraform()?);
    terraform.arguments = context.with_chdir(words);
    terraform.environment = context.shim_variables();
    Ok(replace_by(&terraform).into())
}
