//! Our lock next to a kernel lock: plain terraform's lock on a local state.
//!
//! Only the process that has the kernel lock can release it, and the lock ends with it. So we only observe: while it is
//! held we write nothing, and show its holder like any other. A terraform that takes it between our look and our write
//! makes our terraform wait.

use std::rc::Rc;

use super::companion::{Companion, Purpose};
use super::{
    Heartbeats, Identity, Page, Refusal, Revision, SET_UP, Store, StoreError, StoreErrorKind,
    StoreFuture, Stored, Swap,
};
use crate::lock::record::{LockInfo, Record};

/// The holder of the kernel lock.
#[derive(Clone, Debug)]
pub struct Foreigner {
    /// What is known about it.
    pub info: LockInfo,
    /// Its process, if visible.
    pub process: Option<u32>,
}

/// Finds the holder of the kernel lock; `None` if it is free or unknown.
pub type Look = Box<dyn Fn() -> Option<Foreigner>>;

/// The two locks as one.
pub struct BesideForeigners {
    ours: Rc<dyn Store>,
    look: Look,
}

impl BesideForeigners {
    /// `ours`, which is only free while `look` finds no holder.
    #[must_use]
    pub fn new(ours: Rc<dyn Store>, look: Look) -> Self {
        Self { ours, look }
    }

    fn foreigner(&self) -> Option<Stored> {
        let found = (self.look)()?;
        Some(Stored {
            record: Record {
                info: Some(found.info.to_go_json()),
                lease: None,
            },
            revision: Revision::KernelLock {
                process: found.process,
            },
        })
    }

    /// If a run holds our lock, its terraform may have the kernel lock too: then the run is the holder.
    async fn current(&self) -> Result<Option<Stored>, StoreError> {
        match self.ours.read().await {
            Ok(Some(stored)) => Ok(Some(stored)),
            Ok(None) => Ok(self.foreigner()),
            Err(error) => self.foreigner().map_or(Err(error), |found| Ok(Some(found))),
        }
    }

    async fn take(&self, expected: Option<&Stored>, new: &Record) -> Result<Swap, StoreError> {
        match (self.foreigner(), expected) {
            (None, _) => self.ours.swap(expected, Some(new)).await,
            (Some(_), None) => Ok(Swap::Refused(self.current().await?)),
            // The run is dead, but its terraform is alive.
            (found, Some(_)) => Ok(Swap::Refused(found)),
        }
    }

    /// No request can change a kernel lock.
    async fn change(&self, new: Option<&Record>) -> Result<Swap, StoreError> {
        match (self.foreigner(), new) {
            (Some(found), None) => Err(self.cannot_be_removed(&found)),
            _ => Ok(Swap::Refused(self.current().await?)),
        }
    }

    fn cannot_be_removed(&self, found: &Stored) -> StoreError {
        let (message, remedy) = match found.revision {
            Revision::KernelLock {
                process: Some(process),
            } => (
                format!("this lock cannot be removed: process {process} holds it until it ends"),
                format!("stop it with `kill -INT {process}`"),
            ),
            _ => (
                "this lock cannot be removed: a process holds it until it ends, perhaps in another container"
                    .to_owned(),
                "stop that process".to_owned(),
            ),
        };
        StoreError {
            action: SET_UP,
            place: self.place(),
            kind: StoreErrorKind::AccessDenied,
            message,
            remedy: Some(remedy),
        }
    }
}

impl Store for BesideForeigners {
    fn read(&self) -> StoreFuture<'_, Option<Stored>> {
        Box::pin(self.current())
    }

    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        Box::pin(async move {
            let before = expected.map(|stored| &stored.revision);
            match new {
                _ if matches!(before, Some(Revision::KernelLock { .. })) => self.change(new).await,
                Some(record) if !is_of_same_holder(expected, record) => {
                    self.take(expected, record).await
                }
                _ => self.ours.swap(expected, new).await,
            }
        })
    }

    fn heartbeats(&self) -> Heartbeats {
        self.ours.heartbeats()
    }

    fn key(&self) -> &str {
        self.ours.key()
    }

    fn identity(&self) -> Identity {
        self.ours.identity()
    }

    fn place(&self) -> String {
        self.ours.place()
    }

    fn kind(&self) -> &'static str {
        self.ours.kind()
    }

    fn refusal(&self) -> Refusal {
        self.ours.refusal()
    }

    fn companion(&self, purpose: Purpose) -> Option<Companion> {
        self.ours.companion(purpose)
    }

    fn list<'a>(&'a self, after: Option<&'a str>) -> StoreFuture<'a, Page> {
        self.ours.list(after)
    }

    fn container(&self) -> String {
        self.ours.container()
    }
}

