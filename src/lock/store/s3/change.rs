//! Compare-and-swap from single requests: the server compares if it can, else we do.

use super::S3Store;
use super::lease::leaves_room;
use super::requests::Condition;
use super::settings::Renewals;
use crate::lock::record::{Lease, Record};
use crate::lock::store::aws::Server;
use crate::lock::store::{Revision, SET_UP, Store as _, StoreError, StoreErrorKind, Stored, Swap};

/// Who compares the current object with the expected one. Learned once per server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The server, as far as we know.
    ByServer,
    /// We alone: the server cannot.
    OnlyByUs,
}

impl S3Store {
    pub(super) async fn compare_and_swap(
        &self,
        expected: Option<&Stored>,
        new: Option<&Record>,
    ) -> Result<Swap, StoreError> {
        self.wire.begin();
        if let Some(record) = new {
            self.can_keep(record)?;
        }
        match (expected, new) {
            (Some(expected), new) => self.change(expected, new).await,
            (None, Some(record)) => self.create(record).await,
            (None, None) => Ok(match self.get().await? {
                None => Swap::Done(None),
                current => Swap::Refused(current),
            }),
        }
    }

    /// Refuses a hold where it could be lost. When a run replaces the hold, and when it restores it, the lock must not be
    /// free for a moment, so the server must be able to do that in one write.
    ///
    /// # Errors
    /// The server may not be able to, or the record of a run under the hold has no room for it.
    fn can_keep(&self, record: &Record) -> Result<(), StoreError> {
        let Some(hold) = record.hold() else {
            return Ok(());
        };
        let (message, remedy) = if !self.compares_on_writes() {
            (
                "this S3 server is not known to honour `If-Match` on writes, which a hold needs: without it, the lock would be free for a moment whenever a run under the hold starts or ends",
                "if it does honour `If-Match`, set TFLOCK_S3_HEARTBEAT=on, also for the runs under the hold",
            )
        } else if record.is_hold() && !leaves_room(hold) {
            (
                "the hold is too long for the metadata of an S3 object",
                "give a shorter `--reason`",
            )
        } else {
            return Ok(());
        };
        Err(StoreError {
            action: SET_UP,
            place: self.place(),
            kind: StoreErrorKind::Unsuitable,
            message: message.to_owned(),
            remedy: Some(remedy.to_owned()),
        })
    }

    async fn create(&self, record: &Record) -> Result<Swap, StoreError> {
        match self.put(None, record).await? {
            Condition::Held(stored) => Ok(Swap::Done(Some(stored))),
            Condition::Failed | Condition::Conflict => Ok(Swap::Refused(self.current().await?)),
            Condition::Unsupported(error) => Err(error),
        }
    }

    /// Replaces or deletes exactly `expected`.
    async fn change(&self, expected: &Stored, new: Option<&Record>) -> Result<Swap, StoreError> {
        match new {
            Some(record) if self.compares_on_writes() => self.replace(expected, record).await,
            Some(record) => match self.remove(expected).await? {
                // Never overwrite: if another run was faster, it has the lock.
                Swap::Done(_) => self.create(record).await,
                refused @ Swap::Refused(_) => Ok(refused),
            },
            None => self.remove(expected).await,
        }
    }

    /// Whether the server is known to compare before it overwrites an object. Another server might overwrite another run's
    /// lock, or report success and do nothing.
    fn compares_on_writes(&self) -> bool {
        self.wire.server() == Server::Amazon || self.settings.renewals != Renewals::Off
    }

    async fn replace(&self, expected: &Stored, record: &Record) -> Result<Swap, StoreError> {
        let Revision::EntityTag(tag) = &expected.revision else {
            return Ok(Swap::Refused(Some(expected.clone())));
        };
        match self.put(Some(tag), record).await? {
            Condition::Held(stored) => Ok(Swap::Done(Some(stored))),
            Condition::Failed | Condition::Conflict => Ok(Swap::Refused(self.current().await?)),
            Condition::Unsupported(error) => Err(error),
        }
    }

    async fn remove(&self, expected: &Stored) -> Result<Swap, StoreError> {
        if self.deletions.get() == Comparison::ByServer {
            let current = match self.wire.server() {
                Server::Amazon => expected.clone(),
                Server::Other => match self.current().await? {
                    Some(current) if is_same(expected, &current) => current,
                    other => return Ok(Swap::Refused(other)),
                },
            };
            let Revision::EntityTag(tag) = &current.revision else {
                return Ok(Swap::Refused(Some(current)));
            };
            match self.delete(Some(tag)).await? {
                Condition::Held(()) => return Ok(Swap::Done(None)),
                Condition::Conflict => return Ok(Swap::Refused(self.current().await?)),
                // Amazon's servers do compare: the object has changed.
                Condition::Failed if self.wire.server() == Server::Amazon => {
                    return Ok(Swap::Refused(self.current().await?));
                }
                Condition::Failed | Condition::Unsupported(_) => {}
            }
        }
        match self.current().await? {
            Some(current) if is_same(expected, &current) => {}
            other => return Ok(Swap::Refused(other)),
        }
        // The expected object is there: a server that refuses cannot compare.
        self.deletions.set(Comparison::OnlyByUs);
        self.delete(None).await?;
        Ok(Swap::Done(None))
    }

    /// Reads the current object during a swap; a failure here changed nothing.
    async fn current(&self) -> Result<Option<Stored>, StoreError> {
        self.get().await.map_err(StoreError::before_writing)
    }
}

/// Whether `current` is the expected lock, not renewed since. Lock IDs are unique, so the contents tell; for an object
/// without an ID the server's tag must match too.
fn is_same(expected: &Stored, current: &Stored) -> bool {
    let lease = |stored: &Stored| stored.record.lease.as_ref().map(Lease::kept_everywhere);
    expected.record.info == current.record.info
        && lease(expected) == lease(current)
        && (expected.revision == current.revision || current.record.lock_id().is_some())
}
