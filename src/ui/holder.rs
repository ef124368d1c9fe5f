//! Describes a lock's holder: who, what, since when, alive or not.

use std::time::Duration;

use chrono::{DateTime, Local, Utc};

use crate::lock::liveness::{Assessment, Liveness, Proof, Replacement};
use crate::lock::record::{Lease, LockInfo, Record};
use crate::text::printable;

/// The rows that describe a holder, as of `now`.
#[must_use]
pub fn rows(
    record: &Record,
    assessment: &Assessment,
    now: DateTime<Utc>,
) -> Vec<(&'static str, String)> {
    let Some(info) = record.lock_info() else {
        let mut rows = vec![(
            "held by",
            "unknown: its `Info` is not a lock info".to_owned(),
        )];
        if let Some(text) = &record.info {
            rows.push(("Info", printable(text)));
        }
        return rows;
    };
    let mut rows = vec![("held by", summary(record, &info, now))];
    rows.push(("holder", liveness(assessment)));
    let lease = record.lease.as_ref();
    rows.extend(processes(record, assessment).map(|text| ("process", text)));
    if let Some(reason) = lease.and_then(|lease| lease.reason.as_deref()) {
        rows.push(("reason", printable(reason)));
    }
    if let Some(lease) = lease {
        rows.extend(ci_run(lease).map(|text| ("CI run", text)));
        rows.extend(source(lease).map(|text| ("source", text)));
    }
    rows.extend(hold(record, now));
    let told = lease.is_some_and(|lease| lease.reason.is_some() || lease.run_url.is_some());
    if !told && !info.info.is_empty() {
        rows.push(("info", printable(&info.info)));
    }
    rows.push(("lock ID", printable(&info.id.0)));
    rows
}

/// When a hold ends by itself; or under whose hold a run works.
fn hold(record: &Record, now: DateTime<Utc>) -> Option<(&'static str, String)> {
    if record.is_hold() {
        let until = record.held_until()?;
        return Some(("until", clock_time(until, now)));
    }
    let info = record.returns_to()?.lock_info()?;
    let why = if info.info.is_empty() {
        String::new()
    } else {
        format!(": {}", info.info)
    };
    Some((
        "under",
        printable(&format!("the hold {} of {}{why}", info.id, info.who)),
    ))
}

/// The CI run: its address, else its name there; and who started it.
fn ci_run(lease: &Lease) -> Option<String> {
    let origin = lease.origin.as_ref();
    let named = || {
        let origin = origin?;
        let system = origin.system.as_deref()?;
        let id = origin.run_id.as_deref();
        Some(id.map_or_else(|| system.to_owned(), |id| format!("{system}, run {id}")))
    };
    let run = lease.run_url.clone().or_else(named)?;
    let actor = origin.and_then(|origin| origin.actor.as_deref());
    Some(printable(&match actor {
        Some(actor) => format!("{run} (started by {actor})"),
        None => run,
    }))
}

/// What was checked out: `team/infra, branch main, commit 1f0c5d2a9b7e`.
fn source(lease: &Lease) -> Option<String> {
    let origin = lease.origin.as_ref()?;
    let commit = origin.commit.as_ref();
    let parts = [
        origin.repository.clone(),
        origin
            .branch
            .as_ref()
            .map(|branch| format!("branch {branch}")),
        commit.map(|commit| format!("commit {}", commit.chars().take(12).collect::<String>())),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| printable(&parts.join(", ")))
}

/// The lock in terraform's own block (`LockInfo.String` in `internal/states/statemgr/locker.go`), followed by what only
/// tflock knows.
#[must_use]
pub fn lock_info(
    key: &str,
    record: &Record,
    assessment: &Assessment,
    now: DateTime<Utc>,
) -> Vec<(&'static str, String)> {
    let mut lines = vec![("Lock Info:", String::new())];
    if let Some(info) = record.lock_info() {
        let path = if info.path.is_empty() {
            key
        } else {
            &info.path
        };
        lines.extend([
            ("  ID:", info.id.0.clone()),
            ("  Path:", path.to_owned()),
            ("  Operation:", info.operation.clone()),
            ("  Who:", info.who.clone()),
            ("  Version:", info.version.clone()),
            ("  Created:", created(&info, now)),
            ("  Info:", info.info.clone()),
        ]);
        if path != key {
            lines.push(("Lock:", key.to_owned()));
        }
    } else {
        lines.extend([
            ("  ID:", "unknown: its `Info` is not a lock info".to_owned()),
            ("  Path:", key.to_owned()),
            ("  Info:", record.info.clone().unwrap_or_default()),
        ]);
    }
    lines.push(("Holder:", liveness(assessment)));
    lines.extend(command_beyond_operation(record).map(|text| ("Command:", text)));
    if let Some(lease) = &record.lease {
        lines.extend(ci_run(lease).map(|text| ("CI run:", text)));
        lines.extend(source(lease).map(|text| ("Source:", text)));
    }
    lines.extend(processes(record, assessment).map(|text| ("Process:", text)));
    lines
}

/// The holder's command, if terraform's `Operation` does not already say it.
fn command_beyond_operation(record: &Record) -> Option<String> {
    let command = &record.lease.as_ref()?.command;
    let plain = Record {
        lease: None,
        ..record.clone()
    };
    let told = self::command(&plain, &record.lock_info()?);
    (told != format!("terraform {command}")).then(|| command.clone())
}