/// Whether `new` is a renewal, or restores the hold that the expected lock returns to.
fn is_of_same_holder(expected: Option<&Stored>, new: &Record) -> bool {
    expected.is_some_and(|expected| {
        new.is_same_lock_as(&expected.record) || expected.record.returns_to() == Some(new)
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::lock::evict::remove;
    use crate::lock::host::Host as _;
    use crate::lock::liveness::{Liveness, Observer};
    use crate::lock::record::LockId;
    use crate::lock::store::memory::MemoryStore;
    use crate::simulation::{SimulatedHost, Simulation};

    /// A store next to a kernel lock.
    struct Scene {
        simulation: Simulation,
        host: SimulatedHost,
        ours: MemoryStore,
        is_locked: Rc<Cell<bool>>,
        both: BesideForeigners,
    }

    impl Scene {
        fn new() -> Self {
            let simulation = Simulation::default();
            let host = simulation.machine().tflock();
            let ours = MemoryStore::default();
            let is_locked = Rc::new(Cell::new(false));
            let seen = Rc::clone(&is_locked);
            let look = move || {
                seen.get().then(|| Foreigner {
                    info: LockInfo {
                        id: LockId("theirs".to_owned()),
                        ..LockInfo::default()
                    },
                    process: Some(4711),
                })
            };
            Self {
                both: BesideForeigners::new(Rc::new(ours.clone()), Box::new(look)),
                simulation,
                host,
                ours,
                is_locked,
            }
        }

        fn record(&self) -> Record {
            let claim = self.host.claim(None);
            Record::new(&claim.info, claim.lease)
        }

        fn swap(
            &self,
            expected: Option<&Stored>,
            new: Option<&Record>,
        ) -> Result<Swap, StoreError> {
            self.simulation.run(self.both.swap(expected, new))
        }

        /// The current record, which must be the foreigner's.
        #[track_caller]
        fn foreigner(&self) -> Stored {
            let current = self.simulation.run(self.both.read()).unwrap().unwrap();
            assert_eq!(current.record.lock_id(), Some(LockId("theirs".to_owned())));
            current
        }
    }

    #[test]
    fn a_kernel_lock_is_a_living_holder_and_stops_our_writes() {
        let scene = Scene::new();
        scene.is_locked.set(true);
        let found = scene.foreigner();
        let seen = Observer::default().look(&scene.host, &found);
        assert_eq!(seen.liveness, Liveness::Alive);
        let refused = scene.swap(None, Some(&scene.record())).unwrap();
        assert_eq!(refused, Swap::Refused(Some(found)));
        assert_eq!(scene.ours.current(), None);

        scene.is_locked.set(false);
        let taken = scene.swap(None, Some(&scene.record())).unwrap();
        assert!(matches!(taken, Swap::Done(Some(_))));
    }

    #[test]
    fn the_holder_of_our_lock_is_shown_and_can_renew_it() {
        let scene = Scene::new();
        let record = scene.record();
        scene.swap(None, Some(&record)).unwrap();
        let held = scene.ours.current().unwrap();
        scene.is_locked.set(true);
        let refused = scene.swap(None, Some(&scene.record())).unwrap();
        assert_eq!(refused, Swap::Refused(Some(held.clone())));

        let renewed = record.renewed(scene.host.wall());
        let Swap::Done(Some(renewed)) = scene.swap(Some(&held), Some(&renewed)).unwrap() else {
            panic!("not renewed");
        };
        assert_eq!(scene.swap(Some(&renewed), None).unwrap(), Swap::Done(None));
        assert_eq!(scene.ours.current(), None);
    }

    #[test]
    fn a_dead_run_is_not_replaced_while_its_terraform_lives() {
        let scene = Scene::new();
        scene.swap(None, Some(&scene.record())).unwrap();
        let dead = scene.ours.current().unwrap();
        scene.is_locked.set(true);
        let refused = scene.swap(Some(&dead), Some(&scene.record())).unwrap();
        assert_eq!(
            refused,
            Swap::Refused(Some(scene.both.foreigner().unwrap()))
        );
        assert_eq!(scene.ours.current(), Some(dead));
    }

    #[test]
    fn a_take_over_with_the_same_lock_id_is_no_renewal() {
        let scene = Scene::new();
        let dead = scene.record();
        scene.swap(None, Some(&dead)).unwrap();
        let before = scene.ours.current().unwrap();
        scene.is_locked.set(true);
        let mut info = dead.lock_info().unwrap();
        info.created = "2026-01-01T00:00:00.000000001Z".to_owned();
        let heir = Record {
            info: Some(info.to_go_json()),
            ..dead
        };
        let refused = scene.swap(Some(&before), Some(&heir)).unwrap();
        assert!(matches!(refused, Swap::Refused(Some(_))));
        assert_eq!(scene.ours.current(), Some(before));
    }

    #[test]
    fn a_kernel_lock_cannot_be_removed() {
        let scene = Scene::new();
        scene.is_locked.set(true);
        let shown = scene.foreigner();
        let refused = scene
            .simulation
            .run(remove(&scene.both, &scene.host, &shown));
        let error = refused.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::AccessDenied);
        assert!(error.remedy.unwrap().contains("`kill -INT 4711`"));
    }
}
