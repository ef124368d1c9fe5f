//! Holds: locks that stay although nothing runs, until someone releases them.
//!
//! A hold is a record like any other, without a heartbeat. A run of its owner replaces it by compare-and-swap and keeps it
//! inside its own record. A release of that run's lock, by the run, its witness, a run that has proven its death or a
//! person, restores the hold: the lock **returns to** it. Without a hold, the lock becomes free. So nothing else needs to
//! know about holds.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::record::{Record, go_time, parsed_time};

/// The `Operation` of a hold in terraform's lock info, and its command in ours.
pub const OPERATION: &str = "hold";

/// How much two wall clocks may differ when one of them ends a hold.
const CLOCK_MARGIN: TimeDelta = TimeDelta::minutes(5);

/// Marks a record as a hold, or as that of a run under one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Hold {
    /// When the hold ends by itself, by its owner's clock; `None` if it does not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
    /// How many runs have used it. This makes all records of one hold different, so that a late request that was meant for an
    /// earlier one changes nothing.
    #[serde(default)]
    pub runs: u64,
    /// The hold itself, in the record of a run under it; `None` in its own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub under: Option<Box<Record>>,
}

impl Hold {
    /// A hold that ends by itself at `end`; `None`: it does not.
    #[must_use]
    pub fn until(end: Option<DateTime<Utc>>) -> Self {
        Self {
            until: end.map(go_time),
            ..Self::default()
        }
    }
}

impl Record {
    /// Whether this is a hold that no run uses.
    #[must_use]
    pub fn is_hold(&self) -> bool {
        let hold = self.lease.as_ref().and_then(|lease| lease.hold.as_ref());
        hold.is_some_and(|hold| hold.under.is_none())
    }

    /// The record that a release of this one restores; `None`: the lock becomes free.
    #[must_use]
    pub fn returns_to(&self) -> Option<&Self> {
        let hold = self.lease.as_ref()?.hold.as_ref()?;
        hold.under.as_deref()
    }

    /// The hold: this record, or the one that the lock returns to.
    #[must_use]
    pub fn hold(&self) -> Option<&Self> {
        if self.is_hold() {
            return Some(self);
        }
        self.returns_to()
    }

    /// When the hold ends by itself, according to its record.
    #[must_use]
    pub fn held_until(&self) -> Option<DateTime<Utc>> {
        parsed_time(self.lease.as_ref()?.hold.as_ref()?.until.as_deref()?)
    }

    /// Whether the hold has ended, at the observer's wall time `wall`, with a margin for clocks that differ.
    #[must_use]
    pub fn is_over(&self, wall: DateTime<Utc>) -> bool {
        let end = self.held_until();
        let end = end.and_then(|end| end.checked_add_signed(CLOCK_MARGIN));
        end.is_some_and(|end| end <= wall)
    }

    /// Makes this the record of a run under `hold`, which the lock will return to.
    #[must_use]
    pub fn under(mut self, hold: &Self) -> Self {
        if let Some(lease) = &mut self.lease {
            lease.hold = Some(Hold {
                under: Some(Box::new(hold.after_another_run())),
                ..Hold::default()
            });
        }
        self
    }

    fn after_another_run(&self) -> Self {
        let mut hold = self.clone();
        if let Some(hold) = hold.lease.as_mut().and_then(|lease| lease.hold.as_mut()) {
            hold.runs += 1;
        }
        hold
    }
}

/// What a run may do about the current record.
#[derive(Debug, PartialEq, Eq)]
pub enum Passage<'a> {
    /// Only wait.
    None,
    /// Replace it, under this hold if there is one.
    Take(Option<&'a Record>),
    /// Restore another owner's hold, whose run is dead, and wait for that.
    Restore,
}

/// What a run may do about the record `seen`. `may_use` says which holds it may run under; `is_replaceable`, whether the
/// holder is proven dead, has expired, or a person has said so.
pub fn passage(
    seen: &Record,
    is_replaceable: bool,
    may_use: impl Fn(&Record) -> bool,
) -> Passage<'_> {
    match seen.hold().map(|hold| (hold, may_use(hold))) {
        Some((hold, true)) if seen.is_hold() || is_replaceable => Passage::Take(Some(hold)),
        _ if !is_replaceable => Passage::None,
        Some((_, false)) if !seen.is_hold() => Passage::Restore,
        _ => Passage::Take(None),
    }
}

#[cfg(test)]
mod tests;
