//! Reads a lock, retrying transient errors.

use std::time::Duration;

use super::backoff::Backoff;
use super::host::Host;
use super::store::{Store, StoreError, Stored};

/// How long a store may fail before the read gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the current record.
///
/// # Errors
/// Permanent errors at once, transient ones after ten seconds.
pub async fn read(store: &dyn Store, host: &dyn Host) -> Result<Option<Stored>, StoreError> {
    patiently(store, host, || store.read()).await
}

/// Makes a request to `store` that may safely be repeated, retrying transient errors.
///
/// # Errors
/// As [`read`].
pub async fn patiently<T, Request: Future<Output = Result<T, StoreError>>>(
    store: &dyn Store,
    host: &dyn Host,
    request: impl Fn() -> Request,
) -> Result<T, StoreError> {
    let mut backoff = Backoff::default();
    loop {
        let error = match backoff.attempt(host, PATIENCE, store, request()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match backoff.pause(host, PATIENCE) {
            Some(pause) if error.kind.is_transient() => host.sleep(pause).await,
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::record::Record;
    use crate::lock::store::StoreErrorKind;
    use crate::lock::store::memory::{Fault, MemoryStore};
    use crate::simulation::{SimulatedHost, Simulation};

    fn scene() -> (Simulation, SimulatedHost, MemoryStore) {
        let simulation = Simulation::default();
        let host = simulation.machine().tflock();
        let store = MemoryStore::default();
        let claim = host.claim(None);
        store.overwrite(Some(Record::new(&claim.info, claim.lease)));
        (simulation, host, store)
    }

    #[test]
    fn transient_errors_are_retried() {
        let (simulation, host, store) = scene();
        store.inject([
            Fault::Refused(StoreErrorKind::Throttled),
            Fault::Refused(StoreErrorKind::ServerFailure),
            Fault::RequestLost,
            Fault::ReplyLost,
            Fault::Refused(StoreErrorKind::NotCarriedOut),
        ]);
        let seen = simulation.run(read(&store, &host)).unwrap();
        assert_eq!(seen, store.current());
        assert!(seen.is_some());
        assert_eq!(store.requests(), 6);
    }

    #[test]
    fn a_request_that_hangs_is_repeated() {
        let (simulation, host, store) = scene();
        store.inject([Fault::Silence]);
        assert!(simulation.run(read(&store, &host)).unwrap().is_some());
        assert_eq!(store.requests(), 2);
    }

    #[test]
    fn a_read_gives_up_after_ten_seconds() {
        for fault in [Fault::Silence, Fault::RequestLost] {
            let (simulation, host, store) = scene();
            store.inject(vec![fault; 1000]);
            assert!(simulation.run(read(&store, &host)).is_err());
            assert_eq!(simulation.elapsed(), PATIENCE, "{fault:?}");
        }
    }

    #[test]
    fn a_forbidden_read_fails_at_once() {
        let (simulation, host, store) = scene();
        store.inject([Fault::Refused(StoreErrorKind::AccessDenied)]);
        let error = simulation.run(read(&store, &host)).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::AccessDenied);
        assert_eq!(simulation.elapsed(), Duration::ZERO);
        assert_eq!(store.requests(), 1);
    }
}
