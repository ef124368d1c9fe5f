//! Sets up a session: its locks, its trace on this machine, and what it needs to lend them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::Session;
use super::hook::Hook;
use super::one_lock::{NeededLock, OneLock};
use super::report::Reporter;
use super::spec::RunSpec;
use crate::context::Context;
use crate::environment::variable;
use crate::lock::acquire::all::rank;
use crate::lock::host::Host;
use crate::lock::own::Own;
use crate::lock::record::LockId;
use crate::resolve::Whereabouts;
use crate::shim;
use crate::system::run_file::lent::Loan;
use crate::system::run_file::{Run, RunFile};
use crate::ui::Prompts;

impl<'a> Session<'a> {
    /// A session that has left no trace yet.
    pub(super) fn new(
        context: &'a Context,
        mut needed: Vec<NeededLock<'a>>,
        spec: RunSpec,
    ) -> Self {
        let ui = match spec.prompts {
            Prompts::Allowed => context.ui.clone(),
            Prompts::Disabled => context.ui.without_prompts(),
        };
        let host: Rc<dyn Host> = Rc::new(context.machine());
        let (id, own) = (LockId::from_bytes(host.unique()), Own::default());
        needed.sort_by_cached_key(|one| one.resolved.stores.first().map(|store| rank(&**store)));
        let needed = needed.into_iter().enumerate();
        let locks: Vec<_> = needed
            .map(|(number, one)| OneLock::new(number, one, &spec, &id, &own, &host))
            .collect();
        Self {
            context,
            reporter: Reporter::new(context, ui, Rc::clone(&host), &id, &locks),
            begun: host.now(),
            run_file: RefCell::default(),
            loans: RefCell::default(),
            may_be_left: Cell::new(false),
            host,
            id,
            locks,
            before: RefCell::default(),
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

    /// Creates the run file, before the locks are requested. Without it the run's death can never be proven.
    pub(super) fn leave_trace(&self) -> Option<RunFile> {
        let runs = self.context.machine().runs?;
        let mut directories = vec![
            self.context.directory.clone(),
            self.context.working_directory(),
        ];
        directories.extend(self.locks.iter().map(|lock| lock.directory.to_owned()));
        directories.dedup();
        let run = Run::of_this_process(&self.id.0, &directories)?;
        let locks = self.locks.iter().filter_map(|lock| {
            let (options, command) = (&lock.naming.options, &lock.claim.lease.command);
            let (state, stores) = (lock.state.as_ref()?, &lock.stores);
            let init_lock = lock.init_lock.as_ref();
            Some(Whereabouts::of(
                options,
                lock.directory,
                command,
                state,
                stores,
                init_lock,
            ))
        });
        let run = run.with_whereabouts(Whereabouts::written(locks));
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

    /// Creates what is needed to lend each of the locks. Without a directory for it nothing is lent.
    pub(super) fn lend(&self) -> Vec<Loan> {
        let loans: std::io::Result<Vec<Loan>> = self
            .locks
            .iter()
            .map(|lock| {
                let directories = shim::places(&variable).into_iter();
                let directories = directories.map(|place| place.join("runs"));
                Loan::create(directories, &self.id.0, lock.number)
            })
            .collect();
        loans.unwrap_or_else(|error| {
            self.context
                .ui
                .detail(|| format!("cannot lend the lock to a terraform inside: {error}"));
            Vec::new()
        })
    }
}

fn hook(context: &Context) -> Option<Hook> {
    let program = context.options.on_event.clone()?;
    Some(Hook::new(program, context.ui.clone()))
}
