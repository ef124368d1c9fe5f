//! `tflock status`: who holds the lock, and whether that run is alive.

pub(super) mod json;
mod offer;
mod watch;

use std::io::IsTerminal as _;
use std::rc::Rc;

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use self::json::as_json;
pub(super) use self::offer::changed;
use self::offer::offer;
use crate::cli::StatusArguments;
use crate::context::{Context, block_on};
use crate::environment::variable;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::host::{Host as _, Machine};
use crate::lock::liveness::{Assessment, Liveness, Observer};
use crate::lock::queue::{self, Ticket};
use crate::lock::read::read;
use crate::lock::store::{Revision, Store, Stored};
use crate::resolve::{self, LockRequest};
use crate::session::Outcome;
use crate::terraform::directory::is_terraform_directory;
use crate::terraform::own_lock::OwnLock;
use crate::text::printable;
use crate::ui::{self, holder};

/// How often to check a holder that seems to have stopped.
const WATCH_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// One part of the lock, as observed.
pub(super) struct ObservedPart {
    pub store: Rc<dyn Store>,
    pub held: Option<(Stored, Assessment)>,
    /// terraform's own lock, if tflock does not support it: this part says nothing about that.
    pub unspoken: Option<OwnLock>,
    /// The runs that wait for it, once [`Self::read_queue`] was called.
    pub queue: Vec<Ticket>,
}

impl ObservedPart {
    /// Those of the `parts` that are held.
    pub(super) fn held_of(parts: &[Self]) -> Vec<(&dyn Store, &Stored, &Assessment)> {
        let held = parts.iter().filter_map(|part| {
            let (stored, assessment) = part.held.as_ref()?;
            Some((part.store.as_ref(), stored, assessment))
        });
        held.collect()
    }

