//! A store in memory for tests of the protocol, with faults that can be injected.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::companion::{Companion, Purpose};
use super::{
    Heartbeats, Identity, Revision, Store, StoreError, StoreErrorKind, StoreFuture, Stored, Swap,
};
use crate::lock::record::Record;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is carried out and answered.
    None,
    /// It is carried out, but the answer is lost.
    ReplyLost,
    /// It is lost.
    RequestLost,
    /// It is refused without being carried out.
    Refused(StoreErrorKind),
    /// It is lost, and the request hangs.
    Silence,
    /// It is carried out, and the request hangs.
    SilenceAfter,
    /// A swap is refused because of a record that is gone before anyone can read it.
    FreedMeanwhile,
    /// A swap is refused although the record is the expected one.
    NeverEqual,
}

/// One lock, shared by all clones.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    heartbeats: Heartbeats,
    place: Rc<RefCell<Option<(Record, u64)>>>,
    revisions: Rc<Cell<u64>>,
    faults: Rc<RefCell<VecDeque<Fault>>>,
    requests: Rc<Cell<u64>>,
    queue: Option<Rc<MemoryStore>>,
    history: Option<Rc<MemoryStore>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Heartbeats::Compared)
    }
}

impl MemoryStore {
    /// A free lock.
    #[must_use]
    pub fn new(heartbeats: Heartbeats) -> Self {
        Self {
            heartbeats,
            place: Rc::default(),
            revisions: Rc::default(),
            faults: Rc::default(),
            requests: Rc::default(),
            queue: None,
            history: None,
        }
    }

    /// A free lock that can have companions.
    #[must_use]
    pub fn with_companions() -> Self {
        Self {
            queue: Some(Rc::default()),
            history: Some(Rc::default()),
            ..Self::default()
        }
    }

    /// The store of the companion for that purpose, if there is one.
    #[must_use]
    pub fn beside(&self, purpose: Purpose) -> Option<&MemoryStore> {
        match purpose {
            Purpose::Queue => self.queue.as_deref(),
            Purpose::Doctor => None,
            Purpose::History => self.history.as_deref(),
        }
    }

    /// Sets faults for the next requests, in order; later ones succeed.
    pub fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.borrow_mut().extend(faults);
    }

    /// Cancels the faults that have not happened yet.
    pub fn recover(&self) {
        self.faults.borrow_mut().clear();
    }

    /// The number of requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Overwrites the record, outside of the protocol.
    pub fn overwrite(&self, record: Option<Record>) {
        *self.place.borrow_mut() = record.map(|record| (record, self.next_revision()));
    }

    fn next_revision(&self) -> u64 {
        self.revisions.set(self.revisions.get() + 1);
        self.revisions.get()
    }

    /// The current record, without faults.
    #[must_use]
    pub fn current(&self) -> Option<Stored> {
        self.place
            .borrow()
            .as_ref()
            .map(|(record, revision)| Stored {
                record: record.clone(),
                revision: Revision::Bytes(revision.to_be_bytes().to_vec()),
            })
    }

    async fn request<T>(
        &self,
        action: &'static str,
        carry_out: impl FnOnce(&Self) -> T,
    ) -> Result<T, StoreError> {
        self.requests.set(self.requests.get() + 1);
        let fault = self.faults.borrow_mut().pop_front().unwrap_or(Fault::None);
        let error = |kind| StoreError {
            action,
            place: self.place(),
            kind,
            message: format!("{kind:?}"),
            remedy: None,
        };
        match fault {
            Fault::None | Fault::FreedMeanwhile | Fault::NeverEqual => Ok(carry_out(self)),
            Fault::ReplyLost => {
                carry_out(self);
                Err(error(StoreErrorKind::Unreachable))
            }
            Fault::RequestLost => Err(error(StoreErrorKind::Unreachable)),
            Fault::Silence => std::future::pending().await,
            Fault::SilenceAfter => {
                carry_out(self);
                std::future::pending().await
            }
            Fault::Refused(kind) => Err(error(kind)),
        }
    }
}

impl Store for MemoryStore {
    fn read(&self) -> StoreFuture<'_, Option<Stored>> {
        Box::pin(self.request("read", Self::current))
    }

    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        Box::pin(async move {
            let fault = self.faults.borrow().front().copied();
            self.request("swap", |store| {
                let current = store.current();
                match fault {
                    Some(Fault::FreedMeanwhile) => return Swap::Refused(None),
                    Some(Fault::NeverEqual) => return Swap::Refused(current),
                    _ => {}
                }
                let same = match (&current, expected) {
                    (None, None) => true,
                    (Some(current), Some(expected)) => current.revision == expected.revision,
                    _ => false,
                };
                if same {
                    store.overwrite(new.cloned());
                    Swap::Done(store.current())
                } else {
                    Swap::Refused(current)
                }
            })
            .await
        })
    }

    fn heartbeats(&self) -> Heartbeats {
        self.heartbeats
    }

    fn key(&self) -> &'static str {
        "lock"
    }

    fn identity(&self) -> Identity {
        let place = Rc::as_ptr(&self.place);
        Identity::of(&[self.kind(), &format!("{place:p}")])
    }

    fn place(&self) -> String {
        "memory".into()
    }

    fn kind(&self) -> &'static str {
        "memory"
    }

    fn companion(&self, purpose: Purpose) -> Option<Companion> {
        let place = self.beside(purpose)?;
        Some(Companion::new(Rc::new(place.clone())))
    }
}
