//! `tflock history`: who held this lock before, what they did, and how it ended.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cli::HistoryArguments;
use crate::context::{Context, block_on};
use crate::failure::Failure;
use crate::lock::history::{self, Entry};
use crate::lock::record::parsed_time;
use crate::resolve::{self, LockRequest};
use crate::session::Outcome;
use crate::text::printable;
use crate::ui::{self, holder};

/// The version of the JSON object: it only grows.
const VERSION: u32 = 1;

/// Shows the history.
///
/// # Errors
/// Why it cannot be read.
pub fn run(context: &Context, arguments: &HistoryArguments) -> anyhow::Result<Outcome> {
    block_on(show(context, arguments)).context("starting the runtime")?
}

async fn show(context: &Context, arguments: &HistoryArguments) -> anyhow::Result<Outcome> {
    let directory = context.working_directory();
    let resolved = resolve::find(LockRequest::new(&context.options, &directory)).await?;
    let entries = history::read(&resolved.stores)
        .await
        .map_err(Failure::from)?;
    // The latest comes first: it is the one that people look for.
    let entries = entries.iter().rev();
    let entries: Vec<&Entry> = entries
        .take(arguments.count.unwrap_or(usize::MAX))
        .collect();
    let key = resolved.stores.first().map(|store| store.key().to_owned());
    let key = key.unwrap_or_default();
    if arguments.json {
        let entries: Vec<Value> = entries.iter().map(|entry| as_json(entry)).collect();
        ui::print_json(&json!({ "version": VERSION, "lock_id": key, "entries": entries }))?;
        return Ok(Outcome::Exit(0));
    }
    if entries.is_empty() {
        context
            .ui
            .notice(&format!("there is no history of `{key}`"));
    }
    for entry in entries {
        ui::print(&as_text(entry))?;
    }
    Ok(Outcome::Exit(0))
}

fn as_json(entry: &Entry) -> Value {
    json!({
        "id": entry.id.0,
        "who": entry.who,
        "command": entry.command,
        "reason": entry.reason,
        "run_url": entry.run_url,
        "commit": entry.commit,
        "from": entry.from,
        "until": entry.until,
        "exit_code": entry.exit_code,
        "ended": entry.ended,
        "by": entry.by,
    })
}

/// One line, and one more for each of the longer fields.
fn as_text(entry: &Entry) -> String {
    let from = parsed_time(&entry.from);
    let lasted = from
        .zip(parsed_time(&entry.until))
        .and_then(|(from, until)| {
            let lasted = until.signed_duration_since(from).to_std().ok()?;
            Some(format!(" ({})", holder::duration(lasted)))
        });
    let since = from.map_or_else(
        || printable(&entry.from),
        |from| {
            let local = from.with_timezone(&chrono::Local);
            local.format("%Y-%m-%d %H:%M").to_string()
        },
    );
    let code = entry.exit_code.map(|code| format!(", exit code {code}"));
    let by = entry.by.as_ref().map(|by| format!(" by {}", printable(by)));
    let mut text = format!(
        "{since}{}  {}  {}: {}{}{}\n",
        lasted.unwrap_or_default(),
        printable(&entry.who),
        printable(&entry.command),
        printable(&entry.ended),
        by.unwrap_or_default(),
        code.unwrap_or_default()
    );
    for (name, value) in [
        ("reason", &entry.reason),
        ("CI run", &entry.run_url),
        ("commit", &entry.commit),
    ] {
        if let Some(value) = value {
            let _ = writeln!(text, "  {name}  {}", printable(value));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_shown_on_its_lines_whatever_its_fields_contain() {
        let entry: Entry = serde_json::from_value(json!({
            "ID": "a",
            "Who": "ana@laptop",
            "Command": "apply",
            "Reason": "rotate\u{1b}[31m\nthe keys",
            "From": "2026-01-01T10:00:00Z",
            "Until": "2026-01-01T10:00:12Z",
            "ExitCode": 1,
            "Ended": "force-unlocked",
            "By": "ben@desk",
        }))
        .unwrap();
        let text = as_text(&entry);
        assert!(
            text.contains("(12 s)  ana@laptop  apply: force-unlocked by ben@desk, exit code 1\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains('\u{1b}'));
        let odd: Entry = serde_json::from_value(json!({"ID": "a", "From": "yesterday"})).unwrap();
        assert!(as_text(&odd).starts_with("yesterday  "));
    }
}
