//! `status --watch`: redraws the status at a terminal, and prints each change elsewhere, until the user ends it.

use std::io::IsTerminal as _;
use std::time::Duration;

use console::{Term, truncate_str};

use super::json::as_json;
use super::{LockStatus, ObservedPart, as_text, check_directory, find, outcome};
use crate::child::{Phase, Signals};
use crate::cli::StatusArguments;
use crate::context::Context;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::host::Host as _;
use crate::lock::liveness::Observer;
use crate::lock::read::read;
use crate::lock::record::LockId;
use crate::session::Outcome;
use crate::ui::{self, keys::Keys};

/// How often to read: a holder renews only every ten seconds, but people want to see at once that it has ended.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How often to look for a key.
const KEYS_EVERY: Duration = Duration::from_millis(100);
const LAST_LINE: &str = "watching; q or Ctrl-C ends it";

/// What counts as a change: passing time does not.
#[derive(PartialEq)]
struct Snapshot {
    status: &'static str,
    info: Option<String>,
    liveness: Option<&'static str>,
    queue: Vec<LockId>,
}

impl Snapshot {
    fn of(part: &ObservedPart) -> Self {
        let held = part.held.as_ref();
        Self {
            status: LockStatus::of(part).word(),
            info: held.and_then(|(stored, _)| stored.record.info.clone()),
            liveness: held.map(|(_, assessment)| assessment.liveness.word()),
            queue: part.queue.iter().map(|ticket| ticket.id.clone()).collect(),
        }
    }
}

/// Shows the lock until `q`, Ctrl-C or another signal.
///
/// # Errors
/// Why it cannot be read or shown.
pub(super) async fn watch(
    context: &Context,
    arguments: &StatusArguments,
) -> anyhow::Result<Outcome> {
    let mut signals = Signals::install()
        .map_err(|error| Failure::new(exit_code::BUG, format!("no signal handlers: {error}")))?;
    let in_place = std::io::stdout().is_terminal() && !arguments.json;
    let keys = in_place.then(Keys::listen).flatten();
    let mut parts = find(context).await?;
    let mut observers: Vec<Observer> = parts.iter().map(|_| Observer::default()).collect();
    let mut picture = Picture::default();
    let mut seen = None;
    let machine = context.machine();
    loop {
        for (part, observer) in parts.iter_mut().zip(&mut observers) {
            let stored = tokio::select! {
                biased;
                _ = signals.end_requested(Phase::Waiting) => {
                    return Ok(outcome(&parts, arguments));
                }
                stored = read(part.store.as_ref(), &machine) => stored.map_err(Failure::from)?,
            };
            part.held = stored.map(|stored| {
                let assessment = observer.look(&machine, &stored);
                (stored, assessment)
            });
            part.read_queue(&machine).await;
        }
        if seen.is_none() {
            check_directory(context, &parts)?;
        }
        let now: Vec<_> = parts.iter().map(Snapshot::of).collect();
        let changed = seen.as_ref() != Some(&now);
        if in_place {
            picture.show(&text_of(&parts, context))?;
        } else if changed && arguments.json {
            ui::print_json_line(&as_json(&parts))?;
        } else if changed {
            ui::print(&text_of(&parts, context))?;
        }
        seen = Some(now);
        let next = machine.now().0 + LOOK_EVERY;
        while machine.now().0 < next {
            if keys.as_ref().is_some_and(Keys::quit) {
                return Ok(outcome(&parts, arguments));
            }
            tokio::select! {
                biased;
                _ = signals.end_requested(Phase::Waiting) => {
                    return Ok(outcome(&parts, arguments));
                }
                () = machine.sleep(KEYS_EVERY) => {}
            }
        }
    }
}

fn text_of(parts: &[ObservedPart], context: &Context) -> String {
    let now = context.machine().wall();
    parts.iter().map(|part| as_text(part, now)).collect()
}

/// The part of the terminal that is redrawn.
#[derive(Default)]
struct Picture {
    lines: usize,
}

impl Picture {
    /// Draws over the previous picture. No line reaches the last column, so none wraps.
    fn show(&mut self, text: &str) -> Result<(), ui::NotPrinted> {
        let (rows, columns) = Term::stdout().size();
        let (rows, columns) = (usize::from(rows).max(3), usize::from(columns).max(2));
        let mut drawn = String::new();
        if self.lines > 0 {
            drawn = format!("\u{1b}[{}A\u{1b}[J", self.lines);
        }
        let mut lines: Vec<&str> = text.lines().take(rows - 2).collect();
        lines.push(LAST_LINE);
        for line in &lines {
            drawn.push_str(&truncate_str(line, columns - 1, "…"));
            drawn.push('\n');
        }
        self.lines = lines.len();
        ui::print(&drawn)
    }
}
