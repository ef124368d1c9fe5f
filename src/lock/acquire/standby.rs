//! Waits until a lock is free, without taking it.
//!
//! Such a wait has no place in the queue and never delays another run.

use std::time::Duration;

use tokio::sync::watch;

use super::stopping::{sleep_or_stop, stopped};
use super::{Claim, Decision, Observed, Patience};
use crate::lock::hold::Passage;
use crate::lock::host::Host;
use crate::lock::liveness::Observer;
use crate::lock::read::read;
use crate::lock::record::Record;
use crate::lock::store::{Store, StoreError};

/// The first pause between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause: twenty waiting runs make less than ten requests a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// How a wait ended.
#[derive(Debug)]
pub enum Standby {
    /// The run could take the lock now.
    Free {
        /// The record that it would replace: of a holder that is proven dead or has expired, or the hold that the run may
        /// use.
        left: Option<Record>,
    },
    /// The hold to run under is gone.
    HoldGone,
    /// Patience ran out.
    TimedOut(Box<Observed>),
    /// A stop was requested.
    Stopped,
}

/// Waits until a run with `claim` could take the lock at once. `seen` is called each time another holder is found.
///
/// # Errors
/// As [`read`].
pub async fn stand_by(
    claim: &Claim,
    store: &dyn Store,
    host: &dyn Host,
    patience: Patience,
    mut stop: watch::Receiver<bool>,
    mut seen: impl FnMut(&Observed),
) -> Result<Standby, StoreError> {
    let began = host.now();
    let mut observer = Observer::default();
    let mut pause = FIRST_PAUSE;
    loop {
        let asked = host.now();
        let found = tokio::select! {
            biased;
            () = stopped(&mut stop) => return Ok(Standby::Stopped),
            found = read(store, host) => found?,
        };
        if claim.misses_its_hold(found.as_ref()) {
            return Ok(Standby::HoldGone);
        }
        let Some(stored) = found else {
            return Ok(Standby::Free { left: None });
        };
        let observed = Observed {
            assessment: observer.look_back(host, &stored, asked),
            stored,
            waited: host.now().since(began),
            position: None,
        };
        if let Passage::Take(_) = claim.passage(&observed, Decision::Wait, host) {
            return Ok(Standby::Free {
                left: Some(observed.stored.record),
            });
        }
        let left = patience.left_after(observed.waited);
        if left.is_zero() {
            return Ok(Standby::TimedOut(Box::new(observed)));
        }
        seen(&observed);
        sleep_or_stop(host, host.jittered(pause).min(left), &mut stop).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::store::memory::MemoryStore;
    use crate::simulation::{SimulatedHost, Simulation};

    struct Scene {
        simulation: Simulation,
        host: SimulatedHost,
        store: MemoryStore,
    }

    impl Scene {
        /// A lock whose holder promised to expire after `promise`.
        fn held(promise: Option<Duration>) -> Self {
            let simulation = Simulation::default();
            let holder = simulation.machine().tflock();
            let store = MemoryStore::default();
            let claim = holder.claim(promise);
            let mut lease = claim.lease;
            lease.heartbeat = Some(0);
            store.overwrite(Some(Record::new(&claim.info, lease)));
            Self {
                host: simulation.machine().tflock(),
                simulation,
                store,
            }
        }

        fn wait(&self, patience: Patience, meanwhile: impl Future<Output = ()>) -> Standby {
            let (_stop, stopped) = watch::channel(false);
            let claim = self.host.claim(None);
            let waiting = stand_by(&claim, &self.store, &self.host, patience, stopped, |_| {});
            let both = async { tokio::join!(waiting, meanwhile).0 };
            self.simulation.run(both).unwrap()
        }
    }

    #[test]
    fn a_wait_that_ends_writes_nothing() {
        let scene = Scene::held(None);
        let freed = Duration::from_secs(20);
        let release = async {
            scene.host.sleep(freed).await;
            scene.store.overwrite(None);
        };
        let waited = scene.wait(Patience::Forever, release);
        assert!(matches!(waited, Standby::Free { left: None }), "{waited:?}");
        assert_eq!(scene.store.current(), None);
        assert!(scene.simulation.elapsed() <= freed + LONGEST_PAUSE);
    }

    #[test]
    fn patience_ends_to_the_moment() {
        for patience in [Duration::ZERO, Duration::from_secs(7)] {
            let scene = Scene::held(None);
            let before = scene.store.current();
            let waited = scene.wait(Patience::For(patience), async {});
            let Standby::TimedOut(seen) = waited else {
                panic!("{waited:?}")
            };
            assert_eq!(Some(seen.stored), before);
            assert_eq!(scene.simulation.elapsed(), patience);
        }
    }

    #[test]
    fn an_expired_lock_is_free_and_stays_where_it_is() {
        let promise = Duration::from_mins(1);
        let scene = Scene::held(Some(promise));
        let before = scene.store.current().unwrap();
        let waited = scene.wait(Patience::Forever, async {});
        let Standby::Free { left } = waited else {
            panic!("{waited:?}")
        };
        assert_eq!(left, Some(before.record.clone()));
        assert_eq!(scene.store.current(), Some(before));
        assert!(scene.simulation.elapsed() >= promise);
    }

    #[test]
    fn a_stop_ends_the_wait_at_once() {
        let scene = Scene::held(None);
        let (stop, stopped) = watch::channel(false);
        let after = Duration::from_millis(1234);
        let waited = scene.simulation.run(async {
            let claim = scene.host.claim(None);
            let waiting = stand_by(
                &claim,
                &scene.store,
                &scene.host,
                Patience::Forever,
                stopped,
                |_| {},
            );
            let stopping = async {
                scene.host.sleep(after).await;
                stop.send_replace(true);
            };
            tokio::join!(waiting, stopping).0
        });
        assert!(matches!(waited, Ok(Standby::Stopped)));
        assert_eq!(scene.simulation.elapsed(), after);
    }

    #[test]
    fn twenty_runs_that_wait_for_a_minute_make_less_than_ten_requests_a_second() {
        let scene = Scene::held(None);
        let minute = Duration::from_mins(1);
        for _ in 0..20 {
            scene.wait(Patience::For(minute), async {});
        }
        assert!(
            scene.store.requests() < 10 * 60,
            "{}",
            scene.store.requests()
        );
    }
}
