//! What cannot be caused from outside: a bug of ours while the child runs, a signal at the moment when the lock is taken or
//! released, and time that passes between taking the lock and starting the child.

mod endings;
mod moments;

use std::borrow::Cow;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use nix::sys::signal::Signal as Number;
use tempfile::TempDir;

use super::way::Way;
use super::*;
use crate::child::ONE_AT_A_TIME;
use crate::cli;
use crate::lock::acquire::Claim;
use crate::lock::host::{Instant, Machine, ProcessFate};
use crate::lock::own::Own;
use crate::lock::record::{HolderProcess, Lease, LockId, LockInfo, Record};
use crate::lock::store::memory::{Fault, MemoryStore};
use crate::lock::store::{Identity, StoreErrorKind, StoreFuture, Stored, Swap};
use crate::resolve::{InitLock, InitLocked, MissingDirectory};
use crate::simulation::{Alteration, Altered};

/// This machine, but with time a hundred times faster, and a wall clock that panics once the file `sign` exists.
struct Breaking {
    sign: PathBuf,
}

impl Host for Breaking {
    fn now(&self) -> Instant {
        Instant(Machine::default().now().0 * 100)
    }

    fn wall(&self) -> DateTime<Utc> {
        assert!(!self.sign.exists(), "the clock is broken");
        Machine::default().wall()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(tokio::time::sleep(duration / 100))
    }

    fn random(&self) -> [u8; 16] {
        Machine::default().random()
    }

    fn this_process(&self) -> Option<HolderProcess> {
        Machine::default().this_process()
    }

    fn fate_of(&self, holder: &HolderProcess, id: &LockId) -> ProcessFate {
        Machine::default().fate_of(holder, id)
    }
}

/// Calls functions right after the lock was taken and before it is released, and records whether the child had ended before the release.
struct Watched {
    name: &'static str,
    when_taken: fn(),
    when_given_back: fn(),
    last_word: PathBuf,
    released: Rc<Cell<Option<When>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    WithoutLastWord,
    AfterLastWord,
}

impl Alteration for Watched {
    fn swap<'a>(
        &'a self,
        below: &'a dyn Store,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        Box::pin(async move {
            if new.is_none() {
                self.released.set(Some(if self.last_word.exists() {
                    When::AfterLastWord
                } else {
                    When::WithoutLastWord
                }));
                (self.when_given_back)();
                // As long as a real store takes, so that signals are noticed meanwhile.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let swapped = below.swap(expected, new).await;
            if expected.is_none() {
                (self.when_taken)();
            }
            swapped
        })
    }

    fn identity(&self, _: &dyn Store) -> Identity {
        Identity::of(&[self.name])
    }
}

/// A directory for the child's marker files, and the outcome for the lock.
struct Scene {
    directory: TempDir,
    store: MemoryStore,
    turn: MemoryStore,
    released: Rc<Cell<Option<When>>>,
}

/// How a session goes on.
struct Play {
    when_taken: fn(),
    when_given_back: fn(),
    /// What the child runs.
    script: &'static str,
    promise: Option<Duration>,
    success_codes: &'static [u8],
    /// Whether terraform has to lock for itself, and our runs take turns.
    takes_turns: bool,
    /// Whether the clock breaks when the child has started.
    breaks: bool,
}

impl Default for Play {
    fn default() -> Self {
        Self {
            when_taken: || {},
            when_given_back: || {},
            script: TAKES_ITS_TIME,
            promise: None,
            success_codes: &[0],
            takes_turns: false,
            breaks: false,
        }
    }
}

/// A child that records each request to stop, and ends slowly.
const TAKES_ITS_TIME: &str = "trap 'echo asked >>requests' INT TERM; : >started; \
                              while [ ! -e requests ]; do sleep 0.02; done; sleep 0.3; : >last-word";

/// The outcome of a session, or its panic message.
type Ran = Result<Result<Outcome, Failure>, String>;

impl Scene {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            store: MemoryStore::default(),
            turn: MemoryStore::default(),
            released: Rc::default(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, play: &Play) -> Ran {
        self.run_while(play, async {})
    }

    /// Runs the child under a lock, and `meanwhile` concurrently.
    fn run_while(&self, play: &Play, meanwhile: impl Future<Output = ()>) -> Ran {
        self.run_child(play, meanwhile, || {})
    }

