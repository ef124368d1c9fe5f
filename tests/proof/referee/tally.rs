//! What happened in schedules, counted: a proof in which the rare never happens proves little.

use std::time::Duration;

/// What happened, for those who want to know that it did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) children: u32,
    pub(crate) taken_over_by_proof: u32,
    pub(crate) taken_over_by_promise: u32,
    pub(crate) robbed: u32,
    pub(crate) excused_overlaps: u32,
    /// Records that a request left behind that was carried out after its run.
    pub(crate) late_orphans: u32,
    /// How long after it was sent the latest of them came.
    pub(crate) latest_orphan: Duration,
    pub(crate) orphans_of_crashed: u32,
    pub(crate) loud_orphans: u32,
    pub(crate) served: u32,
    pub(crate) timed_out: u32,
    pub(crate) failed: u32,
    /// The longest that an acquisition went on beyond its patience.
    pub(crate) longest_overtime: Duration,
    /// The longest from a robbery to the request to stop, or to the child's own end.
    pub(crate) longest_unnoticed: Duration,
    /// Tflocks that were robbed and said nothing of it.
    pub(crate) unreported: u32,
    /// Locks that were taken and lost again before a child was started.
    pub(crate) taken_anew: u32,
    /// Requests that found the lock of another with the same ID.
    pub(crate) met_its_like: u32,
    /// How often a queue did something to its tickets.
    pub(crate) spoilt_queues: u32,
    /// Runs that took the place of their hold, and gave the lock back to it.
    pub(crate) begun_under_hold: u32,
    pub(crate) returned_to_hold: u32,
    /// Holds that another party put back in place of a run.
    pub(crate) put_back_by_others: u32,
    /// Holds that people and plain terraform removed.
    pub(crate) holds_ended: u32,
    /// Terraforms that borrowed the lock of the run around them.
    pub(crate) borrowed: u32,
    /// Those whose turn did not come, or came when the lock was lost.
    pub(crate) turns_in_use: u32,
    pub(crate) turns_of_lost_locks: u32,
    /// Those that a terraform has started.
    pub(crate) nested_refused: u32,
    /// Locks that were kept because a client was killed.
    pub(crate) left_elsewhere: u32,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.children += other.children;
        self.taken_over_by_proof += other.taken_over_by_proof;
        self.taken_over_by_promise += other.taken_over_by_promise;
        self.robbed += other.robbed;
        self.excused_overlaps += other.excused_overlaps;
        self.late_orphans += other.late_orphans;
        self.latest_orphan = self.latest_orphan.max(other.latest_orphan);
        self.orphans_of_crashed += other.orphans_of_crashed;
        self.loud_orphans += other.loud_orphans;
        self.served += other.served;
        self.timed_out += other.timed_out;
        self.failed += other.failed;
        self.longest_overtime = self.longest_overtime.max(other.longest_overtime);
        self.longest_unnoticed = self.longest_unnoticed.max(other.longest_unnoticed);
        self.unreported += other.unreported;
        self.taken_anew += other.taken_anew;
        self.met_its_like += other.met_its_like;
        self.spoilt_queues += other.spoilt_queues;
        self.begun_under_hold += other.begun_under_hold;
        self.returned_to_hold += other.returned_to_hold;
        self.put_back_by_others += other.put_back_by_others;
        self.holds_ended += other.holds_ended;
        self.borrowed += other.borrowed;
        self.turns_in_use += other.turns_in_use;
        self.turns_of_lost_locks += other.turns_of_lost_locks;
        self.nested_refused += other.nested_refused;
        self.left_elsewhere += other.left_elsewhere;
    }
}
