//! The locks that other jobs of this CI run have left, on other machines.

use std::rc::Rc;

use super::{Report, Settled, WATCH_EVERY};
use crate::commands::remembering::remember;
use crate::commands::status::{find, stores_of};
use crate::environment::variable;
use crate::failure::Failure;
use crate::lock::history::HowEnded;
use crate::lock::host::Host as _;
use crate::lock::liveness::{Liveness, Observer};
use crate::lock::read::read;
use crate::lock::record::Record;
use crate::lock::store::Store;
use crate::session::provenance::of_ci_run;

impl Report<'_> {
    /// Releases the lock of this directory if a job of this CI run on another machine has left it.
    pub(super) async fn settle_ci_run(&mut self) -> Result<(), Failure> {
        let Some(ci) = of_ci_run(&variable).filter(|ci| ci.run_id.is_some()) else {
            return Ok(());
        };
        let is_of_ci_run = |record: &Record| {
            let origin = record
                .lease
                .as_ref()
                .and_then(|lease| lease.origin.as_ref());
            !record.is_hold()
                && origin.is_some_and(|origin| {
                    origin.system == ci.system
                        && origin.run_id == ci.run_id
                        && origin.repository == ci.repository
                })
        };
        // Without a backend there is no lock.
        let Ok(parts) = find(self.context).await else {
            return Ok(());
        };
        let stores = stores_of(&parts);
        for store in &stores {
            let store = store.as_ref();
            let (settled, id) = self.watch(store, &stores, is_of_ci_run).await?;
            let key = store.key();
            let name = "another job of this CI run";
            match settled {
                Settled::Nothing => {}
                Settled::Released => {
                    self.notice(&format!("released the lock of `{key}`, left by {name}"));
                }
                Settled::Lives => self.notice(&format!("left {name} alone: it is running")),
                Settled::Unproven => self.unproven(key, &id, name),
            }
        }
        Ok(())
    }

    /// Watches a lock until it is known whether its holder is alive or stale.
    async fn watch(
        &self,
        store: &dyn Store,
        stores: &[Rc<dyn Store>],
        is_ours: impl Fn(&Record) -> bool,
    ) -> Result<(Settled, String), Failure> {
        let machine = self.machine();
        let mut observer = Observer::default();
        let mut first = None;
        loop {
            let stored = read(store, &machine).await?;
            let Some(stored) = stored.filter(|stored| is_ours(&stored.record)) else {
                return Ok((Settled::Nothing, String::new()));
            };
            let id = stored.record.lock_id().map(|id| id.0).unwrap_or_default();
            let beat = stored
                .record
                .lease
                .as_ref()
                .and_then(|lease| lease.heartbeat);
            let beat = (id.clone(), beat);
            let is_new = first.get_or_insert_with(|| beat.clone()) != &beat;
            let seen = observer.look(&machine, &stored);
            let settled = match seen.liveness {
                Liveness::Gone(_) | Liveness::Stale if seen.settles_in.is_none() => {
                    if self.remove(store, &stored).await? {
                        remember(self.context, stores, &stored.record, HowEnded::Died).await;
                        Some(Settled::Released)
                    } else {
                        None
                    }
                }
                // Its process exists on this machine, or it has sent a heartbeat.
                Liveness::Alive if is_new || seen.silence.is_none() => Some(Settled::Lives),
                Liveness::Unknown | Liveness::Hold => Some(Settled::Unproven),
                _ if !self.may_wait() => Some(Settled::Unproven),
                _ => None,
            };
            if let Some(settled) = settled {
                return Ok((settled, id));
            }
            machine.sleep(WATCH_EVERY).await;
        }
    }
}
