//! Which lock a run takes, and in which store: settings, backend and workspace put together.
//!
//! Nothing is asked of any store here; what is wrong with the configuration is found before a lock is taken.

mod aws_settings;
mod local_state;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::{Options, StoreChoice};
use crate::environment::non_empty;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::store::Store;
use crate::lock::store::aws::AwsAccess;
use crate::lock::store::dynamodb::DynamoDbStore;
use crate::lock::store::local::LocalStore;
use crate::lock::store::off_thread::OffThread;
use crate::lock::store::s3::{ObjectSettings, S3Store, StateObject};
use crate::state_directory;
use crate::terraform::backend::{Backend, BackendRecordError, S3Backend, read_record};
use crate::terraform::command::{LockingCommand, StateFlagScope};
use crate::terraform::configuration::declared_backend;
use crate::terraform::lock_name::{
    is_listed, local_lock_name, local_state_path, s3_names, shared_lock_name,
};
use crate::terraform::own_lock::{OwnLock, own_lock};
use crate::terraform::plan_file::{PlanFileError, PlannedBackend, read_plan_file};
use crate::terraform::workspace::{Workspace, selected_workspace};

/// Names the directory of local locks.
const LOCAL_DIRECTORY: &str = "TFLOCK_LOCAL_DIR";

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

/// Where terraform's S3 backend takes a lock that nothing turns off: it does so before all else if the state of the selected
/// workspace is not in its list, to create it (`StateMgr` in `internal/backend/remote-state/s3/backend_state.go`), and under
/// our lock it would not start. Then terraform locks for itself, and runs of ours take turns.
pub struct InitLock {
    /// When terraform takes it.
    pub when: InitLocked,
    /// What runs of ours hold meanwhile, so that no two start a terraform at once: that lock is tried once only.
    pub turn: Rc<dyn Store>,
}

/// When terraform's S3 backend takes its `init` lock.
pub enum InitLocked {
    /// If that state is missing.
    Missing(StateObject),
    /// Each time: the state's key is not one that the list could tell for the workspace's.
    Always,
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

/// What is locked, before it is known where. Serialised it holds whatever secrets the backend has.
#[derive(Clone, Serialize, Deserialize)]
pub struct Subject {
    backend: Backend,
    workspace: Workspace,
    version: Option<String>,
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

/// How long it may take to read again what is selected: a file system can hang.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// The backend and the workspace of a run, to be compared with what is selected later: a wait is long, and `init` or
/// `workspace select` in another terminal changes what terraform reads when it starts.
#[derive(Clone)]
pub struct Selected(Arc<AtFirst>);

struct AtFirst {
    reading: Reading,
    backend: Backend,
    workspace: Workspace,
}

impl Selected {
    /// Whether it is still what terraform would work on; `None` if that cannot be read, or not in time. Read by a thread of
    /// its own, so that a file system that hangs holds nobody up.
    pub async fn is_unchanged(&self) -> Option<bool> {
        let selected = Arc::clone(&self.0);
        let look = tokio::task::spawn_blocking(move || {
            let subject = selected.reading.subject().ok()?;
            Some(subject.backend == selected.backend && subject.workspace == selected.workspace)
        });
        tokio::time::timeout(READ_WITHIN, look).await.ok()?.ok()?
    }
}

/// All that it takes to read what is selected.
struct Reading {
    directory: PathBuf,
    environment: fn(&str) -> Option<OsString>,
    plan_file: Option<PathBuf>,
    /// The lock is named by the user.
    is_named: bool,
}

impl Reading {
    fn subject(&self) -> Result<Subject, Failure> {
        let workspace = selected_workspace(&self.directory, &self.environment)?;
        if let Some(planned) = self.planned()? {
            return Ok(Subject {
                backend: planned.backend,
                workspace,
                version: planned.recorded_version,
            });
        }
        let record = match read_record(&self.directory, &self.environment) {
            Ok(record) => record,
            Err(BackendRecordError::StateStore { .. }) if self.is_named => None,
            Err(error) => return Err(error.into()),
        };
        let Some(record) = record else {
            if let Some(declared) = declared_backend(&self.directory)
                && declared != "local"
                && !self.is_named
            {
                return Err(Failure::new(
                    exit_code::CONFIGURATION,
                    format!(
                        "the backend `{declared}` of `{}` was never initialised",
                        self.directory.display()
                    ),
                )
                .hint("run `tflock init`"));
            }
            return Ok(Subject {
                backend: Backend::implied(),
                workspace,
                version: None,
            });
        };
        Ok(Subject {
            backend: record.backend,
            workspace,
            version: record.recorded_version,
        })
    }

