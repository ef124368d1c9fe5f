//! `--on-event`: starts a program for each event and writes the event as JSON to its stdin. Never waits for the program.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::event::SessionEvent;
use crate::lock::acquire::{Claim, Observed};
use crate::lock::host::Host;
use crate::lock::queue::QueuePosition;
use crate::lock::record::{Record, go_time};
use crate::lock::store::Store;
use crate::ui::Ui;

/// The version of the objects; they only grow.
const VERSION: u32 = 1;
/// How long the end of a run waits for programs to be started and to get their event.
const STARTING: Duration = Duration::from_millis(500);
/// Enough to start a program.
const STACK: usize = 128 * 1024;

/// The program, and how many are being started.
pub(super) struct Hook {
    program: PathBuf,
    ui: Ui,
    starting: RefCell<usize>,
    told: (Sender<()>, Receiver<()>),
}

impl Hook {
    pub(super) fn new(program: PathBuf, ui: Ui) -> Self {
        Self {
            program,
            ui,
            starting: RefCell::default(),
            told: channel(),
        }
    }

    /// Starts the program, if the event is one of those that are passed on.
    pub(super) fn tell(&self, event: &SessionEvent<'_>, claim: &Claim, host: &dyn Host) {
        let Some((name, Value::Object(details))) = described(event) else {
            return;
        };
        let mut object = json!({
            "version": VERSION,
            "event": name,
            "time": go_time(host.wall()),
            "run": {
                "id": claim.info.id,
                "who": claim.info.who,
                "operation": claim.info.operation,
                "command": claim.lease.command,
                "path": claim.info.path,
                "reason": claim.lease.reason,
                "run_url": claim.lease.run_url,
            },
        });
        if let Some(object) = object.as_object_mut() {
            object.extend(details);
        }
        self.run(format!("{object}\n"));
    }

    /// Runs the program on its own thread: starting it can take long, and so can writing to it.
    fn run(&self, text: String) {
        let (program, ui, told) = (self.program.clone(), self.ui.clone(), self.told.0.clone());
        let started = thread::Builder::new()
            .name("on-event".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let child = start(&program, &text);
                // The receiver may be gone.
                let _ = told.send(());
                let failure = match child.and_then(|mut child| child.wait()) {
                    Ok(status) if status.success() => return,
                    Ok(status) => status.to_string(),
                    Err(error) => error.to_string(),
                };
                ui.detail(|| format!("`--on-event {}`: {failure}", program.display()));
            });
        match started {
            Ok(_) => *self.starting.borrow_mut() += 1,
            Err(error) => self.ui.detail(|| format!("`--on-event`: {error}")),
        }
    }

    /// Call before tflock ends: gives programs that are just being started a moment.
    pub(super) fn settle(&self) {
        let until = Instant::now() + STARTING;
        for _ in 0..self.starting.take() {
            let left = until.saturating_duration_since(Instant::now());
            if self.told.1.recv_timeout(left).is_err() {
                return;
            }
        }
    }
}

/// Starts the program out of reach of the terminal's signals, and writes to its stdin. Its output goes nowhere: a program
/// that reads ours would have to wait for it.
fn start(program: &Path, text: &str) -> io::Result<Child> {
    let mut command = Command::new(program);
    command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    #[expect(
        clippy::disallowed_methods,
        reason = "not the child of a session: nothing waits for it"
    )]
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(text.as_bytes()) {
            // The program need not read it.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    Ok(child)
}

/// The event's name and details; `None` if it is not passed on.
fn described(event: &SessionEvent<'_>) -> Option<(&'static str, Value)> {
    Some(match event {
        SessionEvent::Waiting { store, observed } => (
            "waiting",
            json!({
                "lock": lock(*store),
                "holder": holder(observed),
                "place": observed.position.as_ref().map(QueuePosition::place),
            }),
        ),
        SessionEvent::Stale { store, observed } => (
            "stale",
            json!({ "lock": lock(*store), "holder": holder(observed) }),
        ),
        SessionEvent::Acquired {
            store, replaced, ..
        } => (
            "acquired",
            json!({ "lock": lock(*store), "replaced": replaced.map(holder) }),
        ),
        SessionEvent::Lost(loss) => (
            "lost",
            json!({
                "lock": { "name": loss.key },
                "holder": loss.now.as_ref().map(|stored| described_record(&stored.record)),
            }),
        ),
        SessionEvent::Released(store) => ("released", json!({ "lock": { "name": store.key() } })),
        SessionEvent::NotReleased(failed) => (
            "not-released",
            json!({ "lock": { "name": failed.key }, "error": failed.error.to_string() }),
        ),
        SessionEvent::LeftElsewhere(held) => (
            "not-released",
            json!({
                "lock": lock(held.store()),
                "error": "the command was killed, and the terraform that it started may still be running",
            }),
        ),
        _ => return None,
    })
}

fn lock(store: &dyn Store) -> Value {
    json!({ "name": store.key(), "store": store.kind(), "place": store.place() })
}

fn holder(observed: &Observed) -> Value {
    let mut holder = described_record(&observed.stored.record);
    holder["liveness"] = json!(observed.assessment.liveness.word());
    holder
}

fn described_record(record: &Record) -> Value {
    json!({
        "info": record.lock_info(),
        "command": record.lease.as_ref().map(|lease| &lease.command),
    })
}