    /// The same; `when_held` is called when the lock is held and the child about to be started.
    fn run_child(
        &self,
        play: &Play,
        meanwhile: impl Future<Output = ()>,
        when_held: impl Fn(),
    ) -> Ran {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let context = Context::new(&cli::parse_as_terraform(Vec::new()).unwrap(), None).unwrap();
        let sign = if play.breaks { "started" } else { "never" };
        let host: Rc<dyn Host> = Rc::new(Breaking {
            sign: self.file(sign),
        });
        let watched = |name, store: &MemoryStore| {
            let watched = Watched {
                name,
                when_taken: play.when_taken,
                when_given_back: play.when_given_back,
                last_word: self.file("last-word"),
                released: Rc::clone(&self.released),
            };
            Altered::shared(Rc::new(store.clone()), watched)
        };
        let lock = OneLock {
            number: 0,
            naming: Cow::Borrowed(&context),
            directory: self.directory.path(),
            stores: vec![watched("lock", &self.store)],
            child_locking: ChildLocking::TurnedOff,
            init_lock: play.takes_turns.then(|| InitLock {
                when: InitLocked::Always,
                turn: watched("turn", &self.turn),
            }),
            compared: None,
            missing_directory: MissingDirectory::Refuse,
            claim: claim(play.promise),
            history: None,
            selected: None,
            state: None,
            way: Cell::new(if play.takes_turns {
                Way::Turn
            } else {
                Way::Lock
            }),
        };
        let id = lock.claim.info.id.clone();
        let locks = vec![lock];
        let ui = context.ui.clone();
        let session = Session {
            context: &context,
            reporter: Reporter::new(&context, ui, Rc::clone(&host), &id, &locks),
            id,
            locks,
            run_file: RefCell::default(),
            loans: RefCell::default(),
            may_be_left: Cell::default(),
            begun: host.now(),
            host,
            success_codes: play.success_codes,
            before: RefCell::default(),
            selection: Selection::AtStart,
            selection_watch: RefCell::default(),
            difference: RefCell::default(),
            selection_changed: Cell::default(),
            patience: Patience::Forever,
            hands_on_patience: false,
            longer_wait: String::new(),
            aside: RefCell::default(),
            hook: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let mut signals = Signals::install().unwrap();
                let child = |_: &[_]| {
                    when_held();
                    child(self.directory.path(), play.script)
                };
                let ran = async { tokio::join!(session.run(&child, &mut signals), meanwhile).0 };
                let limit = Duration::from_secs(30);
                tokio::time::timeout(limit, ran).await.expect("in time")
            })
        }));
        ran.map_err(|panic| (*panic.downcast::<&str>().unwrap()).to_owned())
    }

    /// Waits for a file, and for its content if it is one that is written to.
    async fn has(&self, name: &str) {
        while !self.file(name).exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn make(&self, name: &str) {
        std::fs::write(self.file(name), "").unwrap();
    }

    /// The requests to stop that the child has recorded.
    fn requests(&self) -> String {
        std::fs::read_to_string(self.file("requests")).unwrap_or_default()
    }
}

fn claim(promise: Option<Duration>) -> Claim {
    Claim {
        info: LockInfo {
            id: LockId::from_bytes(Machine::default().random()),
            ..LockInfo::default()
        },
        lease: Lease {
            tflock_version: String::new(),
            command: "apply".to_owned(),
            reason: None,
            run_url: None,
            origin: None,
            hold: None,
            heartbeat: None,
            heartbeat_at: None,
            renewed_every: None,
            expire_after: promise,
            holder: Machine::default().this_process(),
        },
        under: None,
        own: Own::default(),
    }
}

fn child(directory: &Path, script: &str) -> Command {
    let mut child = Command::new("sh");
    child.arguments = vec!["-c".into(), script.into()];
    child.directory = Some(directory.to_owned());
    child
}

#[test]
fn a_panic_stops_the_child_gracefully_and_gives_the_lock_back_when_it_has_ended() {
    let scene = Scene::new();
    let panic = scene.run(&Play {
        breaks: true,
        ..Play::default()
    });
    assert_eq!(panic.err().as_deref(), Some("the clock is broken"));
    assert_eq!(scene.released.get(), Some(When::AfterLastWord));
    assert_eq!(scene.store.current(), None);
    assert_eq!(scene.requests(), "asked\n");
}

/// Sends SIGTERM from another process, because tflock ignores signals that it sends itself. Returns when the handlers have
/// run.
fn be_sent_sigterm() {
    let arrived = Arc::new(AtomicBool::new(false));
    let number = Number::SIGTERM as i32;
    let noted = signal_hook::flag::register(number, Arc::clone(&arrived)).unwrap();
    let own = std::process::id().to_string();
    let mut kill = std::process::Command::new("sh");
    assert!(
        kill.args(["-c", "kill -TERM \"$0\"", &own])
            .status()
            .unwrap()
            .success()
    );
    while !arrived.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    signal_hook::low_level::unregister(noted);
}