    /// Reads the queue of a held lock.
    async fn read_queue(&mut self, machine: &Machine) {
        self.queue = match &self.held {
            Some((stored, _)) => {
                let holder = stored.record.lock_id();
                queue::read(self.store.as_ref(), machine, holder.as_ref()).await
            }
            None => Vec::new(),
        };
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LockStatus {
    Free,
    /// Only terraform can tell.
    Unknown,
    Stale,
    Held,
}

impl LockStatus {
    fn of(part: &ObservedPart) -> Self {
        match (&part.held, &part.unspoken) {
            (None, None) => Self::Free,
            (None, Some(_)) => Self::Unknown,
            (Some((_, assessment)), _) => Self::of_held(assessment),
        }
    }

    /// The status of a lock that someone holds.
    pub(super) fn of_held(assessment: &Assessment) -> Self {
        match assessment.liveness {
            Liveness::Stale | Liveness::Gone(_) => Self::Stale,
            Liveness::Alive | Liveness::Silent | Liveness::Unknown | Liveness::Hold => Self::Held,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Unknown => "unknown",
            Self::Stale => "stale",
            Self::Held => "held",
        }
    }
}

/// Shows the lock.
///
/// # Errors
/// Why it cannot be read.
pub fn run(context: &Context, arguments: &StatusArguments) -> anyhow::Result<Outcome> {
    block_on(show(context, arguments)).context("starting the runtime")?
}

async fn show(context: &Context, arguments: &StatusArguments) -> anyhow::Result<Outcome> {
    if arguments.watch {
        return watch::watch(context, arguments).await;
    }
    let mut parts = look(context).await?;
    for part in &mut parts {
        part.read_queue(&context.machine()).await;
    }
    if arguments.json {
        ui::print_json(&as_json(&parts))?;
        return Ok(outcome(&parts, arguments));
    }
    for part in &parts {
        ui::print(&as_text(part, context.machine().wall()))?;
    }
    // If stdout is a pipe, its reader is a program, which should not have to wait for an answer.
    let can_ask = context.ui.can_ask() && std::io::stdout().is_terminal();
    if can_ask && offer(context, &parts).await? == LockStatus::Free {
        return Ok(Outcome::Exit(0));
    }
    Ok(outcome(&parts, arguments))
}

/// Reads one part. A holder that seems to have stopped by our clock is watched for one heartbeat: other machines'
/// clocks are not trusted.
async fn look_at(
    context: &Context,
    store: &dyn Store,
) -> Result<Option<(Stored, Assessment)>, Failure> {
    let machine = context.machine();
    let mut observer = Observer::default();
    let mut was_told = false;
    while let Some(stored) = read(store, &machine).await? {
        let assessment = observer.look(&machine, &stored);
        let Some(left) = assessment.settles_in else {
            return Ok(Some((stored, assessment)));
        };
        // Scripts need not know why this takes so long.
        if console::user_attended_stderr() && !std::mem::replace(&mut was_told, true) {
            context.ui.notice(&format!(
                "the holder seems to have stopped; watching for its next heartbeat, {} s at most",
                left.as_secs()
            ));
        }
        machine.sleep(left.min(WATCH_EVERY)).await;
    }
    Ok(None)
}

/// The parts of the lock, before any request.
pub(super) async fn find(context: &Context) -> Result<Vec<ObservedPart>, Failure> {
    let directory = context.working_directory();
    let resolved = resolve::find(LockRequest::new(&context.options, &directory)).await?;
    let part = |store| ObservedPart {
        store,
        held: None,
        unspoken: resolved.unspoken.clone(),
        queue: Vec::new(),
    };
    Ok(resolved.stores.into_iter().map(part).collect())
}

/// The stores of these parts.
pub(super) fn stores_of(parts: &[ObservedPart]) -> Vec<Rc<dyn Store>> {
    parts.iter().map(|part| Rc::clone(&part.store)).collect()
}

pub(super) async fn look(context: &Context) -> Result<Vec<ObservedPart>, Failure> {
    let mut parts = find(context).await?;
    for part in &mut parts {
        part.held = look_at(context, part.store.as_ref()).await?;
    }
    check_directory(context, &parts)?;
    Ok(parts)
}

/// Refuses to call a lock free in a directory that terraform has never used.
fn check_directory(context: &Context, parts: &[ObservedPart]) -> Result<(), Failure> {
    let directory = context.working_directory();
    let is_free = parts.iter().all(|part| part.held.is_none());
    if is_free
        && context.options.lock_id.is_none()
        && !is_terraform_directory(&directory, &variable)
    {
        return Err(Failure::new(
            exit_code::CONFIGURATION,
            format!(
                "there is neither a configuration nor a state in `{}`",
                directory.display()
            ),
        )
        .hint("did you mean another directory? put `-chdir=DIR` before the command"));
    }
    Ok(())
}

fn status(parts: &[ObservedPart]) -> LockStatus {
    parts
        .iter()
        .map(LockStatus::of)
        .max()
        .unwrap_or(LockStatus::Free)
}

fn outcome(parts: &[ObservedPart], arguments: &StatusArguments) -> Outcome {
    if !arguments.exit_code {
        return Outcome::Exit(0);
    }
    Outcome::Exit(match status(parts) {
        LockStatus::Free => 0,
        LockStatus::Unknown => exit_code::CONFIGURATION,
        LockStatus::Held => exit_code::HELD,
        LockStatus::Stale => exit_code::LOST,
    })
}

fn as_text(part: &ObservedPart, now: DateTime<Utc>) -> String {
    let mut rows = vec![("in", where_it_is(part))];
    if let (None, Some(own)) = (&part.held, &part.unspoken) {
        rows.push(("to know", own.advice.clone()));
    }
    if let Some((stored, assessment)) = &part.held {
        rows.extend(holder::rows(&stored.record, assessment, now));
        rows.extend(ui::queue::rows(&part.queue, now));
    }
    lock_as_text(LockStatus::of(part), part.store.key(), &rows)
}

/// One lock for people: its status and name, and below them what is known about it.
pub(super) fn lock_as_text(
    status: LockStatus,
    key: &str,
    rows: &[(&'static str, String)],
) -> String {
    let style = match status {
        LockStatus::Free => console::Style::new().green(),
        LockStatus::Stale => console::Style::new().red(),
        LockStatus::Held | LockStatus::Unknown => console::Style::new().yellow(),
    };
    let word = style.bold().apply_to(status.word());
    let mut lines = vec![format!("{word}  {}", printable(key))];
    lines.extend(ui::stdout_rows(rows));
    lines.push(String::new());
    lines.join("\n")
}

/// Where the lock is: in our store, or terraform's own if that is held or is the one that counts.
fn where_it_is(part: &ObservedPart) -> String {
    match (&part.held, &part.unspoken) {
        (Some((stored, _)), _) if is_kernels(stored) => {
            "terraform's own lock on the state file".to_owned()
        }
        (None, Some(own)) => own.place.clone(),
        _ => part.store.place(),
    }
}

/// Whether it is a kernel lock of a plain terraform.
fn is_kernels(stored: &Stored) -> bool {
    matches!(stored.revision, Revision::KernelLock { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::liveness::{Proof, Replacement};
    use crate::lock::record::{LockInfo, Record};
    use crate::lock::store::memory::MemoryStore;

    /// A part whose holder has this liveness; `None` if it is free.
    fn part(liveness: Option<Liveness>) -> ObservedPart {
        let store = MemoryStore::default();
        let held = liveness.map(|liveness| {
            store.overwrite(Some(Record {
                info: Some(LockInfo::default().to_go_json()),
                lease: None,
            }));
            let assessment = Assessment {
                liveness,
                silence: None,
                replacement: Replacement::No,
                misses_heartbeats: false,
                settles_in: None,
            };
            (store.current().unwrap(), assessment)
        });
        ObservedPart {
            store: Rc::new(store),
            held,
            queue: Vec::new(),
            unspoken: None,
        }
    }

    fn exit_code_of(parts: &[ObservedPart]) -> Outcome {
        let arguments = StatusArguments {
            json: false,
            watch: false,
            exit_code: true,
        };
        outcome(parts, &arguments)
    }

    #[test]
    fn the_status_of_a_lock_in_two_places_is_that_of_the_one_that_is_held_more_firmly() {
        use Liveness::{Alive, Gone, Silent, Stale, Unknown};
        // From free to firmly held.
        let ranks = [
            (0, vec![None]),
            (76, vec![Some(Stale), Some(Gone(Proof::Ended))]),
            (75, vec![Some(Alive), Some(Silent), Some(Unknown)]),
        ];
        for (rank, (code, these)) in ranks.iter().enumerate() {
            for one in these {
                assert_eq!(exit_code_of(&[part(*one)]), Outcome::Exit(*code), "{one:?}");
                for other in ranks[..=rank].iter().flat_map(|(_, others)| others) {
                    for both in [[*one, *other], [*other, *one]] {
                        let outcome = exit_code_of(&both.map(part));
                        assert_eq!(outcome, Outcome::Exit(*code), "{both:?}");
                    }
                }
            }
        }
    }
}
