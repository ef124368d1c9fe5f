//! The queue of a lock: first come, first served.
//!
//! A run that finds the lock held adds a ticket to the lock's queue, a companion document, and removes it when it gets the
//! lock or gives up. The queue is only advice. It orders the runs that wait, but the lock alone decides who gets it: a
//! queue that loses, duplicates or invents tickets costs nothing but time.

mod line;
pub mod order;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::line::{Leaving, Line, read};
use super::record::{LockId, parsed_time};
use super::store::companion::shorten;

/// The longest document: a DynamoDB item has up to 400 kB, a local lock file 512 kB with all quotes of this text escaped.
const LONGEST: usize = 300_000;

/// One waiting run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ticket {
    /// The ID that its lock will have.
    #[serde(rename = "ID")]
    pub id: LockId,
    /// `<os user>@<host name>`.
    #[serde(default)]
    pub who: String,
    /// The command as a person would say it.
    #[serde(default)]
    pub command: String,
    /// `--reason`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The address of the CI run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run_url: Option<String>,
    /// When it began to wait, by its own clock: RFC 3339 in UTC.
    #[serde(default)]
    pub since: String,
    /// When it will give up, by its own clock; `None` if it waits without a limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
    /// The hold that it waits to run under; `None` if it waits for the lock to be free.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub under: Option<LockId>,
    /// Fields of a newer tflock.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Ticket {
    /// A ticket with that ID and nothing else.
    #[must_use]
    pub fn new(id: LockId) -> Self {
        Self {
            id,
            who: String::new(),
            command: String::new(),
            reason: None,
            run_url: None,
            since: String::new(),
            until: None,
            under: None,
            other: Map::new(),
        }
    }

    /// When it began to wait, by its own clock; `None` if that text is not a time.
    #[must_use]
    pub fn waits_since(&self) -> Option<DateTime<Utc>> {
        parsed_time(&self.since)
    }

    /// The ticket with its texts cut, so that many fit into a document.
    fn shortened(mut self) -> Self {
        let fields = [&mut self.who, &mut self.command].into_iter();
        shorten(fields.chain(&mut self.reason).chain(&mut self.run_url));
        self
    }
}

/// The tickets of a lock, in the order of their arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tickets {
    /// The tickets.
    #[serde(default)]
    pub tickets: Vec<Ticket>,
    /// Fields of a newer tflock.
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl Tickets {
    /// Parses a document; `None` if it is not a queue.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The document; `None` if it would be too long.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        let text = serde_json::to_string(self).ok()?;
        (text.len() <= LONGEST).then_some(text)
    }
}

/// Where a run is in the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueuePosition {
    /// The tickets before its own, in order.
    pub before: Vec<Ticket>,
    /// How many tickets are behind its own.
    pub behind: usize,
}

impl QueuePosition {
    /// Its place in the queue, counted from one.
    #[must_use]
    pub fn place(&self) -> usize {
        self.before.len() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_keeps_the_fields_of_a_newer_tflock() {
        let text = r#"{"Tickets":[{"ID":"a","Who":"ana@laptop","Command":"apply","Since":"2026-01-01T00:00:00Z","Colour":"red"}],"Version":7}"#;
        let tickets = Tickets::parse(text).unwrap();
        assert_eq!(tickets.tickets[0].who, "ana@laptop");
        assert_eq!(tickets.to_text().as_deref(), Some(text));
    }

    #[test]
    fn a_document_that_is_not_a_queue_is_not_read_as_an_empty_one() {
        for text in ["", "{", "[]", "null", r#"{"Tickets":[{"Who":"nobody"}]}"#] {
            assert_eq!(Tickets::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_document_and_each_text_in_it_are_limited() {
        let mut ticket = Ticket::new(LockId("a".into()));
        ticket.reason = Some("状".repeat(100_000));
        let ticket = ticket.shortened();
        assert_eq!(ticket.reason.as_deref(), Some(&*"状".repeat(200)));
        let count = LONGEST / 600;
        let many = |count| Tickets {
            tickets: vec![ticket.clone(); count],
            ..Tickets::default()
        };
        assert!(many(count / 2).to_text().is_some());
        assert!(many(count * 2).to_text().is_none());
    }
}
