//! `tflock status`: who holds the lock, and whether they are alive.

use std::io::IsTerminal as _;
use std::rc::Rc;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::cli::StatusArguments;
use crate::context::{Context, block_on};
use crate::environment::variable;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::acquire::{Observed, Patience};
use crate::lock::evict::{Removal, remove};
use crate::lock::host::Host as _;
use crate::lock::liveness::{Assessment, Liveness, Observer};
use crate::lock::read::read;
use crate::lock::store::{Revision, Store, Stored};
use crate::resolve::{self, LockRequest};
use crate::session::Outcome;
use crate::terraform::directory::is_terraform_directory;
use crate::terraform::own_lock::OwnLock;
use crate::text::printable;
use crate::ui::waiting::Waiting;
use crate::ui::{self, Reply, holder};

/// How often a wait for the end of a lock looks.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(700);

/// How often a holder that seems silent is looked at.
const WATCH_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// What stands in one place of the lock.
pub(super) struct Seen {
    pub store: Rc<dyn Store>,
    pub held: Option<(Stored, Assessment)>,
    /// terraform's own lock, of which this one tells nothing.
    pub unspoken: Option<OwnLock>,
}

/// The lock as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Free,
    /// Only terraform could tell.
    Unknown,
    Stale,
    Held,
}

impl Standing {
    fn of(place: &Seen) -> Self {
        match (&place.held, &place.unspoken) {
            (None, None) => Self::Free,
            (None, Some(_)) => Self::Unknown,
            (Some((_, assessment)), _) => match assessment.liveness {
                Liveness::Stale | Liveness::Gone(_) => Self::Stale,
                Liveness::Alive | Liveness::Silent | Liveness::Unknown => Self::Held,
            },
        }
    }

    fn word(self) -> &'static str {
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
/// Whatever keeps it from being read.
pub fn run(context: &Context, arguments: &StatusArguments) -> anyhow::Result<Outcome> {
    block_on(show(context, arguments)).context("starting the runtime")?
}

async fn show(context: &Context, arguments: &StatusArguments) -> anyhow::Result<Outcome> {
    let seen = look(context).await?;
    if arguments.json {
        ui::print_json(&as_json(&seen))?;
        return Ok(outcome(&seen, arguments));
    }
    for place in &seen {
        ui::print(&as_text(place, context.machine().wall()))?;
    }
    // With stdout in a pipe the answer goes to a program, which nobody should have to wait for.
    let can_ask = context.ui.can_ask() && std::io::stdout().is_terminal();
    if can_ask && offer(context, &seen).await? == Standing::Free {
        return Ok(Outcome::Exit(0));
    }
    Ok(outcome(&seen, arguments))
}

/// Reads one place. A holder that seems silent by its own clock is watched for one heartbeat: other machines' clocks are not
/// trusted.
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
        // A script has no need to know what takes so long.
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

/// Reads every place of the lock.
pub(super) async fn look(context: &Context) -> Result<Vec<Seen>, Failure> {
    let directory = context.working_directory();
    let resolved = resolve::find(LockRequest {
        options: &context.options,
        environment: variable,
        directory: &directory,
        command: None,
    })
    .await?;
    let mut seen: Vec<Seen> = Vec::new();
    for store in resolved.stores {
        seen.push(Seen {
            held: look_at(context, store.as_ref()).await?,
            store,
            unspoken: resolved.unspoken.clone(),
        });
    }
    let is_free = seen.iter().all(|place| place.held.is_none());
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
        .hint("did you mean another directory? name it with `-chdir=DIR` before the command"));
    }
    Ok(seen)
}

fn standing(seen: &[Seen]) -> Standing {
    seen.iter()
        .map(Standing::of)
        .max()
        .unwrap_or(Standing::Free)
}

fn outcome(seen: &[Seen], arguments: &StatusArguments) -> Outcome {
    if !arguments.exit_code {
        return Outcome::Exit(0);
    }
    Outcome::Exit(match standing(seen) {
        Standing::Free => 0,
        Standing::Unknown => exit_code::CONFIGURATION,
        Standing::Held => exit_code::HELD,
        Standing::Stale => exit_code::LOST,
    })
}

fn as_text(place: &Seen, now: DateTime<Utc>) -> String {
    let standing = Standing::of(place);
    let style = match standing {
        Standing::Free => console::Style::new().green(),
        Standing::Stale => console::Style::new().red(),
        Standing::Held | Standing::Unknown => console::Style::new().yellow(),
    };
    let mut lines = vec![format!(
        "{}  {}",
        style.bold().apply_to(standing.word()),
        printable(place.store.key())
    )];
    let mut rows = vec![("in", where_it_is(place))];
    if let (None, Some(own)) = (&place.held, &place.unspoken) {
        rows.push(("to know", own.advice.clone()));
    }
    if let Some((stored, assessment)) = &place.held {
        rows.extend(holder::rows(&stored.record, assessment, now));
    }
    lines.extend(ui::stdout_rows(&rows));
    lines.push(String::new());
    lines.join("\n")
}

