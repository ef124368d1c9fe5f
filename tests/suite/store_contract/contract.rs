//! The contract of [`Store`], fact by fact. A place is empty when a fact is proven on it.

use tflock::lock::record::Record;
use tflock::lock::store::{Heartbeats, StoreErrorKind, Stored, Swap};

use super::places::Place;
use super::records::{a_nanosecond_later, hold, record};

async fn read(place: &Place) -> Option<Stored> {
    place.store.read().await.unwrap()
}

async fn swap(place: &Place, expected: Option<&Stored>, new: Option<&Record>) -> Swap {
    place.store.swap(expected, new).await.unwrap()
}

/// Replaces `expected` by that record, which must succeed.
async fn put(place: &Place, expected: Option<&Stored>, new: &Record) -> Stored {
    match swap(place, expected, Some(new)).await {
        Swap::Done(Some(stored)) => stored,
        other => panic!("not put: {other:?}"),
    }
}

/// Fails unless a refusal showed exactly that holder.
fn assert_refused(swap: &Swap, place: &Place, holder: Option<&Stored>) {
    let seen = holder.map(|stored| seen(place, stored));
    assert_eq!(swap, &Swap::Refused(seen));
}

/// A record as all but its writer see it.
fn seen(place: &Place, stored: &Stored) -> Stored {
    Stored {
        record: (place.kept)(&stored.record),
        revision: stored.revision.clone(),
    }
}

pub async fn nothing_is_read_where_nothing_stands(place: &Place) {
    assert_eq!(read(place).await, None);
}

pub async fn a_record_reads_back_as_it_was_written(place: &Place) {
    let written = record("ana");
    let stored = put(place, None, &written).await;
    assert_eq!(stored.record, written);
    assert_eq!(read(place).await, Some(seen(place, &stored)));
}

pub async fn a_hold_is_kept_through_a_run_or_refused_where_it_could_be_lost(place: &Place) {
    let hold = hold("ana");
    if place.store.heartbeats() == Heartbeats::None {
        let refused = place.store.swap(None, Some(&hold)).await.unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::Unsuitable);
        assert_eq!(read(place).await, None);
        return;
    }
    let stored = put(place, None, &hold).await;
    assert!(read(place).await.unwrap().record.is_exactly(&hold));
    let sent = record("ben").under(&hold);
    let run = put(place, Some(&stored), &sent).await;
    let read_back = read(place).await.unwrap();
    assert!(read_back.record.is_exactly(&sent), "{read_back:?}");
    let rest = read_back.record.returns_to().unwrap();
    assert_eq!(rest.info, hold.info);
    let rest = put(place, Some(&run), rest).await;
    assert!(rest.record.is_hold());
    assert!(!rest.record.is_exactly(&hold), "it counts its runs");
    assert_refused(&swap(place, None, Some(&sent)).await, place, Some(&rest));
}

pub async fn a_refusal_brings_the_holder_back(place: &Place) {
    let holder = put(place, None, &record("ana")).await;
    let refused = swap(place, None, Some(&record("ben"))).await;
    assert_refused(&refused, place, Some(&holder));
    assert_eq!(read(place).await, Some(seen(place, &holder)));
}

pub async fn what_comes_back_is_known_for_what_was_sent(place: &Place) {
    let sent = record("ana");
    put(place, None, &sent).await;
    let refused = swap(place, None, Some(&sent)).await;
    let Swap::Refused(Some(holder)) = refused else {
        panic!("not refused: {refused:?}")
    };
    for back in [holder, read(place).await.unwrap()] {
        assert!(back.record.is_exactly(&sent), "{back:?}");
        let others = [record("ben"), a_nanosecond_later(&sent)];
        assert!(others.iter().all(|other| !back.record.is_exactly(other)));
    }
}

pub async fn another_s_record_with_the_same_lock_id_is_neither_replaced_nor_deleted(place: &Place) {
    let ours = record("ana");
    let gone = put(place, None, &ours).await;
    swap(place, Some(&gone), None).await;
    let theirs = put(place, None, &a_nanosecond_later(&ours)).await;
    assert_eq!(theirs.record.lock_id(), ours.lock_id());
    let replaced = swap(place, Some(&gone), Some(&ours)).await;
    assert_refused(&replaced, place, Some(&theirs));
    let deleted = swap(place, Some(&gone), None).await;
    assert_refused(&deleted, place, Some(&theirs));
    assert_eq!(read(place).await, Some(seen(place, &theirs)));
}

