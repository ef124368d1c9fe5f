//! Acquisition over the store in memory, in simulated time.

mod faults;
mod queue;
mod taking_over;
mod waiting;

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use super::*;
use crate::lock::liveness::{Liveness, Replacement};
use crate::lock::record::Record;
use crate::lock::store::memory::MemoryStore;
use crate::lock::store::{Heartbeats, StoreErrorKind};
use crate::simulation::{SimulatedHost, Simulation};

/// A store with one lock, and a tflock that wants it.
struct Scene {
    simulation: Simulation,
    store: MemoryStore,
    host: SimulatedHost,
    claim: Claim,
    stop: watch::Sender<bool>,
}

impl Scene {
    fn new() -> Self {
        Self::on(&Simulation::default(), MemoryStore::default())
    }

    fn on(simulation: &Simulation, store: MemoryStore) -> Self {
        let host = simulation.machine().tflock();
        Self {
            simulation: simulation.clone(),
            store,
            claim: host.claim(None),
            host,
            stop: watch::Sender::new(false),
        }
    }

    /// Another tflock, on its own machine, that wants the same lock.
    fn rival(&self) -> Self {
        Self::on(&self.simulation, self.store.clone())
    }

    fn promising(mut self, expire_after: Duration) -> Self {
        self.claim.lease.expire_after = Some(expire_after);
        self
    }

    async fn try_acquire(&self, patience: Patience) -> Result<Acquisition, AcquireError> {
        acquire(
            Rc::new(self.store.clone()),
            self.host.shared(),
            &self.claim,
            patience,
            self.stop.subscribe(),
            |_| Decision::Wait,
        )
        .await
    }

    /// The error of an acquisition that fails.
    fn failure(&self, patience: Patience) -> AcquireError {
        let acquisition = self.try_acquire(patience);
        self.simulation.run(acquisition).err().unwrap()
    }

    /// The end of an acquisition that is asked to stop after that time.
    async fn stopped_after(&self, pause: Duration) -> Result<Acquisition, AcquireError> {
        let stop = async {
            self.host.sleep(pause).await;
            self.stop.send_replace(true);
        };
        tokio::join!(stop, self.try_acquire(Patience::Forever)).1
    }

    async fn acquire(&self, patience: Patience) -> Acquisition {
        self.try_acquire(patience).await.unwrap()
    }

    /// Takes the lock, which must be free or about to be.
    async fn held(&self) -> (HeldLock, Option<Observed>) {
        match self.acquire(Patience::Forever).await {
            Acquisition::Held {
                held,
                replaced,
                leaving,
            } => {
                if let Some(leaving) = leaving {
                    leaving.await;
                }
                (held, replaced)
            }
            Acquisition::TimedOut(_) | Acquisition::HoldGone | Acquisition::Stopped => {
                panic!("not held")
            }
        }
    }

    /// The ID of the current record.
    fn holder(&self) -> Option<LockId> {
        self.store.current()?.record.lock_id()
    }

    /// Whether the current record is its own.
    fn holds(&self) -> bool {
        self.holder().as_ref() == Some(self.id())
    }

    fn id(&self) -> &LockId {
        &self.claim.info.id
    }

    async fn sleep(&self, seconds: u64) {
        self.host.sleep(Duration::from_secs(seconds)).await;
    }
}

/// How often a run without a place in the queue tries.
const POLL_INTERVAL: Duration = Duration::from_millis(600);
const ONE_ATTEMPT: Patience = Patience::For(Duration::ZERO);

fn patience(seconds: u64) -> Patience {
    Patience::For(Duration::from_secs(seconds))
}

#[test]
fn a_free_lock_costs_one_request_and_no_time() {
    let scene = Scene::new();
    let (held, replaced) = scene.simulation.run(scene.held());
    assert_eq!(scene.store.requests(), 1);
    assert_eq!(scene.simulation.elapsed(), Duration::ZERO);
    assert_eq!(scene.holder(), Some(held.id().clone()));
    assert!(replaced.is_none());
}

#[test]
fn the_record_begins_with_heartbeat_zero_and_the_time_it_was_taken() {
    let scene = Scene::new().promising(Duration::from_mins(1));
    scene.simulation.run(async {
        scene.sleep(5).await;
        scene.held().await;
    });
    let record = scene.store.current().unwrap().record;
    let lease = record.lease.clone().unwrap();
    assert_eq!(record.lock_info().unwrap().created, "2026-01-01T00:00:05Z");
    assert_eq!(lease.heartbeat, Some(0));
    assert_eq!(lease.heartbeat_at.as_deref(), Some("2026-01-01T00:00:05Z"));
    assert_eq!(lease.expire_after, Some(Duration::from_mins(1)));
}

#[test]
fn the_record_of_an_object_says_how_often_it_is_renewed() {
    for (promise, every) in [(300, 60), (60, 20)] {
        let store = MemoryStore::new(Heartbeats::NotCompared);
        let promise = Duration::from_secs(promise);
        let scene = Scene::on(&Simulation::default(), store).promising(promise);
        scene.simulation.run(scene.held());
        let lease = scene.store.current().unwrap().record.lease.unwrap();
        assert_eq!(lease.heartbeat, Some(0));
        assert_eq!(lease.expire_after, Some(promise));
        assert_eq!(lease.renewed_every, Some(Duration::from_secs(every)));
    }
}

#[test]
fn nothing_is_promised_where_nothing_is_renewed() {
    let store = MemoryStore::new(Heartbeats::None);
    let scene = Scene::on(&Simulation::default(), store).promising(Duration::from_mins(1));
    scene.simulation.run(scene.held());
    let lease = scene.store.current().unwrap().record.lease.unwrap();
    assert_eq!((lease.heartbeat, lease.heartbeat_at), (None, None));
    assert_eq!(lease.expire_after, None);
}
