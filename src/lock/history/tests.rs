//! Histories, as documents and over the store in memory.

use std::future::{Future as _, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::*;
use crate::lock::host::Host as _;
use crate::lock::store::companion::Purpose;
use crate::lock::store::memory::{Fault, MemoryStore};
use crate::lock::store::{Store, StoreErrorKind};
use crate::simulation::{SimulatedHost, Simulation};

fn entry(id: &str, ended: HowEnded) -> Entry {
    Entry {
        id: LockId(id.into()),
        ended: ended.word().into(),
        ..serde_json::from_str(r#"{"ID":""}"#).unwrap()
    }
}

#[test]
fn the_last_fifty_are_kept() {
    let mut history = History::default();
    for number in 0..60 {
        history.add(entry(&number.to_string(), HowEnded::Released));
    }
    let ids: Vec<_> = history.entries.iter().map(|one| one.id.0.clone()).collect();
    assert_eq!(ids.len(), 50);
    assert_eq!((ids[0].as_str(), ids[49].as_str()), ("10", "59"));
}

#[test]
fn the_entry_of_a_run_that_removed_a_lock_beats_that_of_its_holder_in_either_order() {
    let removed = Entry {
        by: Some("ben@desk".into()),
        ..entry("a", HowEnded::ForceUnlocked)
    };
    let missed = Entry {
        exit_code: Some(1),
        ..entry("a", HowEnded::Lost)
    };
    for two in [[&removed, &missed], [&missed, &removed]] {
        let mut history = History::default();
        for one in two {
            history.add(one.clone());
        }
        let [one] = history.entries.as_slice() else {
            panic!("one holder")
        };
        assert_eq!(one.ended, "force-unlocked");
        assert_eq!(
            (one.by.as_deref(), one.exit_code),
            (Some("ben@desk"), Some(1))
        );
    }
    let mut history = History::default();
    history.add(entry("a", HowEnded::Released));
    history.add(entry("a", HowEnded::NotReleased));
    assert_eq!(history.entries[0].ended, "not released");
}

#[test]
fn a_history_keeps_fields_of_a_newer_tflock_and_no_other_document_is_taken_for_one() {
    let text = r#"{"Entries":[{"ID":"a","Who":"","Command":"","From":"","Until":"","Ended":"melted","Colour":"red"}],"Version":7}"#;
    let history = History::parse(text).unwrap();
    assert_eq!(history.to_text().as_deref(), Some(text));
    for text in ["", "[]", "{", r#"{"Entries":[{"Who":"nobody"}]}"#] {
        assert_eq!(History::parse(text), None, "{text}");
    }
}

/// A crowd of recorders on one lock.
fn crowd(count: usize) -> (Simulation, MemoryStore, Vec<(SimulatedHost, Recorder)>) {
    let simulation = Simulation::default();
    let store = MemoryStore::with_companions();
    let stores: [Rc<dyn Store>; 1] = [Rc::new(store.clone())];
    let recorders = (0..count).map(|_| {
        let host = simulation.machine().tflock();
        let recorder = Recorder::of(&stores, host.shared()).unwrap();
        (host, recorder)
    });
    let recorders = recorders.collect();
    (simulation, store, recorders)
}

fn kept(simulation: &Simulation, store: &MemoryStore) -> Vec<Entry> {
    let stores: [Rc<dyn Store>; 1] = [Rc::new(store.clone())];
    simulation.run(read(&stores)).unwrap()
}

#[test]
fn no_entry_is_lost_when_many_runs_write_at_once() {
    let (simulation, store, recorders) = crowd(20);
    let adds = recorders.iter().enumerate().map(|(number, (_, recorder))| {
        Box::pin(recorder.add(entry(&number.to_string(), HowEnded::Released)))
    });
    let mut adds: Vec<_> = adds.collect();
    simulation.run(poll_fn(|context| {
        adds.retain_mut(|add| add.as_mut().poll(context).is_pending());
        if adds.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
    assert_eq!(kept(&simulation, &store).len(), 20);
}

#[test]
fn lost_replies_neither_lose_an_entry_nor_write_it_twice() {
    for faults in [
        [Fault::ReplyLost, Fault::ReplyLost],
        [Fault::RequestLost, Fault::ReplyLost],
        [
            Fault::Refused(StoreErrorKind::Throttled),
            Fault::RequestLost,
        ],
    ] {
        let (simulation, store, recorders) = crowd(1);
        store.beside(Purpose::History).unwrap().inject(faults);
        simulation.run(recorders[0].1.add(entry("a", HowEnded::Released)));
        assert_eq!(kept(&simulation, &store).len(), 1);
    }
}

#[test]
fn an_entry_after_a_look_takes_one_request_and_a_forbidden_one_is_dropped() {
    let (simulation, store, recorders) = crowd(1);
    let beside = store.beside(Purpose::History).unwrap();
    simulation.run(async {
        recorders[0].1.look().await;
        recorders[0].1.add(entry("a", HowEnded::Released)).await;
    });
    assert_eq!(beside.requests(), 2);
    beside.inject([Fault::Refused(StoreErrorKind::AccessDenied)]);
    simulation.run(recorders[0].1.add(entry("b", HowEnded::Released)));
    assert_eq!(beside.requests(), 3);
    assert_eq!(kept(&simulation, &store).len(), 1);
}

#[test]
fn a_history_that_does_not_answer_delays_a_command_by_one_second() {
    let (simulation, store, recorders) = crowd(1);
    store
        .beside(Purpose::History)
        .unwrap()
        .inject([Fault::Silence]);
    let (host, recorder) = &recorders[0];
    let begun = host.now();
    simulation.run(recorder.add_at_end(entry("a", HowEnded::Released)));
    assert_eq!(host.now().since(begun), Duration::from_secs(1));
}

#[test]
fn a_document_that_is_not_a_history_is_not_overwritten() {
    let (simulation, store, recorders) = crowd(1);
    let beside = store.beside(Purpose::History).unwrap();
    let foreign = Record {
        info: Some("somebody's".into()),
        lease: None,
    };
    beside.overwrite(Some(foreign.clone()));
    simulation.run(recorders[0].1.add(entry("a", HowEnded::Released)));
    assert_eq!(beside.current().unwrap().record, foreign);
}

#[test]
fn an_entry_says_what_the_record_says() {
    let host = Simulation::default().machine().tflock();
    let mut claim = host.claim(None);
    claim.info.created = "2026-01-01T00:00:00Z".into();
    claim.lease.run_url = Some("https://ci/1".into());
    claim.info.info = "https://ci/1".into();
    let record = Record::new(&claim.info, claim.lease.clone());
    let entry = Entry::of(&record, "2026-01-01T00:01:00Z".into(), HowEnded::Released).unwrap();
    assert_eq!(entry.id, claim.info.id);
    assert_eq!((entry.command, entry.reason), (claim.lease.command, None));
    let plain = Record {
        info: Some(
            r#"{"ID":"a","Operation":"OperationTypePlan","Info":"why","Who":"ana@laptop"}"#.into(),
        ),
        lease: None,
    };
    let entry = Entry::of(&plain, String::new(), HowEnded::TakenOver).unwrap();
    assert_eq!(entry.command, "OperationTypePlan");
    assert_eq!(entry.reason.as_deref(), Some("why"));
}
