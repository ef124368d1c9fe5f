//! Which lock a run takes, and in which store: options, backend and workspace combined.
//!
//! No store is asked here; errors in the configuration are found before a lock is taken.

mod aws_settings;
mod deciding;
mod examined;
mod heartbeat_setting;
mod init_lock;
mod local;
mod local_state;
mod object;
mod selected;
mod shared;
mod state;
mod table;
mod whereabouts;

use std::ffi::OsString;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

pub use self::examined::Examined;
pub use self::init_lock::{InitLock, InitLocked};
use self::object::Beside;
pub use self::selected::{Selected, SelectionFiles};
pub use self::shared::{ComparedState, IfMissing};
pub use self::state::StateRef;
pub use self::whereabouts::Whereabouts;
use crate::cli::{Options, StoreChoice};
use crate::environment::variable;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::store::Store;
use crate::lock::store::aws::AwsAccess;
use crate::lock::store::state::LockedState;
use crate::terraform::backend::{Backend, S3Backend};
use crate::terraform::command::{LockingCommand, StateFlagScope, StateWriter};
use crate::terraform::own_lock::OwnLock;
use crate::terraform::workspace::Workspace;

/// Whether terraform under our lock also takes its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildLocking {
    /// It does: its lock is not the one we hold.
    Kept,
    /// It must not: we hold its lock, and it would wait for us forever.
    TurnedOff,
    /// It must, although the lock is the one we would hold; it waits up to this long.
    KeptWaiting(Duration),
    /// It does, and we hold none: only terraform knows which lock it takes (an encrypted plan).
    Alone,
}

/// What to do if this machine has no directory for the lock, or may not use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingDirectory {
    /// Refuse to run: the user asked for this lock.
    Refuse,
    /// Warn and run without it: terraform takes its own lock.
    RunWithoutLock,
}

/// The lock that a run takes.
pub struct ResolvedLock {
    /// Its parts, in the order in which to take them: two if terraform uses both an object and an item.
    pub stores: Vec<Rc<dyn Store>>,
    /// What is locked: `Path` in the lock info.
    pub path: String,
    /// Whether the child also locks for itself.
    pub child_locking: ChildLocking,
    /// What to do if this machine has no directory for it.
    pub missing_directory: MissingDirectory,
    /// A notice for the user about what this lock does not protect against.
    pub notice: Option<String>,
    /// terraform's own lock, if that is the one that counts and tflock does not support it.
    pub unspoken: Option<OwnLock>,
    /// The terraform version, if known without starting it.
    pub terraform_version: Option<String>,
    /// The name for `--store local --lock-id`, if the directory alone would mean another lock because the command names
    /// a state file.
    pub local_name: Option<String>,
    /// A case in which terraform may have to lock for itself although we would hold its lock.
    pub init_lock: Option<InitLock>,
    /// What a run compares that takes no lock (`--shared`); `None` if it takes its lock.
    pub compared: Option<ComparedState>,
    backend: Backend,
    workspace: Workspace,
}

/// What a lock is needed for, and from where.
#[derive(Clone, Copy)]
pub struct LockRequest<'a> {
    /// tflock's own options.
    pub options: &'a Options,
    /// The environment; a function, so that another thread can read it too.
    pub environment: fn(&str) -> Option<OsString>,
    /// terraform's working directory: that of `-chdir`, else the current one. Absolute.
    pub directory: &'a Path,
    /// The terraform command that needs the lock, if any.
    pub command: Option<&'a LockingCommand>,
}

impl<'a> LockRequest<'a> {
    /// For the lock of a directory, whatever command may need it.
    #[must_use]
    pub fn new(options: &'a Options, directory: &'a Path) -> Self {
        Self {
            options,
            environment: variable,
            directory,
            command: None,
        }
    }
}

/// Finds the lock.
///
/// # Errors
/// The configuration is unusable or does not determine a lock.
pub async fn find(request: LockRequest<'_>) -> Result<ResolvedLock, Failure> {
    let state = request.state()?;
    find_for(request, state).await
}

/// Finds the lock of a known state, whatever is selected now.
///
/// # Errors
/// The configuration is unusable.
pub async fn find_for(request: LockRequest<'_>, state: StateRef) -> Result<ResolvedLock, Failure> {
    let s3 = state.backend.s3()?;
    let parts = match (request.options.store, &s3) {
        (StoreChoice::Auto, Some(s3)) => request.auto_s3(&state, s3).await?,
        (StoreChoice::Auto, None) if request.options.table.is_some() => {
            vec![request.table(&state, None).await?]
        }
        (StoreChoice::Auto, None) | (StoreChoice::Local, _) => vec![request.local(&state)?],
        (StoreChoice::Dynamodb, s3) => vec![request.table(&state, s3.as_ref()).await?],
        (StoreChoice::S3, Some(s3)) => vec![request.object(&state, s3, Beside::Nothing).await?],
        (StoreChoice::S3, None) => {
            return Err(Failure::new(
                exit_code::CONFIGURATION,
                format!(
                    "`--store s3` needs an S3 backend, but this one is `{}`",
                    state.backend.type_name()
                ),
            )
            .hint("leave `--store` out, or use `--store local` or `--table NAME`"));
        }
    };
    let mut parts = request.beside_terraforms_own(parts, &state)?;
    let compared = request.compared(&mut parts, &state, s3.as_ref())?;
    let mut resolved = ResolvedLock::of(parts, state, s3.as_ref(), request.missing_directory())?;
    resolved.compared = compared;
    if request.options.lock_id.is_none() && request.has_encrypted_plan() {
        resolved.child_locking = ChildLocking::Alone;
    }
    Ok(resolved)
}

