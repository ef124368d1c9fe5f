//! Reads and writes the history of one lock.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::{Entry, History};
use crate::lock::host::Host;
use crate::lock::store::companion::{
    Companion, Document, Edit, KnownDocument, OnFailure, Persistence, Purpose,
};
use crate::lock::store::{Store, StoreError};

/// How long to retry an entry.
const PATIENCE: Duration = Duration::from_secs(30);
const PERSISTENCE: Persistence = Persistence {
    patience: PATIENCE,
    attempt: PATIENCE,
    on_failure: OnFailure::Retry,
};
/// How long an entry may delay a command that has finished everything else.
const AT_THE_END: Duration = Duration::from_secs(1);

/// The history of one lock. Failures are not reported.
pub struct Recorder {
    companion: Companion,
    host: Rc<dyn Host>,
    /// `None` if there is no usable document. Locked during a request, so that another one waits for its result.
    seen: Mutex<Option<KnownDocument>>,
}

impl Recorder {
    /// The history of the lock in these stores, kept in one of them: rather beside an item than beside an object, whose
    /// bucket may be versioned.
    #[must_use]
    pub fn of(stores: &[Rc<dyn Store>], host: Rc<dyn Host>) -> Option<Self> {
        let companion = place(stores)?.companion(Purpose::History)?;
        Some(Self {
            companion,
            host,
            seen: Mutex::new(Some(KnownDocument::Unread)),
        })
    }

    /// Reads the document in advance, so that an entry takes one request at the end.
    pub async fn look(&self) {
        let mut seen = self.seen.lock().await;
        if *seen == Some(KnownDocument::Unread) {
            match self.companion.read().await {
                Ok(found) => *seen = Some(KnownDocument::Read(found)),
                Err(error) if error.kind.is_transient() => {}
                Err(_) => *seen = None,
            }
        }
    }

    /// Adds an entry, retrying for half a minute.
    pub async fn add(&self, entry: Entry) {
        let mut seen = self.seen.lock().await;
        let Some(seen) = seen.as_mut() else {
            return;
        };
        let edit = |document: Option<&Document>| {
            let history = match document {
                None => Some(History::default()),
                // A document that we do not understand is left alone.
                Some(document) => History::parse(document.text()),
            };
            let text = history.and_then(|mut history| {
                history.add(entry.clone());
                history.to_text()
            });
            text.map_or(Edit::Refuse, Edit::Write)
        };
        // Nothing depends on it.
        let _ = self
            .companion
            .edit(self.host.as_ref(), PERSISTENCE, seen, edit)
            .await;
    }

    /// Adds an entry at the end of a command, which waits for a second at most.
    pub async fn add_at_end(&self, entry: Entry) {
        tokio::select! {
            biased;
            () = self.add(entry) => {}
            () = self.host.sleep(AT_THE_END) => {}
        }
    }
}

fn place(stores: &[Rc<dyn Store>]) -> Option<&Rc<dyn Store>> {
    let is_object = |store: &&Rc<dyn Store>| store.kind() == "s3";
    stores
        .iter()
        .find(|store| !is_object(store))
        .or(stores.first())
}

/// The history of the lock in these stores, the latest holder last.
///
/// # Errors
/// The store's error.
pub async fn read(stores: &[Rc<dyn Store>]) -> Result<Vec<Entry>, StoreError> {
    let companion = place(stores).and_then(|store| store.companion(Purpose::History));
    let Some(companion) = companion else {
        return Ok(Vec::new());
    };
    let document = companion.read().await?;
    let history = document.and_then(|document| History::parse(document.text()));
    Ok(history.unwrap_or_default().entries)
}
