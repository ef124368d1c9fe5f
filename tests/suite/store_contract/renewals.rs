//! How a lock object is looked at and renewed, request by request.

use std::collections::BTreeMap;

use tflock::lock::record::Record;
use tflock::lock::store::s3::{Encryption, ObjectSettings};
use tflock::lock::store::{Heartbeats, Store, Stored, Swap};

use super::places::{amazon_s3_store, amazon_s3_store_with, block_on, renewed};
use super::records::record;
use crate::support::backend::LOCK_KEY;
use crate::support::proxy::{Exchange, Fault, Proxy};
use crate::support::s3::S3;

const CUSTOMER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn swap(store: &impl Store, expected: Option<&Stored>, new: Option<&Record>) -> Swap {
    block_on(store.swap(expected, new)).unwrap()
}

#[track_caller]
fn done(swap: Swap) -> Stored {
    match swap {
        Swap::Done(Some(stored)) => stored,
        other => panic!("not put: {other:?}"),
    }
}

fn next_of(held: &Stored) -> Record {
    held.record.renewed(chrono::Utc::now())
}

fn methods(proxy: &Proxy) -> Vec<String> {
    let log = proxy.log();
    let methods = log
        .iter()
        .map(|one| one.action.split(' ').next().unwrap_or_default().to_owned());
    methods.collect()
}

/// Everything in a request about how its object is stored.
fn manner(put: &Exchange) -> BTreeMap<String, String> {
    let headers = put
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let changes = |name: &str| {
        [
            "if-match",
            "if-none-match",
            "x-amz-meta-tflock-lease",
            "authorization",
            "x-amz-date",
            "date",
        ]
        .contains(&name)
            || name.starts_with("amz-sdk-")
    };
    headers.filter(|(name, _)| !changes(name)).collect()
}

#[test]
fn a_renewal_is_one_put_and_a_look_at_what_has_not_changed_one_head() {
    let engine = S3::start();
    let proxy = Proxy::before(engine.url());
    let store = amazon_s3_store(&proxy.url());
    assert_eq!(store.heartbeats(), Heartbeats::NotCompared);
    let held = done(swap(&store, None, Some(&record("ana"))));
    let renewed = done(swap(&store, Some(&held), Some(&next_of(&held))));
    assert_eq!(
        block_on(store.look(&renewed)).unwrap(),
        Some(renewed.clone())
    );
    assert_eq!(swap(&store, Some(&renewed), None), Swap::Done(None));
    assert_eq!(methods(&proxy), ["PUT", "PUT", "HEAD", "DELETE"]);
}

