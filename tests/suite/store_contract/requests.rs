//! What is sent: as few requests as possible, and none that the usual policy does not allow.

use serde_json::json;

use tflock::lock::store::{Store, Swap};

use super::places::{amazon_s3_store, block_on, dynamodb_store, s3_store};
use super::records::record;
use crate::support::backend::LOCK_KEY;
use crate::support::dynamodb::Dynamodb;
use crate::support::proxy::Proxy;
use crate::support::s3::S3;

/// Takes the lock, is refused once, looks at it and releases it.
fn use_once(store: &impl Store) {
    block_on(async {
        let taken = store.swap(None, Some(&record("ana"))).await.unwrap();
        let refused = store.swap(None, Some(&record("ben"))).await.unwrap();
        assert!(matches!(refused, Swap::Refused(Some(_))), "{refused:?}");
        assert!(store.read().await.unwrap().is_some());
        let Swap::Done(Some(holder)) = taken else {
            panic!("not put: {taken:?}")
        };
        store.swap(Some(&holder), None).await.unwrap();
    });
}

#[test]
fn each_request_of_the_protocol_is_one_of_dynamodb_s() {
    let engine = Dynamodb::start();
    let table = engine.create_table("locks");
    let proxy = Proxy::before(engine.url());
    use_once(&dynamodb_store(&proxy.url(), table.name()));
    let expected = ["PutItem", "PutItem", "GetItem", "DeleteItem"];
    assert_eq!(proxy.actions(), expected);
    assert_eq!(proxy.connections(), 1);
    // Another replica may not have heard of the last write yet.
    assert_eq!(proxy.log()[2].input()["ConsistentRead"], json!(true));
}

/// The methods of the lock object's requests that arrived at that proxy.
#[track_caller]
fn assert_methods(proxy: &Proxy, methods: &[&str]) {
    let lock = format!("/states/{LOCK_KEY}");
    let expected: Vec<_> = methods
        .iter()
        .map(|method| format!("{method} {lock}"))
        .collect();
    assert_eq!(proxy.actions(), expected);
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn only_a_refusal_costs_amazon_s_s3_another_request() {
    let engine = S3::start();
    let proxy = Proxy::before(engine.url());
    use_once(&amazon_s3_store(&proxy.url()));
    assert_methods(&proxy, &["PUT", "PUT", "GET", "GET", "DELETE"]);
    let deletion = &proxy.log()[4];
    assert!(deletion.header("if-match").is_some(), "{deletion:?}");
}

#[test]
fn another_s_s3_costs_one_look_before_a_deletion() {
    let engine = S3::start();
    let proxy = Proxy::before(engine.url());
    use_once(&s3_store(&proxy.url(), LOCK_KEY));
    assert_methods(&proxy, &["PUT", "PUT", "GET", "GET", "GET", "DELETE"]);
    let deletion = &proxy.log()[5];
    assert!(deletion.header("if-match").is_some(), "{deletion:?}");
}
