//! Finding a lock again that a process of ours took which was killed, to give it back in its place.

use std::rc::Rc;

use super::held::{Held, RELEASE_PATIENCE};
use super::host::Host;
use super::outage::Outage;
use super::record::LockId;
use super::store::{Store, StoreError, Stored};

/// What stands in the lock's place.
pub enum Inherited {
    /// The lock of that process.
    Ours(Held),
    /// Another one, or none: it is to be left alone.
    NotOurs(Option<Stored>),
}

/// Looks for the lock of that ID, as patiently as one is released; `retrying` hears of each failure.
///
/// # Errors
/// The store's last failure, after a minute, or at once if it will not pass.
pub async fn inherit(
    store: Rc<dyn Store>,
    host: Rc<dyn Host>,
    id: LockId,
    mut retrying: impl FnMut(&StoreError),
) -> Result<Inherited, StoreError> {
    let mut outage = Outage::default();
    loop {
        let now = host.now();
        let read = outage.attempt(
            host.as_ref(),
            RELEASE_PATIENCE,
            store.as_ref(),
            store.read(),
        );
        let error = match read.await {
            Ok(Some(stored)) if stored.record.lock_id().as_ref() == Some(&id) => {
                return Ok(Inherited::Ours(Held::new(store, host, id, stored, now)));
            }
            Ok(other) => return Ok(Inherited::NotOurs(other)),
            Err(error) => error,
        };
        let may_pass = error.kind.is_transient() || error.kind.is_about_credentials();
        match outage.pause(host.as_ref(), RELEASE_PATIENCE) {
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
    use crate::lock::held::Release;
    use crate::lock::record::Record;
    use crate::lock::simulation::Simulation;
    use crate::lock::store::StoreErrorKind;
    use crate::lock::store::memory::{Fault, MemoryStore};

    /// What comes of giving back the lock of a killed run; `change` is what happens to it before.
    fn give_back(
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
            match inherit(place, host, claim.info.id, |_| {}).await? {
                Inherited::Ours(mut held) => held.release(RELEASE_PATIENCE, |_| {}).await.map(Some),
                Inherited::NotOurs(_) => Ok(None),
            }
        });
        (released, store, simulation.elapsed())
    }

    #[test]
    fn the_lock_is_given_back_whatever_its_last_heartbeat_was_and_through_what_passes() {
        let faults = [
            Fault::Refused(StoreErrorKind::Throttled),
            Fault::Refused(StoreErrorKind::CredentialsRejected),
            Fault::RequestLost,
        ];
        let (released, store, _) = give_back(&faults, |store, ours| {
            store.overwrite(Some(ours.renewed(chrono::Utc::now())));
        });
        assert_eq!(released.unwrap(), Some(Release::Released));
        assert_eq!(store.current(), None);
    }

    #[test]
    fn another_s_lock_is_left_alone() {
        let (released, store, _) = give_back(&[], |store, ours| {
            let mut info = ours.lock_info().expect("a lock info");
            info.id = LockId("4db125df".to_owned());
            let others = Record {
                info: Some(info.to_go_json()),
                ..ours.clone()
            };
            store.overwrite(Some(others));
        });
        assert_eq!(released.unwrap(), None);
        assert!(store.current().is_some());
    }

    #[test]
    fn a_store_that_stays_away_is_given_up_after_a_minute() {
        let (released, store, elapsed) = give_back(&[Fault::RequestLost; 200], |_, _| {});
        assert_eq!(released.unwrap_err().kind, StoreErrorKind::Unreachable);
        let longest = RELEASE_PATIENCE + Duration::from_secs(2);
        assert!(
            (RELEASE_PATIENCE..=longest).contains(&elapsed),
            "{elapsed:?}"
        );
        assert!(store.current().is_some());
    }
}
