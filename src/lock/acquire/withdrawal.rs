//! The end of an acquisition that got no lock: whatever its attempts may have left is removed.

use std::time::Duration;

use super::attempts::Attempted;
use super::{AcquireError, Claim};
use crate::lock::backoff::Backoff;
use crate::lock::host::Host;
use crate::lock::own::OwnRecords;
use crate::lock::record::LockId;
use crate::lock::store::{Store, StoreError, Swap};

/// How long to try to withdraw an attempt that may have succeeded.
pub(super) const WITHDRAWAL_PATIENCE: Duration = Duration::from_secs(5);

/// Cleans up after an acquisition that got no lock.
pub(super) struct Withdrawal<'a> {
    id: &'a LockId,
    own: &'a OwnRecords,
    store: &'a dyn Store,
    host: &'a dyn Host,
}

impl<'a> Withdrawal<'a> {
    pub(super) fn of(
        claim: &'a Claim,
        own: &'a OwnRecords,
        store: &'a dyn Store,
        host: &'a dyn Host,
    ) -> Self {
        Self {
            id: &claim.info.id,
            own,
            store,
            host,
        }
    }

    /// Removes the record of an attempt whose reply was lost, if it succeeded after all.
    pub(super) async fn carry_out(&self, patience: Duration) -> Result<(), AcquireError> {
        if self.own.is_empty() {
            return Ok(());
        }
        let mut backoff = Backoff::default();
        loop {
            let removal = remove_own(self.store, self.own);
            let attempt = backoff.attempt(self.host, patience, self.store, removal);
            let Err(error) = attempt.await else {
                return Ok(());
            };
            match backoff.pause(self.host, patience) {
                Some(pause) if error.kind.is_transient() => self.host.sleep(pause).await,
                _ => {
                    return Err(AcquireError {
                        error,
                        maybe_left: Some(self.id.clone()),
                    });
                }
            }
        }
    }

    /// Does so before the attempts end in another way.
    pub(super) async fn before(&self, ending: Attempted) -> Result<Attempted, AcquireError> {
        self.carry_out(WITHDRAWAL_PATIENCE).await?;
        Ok(ending)
    }

    /// Does so after a stop request.
    pub(super) async fn after_stop(&self, patience: Duration) -> Result<Attempted, AcquireError> {
        self.carry_out(patience).await?;
        Ok(Attempted::Stopped)
    }

    /// Does so after `error` has ended the acquisition.
    pub(super) async fn after(&self, error: StoreError) -> AcquireError {
        let withdrawn = self.carry_out(WITHDRAWAL_PATIENCE).await;
        AcquireError {
            error,
            maybe_left: withdrawn.err().and_then(|error| error.maybe_left),
        }
    }
}

pub(super) async fn remove_own(store: &dyn Store, own: &OwnRecords) -> Result<(), StoreError> {
    while let Some(stored) = store.read().await? {
        if !own.contains(&stored.record) {
            break;
        }
        let rest = stored.record.returns_to();
        if let Swap::Done(_) = store.swap(Some(&stored), rest).await? {
            own.remove_attempt(&stored.record);
            break;
        }
    }
    // A lock that an earlier release left behind is gone, too.
    own.clear_held();
    Ok(())
}