#[test]
fn a_look_at_what_has_gone_or_changed_reads_it() {
    let engine = S3::start();
    let proxy = Proxy::before(engine.url());
    let store = amazon_s3_store(&proxy.url());
    let held = done(swap(&store, None, Some(&record("ana"))));
    proxy.clear_log();
    engine.put(LOCK_KEY, r#"{"ID":"7","Who":"eve@desk"}"#);
    let seen = block_on(store.look(&held)).unwrap().expect("a lock");
    assert_eq!(seen.record.lock_id().unwrap().0, "7");
    engine.remove(LOCK_KEY);
    assert_eq!(block_on(store.look(&held)).unwrap(), None);
    assert_eq!(methods(&proxy), ["HEAD", "GET", "HEAD", "GET"]);
}

#[test]
fn a_store_that_is_away_throttles_or_forbids_is_an_error_and_not_a_missing_object() {
    let engine = S3::start();
    let proxy = Proxy::before(engine.url());
    let store = amazon_s3_store(&proxy.url());
    let held = done(swap(&store, None, Some(&record("ana"))));
    for fault in [
        Fault::DropRequest,
        Fault::Reset,
        Fault::InternalError,
        Fault::Unavailable,
        Fault::Throttled,
        Fault::ExpiredToken,
        Fault::AccessDenied,
        Fault::NotFound,
    ] {
        let told = format!("{fault:?}");
        proxy.on("*.tflock").every(fault);
        let look = block_on(store.look(&held));
        assert!(look.is_err(), "{told}: {look:?}");
        proxy.heal();
    }
}

#[test]
fn a_renewal_writes_the_same_body_with_all_headers_of_the_first_write() {
    let settings = [
        renewed(),
        ObjectSettings {
            encryption: Encryption::S3Key,
            ..renewed()
        },
        ObjectSettings {
            encryption: Encryption::KmsKey("alias/states".into()),
            ..renewed()
        },
        ObjectSettings {
            encryption: Encryption::CustomerKey(CUSTOMER_KEY.into()),
            ..renewed()
        },
        ObjectSettings {
            acl: Some("bucket-owner-full-control".into()),
            ..renewed()
        },
        ObjectSettings {
            tags: Some("owner=ana&team=net".into()),
            ..renewed()
        },
        ObjectSettings {
            skip_checksum: true,
            ..renewed()
        },
    ];
    for settings in settings {
        let engine = S3::start();
        let proxy = Proxy::before(engine.url());
        let store = amazon_s3_store_with(&proxy.url(), settings);
        let held = done(swap(&store, None, Some(&record("ana"))));
        let first = engine.object(LOCK_KEY).unwrap();
        let renewed = done(swap(&store, Some(&held), Some(&next_of(&held))));
        let second = engine.object(LOCK_KEY).unwrap();
        assert_eq!(second.body, first.body);
        assert_ne!(
            second.metadata["tflock-lease"],
            first.metadata["tflock-lease"]
        );
        let log = proxy.log();
        assert_eq!(manner(&log[1]), manner(&log[0]));
        assert_eq!(log[0].header("if-none-match"), Some("*"));
        assert_eq!(log[1].header("if-match"), Some(first.etag.as_str()));
        assert_eq!(
            block_on(store.look(&renewed)).unwrap(),
            Some(renewed.clone())
        );
        assert_eq!(swap(&store, Some(&renewed), None), Swap::Done(None));
        assert_eq!(engine.object(LOCK_KEY), None);
    }
}

#[test]
fn a_renewal_under_kms_has_another_tag_and_one_whose_reply_was_lost_brings_it_back() {
    let engine = S3::start();
    let proxy = Proxy::before(engine.url());
    let settings = ObjectSettings {
        encryption: Encryption::KmsKey("alias/states".into()),
        ..renewed()
    };
    let store = amazon_s3_store_with(&proxy.url(), settings);
    let held = done(swap(&store, None, Some(&record("ana"))));
    let second = done(swap(&store, Some(&held), Some(&next_of(&held))));
    assert_ne!(second.revision, held.revision);
    proxy.on("PUT *.tflock").next(Fault::DropReply);
    block_on(store.swap(Some(&second), Some(&next_of(&second)))).unwrap_err();
    let Swap::Refused(Some(third)) = swap(&store, Some(&second), None) else {
        panic!("not refused");
    };
    assert!(third.record.is_same_lock_as(&second.record));
    assert_eq!(swap(&store, Some(&third), None), Swap::Done(None));
}

#[test]
fn a_renewal_that_comes_after_the_release_or_the_next_holder_changes_nothing() {
    let engine = S3::start();
    let proxy = Proxy::before(engine.url());
    let store = amazon_s3_store(&proxy.url());
    let held = done(swap(&store, None, Some(&record("ana"))));
    let late = next_of(&held);
    assert_eq!(swap(&store, Some(&held), None), Swap::Done(None));
    assert_eq!(swap(&store, Some(&held), Some(&late)), Swap::Refused(None));
    assert_eq!(engine.object(LOCK_KEY), None);
    let next = done(swap(&store, None, Some(&record("ben"))));
    assert!(matches!(
        swap(&store, Some(&held), Some(&late)),
        Swap::Refused(Some(_))
    ));
    assert_eq!(
        Some(engine.object(LOCK_KEY).unwrap().text()),
        next.record.info
    );
}
