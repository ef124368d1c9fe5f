//! Sets up a session: its claim on the lock, its trace on this machine, and what it needs to lend the lock.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use super::Session;
use super::hook::Hook;
use super::provenance::{self, Provenance};
use super::remembering;
use super::report::Reporter;
use super::spec::{RunSpec, Selection};
use crate::context::Context;
use crate::environment::variable;
use crate::lock::acquire::Claim;
use crate::lock::host::Host;
use crate::lock::own::Own;
use crate::lock::record::{Lease, LockId, LockInfo};
use crate::resolve::{LockRequest, ResolvedLock, Whereabouts};
use crate::shim;
use crate::system::run_file::lent::Loan;
use crate::system::run_file::{Run, RunFile};
use crate::ui::Prompts;

impl<'a> Session<'a> {
    /// A session that has left no trace yet.
    pub(super) fn new(
        context: &'a Context,
        request: LockRequest<'_>,
        resolved: ResolvedLock,
        spec: RunSpec,
    ) -> Self {
        let ui = match spec.prompts {
            Prompts::Allowed => context.ui.clone(),
            Prompts::Refused => context.ui.without_prompts(),
        };
        let host: Rc<dyn Host> = Rc::new(context.machine());
        let claim = claim(context, request.directory, &resolved, &spec, host.as_ref());
        let turn = resolved.init_lock.as_ref();
        let history = remembering::recorder(&resolved.stores, Rc::clone(&host));
        Self {
            context,
            history: history.map(Rc::new),
            reporter: Reporter {
                context,
                ui,
                host: Rc::clone(&host),
                lock_id: claim.info.id.clone(),
                turn: turn.map(|lock| lock.turn.key().to_owned()),
                said_of_signals: RefCell::default(),
            },
            claim,
            begun: host.now(),
            run_file: RefCell::default(),
            loan: RefCell::default(),
            may_be_left: Cell::new(false),
            host,
            selected: (spec.selection != Selection::Named).then(|| request.selected(&resolved)),
            state: Some(resolved.state()),
            stores: resolved.stores,
            child_locking: resolved.child_locking,
            init_lock: resolved.init_lock,
            compared: resolved.compared,
            before: RefCell::default(),
            missing_directory: resolved.missing_directory,
            hands_on_patience: false,
            success_codes: spec.success_codes,
            selection: spec.selection,
            selection_watch: RefCell::default(),
            selection_changed: Cell::new(false),
            difference: RefCell::default(),
            patience: spec.patience,
            longer_wait: spec.longer_wait,
            aside: RefCell::default(),
            hook: hook(context),
        }
    }

    /// Creates the run file, before the lock is requested. Without it the run's death can never be proven.
    pub(super) fn leave_trace(&self, directory: &Path) -> Option<RunFile> {
        let runs = self.context.machine().runs?;
        let directories = [self.context.directory.clone(), directory.to_owned()];
        let run = Run::of_this_process(&self.claim.info.id.0, &directories)?;
        let whereabouts = self.state.as_ref().map(|state| {
            let (stores, command) = (&self.stores, &self.claim.lease.command);
            let options = &self.context.options;
            Whereabouts::of(
                options,
                directory,
                command,
                state,
                stores,
                self.init_lock.as_ref(),
            )
        });
        let run = run.with_whereabouts(whereabouts.unwrap_or_default());
        match RunFile::create(&runs, run) {
            Ok(file) => Some(file),
            Err(error) => {
                self.context.ui.detail(|| {
                    let runs = runs.display();
                    format!(
                        "cannot leave a trace of this run in `{runs}`, so its death could not be proven: {error}"
                    )
                });
                None
            }
        }
    }
}

fn claim(
    context: &Context,
    directory: &Path,
    resolved: &ResolvedLock,
    spec: &RunSpec,
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
            id: LockId::from_bytes(host.unique()),
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

fn hook(context: &Context) -> Option<Hook> {
    let program = context.options.on_event.clone()?;
    Some(Hook::new(program, context.ui.clone()))
}

/// Creates what is needed to lend the lock. Without a directory for it nothing is lent.
pub(super) fn loan(context: &Context, claim: &Claim) -> Option<Loan> {
    let directories = shim::places(&variable).into_iter();
    let directories = directories.map(|place| place.join("runs"));
    match Loan::create(directories, &claim.info.id.0) {
        Ok(loan) => Some(loan),
        Err(error) => {
            context
                .ui
                .detail(|| format!("cannot lend the lock to a terraform inside: {error}"));
            None
        }
    }
}
