//! Records to be stored.

use std::time::Duration;

use tflock::lock::hold::Hold;
use tflock::lock::record::{
    HolderProcess, Lease, LockId, LockInfo, Origin, ProcessIdentity, Record,
};

/// A unique record with every field of a lease.
pub fn record(name: &str) -> Record {
    Record::new(
        &LockInfo {
            id: LockId(format!("id of {name}")),
            operation: "OperationTypeApply".to_owned(),
            info: "why <& where> \"now\"".to_owned(),
            who: "ana@laptop".to_owned(),
            version: "1.11.4".to_owned(),
            created: "2026-11-22T19:36:57.306409176Z".to_owned(),
            path: "states/prod/app.tfstate".to_owned(),
        },
        Lease {
            tflock_version: "0.1.0".to_owned(),
            command: "exec müller 🦀".to_owned(),
            reason: Some("rotating\nthe \"database\" password".to_owned()),
            run_url: Some("https://ci.example.com/run?id=7&attempt=2".to_owned()),
            origin: Some(Origin {
                system: Some("GitLab CI".to_owned()),
                run_id: Some("77".to_owned()),
                actor: Some("müller".to_owned()),
                repository: Some("team/infra".to_owned()),
                branch: Some("rotate/\"keys\"".to_owned()),
                commit: Some("1f0c5d2a9b7e4c3d8f6a0b1c2d3e4f5a6b7c8d9e".to_owned()),
            }),
            hold: None,
            heartbeat: Some(u64::from(u32::MAX) + 1),
            heartbeat_at: Some("2026-11-22T19:37:07.5Z".to_owned()),
            renewed_every: Some(Duration::from_millis(1_500)),
            expire_after: Some(Duration::from_millis(4_500)),
            holder: Some(HolderProcess {
                machine: Some("00ff".to_owned()),
                boot_id: "3f1c".to_owned(),
                pid_namespace: 4_026_531_836,
                uid: 1000,
                session: None,
                process: ProcessIdentity {
                    pid: 4_194_304,
                    start_time: u64::MAX,
                },
                child: Some(ProcessIdentity {
                    pid: 17,
                    start_time: 9,
                }),
            }),
        },
    )
}

/// A hold with every field that it can have.
pub fn hold(name: &str) -> Record {
    let mut hold = record(name);
    if let Some(lease) = &mut hold.lease {
        lease.hold = Some(Hold {
            until: Some("2026-11-23T19:36:57Z".to_owned()),
            runs: 2,
            under: None,
        });
        (lease.heartbeat, lease.heartbeat_at, lease.holder) = (None, None, None);
        (lease.renewed_every, lease.expire_after) = (None, None);
    }
    hold
}

/// What a clone of its holder's machine, which has drawn the same lock ID, may write a nanosecond later.
pub fn a_nanosecond_later(record: &Record) -> Record {
    let mut info = record.lock_info().expect("a lock info");
    "2026-11-22T19:36:57.306409177Z".clone_into(&mut info.created);
    Record {
        info: Some(info.to_go_json()),
        ..record.clone()
    }
}

/// The same without its reason, which an S3 object keeps in its body only.
pub fn without_reason(record: &Record) -> Record {
    let mut record = record.clone();
    if let Some(lease) = &mut record.lease {
        lease.reason = None;
    }
    record
}
