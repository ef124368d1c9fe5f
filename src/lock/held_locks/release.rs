//! Releasing the locks of a run: all at once, each from its last store to its first.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::HeldLocks;
use super::renewal::{KeptLock, Loss, Ownership};
use crate::lock::held_lock::{RELEASE_PATIENCE, Release};
use crate::lock::record::LockId;
use crate::lock::store::{Identity, StoreError};
use crate::lock::together::all;

/// The outcome of a release.
#[derive(Debug, Default)]
pub struct Released {
    /// What may still be held.
    pub failed: Vec<NotReleased>,
    /// What was found to be lost only now.
    pub lost: Vec<Loss>,
}

/// A lock that could not be released from one store.
#[derive(Debug)]
pub struct NotReleased {
    /// The last error.
    pub error: StoreError,
    /// The lock's name.
    pub key: String,
    /// Where it is.
    pub place: Identity,
    /// The ID of the record that is left.
    pub id: LockId,
}

impl HeldLocks {
    /// Releases what is still ours: all locks at once, so that none waits for another's store; the stores of one lock in reverse
    /// order.
    pub async fn release(&mut self, retrying: impl FnMut(&StoreError)) -> Released {
        let retrying = RefCell::new(retrying);
        let retrying = |error: &StoreError| (retrying.borrow_mut())(error);
        let mut locks: BTreeMap<usize, Vec<&mut KeptLock>> = BTreeMap::new();
        for kept in self.kept.iter_mut().rev() {
            locks.entry(kept.lock).or_default().push(kept);
        }
        let releases = locks
            .into_values()
            .rev()
            .map(|places| release_one_by_one(places, &retrying));
        let mut released = Released::default();
        for one in all(releases).await {
            released.failed.extend(one.failed);
            released.lost.extend(one.lost);
        }
        released
    }
}

async fn release_one_by_one(
    places: Vec<&mut KeptLock>,
    retrying: &impl Fn(&StoreError),
) -> Released {
    let mut released = Released::default();
    for kept in places {
        if kept.ownership == Ownership::Lost {
            continue;
        }
        match kept.held.release(RELEASE_PATIENCE, retrying).await {
            Ok(Release::Released) => {}
            Ok(Release::Lost(now)) => {
                kept.ownership = Ownership::Lost;
                released.lost.push(kept.loss(now));
            }
            Err(error) => released.failed.push(NotReleased {
                key: kept.held.store().key().to_owned(),
                place: kept.held.store().identity(),
                id: kept.held.id().clone(),
                error,
            }),
        }
    }
    released
}
