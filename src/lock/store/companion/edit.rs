//! Edits a companion by compare-and-swap, again and again while other runs edit it too.

use std::future::Future;
use std::time::Duration;

use super::{Change, Companion, Document};
use crate::lock::host::Host;
use crate::lock::store::{StoreError, StoreErrorKind};

/// The first pause after another run was faster; each is half as long again.
const FIRST_PAUSE: Duration = Duration::from_millis(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What we know of a companion's document.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum KnownDocument {
    /// Nothing yet: it will be read first.
    #[default]
    Unread,
    /// The document as last seen (`None`: there is none).
    Read(Option<Document>),
}

/// What an edit makes of a document.
#[derive(Debug)]
pub enum Edit {
    /// It is as it should be.
    Keep,
    /// Write this text.
    Write(String),
    /// Remove the document.
    Remove,
    /// Leave it alone: this is not a document that we can edit.
    Refuse,
}

/// How an edit ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Edited {
    /// The document is as it should be.
    Done,
    /// The document was left alone.
    LeftAlone,
    /// Other runs were faster, or the store failed, until patience ran out.
    OutOfTime,
}

/// How long and how stubbornly to edit.
#[derive(Clone, Copy, Debug)]
pub struct Persistence {
    /// When to stop retrying.
    pub patience: Duration,
    /// How long one request may take.
    pub attempt: Duration,
    /// What to do about a transient error.
    pub on_failure: OnFailure,
}

/// What to do about a transient error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Return it.
    Return,
    /// Read the document again and go on.
    Retry,
}

