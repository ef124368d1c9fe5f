//! Reads and writes the history of one lock.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::{Entry, History};
use crate::lock::host::Host;
use crate::lock::store::companion::{Change, Companion, Document, Purpose};
use crate::lock::store::{Store, StoreError};

/// The first pause when another was faster; each is half as long again.
const FIRST_PAUSE: Duration = Duration::from_millis(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long to retry an entry.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an entry may delay a command that has finished everything else.
const AT_THE_END: Duration = Duration::from_secs(1);

/// The history of one lock. Failures are not reported.
pub struct Recorder {
    companion: Companion,
    host: Rc<dyn Host>,
    /// Locked during a request, so that another one waits for its result.
    seen: Mutex<Seen>,
}

/// The document as last seen.
#[derive(Clone, Default)]
enum Seen {
    /// Not read yet.
    #[default]
    Unknown,
    Nothing,
    Document(Document),
    /// It cannot be read, or is not a history.
    Unusable,
}

impl From<Option<Document>> for Seen {
    fn from(found: Option<Document>) -> Self {
        found.map_or(Self::Nothing, Self::Document)
    }
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
            seen: Mutex::default(),
        })
    }

    /// Reads the document in advance, so that an entry takes one request at the end.
    pub async fn look(&self) {
        let mut seen = self.seen.lock().await;
        if let Seen::Unknown = *seen {
            *seen = match self.companion.read().await {
                Ok(found) => found.into(),
                Err(error) if error.kind.is_transient() => Seen::Unknown,
                Err(_) => Seen::Unusable,
            };
        }
    }

    /// Adds an entry, retrying for half a minute.
    pub async fn add(&self, entry: Entry) {
        let begun = self.host.now();
        let mut pause = FIRST_PAUSE;
        while self.host.now().since(begun) < PATIENCE {
            match self.try_to_add(&entry).await {
                Ok(false) => {}
                Err(error) if error.kind.is_transient() => {}
                Ok(true) | Err(_) => return,
            }
            self.host.sleep(self.host.jittered(pause)).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    /// Adds an entry at the end of a command, which waits for a second at most.
    pub async fn add_at_end(&self, entry: Entry) {
        tokio::select! {
            biased;
            () = self.add(entry) => {}
            () = self.host.sleep(AT_THE_END) => {}
        }
    }

    /// Tries once to add the entry. Returns whether it is there, or never will be.
    async fn try_to_add(&self, entry: &Entry) -> Result<bool, StoreError> {
        let mut seen = self.seen.lock().await;
        let expected = match std::mem::take(&mut *seen) {
            Seen::Unknown => self.companion.read().await?,
            Seen::Nothing => None,
            Seen::Document(document) => Some(document),
            Seen::Unusable => return Ok(true),
        };
        let history = match &expected {
            None => Some(History::default()),
            // A document that we do not understand is left alone.
            Some(document) => History::parse(document.text()),
        };
        let Some(mut history) = history else {
            return Ok(true);
        };
        history.add(entry.clone());
        let Some(text) = history.to_text() else {
            return Ok(true);
        };
        let change = self
            .companion
            .change(expected.as_ref(), Some(&text))
            .await?;
        let (is_done, now) = match change {
            Change::Done(now) => (true, now),
            Change::Refused(now) => (false, now),
        };
        *seen = now.into();
        Ok(is_done)
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
