//! A lock's record in the store: terraform's lock info, byte for byte as Go writes it, and beside it tflock's own lease.
//!
//! Nothing of tflock's ever goes into the `Info` JSON: plain terraform and OpenTofu must be able to read it, and OpenTofu
//! deletes on equality of that very string.

mod info;
mod lease;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::info::{LockId, LockInfo, go_time, parsed_time};
pub use self::lease::{HolderProcess, Lease, Origin};
pub use crate::system::process::ProcessIdentity;

/// terraform's part of a record and each attribute of ours. Every rewrite keeps all others: they may belong to a newer
/// tflock, or be a TTL or a tag of the user.
pub const ATTRIBUTES: [&str; 12] = [
    "Info",
    "TflockVersion",
    "Command",
    "Reason",
    "RunUrl",
    "Origin",
    "Hold",
    "Heartbeat",
    "HeartbeatAt",
    "RenewedEverySeconds",
    "ExpireAfterSeconds",
    "Holder",
];

/// A record: what terraform wrote or would write, and tflock's lease if tflock wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    /// `Info`, exactly as stored; `None` for an item that has no such string.
    pub info: Option<String>,
    /// tflock's part; `None` for a lock of plain terraform.
    pub lease: Option<Lease>,
}

impl Record {
    /// A record that tflock is about to write.
    #[must_use]
    pub fn new(info: &LockInfo, lease: Lease) -> Self {
        Self {
            info: Some(info.to_go_json()),
            lease: Some(lease),
        }
    }

    /// The lock info; `None` if `Info` is missing or is not one.
    #[must_use]
    pub fn lock_info(&self) -> Option<LockInfo> {
        serde_json::from_str(self.info.as_deref()?).ok()
    }

    /// The holder's lock ID; `None` if it cannot be read or is empty.
    #[must_use]
    pub fn lock_id(&self) -> Option<LockId> {
        self.lock_info()
            .map(|info| info.id)
            .filter(|id| !id.0.is_empty())
    }

    /// Whether this record, as read from a store, is exactly the one that was `sent`. Some stores keep no reason beside the
    /// one in `Info`, some have no room for a long origin, and some servers keep no lease at all.
    #[must_use]
    pub fn is_exactly(&self, sent: &Self) -> bool {
        let has_its_lease = match (&self.lease, &sent.lease) {
            (Some(own), Some(sent)) => own.kept_everywhere() == sent.kept_everywhere(),
            (None, _) => true,
            (Some(_), None) => false,
        };
        self.info.is_some() && self.info == sent.info && has_its_lease
    }

    /// Whether both records are of the same acquisition of a lock, however often it was renewed. Then terraform's part is the
    /// same byte for byte, which says who took the lock and, to the nanosecond, when; and the process is the same if both name
    /// one. Equal IDs are not enough: machines that woke from one memory image can draw the same random bytes.
    #[must_use]
    pub fn is_same_lock_as(&self, other: &Self) -> bool {
        let process = |record: &Self| {
            let holder = record.lease.as_ref()?.holder.clone()?;
            Some(HolderProcess {
                child: None,
                ..holder
            })
        };
        let is_one_process = match (process(self), process(other)) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        };
        self.info.is_some() && self.info == other.info && is_one_process
    }

    /// The record with one more heartbeat, sent at `wall` by the holder's clock.
    #[must_use]
    pub fn renewed(&self, wall: DateTime<Utc>) -> Self {
        let mut renewed = self.clone();
        if let Some(lease) = &mut renewed.lease {
            lease.heartbeat = lease.heartbeat.map(|count| count + 1);
            lease.heartbeat_at = lease.heartbeat.map(|_| go_time(wall));
        }
        renewed
    }
}

#[cfg(test)]
mod tests {
    use super::info::tests::info;
    use super::*;

    fn written(info: &LockInfo, process: u32, heartbeat: u64) -> Record {
        let process = ProcessIdentity {
            pid: process,
            start_time: 1,
        };
        let lease = Lease {
            tflock_version: "0".into(),
            command: "apply".into(),
            reason: Some("why".into()),
            run_url: None,
            origin: Some(Origin::default()),
            hold: None,
            heartbeat: Some(heartbeat),
            heartbeat_at: None,
            renewed_every: None,
            expire_after: None,
            holder: Some(HolderProcess {
                machine: None,
                boot_id: "boot".into(),
                pid_namespace: 1,
                uid: 0,
                session: None,
                process,
                child: None,
            }),
        };
        Record::new(info, lease)
    }

    #[test]
    fn an_id_alone_does_not_make_two_records_one_lock() {
        let own = written(&info(), 5, 0);
        let later = LockInfo {
            created: "2026-11-22T19:36:57.306409177Z".into(),
            ..info()
        };
        let of_another = LockInfo {
            who: "root@other".into(),
            ..info()
        };
        let others = [
            written(&later, 5, 0),
            written(&of_another, 5, 0),
            written(&info(), 6, 0),
        ];
        for other in others {
            assert_eq!(other.lock_id(), own.lock_id());
            assert!(!other.is_same_lock_as(&own) && !other.is_exactly(&own));
        }
        let nothing = Record {
            info: None,
            lease: None,
        };
        assert!(!nothing.is_same_lock_as(&nothing) && !nothing.is_exactly(&nothing));
    }

    #[test]
    fn a_renewed_lock_is_the_same_one_but_not_exactly_what_was_sent() {
        let sent = written(&info(), 5, 0);
        let mut renewed = sent.renewed(Utc::now());
        if let Some(holder) = renewed
            .lease
            .as_mut()
            .and_then(|lease| lease.holder.as_mut())
        {
            holder.child = Some(holder.process);
        }
        assert!(renewed.is_same_lock_as(&sent) && !renewed.is_exactly(&sent));
        assert!(sent.is_same_lock_as(&sent) && sent.is_exactly(&sent));
    }

    #[test]
    fn parts_that_a_store_does_not_keep_make_no_difference() {
        let sent = written(&info(), 5, 0);
        let mut kept = sent.clone();
        if let Some(lease) = &mut kept.lease {
            lease.reason = None;
            lease.origin = None;
        }
        assert!(kept.is_exactly(&sent));
        kept.lease = None;
        assert!(kept.is_exactly(&sent) && !sent.is_exactly(&kept));
    }

    #[test]
    fn an_info_that_is_not_json_has_no_lock_id() {
        let record = Record {
            info: Some("garbage".into()),
            lease: None,
        };
        assert_eq!(record.lock_id(), None);
        assert_eq!(record.lock_info(), None);
    }
}
