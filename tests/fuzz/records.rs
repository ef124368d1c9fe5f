//! Records of locks, as whoever may write a table or a directory leaves them.

use chrono::Utc;
use tflock::lock::record::{Lease, Record};
use tflock::lock::store::Store as _;
use tflock::lock::store::local::LocalStore;
use tflock::text::printable;
use tflock::ui::holder;

use crate::{assert_printable, fuzz};

const INFO: &str = r#"{"ID":"4db125df-d950-b194-cf41-df3ed13f0cf1","Operation":"OperationTypeApply","Info":"why https://ci.example/1","Who":"ana@laptop","Version":"1.11.4","Created":"2026-11-27T10:32:05.123456Z","Path":"tfstate/app"}"#;
const LEASE: &str = r#"{"TflockVersion":"0.1.0","Command":"apply","Reason":"r","RunUrl":"https://ci","Origin":{"CI":"GitHub Actions","RunId":"42"},"Heartbeat":7,"HeartbeatAt":"2026-11-27T10:32:05Z","ExpireAfterSeconds":60.5}"#;

#[test]
fn lock_infos() {
    fuzz(&[INFO.as_bytes(), b"{}", b"[\"ID\"]"], |input| {
        let info = String::from_utf8_lossy(input).into_owned();
        let lease = serde_json::from_str::<Lease>(LEASE).ok();
        for lease in [None, lease] {
            let record = Record {
                info: Some(info.clone()),
                lease,
            };
            if let Some(info) = record.lock_info() {
                let _ = info.created_at();
                let _ = info.to_go_json();
                assert_printable(&holder::summary(&record, &info, Utc::now()));
                assert_printable(&holder::command(&record, &info));
            }
        }
    });
}

#[test]
fn leases() {
    fuzz(&[LEASE.as_bytes()], |input| {
        if let Ok(lease) = serde_json::from_slice::<Lease>(input) {
            let record = Record {
                info: Some(INFO.to_owned()),
                lease: Some(lease),
            };
            let info = record.lock_info().unwrap();
            assert_printable(&holder::summary(&record, &info, Utc::now()));
            let _ = record.renewed(Utc::now());
            let _ = serde_json::to_string(&record.lease);
        }
    });
}

#[test]
fn local_lock_files() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::new(directory.path(), "app");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let info: serde_json::Value = serde_json::from_str(INFO).unwrap();
    let lease: Lease = serde_json::from_str(LEASE).unwrap();
    let record = Record {
        info: Some(info.to_string()),
        lease: Some(lease),
    };
    runtime.block_on(store.swap(None, Some(&record))).unwrap();
    let files = std::fs::read_dir(directory.path()).unwrap().flatten();
    let path = files
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|end| end == "json"));
    let path = path.unwrap();
    let written = std::fs::read(&path).unwrap();
    fuzz(&[&written, INFO.as_bytes()], |input| {
        std::fs::write(&path, input).unwrap();
        match runtime.block_on(store.read()) {
            Ok(_) => {}
            Err(error) => assert_printable(&printable(&error.to_string())),
        }
    });
}

#[test]
fn whatever_is_shown() {
    fuzz(&[INFO.as_bytes(), b"a  b\x1b]0;x\x07\n"], |input| {
        assert_printable(&printable(&String::from_utf8_lossy(input)));
    });
}
