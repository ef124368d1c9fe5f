use super::*;
use crate::lock::record::{LockId, Origin};

fn now() -> DateTime<Utc> {
    "2026-11-22T10:46:00Z".parse().unwrap()
}

fn unknown() -> Assessment {
    Assessment {
        liveness: Liveness::Unknown,
        silence: None,
        replacement: Replacement::No,
        misses_heartbeats: false,
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
fn a_lock_shows_where_its_run_comes_from() {
    let lease = |run_url: Option<&str>, origin: Origin| -> Lease {
        let lease = r#"{"TflockVersion":"0","Command":"apply"}"#;
        Lease {
            run_url: run_url.map(ToOwned::to_owned),
            origin: Some(origin),
            ..serde_json::from_str(lease).unwrap()
        }
    };
    let in_ci = Origin {
        system: Some("GitHub Actions".into()),
        run_id: Some("42".into()),
        actor: Some("ana".into()),
        repository: Some("team/infra".into()),
        branch: Some("main".into()),
        commit: Some("1f0c5d2a9b7e4c3d8f6a0b1c2d3e4f5a6b7c8d9e".into()),
    };
    let url = "https://ci.example/42";
    let from_git = Origin {
        branch: Some("ma\u{1b}in".into()),
        ..Origin::default()
    };
    let shown = [
        (
            lease(Some(url), in_ci.clone()),
            vec![
                ("CI run", "https://ci.example/42 (started by ana)"),
                ("source", "team/infra, branch main, commit 1f0c5d2a9b7e"),
            ],
        ),
        (
            lease(None, in_ci),
            vec![
                ("CI run", "GitHub Actions, run 42 (started by ana)"),
                ("source", "team/infra, branch main, commit 1f0c5d2a9b7e"),
            ],
        ),
        (
            lease(None, from_git),
            vec![("source", "branch ma\u{fffd}in")],
        ),
        (lease(None, Origin::default()), vec![]),
    ];
    for (lease, expected) in shown {
        let record = Record {
            lease: Some(lease),
            ..record_of_plain_terraform()
        };
        let rows = rows(&record, &unknown(), now());
        let told: Vec<(&str, &str)> = rows
            .iter()
            .filter(|(label, _)| ["CI run", "source"].contains(label))
            .map(|(label, text)| (*label, text.as_str()))
            .collect();
        assert_eq!(told, expected);
        let block = lock_info("locks/app", &record, &unknown(), now());
        let told: Vec<&str> = block
            .iter()
            .filter(|(label, _)| ["CI run:", "Source:"].contains(label))
            .map(|(_, text)| text.as_str())
            .collect();
        let expected: Vec<&str> = expected.iter().map(|(_, text)| *text).collect();
        assert_eq!(told, expected);
    }
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
