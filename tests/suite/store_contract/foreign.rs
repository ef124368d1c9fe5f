//! Records that tflock did not write: each holds the lock, is changed only if it was compared as a whole, and
//! can be removed.

use std::fs;

use serde_json::{Value, json};

use tflock::lock::record::Record;
use tflock::lock::store::{Store, Stored, Swap};

use super::places::{block_on, dynamodb_store, local_store, s3_store};
use super::records::record;
use crate::support::backend::{LOCK_ID, LOCK_KEY};
use crate::support::dynamodb::Dynamodb;
use crate::support::s3::S3;

/// The lock is held by `record`, and can be removed once it was looked at.
fn assert_held_and_removable(store: &impl Store, record: &Record) {
    block_on(async {
        let refused = store.swap(None, Some(&super::records::record("eve"))).await;
        let Swap::Refused(Some(holder)) = refused.unwrap() else {
            panic!("not held")
        };
        assert_eq!(&holder.record, record);
        assert_eq!(store.read().await.unwrap().as_ref(), Some(&holder));
        let deleted = store.swap(Some(&holder), None).await.unwrap();
        assert_eq!(deleted, Swap::Done(None));
        assert_eq!(store.read().await.unwrap(), None);
    });
}

fn foreign(info: Option<&str>) -> Record {
    Record {
        info: info.map(str::to_owned),
        lease: None,
    }
}

/// Neither replaces nor deletes `outdated`.
fn assert_outdated(store: &impl Store, outdated: &Stored) {
    block_on(async {
        for new in [None, Some(&record("eve"))] {
            let swap = store.swap(Some(outdated), new).await.unwrap();
            assert!(matches!(swap, Swap::Refused(Some(_))), "{swap:?}");
        }
    });
}

fn with(mut item: Value, name: &str, value: Value) -> Value {
    item[name] = value;
    item
}

const TERRAFORM_S: &str = r#"{"ID":"7","Operation":"OperationTypePlan","Info":"","Who":"ben@desk","Version":"1.11.4","Created":"2026-11-22T19:36:57Z","Path":"p"}"#;

#[test]
fn an_item_of_plain_terraform_is_compared_to_the_letter() {
    let engine = Dynamodb::start();
    let table = engine.create_table("locks");
    let store = dynamodb_store(engine.url(), table.name());
    let item = json!({ "LockID": { "S": LOCK_ID }, "Info": { "S": TERRAFORM_S } });
    table.put(&item);
    let seen = block_on(store.read()).unwrap().unwrap();
    assert_eq!(seen.record, foreign(Some(TERRAFORM_S)));

    let differences = [
        ("Info", json!({ "S": TERRAFORM_S.replace("ben", "eve") })),
        ("Heartbeat", json!({ "N": "0" })),
        ("Holder", json!({ "M": {} })),
        ("TflockVersion", json!({ "S": "0.1.0" })),
    ];
    for (name, value) in differences {
        let changed = with(item.clone(), name, value);
        table.put(&changed);
        assert_outdated(&store, &seen);
        assert_eq!(table.item(LOCK_ID), Some(changed));
    }
    table.put(&item);
    assert_held_and_removable(&store, &foreign(Some(TERRAFORM_S)));
}

#[test]
fn attributes_of_any_name_and_type_are_compared_and_can_be_removed() {
    let engine = Dynamodb::start();
    let table = engine.create_table("locks");
    let store = dynamodb_store(engine.url(), table.name());
    let item = json!({
        "LockID": { "S": LOCK_ID },
        "Info": { "N": "42" },
        "a list of lists": { "L": [{ "L": [] }, { "S": "" }] },
        "Bytes": { "B": "AAEC" },
        "Nothing": { "NULL": true },
        "Map": { "M": { "inner": { "BOOL": false } } },
        "Set": { "SS": ["a", "b"] },
        "TTL": { "N": "1763840000" },
        "size": { "N": "-0.5" },
    });
    table.put(&item);
    let seen = block_on(store.read()).unwrap().unwrap();
    assert_eq!(seen.record, foreign(None));

    for (name, value) in [
        ("Info", json!({ "S": "42" })),
        ("a list of lists", json!({ "L": [] })),
        ("Bytes", json!({ "B": "AAEE" })),
        ("Nothing", json!({ "S": "" })),
        ("Map", json!({ "M": { "inner": { "BOOL": true } } })),
        ("Set", json!({ "SS": ["a"] })),
        ("TTL", json!({ "N": "1763840001" })),
    ] {
        let changed = with(item.clone(), name, value);
        table.put(&changed);
        assert_outdated(&store, &seen);
        assert_eq!(table.item(LOCK_ID), Some(changed), "{name}");
    }
    table.put(&item);
    assert_held_and_removable(&store, &foreign(None));
}

