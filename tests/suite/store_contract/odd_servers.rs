//! S3 servers that do not compare on a delete: what tflock does about it, request by request.

use tflock::lock::store::{Heartbeats, Store, StoreErrorKind, Stored, Swap};

use super::places::{amazon_s3_store, block_on, declared_s3_store, s3_store};
use super::records::record;
use crate::support::backend::LOCK_KEY;
use crate::support::proxy::{Exchange, Fault, Proxy};
use crate::support::s3::{IfMatch, S3, Sort};

/// A server of one sort behind a proxy, with a store that has its lock there.
struct Scene<S> {
    engine: S3,
    proxy: Proxy,
    store: S,
    held: Stored,
}

fn scene<S: Store>(on_delete: IfMatch, store: impl Fn(&str) -> S) -> Scene<S> {
    let engine = S3::of_sort(Sort::deleting(on_delete));
    let proxy = Proxy::before(engine.url());
    let store = store(&proxy.url());
    let held = take(&store);
    proxy.clear_log();
    Scene {
        engine,
        proxy,
        store,
        held,
    }
}

fn take(store: &impl Store) -> Stored {
    match block_on(store.swap(None, Some(&record("ana")))).unwrap() {
        Swap::Done(Some(stored)) => stored,
        other => panic!("not put: {other:?}"),
    }
}

impl<S: Store> Scene<S> {
    fn delete(&self) -> Swap {
        block_on(self.store.swap(Some(&self.held), None)).unwrap()
    }

    /// The methods that arrived, a DELETE with its condition as `DELETE if`.
    fn methods(&self) -> Vec<String> {
        let log = self.proxy.log();
        let methods = log.iter().map(|one| {
            let method = one.action.split(' ').next().unwrap_or_default();
            match one.header("if-match") {
                Some(_) => format!("{method} if"),
                None => method.to_owned(),
            }
        });
        methods.collect()
    }
}

fn behind(proxy: &str) -> impl Store + use<> {
    s3_store(proxy, LOCK_KEY)
}

#[test]
fn a_server_that_cannot_compare_is_asked_to_once() {
    for on_delete in [
        IfMatch::NotImplemented,
        IfMatch::Invalid,
        IfMatch::AlwaysFails,
    ] {
        let mut scene = scene(on_delete, behind);
        assert_eq!(scene.delete(), Swap::Done(None), "{on_delete:?}");
        let expected = ["GET", "DELETE if", "GET", "DELETE"];
        assert_eq!(scene.methods(), expected, "{on_delete:?}");
        assert_eq!(scene.engine.locks(), Vec::<String>::new());

        scene.held = take(&scene.store);
        scene.proxy.clear_log();
        assert_eq!(scene.delete(), Swap::Done(None), "{on_delete:?}");
        assert_eq!(scene.methods(), ["GET", "DELETE"], "{on_delete:?}");
        assert_eq!(scene.engine.locks(), Vec::<String>::new());
    }
}

#[test]
fn what_answers_for_amazon_and_cannot_compare_is_compared_with_as_well() {
    let scene = scene(IfMatch::NotImplemented, |proxy: &str| {
        amazon_s3_store(proxy)
    });
    assert_eq!(scene.delete(), Swap::Done(None));
    assert_eq!(scene.methods(), ["DELETE if", "GET", "DELETE"]);
    assert_eq!(scene.engine.locks(), Vec::<String>::new());
}

#[test]
fn another_s_lock_is_left_alone_by_every_sort() {
    let another = r#"{"ID":"7","Who":"eve@desk"}"#;
    for on_delete in [
        IfMatch::Honoured,
        IfMatch::Ignored,
        IfMatch::NotImplemented,
        IfMatch::Invalid,
        IfMatch::AlwaysFails,
    ] {
        let scene = scene(on_delete, behind);
        scene.engine.put(LOCK_KEY, another);
        let Swap::Refused(Some(seen)) = scene.delete() else {
            panic!("{on_delete:?}: not refused")
        };
        assert_eq!(seen.record.info.as_deref(), Some(another));
        assert_eq!(scene.engine.object(LOCK_KEY).unwrap().text(), another);
    }
}

