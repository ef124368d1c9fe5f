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
pub use self::state::Subject;
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
pub struct Target {
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
pub struct Situation<'a> {
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
pub async fn find(situation: Situation<'_>) -> Result<Target, Failure> {
    let subject = situation.subject()?;
    find_for(situation, subject).await
}

/// Finds the lock of a state that is known, whatever is selected now.
///
/// # Errors
/// What cannot be used.
pub async fn find_for(situation: Situation<'_>, subject: Subject) -> Result<Target, Failure> {
    let s3 = subject.backend.s3()?;
    let places = match (situation.options.store, &s3) {
        (StoreChoice::Auto, Some(s3)) => situation.auto_s3(&subject, s3).await?,
        (StoreChoice::Auto, None) if situation.options.table.is_some() => {
            vec![situation.table(&subject, None).await?]
        }
        (StoreChoice::Auto, None) | (StoreChoice::Local, _) => vec![situation.local(&subject)?],
        (StoreChoice::Dynamodb, s3) => vec![situation.table(&subject, s3.as_ref()).await?],
        (StoreChoice::S3, Some(s3)) => vec![situation.object(&subject, s3).await?],
        (StoreChoice::S3, None) => {
            return Err(Failure::new(
                exit_code::CONFIGURATION,
                format!(
                    "`--store s3` needs an S3 backend, and this one is `{}`",
                    subject.backend.type_name()
                ),
            )
            .hint("leave `--store` out, or use `--store local` or `--table NAME`"));
        }
    };
    let places = situation.beside_terraforms_own(places, &subject)?;
    let mut target = Target::of(places, subject, s3.as_ref(), situation.without_place())?;
    if situation.options.lock_id.is_none() && situation.has_encrypted_plan() {
        target.child_locking = ChildLocking::Alone;
    }
    Ok(target)
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

impl Target {
    /// All or none of terraform's own places: with some of them terraform could neither keep its locking, and meet
    /// ours, nor do without, and miss the others.
    fn of(
        places: Vec<Place>,
        subject: Subject,
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
        let mut target = Self {
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
            terraform_version: subject.version,
            local_name: None,
            init_lock: None,
            backend: subject.backend,
            workspace: subject.workspace,
        };
        for place in places {
            target.stores.push(place.store);
            target.path = place.path;
            target.notice = target.notice.or(place.notice);
            target.unspoken = target.unspoken.or(place.unspoken);
            target.local_name = target.local_name.or(place.local_name);
            target.init_lock = target.init_lock.or(place.init_lock.filter(|_| own != 0));
        }
        Ok(target)
    }
}

impl Target {
    /// What is locked.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject {
            backend: self.backend.clone(),
            workspace: self.workspace.clone(),
            version: self.terraform_version.clone(),
        }
    }
}

impl Situation<'_> {
    async fn auto_s3(&self, subject: &Subject, s3: &S3Backend) -> Result<Vec<Place>, Failure> {
        let other_table = self.options.table.is_some() && self.options.table != s3.dynamodb_table;
        let instead = self.command.is_some_and(|command| {
            command.state_scope == StateFlagScope::InsteadOfBackend && command.state_path.is_some()
        });
        if instead && !other_table {
            return Ok(vec![self.local(subject)?]);
        }
        Ok(match (&s3.dynamodb_table, s3.use_lockfile) {
            _ if other_table => vec![self.table(subject, Some(s3)).await?],
            (Some(_), false) => vec![self.table(subject, Some(s3)).await?],
            (None, _) => vec![self.object(subject, s3).await?],
            // In terraform's order: the object first, then the item.
            (Some(_), true) => vec![
                self.object(subject, s3).await?,
                self.table(subject, Some(s3)).await?,
            ],
        })
    }

    async fn aws(&self, s3: Option<&S3Backend>) -> Result<AwsAccess, Failure> {
        let settings = aws_settings::of(s3, &self.environment, self.directory)?;
        Ok(Box::pin(AwsAccess::load(settings)).await?)
    }
}
