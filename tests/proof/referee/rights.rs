//! Who may change a record, and who may leave one behind.

use std::time::Duration;

use super::Referee;
use super::truth::{Mark, Party, Truth};
use crate::server::{Change, Entry, Place};

/// By how much the silence must exceed a promise before a party may rely on it.
const PROMISE_MARGIN: Duration = Duration::from_secs(2);

impl Referee {
    /// A record was written, replaced or removed.
    pub(crate) fn changed(&self, change: &Change<'_>) {
        self.keeps_hold(change);
        match (change.before, change.after) {
            (None, Some(new)) => self.created(change, new),
            (Some(old), Some(new)) if old.owner == new.owner => {}
            (Some(old), Some(new)) if old.owner == Party::Hold => {
                self.count(|tally| tally.begun_under_hold += 1);
                self.created(change, new);
            }
            (Some(old), Some(new)) if new.owner == Party::Hold => self.returned(change, old),
            (Some(old), None) if old.owner == Party::Hold => {}
            (Some(old), Some(_)) => self.replaced(change, old),
            (Some(old), None) => self.removed(change, old),
            (None, None) => {}
        }
    }

    /// No tflock makes a hold or ends one, and none works but under the hold that it may.
    fn keeps_hold(&self, change: &Change<'_>) {
        let hold_of = |entry: Option<&Entry>| entry?.record.hold()?.lock_id();
        let (before, after) = (hold_of(change.before), hold_of(change.after));
        let by = change.by;
        if !matches!(by, Party::Tflock(_)) {
            if before.is_some() && after.is_none() {
                self.count(|tally| tally.holds_ended += 1);
            }
            return;
        }
        if before != after {
            self.violate(format!(
                "{by} changes the hold from {before:?} to {after:?}"
            ));
        }
        let is_run = |entry: &Entry| entry.owner != Party::Hold;
        let under = self.with(by, |truth| truth.candidate.under.clone());
        if change.after.is_some_and(is_run) && under.flatten() != after {
            self.violate(format!("{by} works under {after:?}, which is not its hold"));
        }
    }

    /// A run's lock has become its hold again.
    fn returned(&self, change: &Change<'_>, old: &Entry) {
        if old.owner == change.by {
            self.count(|tally| tally.returned_to_hold += 1);
            return;
        }
        self.count(|tally| tally.put_back_by_others += 1);
        self.removed_by_other(change, old);
    }

    fn created(&self, change: &Change<'_>, new: &Entry) {
        let by = change.by;
        let id = self.with(by, |truth| truth.candidate.id.clone());
        if new.record.lock_id() != id {
            self.violate(format!("{by} writes a lock that is not its own"));
        }
        self.with(by, |truth| truth.robbed.remove(&change.place));
    }

    fn removed(&self, change: &Change<'_>, old: &Entry) {
        let by = change.by;
        match by {
            _ if old.owner == by => {}
            Party::Tflock(_) if !change.is_taken_over_in_two_steps => {
                self.violate(format!("{by} removes the lock of {}", old.owner));
            }
            _ => self.removed_by_other(change, old),
        }
    }

    fn removed_by_other(&self, change: &Change<'_>, old: &Entry) {
        match change.by {
            Party::Tflock(_) => self.replaced(change, old),
            Party::Terraform(_) | Party::Person(_) | Party::Hold => self.robbed(change, old.owner),
            Party::Borrower(_) => self.violate(format!("{} removes a lock", change.by)),
        }
    }

    fn robbed(&self, change: &Change<'_>, owner: Party) {
        let by = change.by;
        let now = self.0.simulation.elapsed();
        self.note(|| format!("{owner} is robbed by {by}"));
        self.count(|tally| tally.robbed += 1);
        self.with(owner, |truth| truth.robbed.insert(change.place, now));
    }