    /// `apply PLANFILE` works with the backend that the plan was made for, and there on the selected workspace: the
    /// plan's own is not looked at before terraform 1.15, which refuses another one (`Meta.Operation` in
    /// `internal/command/meta_backend.go`; hashicorp/terraform#37954).
    fn planned(&self) -> Result<Option<PlannedBackend>, Failure> {
        let Some(file) = &self.plan_file else {
            return Ok(None);
        };
        match read_plan_file(&self.directory.join(file)) {
            Ok(planned) => Ok(planned),
            // For the time being the state of the directory stands for it.
            Err(PlanFileError::Encrypted { .. }) => Ok(None),
            Err(_) if self.is_named => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Situation<'_> {
    /// What is selected now, to be looked at again.
    #[must_use]
    pub fn selected(&self, target: &Target) -> Selected {
        Selected(Arc::new(AtFirst {
            reading: self.reading(),
            backend: target.backend.clone(),
            workspace: target.workspace.clone(),
        }))
    }

    fn subject(&self) -> Result<Subject, Failure> {
        self.reading().subject()
    }

    fn reading(&self) -> Reading {
        Reading {
            directory: self.directory.to_owned(),
            environment: self.environment,
            plan_file: self.command.and_then(|command| command.plan_file.clone()),
            is_named: self.options.lock_id.is_some(),
        }
    }

    /// OpenTofu can encrypt a plan, and then only it can tell which state it is for.
    fn has_encrypted_plan(&self) -> bool {
        let file = self.command.and_then(|command| command.plan_file.as_ref());
        let plan = file.map(|file| read_plan_file(&self.directory.join(file)));
        matches!(plan, Some(Err(PlanFileError::Encrypted { .. })))
    }

    /// The state file that is locked, if it is a file: the backend is local, or the command's flags name one that it
    /// works on instead of the backend.
    fn state_file(&self, subject: &Subject) -> Result<Option<PathBuf>, Failure> {
        let flag = self
            .command
            .and_then(|command| command.state_path.as_deref());
        let instead = self.command.is_some_and(|command| {
            command.state_scope == StateFlagScope::InsteadOfBackend && flag.is_some()
        });
        let local = if instead {
            Backend::implied().local()?
        } else {
            subject.backend.local()?
        };
        Ok(local.map(|local| local_state_path(self.directory, &local, &subject.workspace, flag)))
    }

    /// Where a plain terraform locks a state file, our lock is not to be had while it does.
    fn beside_terraforms_own(
        &self,
        places: Vec<Place>,
        subject: &Subject,
    ) -> Result<Vec<Place>, Failure> {
        let Some(file) = self.state_file(subject)? else {
            return Ok(places);
        };
        let beside = |place: Place| Place {
            store: local_state::beside_terraforms_own(place.store, file.clone()),
            ..place
        };
        Ok(places.into_iter().map(beside).collect())
    }

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

    async fn table(&self, subject: &Subject, s3: Option<&S3Backend>) -> Result<Place, Failure> {
        let own_table = s3.and_then(|s3| s3.dynamodb_table.as_ref());
        let table = self.options.table.as_ref().or(own_table).ok_or_else(|| {
            Failure::new(
                exit_code::CONFIGURATION,
                "`--store dynamodb` needs a table, and the backend names none",
            )
            .hint("name it with `--table NAME`")
        })?;
        if !is_table(table) {
            return Err(Failure::new(
                exit_code::CONFIGURATION,
                format!("`{table}` cannot be a DynamoDB table"),
            )
            .hint("a table's name has letters, digits, `_`, `-` and `.` only"));
        }
        let (key, derived) = match (&self.options.lock_id, self.state_file(subject)?) {
            (Some(key), _) => (key.clone(), s3.map(|s3| s3_names(s3, &subject.workspace))),
            (None, Some(file)) => {
                let hostname = whoami::hostname().unwrap_or_default();
                (local_lock_name(&hostname, &file).into(), None)
            }
            (None, None) => (
                shared_lock_name(&subject.backend, &subject.workspace)?.into(),
                s3.map(|s3| s3_names(s3, &subject.workspace)),
            ),
        };
        let is_terraforms_own = own_table == Some(table)
            && derived.is_some_and(|names| names.lock_name.as_str() == key);
        let access = self.aws(s3).await?;
        let init_lock = s3.and_then(|s3| {
            let turn = || -> Rc<dyn Store> {
                Rc::new(DynamoDbStore::new(&access, table, &format!("{key}{TURN}")))
            };
            init_lock(&access, s3, &subject.workspace, turn)
        });
        Ok(Place {
            store: Rc::new(DynamoDbStore::new(&access, table, &key)),
            is_terraforms_own,
            path: key,
            notice: None,
            unspoken: None,
            local_name: None,
            init_lock,
        })
    }

    async fn object(&self, subject: &Subject, s3: &S3Backend) -> Result<Place, Failure> {
        let names = s3_names(s3, &subject.workspace);
        let object = match &self.options.lock_id {
            Some(key) => lock_object(key, &s3.bucket),
            None => names.lock_object.clone(),
        };
        let access = self.aws(Some(s3)).await?;
        let settings = ObjectSettings {
            encryption: aws_settings::encryption(s3, &self.environment),
            acl: s3.acl.clone(),
            skip_checksum: s3.skip_s3_checksum,
            tags: s3.lock_tags.clone(),
        };
        let init_lock = init_lock(&access, s3, &subject.workspace, || {
            let turn = format!("{}{TURN}.tflock", names.state_path);
            Rc::new(S3Store::new(&access, &s3.bucket, &turn, settings.clone()))
        });
        Ok(Place {
            store: Rc::new(S3Store::new(&access, &s3.bucket, &object, settings)),
            is_terraforms_own: s3.use_lockfile && object == names.lock_object,
            path: names.lock_name.into(),
            notice: None,
            unspoken: None,
            local_name: None,
            init_lock,
        })
    }

    fn local(&self, subject: &Subject) -> Result<Place, Failure> {
        let state_file = self.state_file(subject)?;
        let is_shared = subject.backend.is_shared() && state_file.is_none();
        let by_command = state_file.is_some()
            && self
                .command
                .is_some_and(|command| command.state_path.is_some());
        let key = match (&self.options.lock_id, state_file) {
            (Some(key), _) => key.clone(),
            (None, Some(file)) => file.to_string_lossy().into_owned(),
            // What cannot be named for all machines still has a name on this one.
            (None, None) => shared_lock_name(&subject.backend, &subject.workspace).map_or_else(
                |_| {
                    format!(
                        "{}/{}",
                        self.directory.display(),
                        subject.workspace.as_str()
                    )
                },
                String::from,
            ),
        };
        let chosen = self.options.store == StoreChoice::Local;
        let unspoken =
            (is_shared && !chosen).then(|| own_lock(&subject.backend, &subject.workspace));
        let notice = unspoken.as_ref().map(|_| {
            format!(
                "the lock keeps apart this user's runs on this machine only, while others share the backend `{}`: \
                 name a DynamoDB table with `--table` to lock for all",
                subject.backend.type_name()
            )
        });
        let store = match self.local_directory() {
            Ok(directory) => LocalStore::new(&directory, &key),
            Err(reason) => LocalStore::nowhere(reason, &key),
        };
        Ok(Place {
            store: Rc::new(OffThread::new(store)),
            is_terraforms_own: false,
            local_name: by_command.then(|| key.clone()),
            path: key,
            notice,
            unspoken,
            init_lock: None,
        })
    }

    /// Whether somebody asked for the very lock that is taken, or for its place.
    fn without_place(&self) -> WithoutPlace {
        let options = self.options;
        let is_asked_for = self.command.is_none()
            || options.store == StoreChoice::Local
            || options.lock_id.is_some()
            || self.variable(LOCAL_DIRECTORY).is_some();
        if is_asked_for {
            WithoutPlace::Refused
        } else {
            WithoutPlace::GoesOn
        }
    }

    /// Where locks of this machine are; the reason where nothing tells.
    fn local_directory(&self) -> Result<PathBuf, String> {
        if let Some(directory) = self.variable(LOCAL_DIRECTORY) {
            return std::path::absolute(&directory)
                .map_err(|error| format!("{LOCAL_DIRECTORY} is not usable: {error}"));
        }
        state_directory::of_this_user(&self.environment)
            .ok_or_else(|| format!("neither {LOCAL_DIRECTORY}, XDG_STATE_HOME nor HOME is set"))
    }

    fn variable(&self, name: &str) -> Option<PathBuf> {
        non_empty(&self.environment, name).map(PathBuf::from)
    }

    async fn aws(&self, s3: Option<&S3Backend>) -> Result<AwsAccess, Failure> {
        let settings = aws_settings::of(s3, &self.environment, self.directory)?;
        Ok(Box::pin(AwsAccess::load(settings)).await?)
    }
}

/// Whether a table could have that name, or that ARN, which DynamoDB takes for one.
fn is_table(name: &str) -> bool {
    let (name, further) = match name.strip_prefix("arn:") {
        Some(rest) => (rest, ":/"),
        None => (name, ""),
    };
    name.chars().all(|character| {
        character.is_ascii_alphanumeric()
            || "_.-".contains(character)
            || further.contains(character)
    })
}

/// The object that `--lock-id` means: a name in the bucket, with or without it, and always a lock's. The state's own
/// name stands in every message; an object of that name is never taken for a lock.
fn lock_object(key: &str, bucket: &str) -> String {
    let inside = key
        .strip_prefix(bucket)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(key);
    if inside.ends_with(".tflock") {
        inside.to_owned()
    } else {
        format!("{inside}.tflock")
    }
}

/// What the lock is called by which runs of ours take turns: that of terraform's lock with this behind it.
const TURN: &str = "-tflock-turn";

/// The default workspace always exists.
fn init_lock(
    access: &AwsAccess,
    s3: &S3Backend,
    workspace: &Workspace,
    turn: impl FnOnce() -> Rc<dyn Store>,
) -> Option<InitLock> {
    if workspace.is_default() {
        return None;
    }
    let when = if is_listed(s3, workspace) {
        InitLocked::Missing(StateObject::new(
            access,
            &s3.bucket,
            &s3_names(s3, workspace).state_path,
        ))
    } else {
        InitLocked::Always
    };
    Some(InitLock { when, turn: turn() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_table_can_be_called_is_none() {
        for name in [
            "locks",
            "My_locks-1.eu",
            "arn:aws:dynamodb:eu-west-1:123456789012:table/locks",
        ] {
            assert!(is_table(name), "{name}");
        }
        for name in ["a;b", "$(touch x)", "a b", "a/b", "a:b", "lócks", "a\nb"] {
            assert!(!is_table(name), "{name}");
        }
    }
}
