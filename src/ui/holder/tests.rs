use super::*;
use crate::lock::record::LockId;

fn now() -> DateTime<Utc> {
    "2026-11-22T10:46:00Z".parse().unwrap()
}

fn unknown() -> Assessment {
    Assessment {
        liveness: Liveness::Unknown,
        silence: None,
        replacement: Replacement::No,
        settles_in: None,
    }
}

fn record_of_plain_terraform() -> Record {
    let info = LockInfo {
        id: LockId("4db125df".into()),
        operation: "OperationTypeApply".into(),
        who: "ana@laptop".into(),
        created: "2026-11-22T10:32:00Z".into(),
        ..LockInfo::default()
    };
    Record {
        info: Some(info.to_go_json()),
        lease: None,
    }
}

#[test]
fn a_lock_of_plain_terraform_shows_its_holder_and_the_missing_heartbeat() {
    let rows = rows(&record_of_plain_terraform(), &unknown(), now());
    assert_eq!(rows[0].0, "held by");
    assert!(
        rows[0].1.starts_with("ana@laptop (terraform apply, since "),
        "{rows:?}"
    );
    assert!(rows[0].1.ends_with(", 14 min ago)"), "{rows:?}");
    assert!(rows[1].1.starts_with("unknown"), "{rows:?}");
    assert_eq!(rows[2], ("lock ID", "4db125df".to_owned()));
}

#[test]
fn an_info_that_is_not_json_is_shown_safely() {
    let record = Record {
        info: Some("\u{1b}[2Jgarbage".into()),
        lease: None,
    };
    let rows = rows(&record, &unknown(), now());
    assert_eq!(rows[1], ("Info", "\u{fffd}[2Jgarbage".to_owned()));
}

#[test]
fn a_lock_is_shown_in_terraforms_own_block() {
    let mut record = record_of_plain_terraform();
    let info = LockInfo {
        created: "2026-11-22T10:32:05.3060Z".into(),
        path: "tfstate/prod".into(),
        version: "1.11.4".into(),
        ..record.lock_info().unwrap()
    };
    record.info = Some(info.to_go_json());
    let lines = lock_info("locks/app", &record, &unknown(), now());
    let expected = [
        ("Lock Info:", ""),
        ("  ID:", "4db125df"),
        ("  Path:", "tfstate/prod"),
        ("  Operation:", "OperationTypeApply"),
        ("  Who:", "ana@laptop"),
        ("  Version:", "1.11.4"),
        (
            "  Created:",
            "2026-11-22 10:32:05.306 +0000 UTC (13 min ago)",
        ),
        ("  Info:", ""),
        ("Lock:", "locks/app"),
        ("Holder:", "unknown: this lock gives no heartbeat"),
    ];
    assert_eq!(
        lines,
        expected.map(|(label, text)| (label, text.to_owned()))
    );
}

#[test]
fn durations_use_their_largest_unit() {
    let said = |seconds| duration(Duration::from_secs(seconds));
    assert_eq!(
        [
            said(4),
            said(59),
            said(840),
            said(3600),
            said(3600 + 300),
            said(90_000),
            said(300_000)
        ],
        [
            "4 s",
            "59 s",
            "14 min",
            "1 h",
            "1 h 5 min",
            "1 day",
            "3 days"
        ]
    );
}