/// Finds the lock of the state that such a command writes.
///
/// # Errors
/// As [`find`].
pub async fn find_for_writer(
    request: LockRequest<'_>,
    writer: &StateWriter,
) -> Result<ResolvedLock, Failure> {
    let mut state = request.recorded_state()?;
    if let StateWriter::Deletion(workspace) | StateWriter::Creation(workspace) = writer {
        state.workspace = workspace.clone();
    }
    find_for(request, state).await
}

/// One part of a lock.
struct LockPart {
    store: Rc<dyn Store>,
    /// Whether terraform would take it too.
    is_terraforms_own: bool,
    path: String,
    notice: Option<String>,
    unspoken: Option<OwnLock>,
    local_name: Option<String>,
    init_lock: Option<InitLock>,
    /// The state of an S3 backend.
    state: Option<LockedState>,
}

impl ResolvedLock {
    /// Requires all or none of terraform's own parts. With only some of them, terraform could neither lock, because it
    /// would meet ours, nor skip locking, because it would miss the others.
    fn of(
        parts: Vec<LockPart>,
        state: StateRef,
        s3: Option<&S3Backend>,
        missing_directory: MissingDirectory,
    ) -> Result<Self, Failure> {
        let taken_by_terraform = s3.map_or(0, |s3| {
            usize::from(s3.dynamodb_table.is_some()) + usize::from(s3.use_lockfile)
        });
        let own = parts.iter().filter(|part| part.is_terraforms_own).count();
        if own != 0 && own != taken_by_terraform {
            return Err(Failure::new(
                exit_code::CONFIGURATION,
                "the backend uses two locks, but these options select only one",
            )
            .hint("leave out `--store`, `--table` and `--lock-id` to take both"));
        }
        let mut resolved = Self {
            stores: Vec::new(),
            path: String::new(),
            child_locking: if own == 0 {
                ChildLocking::Kept
            } else {
                ChildLocking::TurnedOff
            },
            missing_directory,
            notice: None,
            unspoken: None,
            terraform_version: state.version,
            local_name: None,
            init_lock: None,
            compared: None,
            backend: state.backend,
            workspace: state.workspace,
        };
        for part in parts {
            resolved.stores.push(part.store);
            resolved.path = part.path;
            resolved.notice = resolved.notice.or(part.notice);
            resolved.unspoken = resolved.unspoken.or(part.unspoken);
            resolved.local_name = resolved.local_name.or(part.local_name);
            resolved.init_lock = resolved.init_lock.or(part.init_lock.filter(|_| own != 0));
        }
        Ok(resolved)
    }
}

impl ResolvedLock {
    /// Whether the state is a local file, which terraform locks itself.
    #[must_use]
    pub fn is_of_local_state(&self) -> bool {
        matches!(self.backend.local(), Ok(Some(_)))
    }

    /// The type of the backend.
    #[must_use]
    pub fn backend_type(&self) -> &str {
        self.backend.type_name()
    }

    /// The state that is locked.
    #[must_use]
    pub fn state(&self) -> StateRef {
        StateRef {
            backend: self.backend.clone(),
            workspace: self.workspace.clone(),
            version: self.terraform_version.clone(),
        }
    }
}

impl LockRequest<'_> {
    async fn auto_s3(&self, state: &StateRef, s3: &S3Backend) -> Result<Vec<LockPart>, Failure> {
        let other_table = self.options.table.is_some() && self.options.table != s3.dynamodb_table;
        let instead = self.command.is_some_and(|command| {
            command.state_scope == StateFlagScope::InsteadOfBackend && command.state_path.is_some()
        });
        if instead && !other_table {
            return Ok(vec![self.local(state)?]);
        }
        Ok(match (&s3.dynamodb_table, s3.use_lockfile) {
            _ if other_table => vec![self.table(state, Some(s3)).await?],
            (Some(_), false) => vec![self.table(state, Some(s3)).await?],
            (None, _) => vec![self.object(state, s3, Beside::Nothing).await?],
            // In terraform's order: first the object, then the item.
            (Some(_), true) => vec![
                self.object(state, s3, Beside::Item).await?,
                self.table(state, Some(s3)).await?,
            ],
        })
    }

    async fn aws(&self, s3: Option<&S3Backend>) -> Result<AwsAccess, Failure> {
        let settings = aws_settings::of(s3, &self.environment, self.directory)?;
        Ok(Box::pin(AwsAccess::load(settings)).await?)
    }
}