#[test]
fn an_item_that_is_nothing_but_its_key_holds_the_lock() {
    let engine = Dynamodb::start();
    let table = engine.create_table("locks");
    let store = dynamodb_store(engine.url(), table.name());
    table.put(&json!({ "LockID": { "S": LOCK_ID } }));
    assert_held_and_removable(&store, &foreign(None));
}

#[test]
fn terraform_s_digest_beside_the_lock_is_never_touched() {
    let engine = Dynamodb::start();
    let table = engine.create_table("locks");
    let store = dynamodb_store(engine.url(), table.name());
    let digest = json!({ "LockID": { "S": format!("{LOCK_ID}-md5") }, "Digest": { "S": "d41d" } });
    table.put(&digest);
    block_on(async {
        let swap = store.swap(None, Some(&record("ana"))).await.unwrap();
        let Swap::Done(Some(holder)) = swap else {
            panic!("not put: {swap:?}")
        };
        store.swap(Some(&holder), None).await.unwrap();
    });
    assert_eq!(table.items(), [digest]);
}

#[test]
fn an_object_of_any_content_holds_the_lock() {
    let engine = S3::start();
    let store = s3_store(engine.url(), LOCK_KEY);
    for (body, info) in [
        (TERRAFORM_S.as_bytes(), TERRAFORM_S),
        (b"", ""),
        (b"not JSON", "not JSON"),
        (b"\xff\x00 no text", "\u{fffd}\0 no text"),
    ] {
        engine.put(LOCK_KEY, body);
        assert_held_and_removable(&store, &foreign(Some(info)));
    }
}

#[test]
fn an_object_that_was_overwritten_is_not_the_one_that_was_seen() {
    let engine = S3::start();
    let store = s3_store(engine.url(), LOCK_KEY);
    engine.put(LOCK_KEY, "first");
    let seen = block_on(store.read()).unwrap().unwrap();
    engine.put(LOCK_KEY, "second");
    assert_outdated(&store, &seen);
    assert_eq!(engine.object(LOCK_KEY).unwrap().text(), "second");
}

#[test]
fn a_local_file_of_any_content_holds_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let store = local_store(directory.path());
    let file = record_file(directory.path(), &store);
    for (content, info) in [
        (&b"not JSON"[..], Some("not JSON")),
        (b"", Some("")),
        (b"{\"LockID\":\"x\",\"In", Some("{\"LockID\":\"x\",\"In")),
        (b"\xff\x00", Some("\u{fffd}\0")),
        (b"{\"LockID\":\"x\"}", None),
        (
            b"{\"LockID\":\"x\",\"Info\":\"i\",\"Heartbeat\":1}",
            Some("i"),
        ),
    ] {
        fs::write(&file, content).unwrap();
        assert_held_and_removable(&store, &foreign(info));
    }
}

#[test]
fn a_local_file_is_compared_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    let store = local_store(directory.path());
    let file = record_file(directory.path(), &store);
    fs::write(&file, "{\"LockID\":\"x\"}").unwrap();
    let seen = block_on(store.read()).unwrap().unwrap();
    fs::write(&file, "{\"LockID\":\"x\"}\n").unwrap();
    assert_outdated(&store, &seen);
}

#[test]
fn a_half_written_file_that_never_got_its_name_is_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = local_store(directory.path());
    let file = record_file(directory.path(), &store);
    let new = file.with_extension("new");
    // Longer than any record, so that a part of it would be left over if it were not cut off.
    fs::write(&new, "{ half".repeat(10_000)).unwrap();
    block_on(async {
        assert_eq!(store.read().await.unwrap(), None);
        let swap = store.swap(None, Some(&record("ana"))).await.unwrap();
        let Swap::Done(Some(stored)) = swap else {
            panic!("not put: {swap:?}")
        };
        assert_eq!(stored.record, record("ana"));
    });
    assert!(!new.exists());
}

/// The file of that lock, which is to be removed again.
fn record_file(directory: &std::path::Path, store: &impl Store) -> std::path::PathBuf {
    block_on(async {
        let swap = store.swap(None, Some(&record("ana"))).await.unwrap();
        let Swap::Done(Some(stored)) = swap else {
            panic!("not put: {swap:?}")
        };
        let entries = fs::read_dir(directory).unwrap();
        let mut files = entries.map(|entry| entry.unwrap().path());
        let file = files.find(|path| path.extension().is_some_and(|end| end == "json"));
        store.swap(Some(&stored), None).await.unwrap();
        file.expect("a record")
    })
}
