//! Judges a schedule: knows the truth that no party knows, and notes the first thing that must not happen. Whose record it is,
//! is told by who sent it: parties may bear one lock ID.
//!
//! The exceptions that it grants are exactly those of `docs/lock-protocol.md`:
//! - whoever was *robbed* (a person's removal, or the unconditional delete of plain terraform) may run beside the next
//!   holder;
//! - whoever promised to be replaceable may run on if its child needs longer to stop than what is left for it: a third of
//!   the promise, or a quarter if its tflock was stopped; or if its machine was suspended since its last heartbeat.

mod rights;
mod tally;
mod truth;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher};
use std::rc::Rc;
use std::time::Duration;

pub(super) use self::tally::Tally;
use self::truth::{Answered, Mark, Truth};
pub(super) use self::truth::{Candidate, Party};
use super::server::Place;
use crate::lock::host::Host as _;
use crate::lock::record::{LockId, ProcessIdentity};
use crate::simulation::{SimulatedHost, SimulatedMachine, Simulation};

/// The most that an acquisition takes beyond its patience when the store stops answering at the last moment: the
/// backoff's ten seconds, five more to take an attempt back, and up to four requests of S3 that run into their time-out.
const MOST_OVERTIME: Duration = Duration::from_secs(100);

/// How old the answer may be by which a borrower starts: a read is given up after ten seconds, and machines are suspended.
const OLDEST_LOOK: Duration = Duration::from_secs(15);

/// Clones share it.
#[derive(Clone)]
pub(super) struct Referee(Rc<Notes>);

struct Notes {
    simulation: Simulation,
    truths: RefCell<BTreeMap<Party, Truth>>,
    violation: RefCell<Option<String>>,
    trace: Option<RefCell<Vec<String>>>,
    tally: Cell<Tally>,
}

/// Whether the events of a schedule are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tracing {
    On,
    Off,
}

impl Referee {
    pub(super) fn new(simulation: &Simulation, tracing: Tracing) -> Self {
        Self(Rc::new(Notes {
            simulation: simulation.clone(),
            truths: RefCell::default(),
            violation: RefCell::default(),
            trace: (tracing == Tracing::On).then(RefCell::default),
            tally: Cell::default(),
        }))
    }

    pub(super) fn admit(&self, party: Party, candidate: Candidate) {
        self.note(|| {
            let machine = candidate.host.machine();
            format!(
                "{party} enters on {machine}, lock ID {}, promise {:?}",
                candidate.id, candidate.promise
            )
        });
        self.0
            .truths
            .borrow_mut()
            .insert(party, Truth::new(candidate));
    }

    /// A plain terraform enters, which promises nothing and stops at once; returns its lock ID.
    pub(super) fn admit_terraform(&self, party: Party, host: &SimulatedHost) -> LockId {
        let id = LockId::from_bytes(host.random());
        let candidate = Candidate {
            id: id.clone(),
            host: host.clone(),
            promise: None,
            under: None,
            stops_within: Duration::ZERO,
            wants: BTreeSet::from([0]),
        };
        self.admit(party, candidate);
        id
    }