impl Companion {
    /// Applies `edit` to the document until the result is stored. `seen` is kept up to date; after an error, or if the future
    /// is dropped, it is unread, because the write may have succeeded.
    ///
    /// # Errors
    /// Permanent errors, and transient ones unless they are to be retried.
    pub async fn edit(
        &self,
        host: &dyn Host,
        persistence: Persistence,
        seen: &mut KnownDocument,
        mut edit: impl FnMut(Option<&Document>) -> Edit,
    ) -> Result<Edited, StoreError> {
        let began = host.now();
        let mut pause = FIRST_PAUSE;
        loop {
            let is_over = || host.now().since(began) >= persistence.patience;
            match self
                .try_edit(host, persistence.attempt, seen, &mut edit, is_over)
                .await
            {
                Ok(Some(edited)) => return Ok(edited),
                Ok(None) => {}
                Err(error)
                    if error.kind.is_transient() && persistence.on_failure == OnFailure::Retry =>
                {
                    if is_over() {
                        return Ok(Edited::OutOfTime);
                    }
                }
                Err(error) => return Err(error),
            }
            host.sleep(host.jittered(pause)).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    /// Makes one attempt; `None` if another run was faster.
    async fn try_edit(
        &self,
        host: &dyn Host,
        limit: Duration,
        seen: &mut KnownDocument,
        edit: &mut impl FnMut(Option<&Document>) -> Edit,
        is_over: impl Fn() -> bool,
    ) -> Result<Option<Edited>, StoreError> {
        let current = match std::mem::take(seen) {
            KnownDocument::Read(document) => document,
            KnownDocument::Unread => self.within(host, limit, self.read()).await?,
        };
        let text = match edit(current.as_ref()) {
            Edit::Write(text) if !is_over() => Some(text),
            Edit::Remove if !is_over() => None,
            kept => {
                *seen = KnownDocument::Read(current);
                return Ok(Some(match kept {
                    Edit::Keep => Edited::Done,
                    Edit::Refuse => Edited::LeftAlone,
                    Edit::Write(_) | Edit::Remove => Edited::OutOfTime,
                }));
            }
        };
        let change = self.change(current.as_ref(), text.as_deref());
        let (now, edited) = match self.within(host, limit, change).await? {
            Change::Done(now) => (now, Some(Edited::Done)),
            Change::Refused(now) => (now, None),
        };
        *seen = KnownDocument::Read(now);
        Ok(edited)
    }

    async fn within<T>(
        &self,
        host: &dyn Host,
        limit: Duration,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::select! {
            biased;
            answer = request => answer,
            () = host.sleep(limit) => Err(StoreError {
                action: "the request",
                place: self.place(),
                kind: StoreErrorKind::Unreachable,
                message: "no answer in time".to_owned(),
                remedy: None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::store::Store as _;
    use crate::lock::store::companion::Purpose;
    use crate::lock::store::memory::{Fault, MemoryStore};
    use crate::simulation::{SimulatedHost, Simulation};

    const PATIENCE: Duration = Duration::from_secs(5);

    struct Scene {
        simulation: Simulation,
        host: SimulatedHost,
        beside: MemoryStore,
        companion: Companion,
    }

    impl Scene {
        fn new() -> Self {
            let simulation = Simulation::default();
            let store = MemoryStore::with_companions();
            Self {
                host: simulation.machine().tflock(),
                simulation,
                beside: store.beside(Purpose::Queue).unwrap().clone(),
                companion: store.companion(Purpose::Queue).unwrap(),
            }
        }

        /// Appends `x` to the document.
        fn append(
            &self,
            on_failure: OnFailure,
            seen: &mut KnownDocument,
        ) -> Result<Edited, StoreErrorKind> {
            let persistence = Persistence {
                patience: PATIENCE,
                attempt: Duration::from_secs(2),
                on_failure,
            };
            let append = |document: Option<&Document>| {
                let text = document.map(Document::text).unwrap_or_default();
                if text.ends_with('x') {
                    Edit::Keep
                } else {
                    Edit::Write(format!("{text}x"))
                }
            };
            let edit = self.companion.edit(&self.host, persistence, seen, append);
            self.simulation.run(edit).map_err(|error| error.kind)
        }

        fn text(&self) -> Option<String> {
            self.beside.current().and_then(|stored| stored.record.info)
        }
    }

    #[test]
    fn a_document_that_was_read_before_takes_one_request() {
        let scene = Scene::new();
        let mut seen = KnownDocument::Read(None);
        assert_eq!(scene.append(OnFailure::Return, &mut seen), Ok(Edited::Done));
        assert_eq!(scene.text().as_deref(), Some("x"));
        assert_eq!(scene.beside.requests(), 1);
        assert_eq!(scene.append(OnFailure::Return, &mut seen), Ok(Edited::Done));
        assert_eq!(scene.beside.requests(), 1);
    }

    #[test]
    fn an_edit_is_made_again_on_what_another_run_has_written() {
        let scene = Scene::new();
        let mut seen = KnownDocument::Read(None);
        scene.beside.overwrite(Some(crate::lock::record::Record {
            info: Some("theirs ".to_owned()),
            lease: None,
        }));
        assert_eq!(scene.append(OnFailure::Return, &mut seen), Ok(Edited::Done));
        assert_eq!(scene.text().as_deref(), Some("theirs x"));
    }

    #[test]
    fn a_lost_reply_is_an_error_or_is_found_by_reading_again() {
        for (on_failure, outcome) in [
            (OnFailure::Return, Err(StoreErrorKind::Unreachable)),
            (OnFailure::Retry, Ok(Edited::Done)),
        ] {
            let scene = Scene::new();
            let mut seen = KnownDocument::Read(None);
            scene.beside.inject([Fault::ReplyLost]);
            assert_eq!(scene.append(on_failure, &mut seen), outcome);
            assert_eq!(scene.text().as_deref(), Some("x"));
            if on_failure == OnFailure::Return {
                assert_eq!(seen, KnownDocument::Unread);
            }
        }
    }

    #[test]
    fn an_edit_ends_when_patience_does() {
        for fault in [Fault::NeverEqual, Fault::RequestLost, Fault::Silence] {
            let scene = Scene::new();
            scene.beside.inject(vec![fault; 1000]);
            let edited = scene.append(OnFailure::Retry, &mut KnownDocument::Unread);
            assert_eq!(edited, Ok(Edited::OutOfTime), "{fault:?}");
            let (least, most) = (PATIENCE, PATIENCE + Duration::from_secs(3));
            let elapsed = scene.simulation.elapsed();
            assert!((least..=most).contains(&elapsed), "{fault:?}: {elapsed:?}");
        }
    }

    #[test]
    fn a_forbidden_edit_fails_at_once() {
        let scene = Scene::new();
        scene
            .beside
            .inject([Fault::Refused(StoreErrorKind::AccessDenied)]);
        let edited = scene.append(OnFailure::Retry, &mut KnownDocument::Unread);
        assert_eq!(edited, Err(StoreErrorKind::AccessDenied));
        assert_eq!(scene.beside.requests(), 1);
    }
}
