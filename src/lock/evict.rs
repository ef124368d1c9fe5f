//! Removes a lock that someone else holds, on a person's request: exactly the record that they were shown.

use std::time::Duration;

use super::backoff::Backoff;
use super::host::Host;
use super::store::{Heartbeats, Store, StoreError, Stored, Swap};

/// How long to retry a removal before reporting it as failed.
const PATIENCE: Duration = Duration::from_secs(15);

/// The outcome of a removal.
#[derive(Debug, PartialEq)]
pub enum Removal {
    /// The record that was shown is gone.
    Removed,
    /// Another record was there by then and was left alone (`None`: nothing was there).
    Changed(Option<Stored>),
}

/// Removes `shown` if it is still the current record. A hold that its run used is restored.
///
/// A heartbeat since then counts as a change: a holder that still writes is alive.
///
/// # Errors
/// Permanent errors at once, transient ones after fifteen seconds.
pub async fn remove(
    store: &dyn Store,
    host: &dyn Host,
    shown: &Stored,
) -> Result<Removal, StoreError> {
    let mut unanswered = false;
    let mut backoff = Backoff::default();
    loop {
        let request = remove_unless_renewed(store, shown);
        match backoff.attempt(host, PATIENCE, store, request).await {
            Ok(Swap::Done(_)) => return Ok(Removal::Removed),
            // An earlier request of ours may have removed it; the current record came later.
            Ok(Swap::Refused(other)) if unanswered && !is_same_lock(shown, other.as_ref()) => {
                return Ok(Removal::Removed);
            }
            Ok(Swap::Refused(other)) => return Ok(Removal::Changed(other)),
            Err(error) => {
                unanswered |= error.kind.may_have_been_applied();
                match backoff.pause(host, PATIENCE) {
                    Some(pause) if error.kind.is_transient() => host.sleep(pause).await,
                    _ => return Err(error),
                }
            }
        }
    }
}

/// Compares heartbeats where the store's swap does not: a holder that still writes is alive.
async fn remove_unless_renewed(store: &dyn Store, shown: &Stored) -> Result<Swap, StoreError> {
    let has_heartbeats = shown
        .record
        .lease
        .as_ref()
        .is_some_and(|lease| lease.heartbeat.is_some());
    if has_heartbeats && store.heartbeats() != Heartbeats::Compared {
        let current = store.read().await.map_err(StoreError::before_writing)?;
        if current.as_ref().map(|stored| &stored.record) != Some(&shown.record) {
            return Ok(Swap::Refused(current));
        }
    }
    store.swap(Some(shown), shown.record.returns_to()).await
}

