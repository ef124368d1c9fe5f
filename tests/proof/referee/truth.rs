//! What a party really is and has done, as opposed to what it knows of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::lock::record::{LockId, ProcessIdentity};
use crate::server::Place;
use crate::simulation::SimulatedHost;

/// Who acts in a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Party {
    Tflock(usize),
    Terraform(usize),
    Person(usize),
    /// A terraform under the lock of a tflock that lends it.
    Borrower(usize),
    /// Nobody: the lock is on hold.
    Hold,
}

impl std::fmt::Display for Party {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tflock(number) => write!(formatter, "tflock {number}"),
            Self::Terraform(number) => write!(formatter, "terraform {number}"),
            Self::Person(number) => write!(formatter, "person {number}"),
            Self::Borrower(number) => write!(formatter, "borrower {number}"),
            Self::Hold => formatter.write_str("the hold"),
        }
    }
}

/// A party that may hold the lock, as it really is.
pub(crate) struct Candidate {
    pub(crate) id: LockId,
    pub(crate) host: SimulatedHost,
    pub(crate) promise: Option<Duration>,
    /// The hold that it may work under, and must.
    pub(crate) under: Option<LockId>,
    /// How long its child takes to stop.
    pub(crate) stops_within: Duration,
    /// The places of all locks that it wants.
    pub(crate) wants: BTreeSet<Place>,
}

/// A request that was answered.
pub(super) struct Answered {
    /// Its number among all that its sender has sent.
    pub(super) number: u64,
    /// Its number among all that were carried out in its place.
    pub(super) at: u64,
}

/// What is held against a party, or for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Mark {
    /// Its child was asked to stop.
    AskedToStop,
    /// Its tflock was stopped, and nothing else.
    Stopped,
    /// It was taken over by its promise while its child still ran, and could not help it.
    Overran,
    /// A person told it to take the holder's place.
    ToldToTakeOver,
    /// It said that a lock of its own may be left.
    Loud,
    Crashed,
}

pub(super) struct Truth {
    pub(super) candidate: Candidate,
    pub(super) child: Option<ProcessIdentity>,
    pub(super) marks: BTreeSet<Mark>,
    /// The places from which its record was removed, and when, although no party had the right to.
    pub(super) robbed: BTreeMap<Place, Duration>,
    /// How many requests it has sent.
    pub(super) sent: u64,
    /// The last request to each place that it got an answer to.
    pub(super) last_answered: BTreeMap<Place, Answered>,
}

impl Truth {
    pub(super) fn new(candidate: Candidate) -> Self {
        Self {
            candidate,
            child: None,
            marks: BTreeSet::new(),
            robbed: BTreeMap::new(),
            sent: 0,
            last_answered: BTreeMap::new(),
        }
    }

    pub(super) fn has(&self, mark: Mark) -> bool {
        self.marks.contains(&mark)
    }
}