#[test]
fn a_lock_that_is_another_s_by_the_time_of_the_refusal_is_left_alone() {
    let another = r#"{"ID":"7","Who":"eve@desk"}"#;
    for on_delete in [IfMatch::NotImplemented, IfMatch::AlwaysFails] {
        let scene = scene(on_delete, behind);
        let gate = scene.proxy.on("DELETE *.tflock").hold();
        let swap = std::thread::scope(|scope| {
            scope.spawn(|| {
                gate.wait_until_reached();
                scene.engine.put(LOCK_KEY, another);
                gate.open();
            });
            block_on(scene.store.swap(Some(&scene.held), None)).unwrap()
        });
        assert!(matches!(swap, Swap::Refused(Some(_))), "{on_delete:?}");
        assert_eq!(scene.engine.object(LOCK_KEY).unwrap().text(), another);
    }
}

#[test]
fn an_answer_that_is_lost_is_told_as_one_that_may_have_been_a_deletion() {
    let scene = scene(IfMatch::NotImplemented, behind);
    // The one with the condition is refused, the one without is carried out.
    scene.proxy.on("DELETE *.tflock").nth(2, Fault::DropReply);
    let error = block_on(scene.store.swap(Some(&scene.held), None)).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreachable);
    assert_eq!(scene.delete(), Swap::Refused(None));
    assert_eq!(scene.engine.locks(), Vec::<String>::new());
}

#[test]
fn a_look_that_fails_before_a_deletion_has_changed_nothing() {
    let scene = scene(IfMatch::Ignored, behind);
    for fault in [Fault::DropReply, Fault::InternalError, Fault::Reset] {
        scene.proxy.on("GET *.tflock").next(fault);
        let error = block_on(scene.store.swap(Some(&scene.held), None)).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NotCarriedOut);
    }
    assert_eq!(scene.proxy.count("DELETE *.tflock"), 0);
    assert_eq!(scene.delete(), Swap::Done(None));
}

#[test]
fn nothing_is_overwritten_on_a_server_that_was_not_declared_to_compare() {
    for on_put in [
        IfMatch::Honoured,
        IfMatch::Ignored,
        IfMatch::Feigned,
        IfMatch::NotImplemented,
        IfMatch::AlwaysFails,
    ] {
        let engine = S3::of_sort(Sort::overwriting(on_put));
        let proxy = Proxy::before(engine.url());
        let store = behind(&proxy.url());
        assert_eq!(store.heartbeats(), Heartbeats::None);
        let held = take(&store);
        proxy.clear_log();
        let next = record("ben");
        let swap = block_on(store.swap(Some(&held), Some(&next))).unwrap();
        assert!(matches!(swap, Swap::Done(Some(_))), "{on_put:?}: {swap:?}");
        let overwrites =
            |one: &Exchange| one.action.starts_with("PUT") && one.header("if-match").is_some();
        assert!(!proxy.log().iter().any(overwrites), "{on_put:?}");
        let standing = engine.object(LOCK_KEY).unwrap().text();
        assert_eq!(Some(standing), next.info, "{on_put:?}");
    }
}

#[test]
fn a_server_that_is_falsely_declared_to_compare_loses_no_lock_by_a_renewal_that_it_refuses() {
    for on_put in [
        IfMatch::NotImplemented,
        IfMatch::Invalid,
        IfMatch::AlwaysFails,
    ] {
        let engine = S3::of_sort(Sort::overwriting(on_put));
        let proxy = Proxy::before(engine.url());
        let store = declared_s3_store(&proxy.url(), LOCK_KEY);
        let held = take(&store);
        let before = engine.object(LOCK_KEY);
        let renewed = held.record.renewed(chrono::Utc::now());
        let swap = block_on(store.swap(Some(&held), Some(&renewed)));
        match (on_put, swap) {
            // Its own record comes back; whoever meets that eight times gives up on the server.
            (IfMatch::AlwaysFails, Ok(Swap::Refused(Some(own)))) => {
                assert!(own.record.is_same_lock_as(&held.record));
            }
            (_, Err(error)) => assert!(!error.kind.may_have_been_applied(), "{error}"),
            (_, swap) => panic!("{on_put:?}: {swap:?}"),
        }
        assert_eq!(engine.object(LOCK_KEY), before, "{on_put:?}");
        assert_eq!(proxy.count("DELETE *.tflock"), 0, "{on_put:?}");
    }
}
