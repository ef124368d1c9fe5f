//! The local store on a thread of its own: a file system can hang, and the one thread that renews locks and hears signals
//! must not hang with it.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::local::LocalStore;
use super::{Answer, Heartbeats, Identity, Store, StoreError, StoreErrorKind, Stored, Swap};
use crate::lock::record::Record;

/// How long one request may take. It waits up to five seconds for that of another process.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// A local store whose requests are carried out by other threads.
///
/// One that is given up goes on nevertheless, as a request to a server does, and changes only the record that it compares.
#[derive(Debug)]
pub struct OffThread(LocalStore);

impl OffThread {
    /// The same lock as `store`.
    #[must_use]
    pub fn new(store: LocalStore) -> Self {
        Self(store)
    }

    async fn carry_out<T: Send + 'static>(
        &self,
        action: &'static str,
        request: impl FnOnce(&LocalStore, &Handle) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, runtime) = (self.0.clone(), Handle::current());
        let answer = spawn_blocking(move || request(&store, &runtime));
        match timeout(ANSWERED_WITHIN, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(ended)) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime ends it before its time.
                Err(_) => Err(self.no_answer(action)),
            },
            Err(_) => Err(self.no_answer(action)),
        }
    }

    fn no_answer(&self, action: &'static str) -> StoreError {
        StoreError {
            action,
            place: self.place(),
            kind: StoreErrorKind::Unreachable,
            message: "the file system does not answer".to_owned(),
            remedy: Some(
                "name a directory on another file system with TFLOCK_LOCAL_DIR".to_owned(),
            ),
        }
    }
}

impl Store for OffThread {
    fn read(&self) -> Answer<'_, Option<Stored>> {
        Box::pin(self.carry_out("reading", |store, runtime| runtime.block_on(store.read())))
    }

    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> Answer<'a, Swap> {
        let action = if new.is_some() { "writing" } else { "removing" };
        let (expected, new) = (expected.cloned(), new.cloned());
        Box::pin(self.carry_out(action, move |store, runtime| {
            runtime.block_on(store.swap(expected.as_ref(), new.as_ref()))
        }))
    }

    fn heartbeats(&self) -> Heartbeats {
        self.0.heartbeats()
    }

    fn key(&self) -> &str {
        self.0.key()
    }

    fn identity(&self) -> Identity {
        self.0.identity()
    }

    fn place(&self) -> String {
        self.0.place()
    }

    fn kind(&self) -> &'static str {
        self.0.kind()
    }
}
