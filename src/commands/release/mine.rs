//! `tflock release --mine`, for the "always" step of a CI job. Releases the locks that this user's dead runs on this machine
//! have left, and those that this CI run has left on other machines. Never touches a living run's lock, or anyone else's.

mod ci_run;

use std::rc::Rc;
use std::time::Duration;

use crate::commands::remembering::remember;
use crate::context::Context;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::Patience;
use crate::lock::evict::{Removal, remove};
use crate::lock::history::HowEnded;
use crate::lock::host::{Host as _, Instant, Machine};
use crate::lock::liveness::{Liveness, Observer, Replacement};
use crate::lock::read::read;
use crate::lock::record::{LockId, Record};
use crate::lock::store::{Store, Stored};
use crate::resolve::Whereabouts;
use crate::session::Outcome;
use crate::system::run_file::{LeftRun, Traces, left_runs};
use crate::text::printable;

/// How often to look at a run that is ending, and at a lock that may become stale.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How long a killed process may still be visible.
const DYING: Duration = Duration::from_millis(500);
/// How long traces may disagree while the processes of a run end.
const SETTLING: Duration = Duration::from_secs(3);

/// The outcome for one lock.
enum Settled {
    /// There was no lock to release.
    Nothing,
    /// It was released.
    Released,
    /// Its run is alive.
    Lives,
    /// It may be left over, but nothing proves that its run has ended.
    Unproven,
}

/// Releases all of them.
pub(super) async fn release_mine(context: &Context) -> anyhow::Result<Outcome> {
    let mut report = Report {
        context,
        begun: context.machine().now(),
        code: 0,
        said_anything: false,
    };
    let runs = match &context.machine().runs {
        Some(directory) => left_runs(directory).map_err(|error| {
            Failure::new(
                exit_code::CONFIGURATION,
                format!(
                    "the run files in `{}` cannot be used: {error}",
                    directory.display()
                ),
            )
        })?,
        None => Vec::new(),
    };
    for run in &runs {
        report.settle(run).await;
    }
    if let Err(failure) = report.settle_ci_run().await {
        report.failed("of this CI run", failure);
    }
    if !report.said_anything {
        context.ui.notice("none of your runs has left a lock");
    }
    Ok(Outcome::Exit(report.code))
}

struct Report<'a> {
    context: &'a Context,
    begun: Instant,
    code: u8,
    said_anything: bool,
}

