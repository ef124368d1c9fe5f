//! What goes over the wire: as few requests as can be, and none that the usual policy does not allow.

use serde_json::json;

use tflock::lock::store::{Store, Swap};

use super::places::{block_on, dynamodb_store, s3_store};
use super::records::record;
use crate::support::backend::LOCK_KEY;
use crate::support::dynamodb::Dynamodb;
use crate::support::proxy::Proxy;
use crate::support::s3::S3;

/// Takes the lock, is refused once, looks at it and gives it back.
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

#[test]
fn only_a_refusal_costs_s3_another_request() {
    let engine = S3::start();
    let proxy = Proxy::before(engine.url());
    use_once(&s3_store(&proxy.url(), LOCK_KEY));
    let lock = format!("/states/{LOCK_KEY}");
    let expected = ["PUT", "PUT", "GET", "GET", "DELETE"].map(|method| format!("{method} {lock}"));
    assert_eq!(proxy.actions(), expected);
    assert_eq!(proxy.connections(), 1);
}
