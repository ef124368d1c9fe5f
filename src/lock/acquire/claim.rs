//! What a run wants the lock for, and which records it may replace.

use super::{Decision, Observed, Patience};
use crate::lock::hold::{Passage, passage};
use crate::lock::host::Host;
use crate::lock::liveness::{HEARTBEAT_INTERVAL, Replacement, interval};
use crate::lock::own::Own;
use crate::lock::queue::Ticket;
use crate::lock::record::{Lease, LockId, LockInfo, Record, go_time};
use crate::lock::store::{Heartbeats, Revision, Stored};

/// The record that a run wants to write, except for its times.
#[derive(Clone, Debug)]
pub struct Claim {
    /// terraform's part; `created` is filled in with each attempt.
    pub info: LockInfo,
    /// tflock's part; heartbeats are filled in with each attempt.
    pub lease: Lease,
    /// The only hold to run under. A hold of this user on this machine need not be named.
    pub under: Option<LockId>,
    /// The records that this run has sent so far, so that it recognises them. No two runs share them, however alike they are.
    pub own: Own,
}

impl Claim {
    /// The queue ticket of a wait that begins now.
    pub(super) fn ticket(&self, host: &dyn Host, patience: Patience) -> Ticket {
        let since = host.wall();
        let until = match patience {
            Patience::For(limit) => chrono::TimeDelta::from_std(limit)
                .ok()
                .and_then(|limit| since.checked_add_signed(limit)),
            Patience::Forever => None,
        };
        Ticket {
            who: self.info.who.clone(),
            command: self.lease.command.clone(),
            reason: self.lease.reason.clone(),
            run_url: self.lease.run_url.clone(),
            since: go_time(since),
            until: until.map(go_time),
            ..Ticket::new(self.info.id.clone())
        }
    }

    /// The record of an attempt made now.
    pub(super) fn record(
        &self,
        replacing: Option<&Replacing>,
        host: &dyn Host,
        heartbeats: Heartbeats,
    ) -> Record {
        let now = go_time(host.wall());
        let mut info = self.info.clone();
        let mut lease = self.lease.clone();
        // No process is behind a hold, so nothing could send heartbeats.
        match heartbeats.interval().filter(|_| lease.hold.is_none()) {
            Some(usual) => {
                lease.heartbeat = Some(0);
                lease.heartbeat_at = Some(now.clone());
                lease.renewed_every =
                    (usual != HEARTBEAT_INTERVAL).then(|| interval(usual, lease.expire_after));
            }
            None => lease.expire_after = None,
        }
        info.created = now;
        let record = Record::new(&info, lease);
        match replacing.and_then(|one| one.under.as_ref()) {
            Some(hold) => record.under(hold),
            None => record,
        }
    }

    /// What this run may do about the record `seen`, given a person's `decision`.
    pub(super) fn passage<'a>(
        &self,
        seen: &'a Observed,
        decision: Decision,
        host: &dyn Host,
    ) -> Passage<'a> {
        // A hold has no process that could be dead, so a person's word does not release it.
        let is_told = decision == Decision::TakeOver && !seen.stored.record.is_hold();
        let is_replaceable = is_told || seen.assessment.replacement != Replacement::No;
        passage(&seen.stored.record, is_replaceable, |hold| {
            self.may_use(hold, host)
        })
    }

    /// The hold that this run may use, if `record` is that hold or belongs to another run under it.
    pub(super) fn usable_hold(&self, record: &Record, host: &dyn Host) -> Option<LockId> {
        let hold = record.hold().filter(|hold| self.may_use(hold, host))?;
        hold.lock_id()
    }

    /// Whether this run may use that hold. A hold is never taken under another.
    fn may_use(&self, hold: &Record, host: &dyn Host) -> bool {
        let id = hold.lock_id();
        let may = match &self.under {
            Some(named) => id.as_ref() == Some(named),
            None => host.owns_hold(hold),
        };
        self.lease.hold.is_none() && may
    }

    /// Whether `found` shows that the hold that was named is gone.
    pub(super) fn misses_its_hold(&self, found: Option<&Stored>) -> bool {
        let Some(named) = &self.under else {
            return false;
        };
        let Some(found) = found else {
            return true;
        };
        // A kernel lock exists beside the hold and does not replace it.
        let is_beside = matches!(found.revision, Revision::KernelLock { .. });
        let hold = found.record.hold().and_then(Record::lock_id);
        !is_beside && hold.as_ref() != Some(named)
    }
}

/// A record to replace, and the hold to run under afterwards.
#[derive(Clone, Debug)]
pub(super) struct Replacing {
    pub(super) seen: Observed,
    pub(super) under: Option<Record>,
}

impl Replacing {
    /// The holder whose lock was taken over; `None` if the run just starts under a hold.
    pub(super) fn taken_over(self) -> Option<Observed> {
        let is_hold = self.under.is_some() && self.seen.stored.record.is_hold();
        (!is_hold).then_some(self.seen)
    }
}