impl Report<'_> {
    fn machine(&self) -> Machine {
        self.context.machine()
    }

    fn may_wait(&self) -> bool {
        match self.context.options.wait {
            Patience::For(limit) => self.machine().now().since(self.begun) < limit,
            Patience::Forever => true,
        }
    }

    fn notice(&mut self, text: &str) {
        self.said_anything = true;
        self.context.ui.notice(text);
    }

    /// Reports a failure. Its exit code beats that of a lock whose run is not proven dead.
    fn failed(&mut self, which: &str, failure: Failure) {
        self.said_anything = true;
        self.code = failure.exit_code;
        let ui = &self.context.ui;
        ui.warning(&format!(
            "cannot release the lock {which}: {}",
            failure.message
        ));
        if let Some(hint) = failure.hint {
            ui.hint(&hint);
        }
    }

    /// Releases the locks of one run of this user on this machine, if that has ended.
    async fn settle(&mut self, run: &LeftRun) {
        let locks = Whereabouts::parse(run.whereabouts());
        let name = locks.first().map(|found| printable(&found.command));
        let name = format!(
            "`{}` ({})",
            name.as_deref().unwrap_or("a run"),
            run.lock_id()
        );
        if !self.has_ended(run, &name).await {
            return;
        }
        let (mut has_released, mut nothing_left) = (false, !locks.is_empty());
        // In the reverse order of taking.
        for whereabouts in locks.iter().rev() {
            match self.settle_one(whereabouts, run, &name).await {
                Ok(Settled::Nothing) => {}
                Ok(Settled::Released) => has_released = true,
                Ok(Settled::Lives | Settled::Unproven) => nothing_left = false,
                // It keeps none of the others.
                Err(failure) => {
                    nothing_left = false;
                    self.failed(run.lock_id(), failure);
                }
            }
        }
        match (nothing_left, has_released) {
            (true, true) => run.forget(),
            (true, false) => run.forget_if_long_over(),
            (false, _) => {}
        }
    }

    /// Gives back one lock of such a run, in all its places.
    async fn settle_one(
        &mut self,
        whereabouts: &Whereabouts,
        run: &LeftRun,
        name: &str,
    ) -> Result<Settled, Failure> {
        let mut all = Settled::Nothing;
        let stores = whereabouts.find(&self.context.options).await?;
        for store in stores.iter().rev() {
            let settled = self.give_back(store.as_ref(), &stores, run).await?;
            let key = store.key();
            match settled {
                Settled::Nothing => {}
                Settled::Released => {
                    self.notice(&format!("released the lock of `{key}`, left by {name}"));
                    if matches!(all, Settled::Nothing) {
                        all = Settled::Released;
                    }
                }
                Settled::Lives | Settled::Unproven => {
                    self.unproven(key, run.lock_id(), name);
                    all = Settled::Unproven;
                }
            }
        }
        Ok(all)
    }

    fn unproven(&mut self, key: &str, id: &str, name: &str) {
        self.said_anything = true;
        if self.code == 0 {
            self.code = exit_code::HELD;
        }
        let ui = &self.context.ui;
        ui.warning(&format!(
            "kept the lock of `{key}`: nothing proves that {name} has ended"
        ));
        let removal = self.context.force_unlock_line(Some(&LockId(id.to_owned())));
        ui.hint(&format!("if you know that it has, type `{removal}`"));
    }

    /// Whether the run has ended, as far as its traces tell. If its tflock was killed, waits for it: its terraform is ending,
    /// and its witness releases the lock.
    async fn has_ended(&mut self, run: &LeftRun, name: &str) -> bool {
        let machine = self.machine();
        let (began, mut was_told) = (machine.now(), false);
        while run.is_here() {
            match run.traces() {
                Traces::Ended | Traces::EndedBeforeBoot => return true,
                Traces::Living if machine.now().since(began) < DYING => {}
                Traces::Living if !run.has_lost_tflock() || !self.may_wait() => {
                    self.notice(&format!("left {name} alone: it is running"));
                    return false;
                }
                Traces::Living => {
                    if !std::mem::replace(&mut was_told, true) {
                        self.notice(&format!("waiting for {name} to end: its tflock was killed"));
                    }
                }
                Traces::Inconclusive if machine.now().since(began) >= SETTLING => return true,
                Traces::Inconclusive => {}
            }
            machine.sleep(LOOK_EVERY).await;
        }
        false
    }

    /// Releases the lock of a run whose death is proven.
    async fn give_back(
        &self,
        store: &dyn Store,
        stores: &[Rc<dyn Store>],
        run: &LeftRun,
    ) -> Result<Settled, Failure> {
        let machine = self.machine();
        let began = machine.now();
        let mut observer = Observer::default();
        loop {
            let stored = read(store, &machine).await?;
            let Some(stored) = stored.filter(|stored| is_of(&stored.record, run)) else {
                return Ok(Settled::Nothing);
            };
            let seen = observer.look(&machine, &stored);
            let is_proven = matches!(seen.replacement, Replacement::ByProof(_));
            if is_proven && self.remove(store, &stored).await? {
                remember(self.context, stores, &stored.record, HowEnded::Died).await;
                return Ok(Settled::Released);
            }
            // Looking at processes can fail for a moment. And after a reboot a copy of this machine might be alive: then a
            // heartbeat would come.
            let is_settling = machine.now().since(began) < SETTLING;
            let is_after_boot = run.traces() == Traces::EndedBeforeBoot
                && seen.liveness != Liveness::Unknown
                && self.may_wait();
            if !is_proven && !is_settling && !is_after_boot {
                return Ok(Settled::Unproven);
            }
            machine.sleep(WATCH_EVERY).await;
        }
    }

    async fn remove(&self, store: &dyn Store, stored: &Stored) -> Result<bool, Failure> {
        let removal = remove(store, &self.machine(), stored).await?;
        Ok(matches!(removal, Removal::Removed | Removal::Changed(None)))
    }
}

fn is_of(record: &Record, run: &LeftRun) -> bool {
    let id = record.lock_id();
    id.is_some_and(|id| id.0 == run.lock_id())
}
