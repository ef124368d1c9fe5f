//! The directories whose locks `exec` holds: those of `--dir`, else the current one.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::store::Identity;
use crate::resolve::{self, LockRequest, StateRef};
use crate::session::NeededLock;
use crate::text::printable;

/// A directory whose lock to hold.
pub(super) struct Directory {
    /// The context whose command lines address its lock.
    naming: Context,
    /// Absolute.
    path: PathBuf,
    state: StateRef,
}

/// The named directories, or the current one, with the state selected in each. Sends no request.
///
/// # Errors
/// One does not exist, or its configuration is unusable.
pub(super) fn named(context: &Context, names: &[PathBuf]) -> Result<Vec<Directory>, Failure> {
    if names.is_empty() {
        return Ok(vec![directory(context.clone())?]);
    }
    let directories = names.iter().map(|name| {
        let naming = context.in_directory(name);
        if !naming.working_directory().is_dir() {
            return Err(Failure::new(
                exit_code::CONFIGURATION,
                format!("`--dir {}`: there is no such directory", shown(name)),
            )
            .hint(format!(
                "name a directory that exists, seen from `{}`",
                shown(&context.working_directory())
            )));
        }
        let init = naming.command_line("init");
        directory(naming).map_err(|failure| of_directory(name, &init, failure))
    });
    directories.collect()
}

fn directory(naming: Context) -> Result<Directory, Failure> {
    let path = naming.working_directory();
    let state = LockRequest::new(&naming.options, &path).state()?;
    Ok(Directory {
        naming,
        path,
        state,
    })
}

/// Their locks: one for all directories that have the same.
///
/// # Errors
/// One cannot be found.
pub(super) async fn locks(directories: &[Directory]) -> Result<Vec<NeededLock<'_>>, Failure> {
    let mut needed: Vec<NeededLock<'_>> = Vec::new();
    let mut places: Vec<Identity> = Vec::new();
    for one in directories {
        let naming = &one.naming;
        let request = LockRequest::new(&naming.options, &one.path);
        let found = resolve::find_for(request, one.state.clone()).await;
        let mut resolved = found.map_err(|failure| match directories {
            [_] => failure,
            _ => of_directory(&one.path, &naming.command_line("init"), failure),
        })?;
        resolved
            .stores
            .retain(|store| !places.contains(&store.identity()));
        if resolved.stores.is_empty() {
            let path = one.path.display();
            naming
                .ui
                .detail(|| format!("`{path}` has the same lock as a directory before it"));
            continue;
        }
        places.extend(resolved.stores.iter().map(|store| store.identity()));
        needed.push(NeededLock {
            naming: Cow::Borrowed(naming),
            request,
            resolved,
        });
    }
    Ok(needed)
}

/// The hold that was named cannot be matched to one of several locks.
pub(super) fn one_hold_for_several(context: &Context, needed: &[NeededLock<'_>]) -> Failure {
    let count = needed.len();
    Failure::new(
        exit_code::USAGE,
        format!("`--hold` names the hold of one lock, and these directories have {count}"),
    )
    .hint(format!(
        "leave it out (and unset TFLOCK_HOLD): your own holds on this machine are found without it: `{}`",
        context.typed_again()
    ))
}

fn of_directory(name: &Path, init: &str, failure: Failure) -> Failure {
    let hint = failure.hint.clone();
    Failure {
        message: format!("`--dir {}`: {}", shown(name), failure.message),
        hint: hint.map(|hint| hint.replace("`tflock init`", &format!("`{init}`"))),
        ..failure
    }
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}