/// The creation time as Go prints it in UTC, and how long ago that was.
fn created(info: &LockInfo, now: DateTime<Utc>) -> String {
    let Some(created) = info.created_at() else {
        return info.created.clone();
    };
    let fraction = match created.timestamp_subsec_nanos() {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    let ago = now.signed_duration_since(created).to_std();
    let ago = ago.map_or_else(|_| String::new(), |age| format!(" ({} ago)", duration(age)));
    format!(
        "{}{fraction} +0000 UTC{ago}",
        created.format("%Y-%m-%d %H:%M:%S")
    )
}

/// `ana@laptop (apply, since 10:32, 14 min ago)`.
#[must_use]
pub fn summary(record: &Record, info: &LockInfo, now: DateTime<Utc>) -> String {
    let who = if info.who.is_empty() {
        "someone"
    } else {
        &info.who
    };
    let what = command(record, info);
    let since = info.created_at().map_or_else(String::new, |created| {
        let age = now.signed_duration_since(created).to_std();
        let age = age.map_or_else(|_| String::new(), |age| format!(", {} ago", duration(age)));
        format!(", since {}{age}", clock_time(created, now))
    });
    printable(&format!("{who} ({what}{since})"))
}

/// `apply, 14 min`: the holder's command, and how long it has had the lock.
#[must_use]
pub fn doing(record: &Record, info: &LockInfo, now: DateTime<Utc>) -> String {
    let held_for = info
        .created_at()
        .and_then(|created| now.signed_duration_since(created).to_std().ok());
    let held_for = held_for.map_or_else(String::new, |age| format!(", {}", duration(age)));
    format!("{}{held_for}", command(record, info))
}

/// The holder's command: from tflock's record, else derived from terraform's `Operation`.
#[must_use]
pub fn command(record: &Record, info: &LockInfo) -> String {
    if let Some(lease) = &record.lease {
        return printable(&lease.command);
    }
    match info.operation.as_str() {
        "OperationTypePlan" => "terraform plan".to_owned(),
        "OperationTypeApply" => "terraform apply".to_owned(),
        "OperationTypeRefresh" => "terraform refresh".to_owned(),
        // What terraform writes for `import` and `console`.
        "OperationTypeInvalid" | "" => "terraform".to_owned(),
        other => printable(&format!("terraform {other}")),
    }
}

/// Whether the holder is alive, in words.
#[must_use]
pub fn liveness(assessment: &Assessment) -> String {
    let beat = assessment
        .silence
        .map(|silence| format!("last heartbeat {} ago", duration(silence)));
    if let (Replacement::ByPromise, Some(beat)) = (assessment.replacement, &beat) {
        // Its process may still exist, suspended.
        return format!("expired, {beat}");
    }
    match (assessment.liveness, beat) {
        (Liveness::Alive, Some(beat)) if is_silent_here(assessment) => {
            format!("alive on this machine, but suspended or killed: {beat}")
        }
        (Liveness::Alive, None) => "alive on this machine".to_owned(),
        (known @ (Liveness::Alive | Liveness::Silent | Liveness::Stale), Some(beat)) => {
            format!("{}, {beat}", known.word())
        }
        (Liveness::Gone(Proof::Ended), _) => {
            "gone: it ran on this machine and its process has ended".to_owned()
        }
        (Liveness::Gone(Proof::Rebooted), _) => {
            "gone: it ran on this machine before the last boot".to_owned()
        }
        (Liveness::Hold, _) if assessment.replacement == Replacement::ByPromise => {
            "a hold that has ended: any run may take the lock".to_owned()
        }
        (Liveness::Hold, _) => "on hold: nothing runs under it".to_owned(),
        (Liveness::Unknown, _) => "unknown: this lock gives no heartbeat".to_owned(),
        (known @ (Liveness::Silent | Liveness::Stale), None) => known.word().to_owned(),
    }
}

/// The holder's processes, if they exist on this machine although it sends no heartbeats.
fn processes(record: &Record, assessment: &Assessment) -> Option<String> {
    let holder = record.lease.as_ref()?.holder.as_ref()?;
    let own = holder.process.pid;
    is_silent_here(assessment).then(|| match holder.child {
        Some(child) => format!("{own}, its command {}", child.pid),
        None => own.to_string(),
    })
}

/// Whether the holder's processes exist on this machine although it sends no heartbeats.
fn is_silent_here(assessment: &Assessment) -> bool {
    assessment.liveness == Liveness::Alive && assessment.misses_heartbeats
}

/// A duration in its largest unit, or in two if one would be too coarse.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 if minutes % 60 == 0 => format!("{hours} h"),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ if days == 1 => "1 day".to_owned(),
        _ => format!("{days} days"),
    }
}

/// The local time of day, with the date if it is another day.
fn clock_time(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let (time, now) = (time.with_timezone(&Local), now.with_timezone(&Local));
    if time.date_naive() == now.date_naive() {
        time.format("%H:%M").to_string()
    } else {
        time.format("%Y-%m-%d %H:%M").to_string()
    }
}

#[cfg(test)]
mod tests;
