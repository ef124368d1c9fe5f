//! One of the locks of a session, with everything that belongs to it alone. A session has one lock as a rule, and several
//! under `exec --dir`.

use std::borrow::Cow;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use super::provenance::{self, Provenance};
use super::way::Way;
use super::{RunSpec, Selection, remembering};
use crate::context::Context;
use crate::environment::variable;
use crate::lock::acquire::Claim;
use crate::lock::history::Recorder;
use crate::lock::host::Host;
use crate::lock::own::Own;
use crate::lock::record::{Lease, LockId, LockInfo};
use crate::lock::store::{Identity, Store};
use crate::resolve::{
    ChildLocking, ComparedState, InitLock, LockRequest, MissingDirectory, ResolvedLock, Selected,
    StateRef,
};

/// A lock that a run needs.
pub struct NeededLock<'a> {
    /// The context whose command lines address it.
    pub naming: Cow<'a, Context>,
    /// The request that it was resolved from.
    pub request: LockRequest<'a>,
    /// The lock.
    pub resolved: ResolvedLock,
}

/// One of the locks of a session.
pub(super) struct OneLock<'a> {
    /// Its number among them.
    pub(super) number: usize,
    /// The context whose command lines address it.
    pub(super) naming: Cow<'a, Context>,
    pub(super) directory: &'a Path,
    pub(super) stores: Vec<Rc<dyn Store>>,
    pub(super) child_locking: ChildLocking,
    pub(super) init_lock: Option<InitLock>,
    /// The state, if it is compared and not locked.
    pub(super) compared: Option<ComparedState>,
    pub(super) missing_directory: MissingDirectory,
    pub(super) claim: Claim,
    /// Its history.
    pub(super) history: Option<Rc<Recorder>>,
    /// The backend and workspace that the lock was resolved from.
    pub(super) selected: Option<Selected>,
    /// What is locked, for the witness.
    pub(super) state: Option<StateRef>,
    /// How others are kept out.
    pub(super) way: Cell<Way>,
}

impl<'a> OneLock<'a> {
    /// The lock with that number. All locks of a session share the `id` and the records of their `own`.
    pub(super) fn new(
        number: usize,
        needed: NeededLock<'a>,
        spec: &RunSpec,
        id: &LockId,
        own: &Own,
        host: &Rc<dyn Host>,
    ) -> Self {
        let NeededLock {
            naming,
            request,
            resolved,
        } = needed;
        let history = remembering::recorder(&resolved.stores, Rc::clone(host));
        let way = Way::first(&resolved);
        Self {
            number,
            directory: request.directory,
            claim: Claim {
                own: own.clone(),
                ..claim(
                    &naming,
                    request.directory,
                    &resolved,
                    spec,
                    id,
                    host.as_ref(),
                )
            },
            history: history.map(Rc::new),
            selected: (spec.selection != Selection::Named).then(|| request.selected(&resolved)),
            state: Some(resolved.state()),
            stores: resolved.stores,
            child_locking: resolved.child_locking,
            init_lock: resolved.init_lock,
            compared: resolved.compared,
            missing_directory: resolved.missing_directory,
            way: Cell::new(way),
            naming,
        }
    }

    /// The lock that only orders runs that create a workspace, if there is one.
    pub(super) fn turn(&self) -> Option<&Rc<dyn Store>> {
        self.init_lock.as_ref().map(|lock| &lock.turn)
    }

    /// Whether that place belongs to this lock.
    pub(super) fn has(&self, place: &Identity) -> bool {
        let mut places = self.turn().into_iter().chain(&self.stores);
        places.any(|store| store.identity() == *place)
    }

    /// Whether it takes its turn, and that is its place.
    pub(super) fn takes_turn_at(&self, place: &Identity) -> bool {
        let turn = self.turn().filter(|_| self.way.get() == Way::Turn);
        turn.is_some_and(|turn| turn.identity() == *place)
    }

    /// Whether terraform would still work on this state; `None` if unknown.
    pub(super) async fn is_unchanged(&self) -> Option<bool> {
        match &self.selected {
            Some(selected) => selected.is_unchanged().await,
            None => Some(true),
        }
    }
}

fn claim(
    context: &Context,
    directory: &Path,
    resolved: &ResolvedLock,
    spec: &RunSpec,
    id: &LockId,
    host: &dyn Host,
) -> Claim {
    let reason = context.options.reason.clone();
    let Provenance { run_url, origin } = provenance::of_this_run(directory, &variable);
    let words: Vec<&str> = reason.iter().chain(&run_url).map(String::as_str).collect();
    let user = whoami::username().unwrap_or_default();
    let hostname = whoami::hostname().unwrap_or_default();
    let own_version = format!("tflock {}", env!("CARGO_PKG_VERSION"));
    Claim {
        info: LockInfo {
            id: id.clone(),
            operation: spec.operation.clone(),
            info: words.join(" "),
            who: format!("{user}@{hostname}"),
            version: resolved.terraform_version.clone().unwrap_or(own_version),
            created: String::new(),
            path: resolved.path.clone(),
        },
        lease: Lease {
            tflock_version: env!("CARGO_PKG_VERSION").to_owned(),
            command: spec.command.clone(),
            reason,
            run_url,
            origin,
            hold: None,
            heartbeat: None,
            heartbeat_at: None,
            renewed_every: None,
            expire_after: spec.expire_after,
            holder: host.this_process(),
        },
        under: context.options.hold.clone().map(LockId),
        own: Own::default(),
    }
}
