//! Compare-and-swap out of single requests: by the server's comparison where it has one, by ours where it has not.

use super::S3Store;
use super::lease::kept;
use super::requests::Condition;
use crate::lock::record::Record;
use crate::lock::store::aws::Server;
use crate::lock::store::{Revision, StoreError, StoreErrorKind, Stored, Swap};

/// Who compares what is there with what is expected. Asked of a server once, and then remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The server, as far as is known.
    ByServer,
    /// Only we: the server has refused to.
    OnlyByUs,
}

impl S3Store {
    pub(super) async fn compare_and_swap(
        &self,
        expected: Option<&Stored>,
        new: Option<&Record>,
    ) -> Result<Swap, StoreError> {
        self.wire.begin();
        match (expected, new) {
            (Some(expected), new) => self.change(expected, new).await,
            (None, Some(record)) => self.create(record).await,
            (None, None) => Ok(match self.get().await? {
                None => Swap::Done(None),
                current => Swap::Refused(current),
            }),
        }
    }

    async fn create(&self, record: &Record) -> Result<Swap, StoreError> {
        match self.put(None, record).await? {
            Condition::Held(stored) => Ok(Swap::Done(Some(stored))),
            Condition::Failed | Condition::Conflict => Ok(Swap::Refused(self.look().await?)),
            Condition::Refused(error) => Err(error),
        }
    }

    /// Replaces or deletes exactly `expected`.
    async fn change(&self, expected: &Stored, new: Option<&Record>) -> Result<Swap, StoreError> {
        let comparison = match new {
            Some(_) => &self.replacements,
            None => &self.deletions,
        };
        if comparison.get() == Comparison::ByServer {
            let current = match self.wire.server() {
                Server::Amazon => expected.clone(),
                Server::Other => match self.look().await? {
                    Some(current) if is_same(expected, &current) => current,
                    other => return Ok(Swap::Refused(other)),
                },
            };
            let Revision::EntityTag(tag) = &current.revision else {
                return Ok(Swap::Refused(Some(current)));
            };
            let condition = match new {
                Some(record) => self.put(Some(tag), record).await?.map(Some),
                None => self.delete(Some(tag)).await?.map(|()| None),
            };
            match condition {
                Condition::Held(stored) => return Ok(Swap::Done(stored)),
                Condition::Conflict => return Ok(Swap::Refused(self.look().await?)),
                // Not the condition but the object is wrong: nothing is deleted to make place for it.
                Condition::Refused(error)
                    if new.is_some() && error.kind == StoreErrorKind::Rejected =>
                {
                    return Err(error);
                }
                // Amazon's own compares: whatever it refused has changed since.
                Condition::Failed if self.wire.server() == Server::Amazon => {
                    return Ok(Swap::Refused(self.look().await?));
                }
                Condition::Failed | Condition::Refused(_) => {}
            }
        }
        match self.look().await? {
            Some(current) if is_same(expected, &current) => {}
            other => return Ok(Swap::Refused(other)),
        }
        // What is expected is there: a server that says no cannot compare.
        comparison.set(Comparison::OnlyByUs);
        self.delete(None).await?;
        match new {
            None => Ok(Swap::Done(None)),
            // Never over another's: whoever came first has it.
            Some(record) => self.create(record).await,
        }
    }

    /// What is there, while a swap goes on: nothing is changed by this, whatever becomes of it.
    async fn look(&self) -> Result<Option<Stored>, StoreError> {
        self.get().await.map_err(|error| {
            if error.kind.is_transient() {
                StoreError {
                    kind: StoreErrorKind::NotCarriedOut,
                    ..error
                }
            } else {
                error
            }
        })
    }
}

/// Whether `current` is the lock that was expected, and not renewed since. A lock has an ID that no other has, so its
/// contents tell; of an object without one the server must say that it is the same too.
fn is_same(expected: &Stored, current: &Stored) -> bool {
    let lease = |stored: &Stored| stored.record.lease.as_ref().map(kept);
    expected.record.info == current.record.info
        && lease(expected) == lease(current)
        && (expected.revision == current.revision || current.record.lock_id().is_some())
}
