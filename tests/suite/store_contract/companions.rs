//! The contract of a lock's companions, fact by fact: documents that change only by compare-and-swap.

use tflock::lock::store::companion::{Change, Companion, Document, Purpose};

use super::places::Place;
use super::records::record;

fn companion(place: &Place) -> Companion {
    place.store.companion(Purpose::Queue).expect("a companion")
}

/// Replaces `expected` by that text, which must succeed.
async fn put(companion: &Companion, expected: Option<&Document>, text: &str) -> Document {
    match companion.change(expected, Some(text)).await.unwrap() {
        Change::Done(Some(document)) => document,
        other => panic!("not put: {other:?}"),
    }
}

async fn text(companion: &Companion) -> Option<String> {
    let document = companion.read().await.unwrap();
    document.map(|document| document.text().to_owned())
}

fn refused_by(change: Change) -> Option<Document> {
    match change {
        Change::Refused(now) => now,
        Change::Done(_) => panic!("done: {change:?}"),
    }
}

pub async fn a_companion_keeps_its_text_and_changes_only_by_comparison(place: &Place) {
    let companion = companion(place);
    assert_eq!(text(&companion).await, None);
    let first = put(&companion, None, "{\"one\": \"ä<&>状\"}").await;
    assert_eq!(
        text(&companion).await.as_deref(),
        Some("{\"one\": \"ä<&>状\"}")
    );
    let refusal = companion.change(None, Some("another")).await.unwrap();
    let now = refused_by(refusal).expect("what stands there");
    let second = put(&companion, Some(&now), "two").await;

    let late = companion.change(Some(&first), Some("late")).await.unwrap();
    assert_eq!(refused_by(late).unwrap().text(), "two");
    let late = companion.change(Some(&first), None).await.unwrap();
    assert_eq!(refused_by(late).unwrap().text(), "two");
    assert_eq!(text(&companion).await.as_deref(), Some("two"));

    let gone = companion.change(Some(&second), None).await.unwrap();
    assert_eq!(gone, Change::Done(None));
    assert_eq!(text(&companion).await, None);
}

pub async fn a_companion_and_its_lock_do_not_disturb_each_other(place: &Place) {
    let companion = companion(place);
    let document = put(&companion, None, "[]").await;
    assert_eq!(place.store.read().await.unwrap(), None);
    place
        .store
        .swap(None, Some(&record("ana")))
        .await
        .expect("the lock is taken");
    let held = place.store.read().await.unwrap();
    let document = put(&companion, Some(&document), "[1]").await;
    assert_eq!(place.store.read().await.unwrap(), held);
    companion.change(Some(&document), None).await.unwrap();
    assert_eq!(place.store.read().await.unwrap(), held);
    assert_eq!(place.neighbour.read().await.unwrap(), None);
}
