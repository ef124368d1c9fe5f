//! `status --json`.

use serde_json::{Value, json};

use super::{LockStatus, ObservedPart, status, where_it_is};
use crate::lock::liveness::Assessment;
use crate::lock::queue::Ticket;
use crate::lock::record::Record;
use crate::lock::store::{Revision, Stored};

/// The version of the JSON object: it only grows.
const VERSION: u32 = 1;

pub(super) fn as_json(parts: &[ObservedPart]) -> Value {
    json!({
        "version": VERSION,
        "status": status(parts).word(),
        "locks": parts.iter().map(part_as_json).collect::<Vec<_>>(),
    })
}

fn part_as_json(part: &ObservedPart) -> Value {
    json!({
        "status": LockStatus::of(part).word(),
        "lock_id": part.store.key(),
        "store": match (&part.held, &part.unspoken) {
            (None, Some(own)) => &own.backend,
            _ => part.store.kind(),
        },
        "place": where_it_is(part),
        "holder": part.held.as_ref().map(|(stored, assessment)| {
            holder_as_json(&stored.record, assessment, process(stored))
        }),
        "queue": part.queue.iter().map(ticket_as_json).collect::<Vec<_>>(),
    })
}

fn ticket_as_json(ticket: &Ticket) -> Value {
    json!({
        "id": ticket.id,
        "who": ticket.who,
        "command": ticket.command,
        "reason": ticket.reason,
        "run_url": ticket.run_url,
        "since": ticket.since,
    })
}

/// A holder, in the same form for all commands; `process` is the one that has the kernel lock.
pub(in crate::commands) fn holder_as_json(
    record: &Record,
    assessment: &Assessment,
    process: Option<u32>,
) -> Value {
    let info = record.lock_info();
    let lease = record.lease.as_ref();
    json!({
        "liveness": assessment.liveness.word(),
        "process": process,
        "silent_for_seconds": assessment.silence.map(|silence| silence.as_secs()),
        "info": info.as_ref().map(|info| json!(info)),
        "raw_info": record.info.as_ref().filter(|_| info.is_none()),
        "tflock": lease.map(|lease| json!(lease)),
    })
}

/// The process that has the kernel lock, if visible.
fn process(stored: &Stored) -> Option<u32> {
    match stored.revision {
        Revision::KernelLock { process } => process,
        _ => None,
    }
}
