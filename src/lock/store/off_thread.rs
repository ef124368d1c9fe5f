//! Runs a blocking store on other threads: a file system can hang, but the thread that renews locks and handles signals
//! must not.

use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::companion::{Companion, Purpose};
use super::{
    Heartbeats, Identity, Page, Store, StoreError, StoreErrorKind, StoreFuture, Stored, Swap,
};
use crate::lock::record::Record;

/// How long one request may take, including up to five seconds of waiting for another process.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// A store that can make another one for a lock of another name.
pub trait Renamed: Store {
    /// The store of the lock `key`.
    #[must_use]
    fn renamed(&self, key: &str) -> Self;
}

/// A store whose requests run on other threads.
///
/// An abandoned request continues, as with a server, and changes only the record that it compares.
#[derive(Debug)]
pub struct OffThread<S> {
    store: S,
    answered_within: Duration,
}

impl<S: Renamed + Clone + Send + 'static> OffThread<S> {
    /// Wraps `store`.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            store,
            answered_within: ANSWERED_WITHIN,
        }
    }

    async fn carry_out<T: Send + 'static>(
        &self,
        action: &'static str,
        request: impl FnOnce(&S, &Handle) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, runtime) = (self.store.clone(), Handle::current());
        let answer = spawn_blocking(move || request(&store, &runtime));
        match timeout(self.answered_within, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(ended)) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime cancels it.
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
            remedy: Some("set TFLOCK_LOCAL_DIR to a directory on another file system".to_owned()),
        }
    }
}

impl<S: Renamed + Clone + Send + 'static> Store for OffThread<S> {
    fn read(&self) -> StoreFuture<'_, Option<Stored>> {
        Box::pin(self.carry_out("reading", |store, runtime| runtime.block_on(store.read())))
    }

    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        let action = if new.is_some() { "writing" } else { "removing" };
        let (expected, new) = (expected.cloned(), new.cloned());
        Box::pin(self.carry_out(action, move |store, runtime| {
            runtime.block_on(store.swap(expected.as_ref(), new.as_ref()))
        }))
    }

    fn heartbeats(&self) -> Heartbeats {
        self.store.heartbeats()
    }

    fn key(&self) -> &str {
        self.store.key()
    }

    fn identity(&self) -> Identity {
        self.store.identity()
    }

    fn place(&self) -> String {
        self.store.place()
    }

    fn kind(&self) -> &'static str {
        self.store.kind()
    }

    fn companion(&self, purpose: Purpose) -> Option<Companion> {
        let beside = self.store.renamed(&purpose.name_beside(self.key()));
        Some(Companion::new(Rc::new(Self::new(beside))))
    }

    fn list<'a>(&'a self, after: Option<&'a str>) -> StoreFuture<'a, Page> {
        let after = after.map(str::to_owned);
        Box::pin(self.carry_out("listing", move |store, runtime| {
            runtime.block_on(store.list(after.as_deref()))
        }))
    }

    fn container(&self) -> String {
        self.store.container()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that hangs forever.
    #[derive(Clone)]
    struct Hung;

    impl Renamed for Hung {
        fn renamed(&self, _: &str) -> Self {
            Self
        }
    }

    fn hang() -> ! {
        loop {
            std::thread::park();
        }
    }

    impl Store for Hung {
        fn read(&self) -> StoreFuture<'_, Option<Stored>> {
            Box::pin(async { hang() })
        }

        fn swap<'a>(
            &'a self,
            _: Option<&'a Stored>,
            _: Option<&'a Record>,
        ) -> StoreFuture<'a, Swap> {
            Box::pin(async { hang() })
        }

        fn heartbeats(&self) -> Heartbeats {
            Heartbeats::Compared
        }

        fn key(&self) -> &'static str {
            "lock"
        }

        fn identity(&self) -> Identity {
            Identity::of(&[self.kind()])
        }

        fn place(&self) -> String {
            "a file".to_owned()
        }

        fn kind(&self) -> &'static str {
            "hung"
        }
    }

    #[test]
    fn a_hanging_file_system_is_abandoned_and_does_not_block_the_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let store = OffThread {
            store: Hung,
            answered_within: Duration::from_millis(20),
        };
        runtime.block_on(async {
            // A hanging request may still be carried out.
            let read = store.read().await.unwrap_err();
            assert!(read.kind.may_have_been_applied(), "{read}");
            let write = store.swap(None, None).await.unwrap_err();
            assert!(write.kind.may_have_been_applied(), "{write}");
        });
        runtime.shutdown_background();
    }
}
