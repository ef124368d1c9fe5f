//! Companions of a lock: tflock's own documents, such as its queue, under names derived from the lock's.
//!
//! They live in the same table, bucket or directory and change by compare-and-swap too, but are never part of the lock's
//! record, which stays what plain terraform expects. Everything works without them.

mod edit;

use std::rc::Rc;

pub use self::edit::{Edit, Edited, KnownDocument, OnFailure, Persistence};
use super::{Store, StoreError, Stored, Swap};
use crate::lock::record::Record;

/// What a companion is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The runs that wait for the lock, in order.
    Queue,
    /// A scratch record for the tests of `doctor`, which removes it again.
    Doctor,
    /// The previous holders of the lock.
    History,
}

impl Purpose {
    /// The name of the companion of the lock `name`.
    #[must_use]
    pub fn name_beside(self, name: &str) -> String {
        let suffix = match self {
            Self::Queue => "queue",
            Self::Doctor => "doctor",
            Self::History => "history",
        };
        format!("{name}-tflock-{suffix}")
    }
}

/// The longest field, in characters.
const LONGEST_FIELD: usize = 200;

/// Cuts long fields, so that a document with many of them stays short.
pub fn shorten<'a>(fields: impl IntoIterator<Item = &'a mut String>) {
    for field in fields {
        if let Some((end, _)) = field.char_indices().nth(LONGEST_FIELD) {
            field.truncate(end);
        }
    }
}

/// A companion's text as read from the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Document(Stored);

impl Document {
    /// Its text; empty if someone else wrote a record without one.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.record.info.as_deref().unwrap_or_default()
    }
}

/// The result of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Done: this is the current document (`None`: there is none).
    Done(Option<Document>),
    /// Another document was there and was left alone (`None`: there was none).
    Refused(Option<Document>),
}

/// One companion of a lock. Clones share its connection.
#[derive(Clone)]
pub struct Companion(Rc<dyn Store>);

impl Companion {
    /// The companion in `place`, a store that holds no lock.
    #[must_use]
    pub fn new(place: Rc<dyn Store>) -> Self {
        Self(place)
    }

    /// Reads the current document.
    ///
    /// # Errors
    /// The store's error.
    pub async fn read(&self) -> Result<Option<Document>, StoreError> {
        Ok(self.0.read().await?.map(Document))
    }

    /// Replaces `expected` by `text` if it is still the current document (`None`: no document).
    ///
    /// # Errors
    /// The store's error.
    pub async fn change(
        &self,
        expected: Option<&Document>,
        text: Option<&str>,
    ) -> Result<Change, StoreError> {
        let record = text.map(|text| Record {
            info: Some(text.to_owned()),
            lease: None,
        });
        let expected = expected.map(|document| &document.0);
        Ok(match self.0.swap(expected, record.as_ref()).await? {
            Swap::Done(now) => Change::Done(now.map(Document)),
            Swap::Refused(now) => Change::Refused(now.map(Document)),
        })
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.0.place()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::store::memory::{Fault, MemoryStore};
    use crate::simulation::Simulation;

    #[test]
    fn a_companion_is_named_after_its_lock() {
        let name = Purpose::Queue.name_beside("states/prod/app.tfstate");
        assert_eq!(name, "states/prod/app.tfstate-tflock-queue");
    }

    #[test]
    fn a_failing_companion_leaves_the_lock_alone() {
        let store = MemoryStore::with_companions();
        let beside = store.beside(Purpose::Queue).unwrap();
        beside.inject([Fault::ReplyLost]);
        let companion = store.companion(Purpose::Queue).unwrap();
        Simulation::default().run(async {
            assert!(companion.change(None, Some("[]")).await.is_err());
            let Change::Refused(Some(now)) = companion.change(None, Some("[1]")).await.unwrap()
            else {
                panic!("it was written although the reply was lost")
            };
            assert_eq!(now.text(), "[]");
            let gone = companion.change(Some(&now), None).await.unwrap();
            assert_eq!(gone, Change::Done(None));
        });
        assert_eq!((store.requests(), beside.requests()), (0, 3));
    }

    #[test]
    fn a_store_without_companions_has_none() {
        let store = MemoryStore::default();
        assert!(store.companion(Purpose::Queue).is_none());
    }
}
