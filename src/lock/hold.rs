//! Holds: a lock that stays although nothing runs, until somebody gives it back.
//!
//! A hold is a record like any other, without a heartbeat. A run of its owner takes its place by compare-and-swap and keeps the
//! hold inside of its own record: that is what the lock **returns to** when the run gives it back, whoever does so (the run, its
//! witness, a run that has proven its death, a person). A lock that nobody holds returns to nothing. So nothing else needs to
//! know of holds.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::record::{Record, go_time, parsed_time};

/// terraform's word for what a hold was taken for, and tflock's.
pub const OPERATION: &str = "hold";

/// The most that two wall clocks may differ where one of them ends a hold.
const CLOCK_MARGIN: TimeDelta = TimeDelta::minutes(5);

/// What makes a record a hold, or that of a run under one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Hold {
    /// When the hold ends by itself, by its owner's clock; `None` if it does not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
    /// How many runs have worked under it. So no two records of one hold are equal, and a request that was meant for an earlier
    /// one and arrives late changes nothing.
    #[serde(default)]
    pub runs: u64,
    /// The hold itself, in the record of a run under it; `None` in its own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub under: Option<Box<Record>>,
}

impl Hold {
    /// A hold that ends by itself at that time, if at all.
    #[must_use]
    pub fn until(end: Option<DateTime<Utc>>) -> Self {
        Self {
            until: end.map(go_time),
            ..Self::default()
        }
    }
}

impl Record {
    /// Whether nothing runs: it is a hold, and no run works under it.
    #[must_use]
    pub fn is_hold(&self) -> bool {
        let hold = self.lease.as_ref().and_then(|lease| lease.hold.as_ref());
        hold.is_some_and(|hold| hold.under.is_none())
    }

    /// What the lock becomes when its run gives it back; `None`: free.
    #[must_use]
    pub fn returns_to(&self) -> Option<&Self> {
        let hold = self.lease.as_ref()?.hold.as_ref()?;
        hold.under.as_deref()
    }

    /// The hold: this, or what the lock returns to.
    #[must_use]
    pub fn hold(&self) -> Option<&Self> {
        if self.is_hold() {
            return Some(self);
        }
        self.returns_to()
    }

    /// When the hold ends by itself, as its record says.
    #[must_use]
    pub fn held_until(&self) -> Option<DateTime<Utc>> {
        parsed_time(self.lease.as_ref()?.hold.as_ref()?.until.as_deref()?)
    }

    /// Whether its time as a hold is over for everybody, at the time `wall` of an observer.
    #[must_use]
    pub fn is_over(&self, wall: DateTime<Utc>) -> bool {
        let end = self.held_until();
        let end = end.and_then(|end| end.checked_add_signed(CLOCK_MARGIN));
        end.is_some_and(|end| end <= wall)
    }

    /// The same as a run's under `hold`, which the lock will return to.
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

/// What a run may do about a record that stands in its way.
#[derive(Debug, PartialEq, Eq)]
pub enum Passage<'a> {
    /// Nothing but wait.
    None,
    /// To take its place, under this hold if there is one.
    Take(Option<&'a Record>),
    /// To put back the hold of another, whose run is gone, and wait for that.
    Restore,
}

/// What may be done about the record `seen`, for a run that may work under the holds that `may_use` says. `is_replaceable` if its
/// holder is proven dead, has expired, or a person says so.
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
