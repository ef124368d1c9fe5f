use std::time::Duration;

use super::item::{self, INFO};
use super::*;
use crate::lock::record::{ATTRIBUTES, HolderProcess, Lease, LockInfo, Origin, ProcessIdentity};

#[test]
fn a_record_survives_the_round_trip_through_an_item() {
    let record = Record::new(
        &LockInfo::default(),
        Lease {
            tflock_version: "0.1.0".into(),
            command: "state mv".into(),
            reason: Some("why".into()),
            run_url: None,
            origin: Some(Origin {
                system: Some("GitHub Actions".into()),
                run_id: Some("42".into()),
                ..Origin::default()
            }),
            hold: None,
            heartbeat: Some(3),
            heartbeat_at: Some("2026-11-22T19:36:57Z".into()),
            renewed_every: Some(Duration::from_secs(20)),
            expire_after: Some(Duration::from_mins(1)),
            holder: Some(HolderProcess {
                machine: None,
                boot_id: "boot".into(),
                pid_namespace: 7,
                uid: 1000,
                session: None,
                process: ProcessIdentity {
                    pid: 5,
                    start_time: u64::MAX,
                },
                child: Some(ProcessIdentity {
                    pid: 6,
                    start_time: 1,
                }),
            }),
        },
    );
    let item = item("key", &record);
    assert_eq!(item["Heartbeat"], AttributeValue::N("3".into()));
    assert_eq!(item["ExpireAfterSeconds"], AttributeValue::N("60".into()));
    assert_eq!(item::record(&item), record);
}

#[test]
fn a_condition_covers_present_and_absent_attributes() {
    let text = |text: &str| AttributeValue::S(text.into());
    let item = Item::from([
        (LOCK_ID.to_owned(), text("k")),
        (INFO.to_owned(), text("{}")),
        ("Command".to_owned(), text("apply")),
        ("Extra".to_owned(), AttributeValue::Null(true)),
    ]);
    let condition = Condition::new(Some(&stored(item)));
    let named: Vec<_> = condition.names.unwrap().into_values().collect();
    assert!(
        ATTRIBUTES
            .iter()
            .all(|own| named.contains(&(*own).to_owned()))
    );
    assert!(!named.contains(&"Extra".to_owned()));
    assert_eq!(condition.expression.matches(" = :a").count(), 2);
}

#[test]
fn a_condition_stays_within_the_limit_of_an_expression_however_many_attributes_there_are() {
    for info in [None, Some(AttributeValue::S("{}".into()))] {
        let foreign = (0..300).map(|number| {
            (
                format!("SomebodysAttribute{number}"),
                AttributeValue::Bool(true),
            )
        });
        let item: Item = foreign
            .chain(info.map(|info| (INFO.to_owned(), info)))
            .collect();
        let condition = Condition::new(Some(&stored(item)));
        assert!(condition.expression.len() < 4096);
        assert!(condition.expression.contains("#a0 = :a0"));
    }
}

#[test]
fn attributes_added_by_others_are_foreign() {
    let item = Item::from([
        (LOCK_ID.to_owned(), AttributeValue::S("k".into())),
        ("Heartbeat".to_owned(), AttributeValue::N("3".into())),
        ("ExpiresAt".to_owned(), AttributeValue::N("1".into())),
    ]);
    let kept = foreign(&stored(item));
    assert_eq!(kept.into_keys().collect::<Vec<_>>(), ["ExpiresAt"]);
}