/// Where the lock is: terraform's own may be held, or may be the one that counts.
fn where_it_is(place: &Seen) -> String {
    match (&place.held, &place.unspoken) {
        (Some((stored, _)), _) if is_kernels(stored) => {
            "terraform's own lock on the state file".to_owned()
        }
        (None, Some(own)) => own.place.clone(),
        _ => place.store.place(),
    }
}

/// Whether it is a lock that the kernel keeps, for a plain terraform.
fn is_kernels(stored: &Stored) -> bool {
    matches!(stored.revision, Revision::KernelLock { .. })
}

fn as_json(seen: &[Seen]) -> Value {
    json!({
        "status": standing(seen).word(),
        "locks": seen.iter().map(place_as_json).collect::<Vec<_>>(),
    })
}

fn place_as_json(place: &Seen) -> Value {
    json!({
        "status": Standing::of(place).word(),
        "lock_id": place.store.key(),
        "store": match (&place.held, &place.unspoken) {
            (None, Some(own)) => &own.backend,
            _ => place.store.kind(),
        },
        "place": where_it_is(place),
        "holder": place.held.as_ref().map(|(stored, assessment)| holder_as_json(stored, assessment)),
    })
}

fn holder_as_json(stored: &Stored, assessment: &Assessment) -> Value {
    let info = stored.record.lock_info();
    let lease = stored.record.lease.as_ref();
    json!({
        "liveness": assessment.liveness.word(),
        "process": process(stored),
        "silent_for_seconds": assessment.silence.map(|silence| silence.as_secs()),
        "info": info.as_ref().map(|info| json!(info)),
        "raw_info": stored.record.info.as_ref().filter(|_| info.is_none()),
        "tflock": lease.map(|lease| json!(lease)),
    })
}

/// The process that has the lock, where the kernel tells.
fn process(stored: &Stored) -> Option<u32> {
    match stored.revision {
        Revision::KernelLock { process } => process,
        _ => None,
    }
}

/// Ends with a question where there is something to confirm; its default is no. Says how the lock stands then.
async fn offer(context: &Context, seen: &[Seen]) -> Result<Standing, Failure> {
    let standing = standing(seen);
    let question = match standing {
        Standing::Free | Standing::Unknown => return Ok(standing),
        Standing::Stale => "Release it?",
        Standing::Held => "Wait until it is free?",
    };
    if context.ui.confirm(question) == Reply::No {
        return Ok(standing);
    }
    for place in seen {
        if standing == Standing::Stale {
            release(context, place).await?;
        } else {
            wait_until_free(context, place.store.as_ref()).await?;
        }
    }
    context.ui.notice(match standing {
        Standing::Stale => "released",
        Standing::Held | Standing::Unknown | Standing::Free => "the lock is free",
    });
    Ok(Standing::Free)
}

async fn release(context: &Context, place: &Seen) -> Result<(), Failure> {
    let Some((shown, _)) = &place.held else {
        return Ok(());
    };
    match remove(place.store.as_ref(), &context.machine(), shown).await? {
        Removal::Removed => Ok(()),
        Removal::Changed(_) => Err(changed(context, place.store.as_ref())),
    }
}

pub(super) fn changed(context: &Context, store: &dyn Store) -> Failure {
    Failure::new(
        exit_code::REFUSED,
        format!(
            "the lock `{}` has changed since it was shown, and was left alone",
            store.key()
        ),
    )
    .hint(format!(
        "look again with `{}`",
        context.command_line("status")
    ))
}

async fn wait_until_free(context: &Context, store: &dyn Store) -> Result<(), Failure> {
    let machine = context.machine();
    let started = machine.now();
    let mut observer = Observer::default();
    let mut waiting = Waiting::new(
        &context.ui,
        store.key(),
        context.options.wait,
        machine.wall(),
    );
    while let Some(stored) = read(store, &machine).await? {
        let look = Observed {
            assessment: observer.look(&machine, &stored),
            waited: machine.now().since(started),
            stored,
        };
        if let Patience::For(limit) = context.options.wait
            && look.waited >= limit
        {
            waiting.end();
            let longer = context.typed_waiting_longer();
            return Err(Failure::new(exit_code::HELD, "the lock is still held")
                .hint(format!("wait longer with `{longer}`")));
        }
        waiting.held(&look, machine.wall());
        machine.sleep(machine.jittered(LOOK_EVERY)).await;
    }
    Ok(())
}