    /// Adds a line to the trace.
    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.0.trace {
            let at = self.0.simulation.elapsed().as_secs_f64();
            trace.borrow_mut().push(format!("{at:10.3} {}", line()));
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Tally)) {
        let mut tally = self.0.tally.get();
        change(&mut tally);
        self.0.tally.set(tally);
    }

    pub(super) fn tally(&self) -> Tally {
        self.0.tally.get()
    }

    pub(super) fn violation(&self) -> Option<String> {
        self.0.violation.borrow().clone()
    }

    pub(super) fn trace(&self) -> String {
        let trace = self.0.trace.as_ref().map(RefCell::borrow);
        trace.map_or_else(String::new, |trace| trace.join("\n"))
    }

    pub(super) fn violate(&self, what: String) {
        self.note(|| format!("*** {what}"));
        self.0.violation.borrow_mut().get_or_insert(what);
    }

    fn with<T>(&self, party: Party, act: impl FnOnce(&mut Truth) -> T) -> Option<T> {
        self.0.truths.borrow_mut().get_mut(&party).map(act)
    }

    fn mark(&self, party: Party, mark: Mark) {
        self.with(party, |truth| truth.marks.insert(mark));
    }

    pub(super) fn machine_of(&self, party: Party) -> Option<SimulatedMachine> {
        self.with(party, |truth| truth.candidate.host.machine().clone())
    }

    /// It is booted.
    pub(super) fn all_children_ended_on(&self, machine: &SimulatedMachine) {
        for truth in self.0.truths.borrow_mut().values_mut() {
            if truth.candidate.host.machine() == machine {
                truth.child = None;
            }
        }
    }

    /// A child starts under its locks, in whose places stand records of `standing`.
    pub(super) fn child_started(
        &self,
        party: Party,
        child: ProcessIdentity,
        standing: &[Option<Party>],
    ) {
        self.note(|| format!("{party}: its child starts"));
        self.count(|tally| tally.children += 1);
        let before = self.with(party, |truth| {
            let before = truth.child.replace(child);
            truth.marks.remove(&Mark::AskedToStop);
            truth.marks.remove(&Mark::Overran);
            before
        });
        if before.flatten().is_some() {
            self.violate(format!("two run at once under the lock of {party}"));
        }
        let robbed = self.is_robbed(party);
        if !robbed && standing.iter().any(|owner| *owner != Some(party)) {
            self.violate(format!("{party} starts its child without holding the lock"));
        }
        let running: Vec<Party> = self
            .running()
            .filter(|other| *other != party && self.want_one_lock(party, *other))
            .collect();
        for other in running {
            if robbed || self.is_robbed(other) || self.has_overrun(other) {
                self.note(|| format!("{party} runs beside {other}, which is excused"));
                self.count(|tally| tally.excused_overlaps += 1);
            } else {
                self.violate(format!("the children of {other} and {party} run at once"));
            }
        }
    }

    /// A terraform starts under the lock that `lender` lends. It has looked whether that holds it, a moment ago.
    pub(super) fn borrower_starts(
        &self,
        lender: Party,
        child: ProcessIdentity,
        standing: &[Option<Party>],
    ) {
        self.count(|tally| tally.borrowed += 1);
        self.child_started(lender, child, standing);
        let robbed = self.with(lender, |truth| truth.robbed.values().min().copied());
        let robbed_for = robbed
            .flatten()
            .map(|robbed| self.0.simulation.elapsed() - robbed);
        if robbed_for.is_some_and(|robbed_for| robbed_for > OLDEST_LOOK) {
            self.violate(format!(
                "a terraform starts under the lock that {lender} lost {robbed_for:?} ago"
            ));
        }
    }

    /// Whether it may have left work out of sight, of which no end is ever proven.
    pub(super) fn has_unseen_work(&self, party: Party) -> bool {
        let unseen = self.with(party, |truth| {
            let machine = truth.candidate.host.machine();
            machine.has_unseen_work(&truth.candidate.id)
        });
        unseen == Some(true)
    }

    fn want_one_lock(&self, party: Party, other: Party) -> bool {
        let wants = |party| self.with(party, |truth| truth.candidate.wants.clone());
        match (wants(party), wants(other)) {
            (Some(one), Some(other)) => !one.is_disjoint(&other),
            _ => true,
        }
    }

    pub(super) fn any_child_runs(&self) -> bool {
        self.running().next().is_some()
    }

    /// What it knows beyond what the parties were told, in a few bytes. `created_at` is the number of the request that
    /// made what stands in `place`.
    pub(super) fn digest(&self, place: Place, created_at: Option<u64>, hasher: &mut impl Hasher) {
        for truth in self.0.truths.borrow().values() {
            let knows = truth.last_answered.get(&place).map(|last| last.at) > created_at;
            let child = truth.child.is_some();
            (child, &truth.marks, knows, &truth.robbed).hash(hasher);
        }
    }

    pub(super) fn running(&self) -> impl Iterator<Item = Party> + use<> {
        let truths = self.0.truths.borrow();
        let running: Vec<Party> = truths
            .iter()
            .filter(|(_, truth)| truth.child.is_some())
            .map(|(party, _)| *party)
            .collect();
        running.into_iter()
    }

    fn is_robbed(&self, party: Party) -> bool {
        self.with(party, |truth| !truth.robbed.is_empty()) == Some(true)
    }

    fn has_overrun(&self, party: Party) -> bool {
        self.with(party, |truth| truth.has(Mark::Overran)) == Some(true)
    }

    pub(super) fn asked_to_stop(&self, party: Party, why: &str) {
        self.note(|| format!("{party}: its child is asked to stop: {why}"));
        self.note_unnoticed(party);
        self.mark(party, Mark::AskedToStop);
    }

    fn note_unnoticed(&self, party: Party) {
        let now = self.0.simulation.elapsed();
        let robbed = self.with(party, |truth| {
            let first = truth.robbed.values().min().copied();
            first.filter(|_| !truth.has(Mark::AskedToStop))
        });
        if let (Party::Tflock(_), Some(Some(robbed))) = (party, robbed) {
            self.count(|tally| tally.longest_unnoticed = tally.longest_unnoticed.max(now - robbed));
        }
    }

    pub(super) fn child_ended(&self, party: Party) {
        self.note(|| format!("{party}: its child has ended"));
        self.note_unnoticed(party);
        self.with(party, |truth| truth.child = None);
    }

    pub(super) fn crashed(&self, party: Party, how: &str) {
        self.note(|| format!("{party} {how}"));
        self.mark(party, Mark::Crashed);
    }

    /// SIGSTOP.
    pub(super) fn stopped(&self, party: Party) {
        self.note(|| format!("{party} is stopped"));
        self.mark(party, Mark::Stopped);
    }

    /// The party said that a lock of its own may be left.
    pub(super) fn left_with_a_word(&self, party: Party) {
        self.note(|| format!("{party} says that its lock may be left"));
        self.mark(party, Mark::Loud);
    }

    pub(super) fn told_to_take_over(&self, party: Party) {
        self.note(|| format!("{party} is told to take over"));
        self.mark(party, Mark::ToldToTakeOver);
    }

    pub(super) fn ended(&self, party: Party, how: &str) {
        self.note(|| format!("{party} ends: {how}"));
    }

    /// It has run its child, and says that the lock was its own all the time.
    pub(super) fn lost_nothing(&self, party: Party) {
        if self.is_robbed(party) {
            self.count(|tally| tally.unreported += 1);
        }
    }

    /// An acquisition took so much longer than it was to wait.
    pub(super) fn overtime(&self, party: Party, overtime: Duration) {
        self.count(|tally| tally.longest_overtime = tally.longest_overtime.max(overtime));
        if overtime > MOST_OVERTIME {
            self.violate(format!(
                "{party} waits {overtime:?} longer than it was told to"
            ));
        }
    }

    /// Counts the requests of a party.
    pub(super) fn sends(&self, party: Party) -> u64 {
        self.with(party, |truth| {
            truth.sent += 1;
            truth.sent
        })
        .unwrap_or_default()
    }

    /// A party got the answer to its request of this number, which was carried out in `place` as the one `at`.
    pub(super) fn answered(&self, party: Party, place: Place, number: u64, at: u64) {
        self.with(party, |truth| {
            truth.last_answered.insert(place, Answered { number, at });
        });
    }
}