pub async fn the_exact_record_is_replaced(place: &Place) {
    put(place, None, &record("ana")).await;
    let holder = read(place).await;
    let next = put(place, holder.as_ref(), &record("ben")).await;
    assert_eq!(next.record, record("ben"));
    assert_eq!(read(place).await, Some(seen(place, &next)));
}

pub async fn an_outdated_record_replaces_nothing(place: &Place) {
    let first = put(place, None, &record("ana")).await;
    let second = put(place, Some(&first), &record("ben")).await;
    let refused = swap(place, Some(&first), Some(&record("eve"))).await;
    assert_refused(&refused, place, Some(&second));
    assert_eq!(read(place).await, Some(seen(place, &second)));
}

pub async fn the_exact_record_is_deleted(place: &Place) {
    put(place, None, &record("ana")).await;
    let holder = read(place).await;
    assert_eq!(swap(place, holder.as_ref(), None).await, Swap::Done(None));
    assert_eq!(read(place).await, None);
}

pub async fn an_outdated_record_deletes_nothing(place: &Place) {
    let first = put(place, None, &record("ana")).await;
    let second = put(place, Some(&first), &record("ben")).await;
    let refused = swap(place, Some(&first), None).await;
    assert_refused(&refused, place, Some(&second));
    assert_eq!(read(place).await, Some(seen(place, &second)));
}

pub async fn a_record_that_is_gone_is_neither_replaced_nor_deleted(place: &Place) {
    let gone = put(place, None, &record("ana")).await;
    swap(place, Some(&gone), None).await;
    let replaced = swap(place, Some(&gone), Some(&record("ben"))).await;
    assert_refused(&replaced, place, None);
    let deleted = swap(place, Some(&gone), None).await;
    assert_refused(&deleted, place, None);
    assert_eq!(read(place).await, None);
}

pub async fn nothing_can_be_swapped_for_nothing(place: &Place) {
    assert_eq!(swap(place, None, None).await, Swap::Done(None));
    let holder = put(place, None, &record("ana")).await;
    assert_refused(&swap(place, None, None).await, place, Some(&holder));
    assert_eq!(read(place).await, Some(seen(place, &holder)));
}

pub async fn each_answer_is_what_the_next_request_expects(place: &Place) {
    let mut current = put(place, None, &record("0")).await;
    for number in 1..6 {
        current = put(place, Some(&current), &record(&number.to_string())).await;
    }
    let refused = swap(place, None, Some(&record("late"))).await;
    let Swap::Refused(Some(holder)) = refused else {
        panic!("not refused: {refused:?}")
    };
    let taken_over = put(place, Some(&holder), &record("next")).await;
    assert_eq!(swap(place, Some(&taken_over), None).await, Swap::Done(None));
}

pub async fn a_look_brings_what_stands_there_whatever_was_seen_before(place: &Place) {
    let look = async |seen: &Stored| place.store.look(seen).await.unwrap();
    let first = put(place, None, &record("ana")).await;
    let seen_first = seen(place, &first);
    let look_at_first = look(&seen_first).await;
    assert_eq!(look_at_first, Some(seen_first.clone()));
    swap(place, Some(&first), None).await;
    assert_eq!(look(&seen_first).await, None);
    let second = put(place, None, &record("ben")).await;
    assert_eq!(look(&seen_first).await, Some(seen(place, &second)));
}

pub async fn another_key_is_another_lock(place: &Place) {
    let holder = put(place, None, &record("ana")).await;
    assert_eq!(place.neighbour.read().await.unwrap(), None);
    let neighbour = place.neighbour.swap(None, Some(&record("ben"))).await;
    let Swap::Done(Some(neighbour)) = neighbour.unwrap() else {
        panic!("not put")
    };
    assert_eq!(swap(place, Some(&holder), None).await, Swap::Done(None));
    let read = place.neighbour.read().await.unwrap();
    assert_eq!(read, Some(seen(place, &neighbour)));
}
