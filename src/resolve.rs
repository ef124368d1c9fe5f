//! Which lock a run takes, and in which store: settings, backend and workspace put together.
//!
//! Nothing is asked of any store here; what is wrong with the configuration is found before a lock is taken.

mod aws_settings;
mod init_lock;
mod local;
mod local_state;
mod object;
mod selected;
mod state;
mod table;

use std::ffi::OsString;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

pub use self::init_lock::{InitLock, InitLocked};
pub use self::selected::Selected;
pub use self::state::StateRef;
use crate::cli::{Options, StoreChoice};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::store::Store;
use crate::lock::store::aws::AwsAccess;
use crate::terraform::backend::{Backend, S3Backend};
use crate::terraform::command::{LockingCommand, StateFlagScope};
use crate::terraform::own_lock::OwnLock;
use crate::terraform::workspace::Workspace;

/// Whether terraform under our lock still takes its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildLocking {
    /// It is another lock than ours.
    Kept,
    /// We hold terraform's own: it would wait for us for ever.
    TurnedOff,
    /// We would hold it, but terraform has to take it by itself, and waits for it so long.
    KeptWaiting(Duration),
    /// We hold none while it runs: which lock it takes is known to it alone (an encrypted plan).
    Alone,
}

/// What becomes of a run for whose lock this machine has no place: nowhere to put a file, or no right to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutPlace {
    /// It is refused: somebody asked for this lock.
    Refused,
    /// It goes on with a warning: terraform locks for itself.
    GoesOn,
}

/// The lock that a run takes.
pub struct ResolvedLock {
    /// The places that make it up, in the order in which they are taken: both of terraform's where both are set.
    pub stores: Vec<Rc<dyn Store>>,
    /// What is locked: `Path` of the lock info.
    pub path: String,
    /// Whether the child still locks for itself.
    pub child_locking: ChildLocking,
    /// What if this machine has no place for it.
    pub without_place: WithoutPlace,
    /// A word for the user about how far this lock reaches.
    pub notice: Option<String>,
    /// terraform's own lock, where that is the one that counts and tflock does not speak it.
    pub unspoken: Option<OwnLock>,
    /// The terraform version that is known without starting it.
    pub terraform_version: Option<String>,
    /// The name to give with `--store local --lock-id`, where the directory alone would mean another lock: the command named
    /// a state file.
    pub local_name: Option<String>,
    /// Where terraform may have to lock for itself although its own lock would be held for it.
    pub init_lock: Option<InitLock>,
    backend: Backend,
    workspace: Workspace,
}

/// Where and for what a lock is wanted.
#[derive(Clone, Copy)]
pub struct LockRequest<'a> {
    /// tflock's own options.
    pub options: &'a Options,
    /// The environment: a function, so that another thread can look as well.
    pub environment: fn(&str) -> Option<OsString>,
    /// The directory that terraform works in: that of `-chdir`, else the current one. Absolute.
    pub directory: &'a Path,
    /// The terraform command that wants the lock, where there is one.
    pub command: Option<&'a LockingCommand>,
}

/// Finds the lock.
///
/// # Errors
/// A configuration that does not tell which lock it would be, or that cannot be used.
pub async fn find(request: LockRequest<'_>) -> Result<ResolvedLock, Failure> {
    let state = request.state()?;
    find_for(request, state).await
}

/// Finds the lock of a state that is known, whatever is selected now.
///
/// # Errors
/// What cannot be used.
pub async fn find_for(request: LockRequest<'_>, state: StateRef) -> Result<ResolvedLock, Failure> {
    let s3 = state.backend.s3()?;
    let places = match (request.options.store, &s3) {
        (StoreChoice::Auto, Some(s3)) => request.auto_s3(&state, s3).await?,
        (StoreChoice::Auto, None) if request.options.table.is_some() => {
            vec![request.table(&state, None).await?]
        }
        (StoreChoice::Auto, None) | (StoreChoice::Local, _) => vec![request.local(&state)?],
        (StoreChoice::Dynamodb, s3) => vec![request.table(&state, s3.as_ref()).await?],
        (StoreChoice::S3, Some(s3)) => vec![request.object(&state, s3).await?],
        (StoreChoice::S3, None) => {
            return Err(Failure::new(
                exit_code::CONFIGURATION,
                format!(
                    "`--store s3` needs an S3 backend, and this one is `{}`",
                    state.backend.type_name()
                ),
            )
            .hint("leave `--store` out, or use `--store local` or `--table NAME`"));
        }
    };
    let places = request.beside_terraforms_own(places, &state)?;
    let mut resolved = ResolvedLock::of(places, state, s3.as_ref(), request.without_place())?;
    if request.options.lock_id.is_none() && request.has_encrypted_plan() {
        resolved.child_locking = ChildLocking::Alone;
    }
    Ok(resolved)
}

/// One place of a lock.
struct Place {
    store: Rc<dyn Store>,
    /// Terraform would take it too.
    is_terraforms_own: bool,
    path: String,
    notice: Option<String>,
    unspoken: Option<OwnLock>,
    local_name: Option<String>,
    init_lock: Option<InitLock>,
}

impl ResolvedLock {
    /// All or none of terraform's own places: with some of them terraform could neither keep its locking, and meet
    /// ours, nor do without, and miss the others.
    fn of(
        places: Vec<Place>,
        state: StateRef,
        s3: Option<&S3Backend>,
        without_place: WithoutPlace,
    ) -> Result<Self, Failure> {
        let taken_by_terraform = s3.map_or(0, |s3| {
            usize::from(s3.dynamodb_table.is_some()) + usize::from(s3.use_lockfile)
        });
        let own = places
            .iter()
            .filter(|place| place.is_terraforms_own)
            .count();
        if own != 0 && own != taken_by_terraform {
            return Err(Failure::new(
                exit_code::CONFIGURATION,
                "terraform locks this state in two places, and only one of them would be held",
            )
            .hint("leave out `--store`, `--table` and `--lock-id`: then both are"));
        }
        let mut resolved = Self {
            stores: Vec::new(),
            path: String::new(),
            child_locking: if own == 0 {
                ChildLocking::Kept
            } else {
                ChildLocking::TurnedOff
            },
            without_place,
            notice: None,
            unspoken: None,
            terraform_version: state.version,
            local_name: None,
            init_lock: None,
            backend: state.backend,
            workspace: state.workspace,
        };
        for place in places {
            resolved.stores.push(place.store);
            resolved.path = place.path;
            resolved.notice = resolved.notice.or(place.notice);
            resolved.unspoken = resolved.unspoken.or(place.unspoken);
            resolved.local_name = resolved.local_name.or(place.local_name);
            resolved.init_lock = resolved.init_lock.or(place.init_lock.filter(|_| own != 0));
        }
        Ok(resolved)
    }
}

impl ResolvedLock {
    /// What is locked.
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
    async fn auto_s3(&self, state: &StateRef, s3: &S3Backend) -> Result<Vec<Place>, Failure> {
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
            (None, _) => vec![self.object(state, s3).await?],
            // In terraform's order: the object first, then the item.
            (Some(_), true) => vec![
                self.object(state, s3).await?,
                self.table(state, Some(s3)).await?,
            ],
        })
    }

    async fn aws(&self, s3: Option<&S3Backend>) -> Result<AwsAccess, Failure> {
        let settings = aws_settings::of(s3, &self.environment, self.directory)?;
        Ok(Box::pin(AwsAccess::load(settings)).await?)
    }
}