    /// A record was replaced by another's: that wants a right.
    fn replaced(&self, change: &Change<'_>, old: &Entry) {
        let (by, owner) = (change.by, old.owner);
        let (neighbour, told) = self
            .with(by, |truth| {
                truth.robbed.remove(&change.place);
                let machine = truth.candidate.host.machine().clone();
                (machine, truth.marks.remove(&Mark::ToldToTakeOver))
            })
            .unzip();
        let dead = self.with(owner, |truth| {
            let host = &truth.candidate.host;
            neighbour.as_ref() == Some(host.machine())
                && !host.is_running()
                && truth.child.is_none()
        });
        if dead == Some(true) {
            self.note(|| format!("{by} takes over from {owner}, which is dead"));
            self.count(|tally| tally.taken_over_by_proof += 1);
        } else if told == Some(true) {
            self.robbed(change, owner);
        } else {
            self.taken_by_promise(change, old);
        }
    }

    fn taken_by_promise(&self, change: &Change<'_>, old: &Entry) {
        let (by, owner) = (change.by, old.owner);
        let silence = self.0.simulation.elapsed() - old.written;
        let promise = self.with(owner, |truth| truth.candidate.promise).flatten();
        // Where heartbeats are not compared, one may arrive at the last moment. It does not help: the owner must have stopped.
        let is_silent = |promise: &Duration| {
            !change.compares_heartbeats || silence >= *promise + PROMISE_MARGIN
        };
        let Some(promise) = promise.filter(is_silent) else {
            self.violate(format!(
                "{by} replaces the lock of {owner} without a right: {silence:?} of silence, promise {promise:?}"
            ));
            return;
        };
        self.note(|| format!("{by} takes over from {owner}, as was promised"));
        self.count(|tally| tally.taken_over_by_promise += 1);
        let excused = self.with(owner, |truth| {
            truth.child?;
            let machine = truth.candidate.host.machine();
            let suspended = machine.suspended_for() > old.suspended_when_sent;
            // What is left of the promise when tflock asks, or the witness for it.
            let left = if truth.has(Mark::Stopped) {
                promise / 4
            } else {
                promise / 3
            };
            let slow_to_stop = truth.candidate.stops_within > left;
            let excused = suspended || slow_to_stop && truth.has(Mark::AskedToStop);
            if excused {
                truth.marks.insert(Mark::Overran);
            }
            Some(excused)
        });
        if excused.flatten() == Some(false) {
            self.violate(format!(
                "{by} takes over from {owner} by its promise, whose child runs and should have been stopped by now"
            ));
        }
    }

    /// A party is about to wait for one of its locks while this is in the place of another.
    pub(crate) fn waits(&self, party: Party, place: Place, entry: &Entry) {
        let came_late = self.with(party, |truth| came_late(truth, place, entry));
        if entry.owner == party && came_late == Some(false) {
            self.violate(format!("{party} waits for one lock while it holds another"));
        }
    }

    /// What is in a place at the end, when every message has arrived or is lost.
    ///
    /// Nobody can help a request that is carried out after all that its sender did about it: who sent a later one, and
    /// got an answer that was given before, could not know. Whoever ends without such a look has left its lock.
    pub(crate) fn judge_leftover(&self, place: Place, left: &Entry) {
        let owner = left.owner;
        if !matches!(owner, Party::Tflock(_)) {
            // Plain terraform locks itself out, and dies with its lock.
            return;
        }
        let verdict = self.with(owner, |truth| {
            let came_late = came_late(truth, place, left);
            (truth.has(Mark::Loud), truth.has(Mark::Crashed), came_late)
        });
        match verdict {
            Some((true, _, _)) => self.count(|tally| tally.loud_orphans += 1),
            Some((_, true, _)) => self.count(|tally| tally.orphans_of_crashed += 1),
            Some((_, _, true)) => self.count(|tally| {
                tally.late_orphans += 1;
                tally.latest_orphan = tally.latest_orphan.max(left.created - left.sent);
            }),
            _ => self.violate(format!(
                "{owner} has ended without a word, and its lock is left"
            )),
        }
    }
}

/// Whether it was put there after all that its sender knows of that place.
fn came_late(truth: &Truth, place: Place, entry: &Entry) -> bool {
    let last = truth.last_answered.get(&place);
    last.is_some_and(|last| last.at < entry.created_at && last.number > entry.created_by)
}
