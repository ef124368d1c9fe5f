//! Finds the lock of a killed run, to release it on its behalf.

use std::rc::Rc;

use super::backoff::Backoff;
use super::held_lock::{HeldLock, RELEASE_PATIENCE};
use super::host::Host;
use super::own::OwnRecords;
use super::record::LockId;
use super::store::{Store, StoreError, Stored};

/// The current record, from the killed run's point of view.
pub enum Inherited {
    /// The lock of that run.
    Ours(HeldLock),
    /// Another lock, or none: leave it alone.
    NotOurs(Option<Stored>),
}

/// Looks for the lock `id`, which must be one of that run's own records, as patiently as a release. `retrying` is called
/// for each failure.
///
/// # Errors
/// Permanent errors at once, transient ones after a minute.
pub async fn inherit(
    store: Rc<dyn Store>,
    host: Rc<dyn Host>,
    id: LockId,
    own: OwnRecords,
    mut retrying: impl FnMut(&StoreError),
) -> Result<Inherited, StoreError> {
    let mut backoff = Backoff::default();
    loop {
        let now = host.now();
        let read = backoff.attempt(
            host.as_ref(),
            RELEASE_PATIENCE,
            store.as_ref(),
            store.read(),
        );
        let error = match read.await {
            Ok(Some(stored)) if own.contains(&stored.record) => {
                let held = HeldLock::new(store, host, id, own, stored, now);
                return Ok(Inherited::Ours(held));
            }
            Ok(other) => return Ok(Inherited::NotOurs(other)),
            Err(error) => error,
        };
        let may_pass = error.kind.is_transient() || error.kind.is_about_credentials();
        match backoff.pause(host.as_ref(), RELEASE_PATIENCE) {
            Some(pause) if may_pass => {
                retrying(&error);
                host.sleep(pause).await;
            }
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lock::held_lock::Release;
    use crate::lock::record::{LockInfo, Record};
    use crate::lock::store::StoreErrorKind;
    use crate::lock::store::memory::{Fault, MemoryStore};
    use crate::simulation::Simulation;

    /// Releases the lock of a killed run after `change` has been applied to it.
    fn release_after(
        faults: &[Fault],
        change: impl FnOnce(&MemoryStore, &Record),
    ) -> (Result<Option<Release>, StoreError>, MemoryStore, Duration) {
        let simulation = Simulation::default();
        let host = simulation.machine().tflock();
        let store = MemoryStore::default();
        let claim = host.claim(None);
        let ours = Record::new(&claim.info, claim.lease);
        store.overwrite(Some(ours.clone()));
        change(&store, &ours);
        store.inject(faults.to_vec());
        let released = simulation.run(async {
            let place: Rc<dyn Store> = Rc::new(store.clone());
            let host: Rc<dyn Host> = Rc::new(host);
            let own = OwnRecords::default();
            own.set_held(&ours);
            match inherit(place, host, claim.info.id, own, |_| {}).await? {
                Inherited::Ours(mut held) => held.release(RELEASE_PATIENCE, |_| {}).await.map(Some),
                Inherited::NotOurs(_) => Ok(None),
            }
        });
        (released, store, simulation.elapsed())
    }

    #[test]
    fn the_lock_is_released_whatever_its_heartbeat_and_despite_transient_errors() {
        let faults = [
            Fault::Refused(StoreErrorKind::Throttled),
            Fault::Refused(StoreErrorKind::CredentialsRejected),
            Fault::RequestLost,
        ];
        let (released, store, _) = release_after(&faults, |store, ours| {
            store.overwrite(Some(ours.renewed(chrono::Utc::now())));
        });
        assert_eq!(released.unwrap(), Some(Release::Released));
        assert_eq!(store.current(), None);
    }

    #[test]
    fn another_run_s_lock_is_left_alone_even_if_it_has_our_id() {
        let changes: [fn(&mut LockInfo); 2] = [
            |info| info.id = LockId("4db125df".to_owned()),
            |info| info.created = "2026-01-01T00:00:00.000000001Z".to_owned(),
        ];
        for change in changes {
            let (released, store, _) = release_after(&[], |store, ours| {
                let mut info = ours.lock_info().expect("a lock info");
                change(&mut info);
                let others = Record {
                    info: Some(info.to_go_json()),
                    ..ours.clone()
                };
                store.overwrite(Some(others));
            });
            assert_eq!(released.unwrap(), None);
            assert!(store.current().is_some());
        }
    }

    #[test]
    fn an_unreachable_store_is_given_up_after_a_minute() {
        let (released, store, elapsed) = release_after(&[Fault::RequestLost; 200], |_, _| {});
        assert_eq!(released.unwrap_err().kind, StoreErrorKind::Unreachable);
        let minute = Duration::from_mins(1);
        assert!(
            (minute..=minute + Duration::from_secs(2)).contains(&elapsed),
            "{elapsed:?}"
        );
        assert!(store.current().is_some());
    }
}
