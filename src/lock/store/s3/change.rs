//! Compare-and-swap from single requests: the server compares if it can, else we do.

use super::S3Store;
use super::lease::kept;
use super::requests::Condition;
use crate::lock::record::Record;
use crate::lock::store::aws::Server;
use crate::lock::store::{Revision, StoreError, StoreErrorKind, Stored, Swap};

/// Who compares the current object with the expected one. Learnt once per server.
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
                // The object is wrong, not the condition: delete nothing to make room for it.
                Condition::Refused(error)
                    if new.is_some() && error.kind == StoreErrorKind::Rejected =>
                {
                    return Err(error);
                }
                // Amazon's servers do compare: the object has changed.
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
        // The expected object is there: a server that refuses cannot compare.
        comparison.set(Comparison::OnlyByUs);
        self.delete(None).await?;
        match new {
            None => Ok(Swap::Done(None)),
            // Never overwrite another's: whoever came first has it.
            Some(record) => self.create(record).await,
        }
    }

    /// Reads the current object during a swap; a failure here changed nothing.
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

/// Whether `current` is the expected lock, not renewed since. Lock IDs are unique, so the contents tell; for an object
/// without an ID the server's tag must match too.
fn is_same(expected: &Stored, current: &Stored) -> bool {
    let lease = |stored: &Stored| stored.record.lease.as_ref().map(kept);
    expected.record.info == current.record.info
        && lease(expected) == lease(current)
        && (expected.revision == current.revision || current.record.lock_id().is_some())
}