fn is_same_lock(shown: &Stored, other: Option<&Stored>) -> bool {
    other.is_some_and(|other| {
        let nothing_tells = shown.record.info.is_none() && other.record.info.is_none();
        nothing_tells || other.record.is_same_lock_as(&shown.record)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::record::Record;
    use crate::lock::store::StoreErrorKind;
    use crate::lock::store::memory::{Fault, MemoryStore};
    use crate::simulation::{SimulatedHost, Simulation};

    /// A lock that a person was shown.
    struct Scene {
        simulation: Simulation,
        host: SimulatedHost,
        store: MemoryStore,
        shown: Stored,
    }

    impl Scene {
        fn new() -> Self {
            Self::with(Heartbeats::Compared, beating)
        }

        fn with(heartbeats: Heartbeats, change: impl FnOnce(&mut Record)) -> Self {
            let simulation = Simulation::default();
            let host = simulation.machine().tflock();
            let store = MemoryStore::new(heartbeats);
            let mut record = other_record(&host);
            change(&mut record);
            store.overwrite(Some(record));
            Self {
                shown: store.current().unwrap(),
                simulation,
                host,
                store,
            }
        }

        fn remove(&self) -> Result<Removal, StoreError> {
            self.remove_while(|| {})
        }

        /// Removes it; `change` happens after the first attempt and before the second.
        fn remove_while(&self, change: impl FnOnce()) -> Result<Removal, StoreError> {
            let changing = async {
                self.host.sleep(Duration::from_millis(1)).await;
                change();
            };
            let removing = remove(&self.store, &self.host, &self.shown);
            self.simulation
                .run(async { tokio::join!(removing, changing).0 })
        }
    }

    fn beating(record: &mut Record) {
        record.lease.as_mut().unwrap().heartbeat = Some(3);
    }

    fn other_record(host: &SimulatedHost) -> Record {
        let claim = host.claim(None);
        Record::new(&claim.info, claim.lease)
    }

    #[test]
    fn the_record_that_was_shown_is_removed_with_one_request() {
        let scene = Scene::new();
        assert_eq!(scene.remove().unwrap(), Removal::Removed);
        assert_eq!((scene.store.current(), scene.store.requests()), (None, 1));
    }

    #[test]
    fn a_record_that_has_changed_is_left_alone() {
        let scene = Scene::new();
        let renewed = scene.shown.record.renewed(scene.host.wall());
        scene.store.overwrite(Some(renewed));
        let now = scene.store.current();
        assert_eq!(scene.remove().unwrap(), Removal::Changed(now.clone()));
        assert_eq!(scene.store.current(), now);
    }

    #[test]
    fn heartbeats_are_compared_first_where_a_swap_does_not_compare_them() {
        let without = |record: &mut Record| record.lease.as_mut().unwrap().heartbeat = None;
        let scene = Scene::with(Heartbeats::NotCompared, beating);
        assert_eq!(scene.remove().unwrap(), Removal::Removed);
        assert_eq!((scene.store.current(), scene.store.requests()), (None, 2));
        let scene = Scene::with(Heartbeats::NotCompared, without);
        assert_eq!(scene.remove().unwrap(), Removal::Removed);
        assert_eq!(scene.store.requests(), 1);

        let scene = Scene::with(Heartbeats::NotCompared, beating);
        let renewed = scene.shown.record.renewed(scene.host.wall());
        scene.store.overwrite(Some(renewed));
        let now = scene.store.current();
        assert_eq!(scene.remove().unwrap(), Removal::Changed(now.clone()));
        assert_eq!((scene.store.current(), scene.store.requests()), (now, 1));
    }

    #[test]
    fn after_a_lost_reply_a_record_without_an_info_may_be_the_one_that_was_shown() {
        let anonymous = |record: &mut Record| record.info = None;
        for (shown_without, there_without) in [(true, true), (true, false), (false, true)] {
            let scene = Scene::with(Heartbeats::Compared, |record| {
                if shown_without {
                    anonymous(record);
                }
            });
            scene.store.inject([Fault::ReplyLost]);
            let mut next = other_record(&scene.host);
            if there_without {
                anonymous(&mut next);
            }
            let removal = scene.remove_while(|| scene.store.overwrite(Some(next)));
            let expected = match (shown_without, there_without) {
                (true, true) => Removal::Changed(scene.store.current()),
                _ => Removal::Removed,
            };
            assert_eq!(removal.unwrap(), expected);
        }
    }

    #[test]
    fn a_record_that_is_already_gone_counts_as_changed() {
        let scene = Scene::new();
        scene.store.overwrite(None);
        assert_eq!(scene.remove().unwrap(), Removal::Changed(None));
    }

    #[test]
    fn a_removal_whose_reply_was_lost_is_a_removal() {
        let scene = Scene::new();
        scene.store.inject([Fault::ReplyLost]);
        assert_eq!(scene.remove().unwrap(), Removal::Removed);
    }

    #[test]
    fn a_removal_whose_reply_was_lost_leaves_the_next_holder_alone() {
        let scene = Scene::new();
        scene.store.inject([Fault::ReplyLost]);
        let next = other_record(&scene.host);
        let removal = scene.remove_while(|| scene.store.overwrite(Some(next.clone())));
        assert_eq!(removal.unwrap(), Removal::Removed);
        assert_eq!(scene.store.current().unwrap().record, next);
    }

    #[test]
    fn after_a_lost_reply_the_next_holder_is_recognised_even_if_it_has_the_same_id() {
        let scene = Scene::new();
        scene.store.inject([Fault::ReplyLost]);
        let mut info = scene.shown.record.lock_info().unwrap();
        info.created = "2026-01-01T00:00:00.000000001Z".into();
        let next = Record {
            info: Some(info.to_go_json()),
            ..scene.shown.record.clone()
        };
        let removal = scene.remove_while(|| scene.store.overwrite(Some(next.clone())));
        assert_eq!(removal.unwrap(), Removal::Removed);
        assert_eq!(scene.store.current().unwrap().record, next);
    }

    #[test]
    fn a_heartbeat_after_a_lost_request_counts_as_a_change() {
        let scene = Scene::new();
        scene.store.inject([Fault::RequestLost]);
        let renewed = scene.shown.record.renewed(scene.host.wall());
        let removal = scene.remove_while(|| scene.store.overwrite(Some(renewed)));
        let now = scene.store.current();
        assert!(now.is_some());
        assert_eq!(removal.unwrap(), Removal::Changed(now));
    }

    #[test]
    fn a_record_that_vanished_while_requests_were_throttled_was_not_removed_by_us() {
        let scene = Scene::new();
        let throttled = Fault::Refused(StoreErrorKind::Throttled);
        scene.store.inject([throttled]);
        let removal = scene.remove_while(|| scene.store.overwrite(None));
        assert_eq!(removal.unwrap(), Removal::Changed(None));
    }

    #[test]
    fn a_removal_is_retried_for_fifteen_seconds() {
        let scene = Scene::new();
        scene.store.inject(vec![Fault::RequestLost; 100]);
        assert_eq!(
            scene.remove().unwrap_err().kind,
            StoreErrorKind::Unreachable
        );
        let (shortest, longest) = (Duration::from_secs(15), Duration::from_secs(17));
        assert!((shortest..=longest).contains(&scene.simulation.elapsed()));
        assert!(scene.store.current().is_some());
    }

    #[test]
    fn a_forbidden_removal_fails_at_once() {
        let scene = Scene::new();
        let forbidden = Fault::Refused(StoreErrorKind::AccessDenied);
        scene.store.inject([forbidden]);
        assert_eq!(
            scene.remove().unwrap_err().kind,
            StoreErrorKind::AccessDenied
        );
        assert_eq!(scene.store.requests(), 1);
    }
}
