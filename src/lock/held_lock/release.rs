//! Releases a lock: certain, or with an error that says so.

use std::time::Duration;

use super::{Adoptions, HeldLock, Renewal};
use crate::lock::backoff::Backoff;
use crate::lock::store::{StoreError, Stored, Swap};

/// How long to retry a release before reporting it as failed.
pub const RELEASE_PATIENCE: Duration = Duration::from_mins(1);

/// The outcome of a release.
#[derive(Debug, PartialEq)]
pub enum Release {
    /// The lock is released.
    Released,
    /// The lock was no longer ours; the current record was left alone.
    Lost(Option<Stored>),
}

impl HeldLock {
    /// Releases the lock, retrying transient errors; `retrying` is called for each.
    ///
    /// # Errors
    /// Permanent errors at once, transient ones after `patience`.
    pub async fn release(
        &mut self,
        patience: Duration,
        retrying: impl FnMut(&StoreError),
    ) -> Result<Release, StoreError> {
        let released = self.give_back(patience, retrying).await;
        if released.is_ok() {
            self.own.clear_held();
        }
        released
    }

    async fn give_back(
        &mut self,
        patience: Duration,
        mut retrying: impl FnMut(&StoreError),
    ) -> Result<Release, StoreError> {
        let mut unanswered = false;
        let mut backoff = Backoff::default();
        let mut adopted = Adoptions::default();
        self.give_up_renewal();
        loop {
            let rest = self.current.record.returns_to();
            match self.store.swap(Some(&self.current), rest).await {
                Ok(Swap::Done(_)) => return Ok(Release::Released),
                Ok(Swap::Refused(Some(stored))) if self.own.contains(&stored.record) => {
                    adopted.count(self.store.as_ref())?;
                    self.adopt(stored);
                }
                Ok(Swap::Refused(_)) if unanswered => return Ok(Release::Released),
                Ok(Swap::Refused(other)) => return Ok(Release::Lost(other)),
                Err(error) => {
                    unanswered |= error.kind.may_have_been_applied();
                    // The user may log in again meanwhile.
                    let is_retried = error.kind.is_transient() || error.kind.is_about_credentials();
                    match backoff.pause(self.host.as_ref(), patience) {
                        Some(pause) if is_retried => {
                            retrying(&error);
                            self.host.sleep(pause).await;
                            if let Some(Renewal::Lost(now)) = self.renew_if_due().await {
                                return Ok(if unanswered {
                                    Release::Released
                                } else {
                                    Release::Lost(now)
                                });
                            }
                        }
                        _ => return Err(error),
                    }
                }
            }
        }
    }

    /// Keeps the lock alive while the release keeps failing.
    async fn renew_if_due(&mut self) -> Option<Renewal> {
        if self.next > self.host.now() {
            return None;
        }
        self.renew().await.ok()
    }
}
