//! Lists all locks of a table, bucket or directory. Everything else there is left out: terraform's digests, the companions
//! of locks, items that are not locks.

use std::collections::HashMap;

use super::host::Host;
use super::liveness::{Assessment, Observer};
use super::read::patiently;
use super::record::Record;
use super::store::{Store, StoreError};

/// Separates the lock's name from the companion's own in the name of a companion.
const COMPANION: &str = "-tflock-";

/// A lock that is held.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its name in the store.
    pub key: String,
    /// The record.
    pub record: Record,
    /// What is known about its holder.
    pub assessment: Assessment,
}

/// Lists locks repeatedly: a second look can tell more about a holder that only seems silent.
#[derive(Debug, Default)]
pub struct Lister {
    observers: HashMap<String, Observer>,
}

impl Lister {
    /// All locks in the container of `store`, by name.
    ///
    /// # Errors
    /// Permanent errors at once, transient ones after ten seconds.
    pub async fn list(
        &mut self,
        store: &dyn Store,
        host: &dyn Host,
    ) -> Result<Vec<Listed>, StoreError> {
        let mut locks = Vec::new();
        let mut next = None;
        loop {
            let asked = host.now();
            let page = patiently(store, host, || store.list(next.as_deref())).await?;
            for (key, record) in page.records {
                if is_lock(&key, &record) {
                    let observer = self.observers.entry(key.clone()).or_default();
                    locks.push(Listed {
                        assessment: observer.assess(host, &record, asked),
                        key,
                        record,
                    });
                }
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        locks.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(locks)
    }
}

/// Whether this is a lock, of tflock or of plain terraform.
fn is_lock(key: &str, record: &Record) -> bool {
    let key = key.strip_suffix(".tflock").unwrap_or(key);
    let is_companion = key.rsplit_once(COMPANION).is_some_and(|(_, word)| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())
    });
    !is_companion && record.lock_id().is_some()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lock::liveness::Liveness;
    use crate::lock::store::StoreErrorKind;
    use crate::lock::store::memory::{Fault, MemoryStore};
    use crate::simulation::Simulation;

    #[test]
    fn what_is_not_a_lock_is_left_out() {
        let host = Simulation::default().machine().tflock();
        let claim = host.claim(None);
        let lock = Record::new(&claim.info, claim.lease);
        let other = |info: Option<&str>| Record {
            info: info.map(ToOwned::to_owned),
            lease: None,
        };
        for (key, record, is) in [
            ("locks/app", &lock, true),
            ("locks/app.tflock", &lock, true),
            ("team-tflock-test/app", &lock, true),
            ("locks/app-tflock-", &lock, true),
            ("locks/app-tflock-queue", &lock, false),
            ("locks/app-tflock-history", &lock, false),
            ("locks/app-tflock-turn.tflock", &lock, false),
            ("locks/app-md5", &other(None), false),
            ("locks/app", &other(Some("by hand")), false),
            ("locks/app", &other(Some("{}")), false),
        ] {
            assert_eq!(is_lock(key, record), is, "{key}");
        }
    }

    #[test]
    fn a_page_is_retried_through_transient_errors_and_a_second_look_remembers_the_first() {
        let simulation = Simulation::default();
        let host = simulation.machine().tflock();
        let store = MemoryStore::default();
        let claim = simulation.machine().tflock().claim(None);
        let mut lease = claim.lease;
        lease.heartbeat = Some(0);
        store.overwrite(Some(Record::new(&claim.info, lease)));
        let throttled = Fault::Refused(StoreErrorKind::Throttled);
        store.inject([throttled, Fault::RequestLost]);
        let mut lister = Lister::default();
        let liveness = |lister: &mut Lister| {
            let locks = simulation.run(lister.list(&store, &host)).unwrap();
            assert_eq!(locks.len(), 1);
            locks[0].assessment.liveness
        };
        assert_eq!(liveness(&mut lister), Liveness::Silent);
        simulation.run(host.sleep(Duration::from_mins(2)));
        assert_eq!(liveness(&mut lister), Liveness::Stale);
        store.inject([Fault::Refused(StoreErrorKind::AccessDenied)]);
        let refused = simulation.run(lister.list(&store, &host)).unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::AccessDenied);
    }
}
