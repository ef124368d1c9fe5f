//! Many at once: of all that swap the same thing, exactly one is told that it was done.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tflock::lock::record::Record;
use tflock::lock::store::{Store, Stored, Swap};

use super::places::{block_on, dynamodb_store, local_store, s3_store};
use super::records::record;
use crate::support::backend::LOCK_KEY;
use crate::support::dynamodb::Dynamodb;
use crate::support::s3::S3;

const RACERS: usize = 6;

/// Each racer has a store of its own to the same place. In each round all of them try to take the free lock, then
/// all try to replace the winner, then all try to delete that one.
fn race<S: Store>(rounds: usize, store: impl Fn() -> S + Sync) {
    let barrier = Barrier::new(RACERS);
    let winners = AtomicUsize::new(0);
    let racer = |number: usize| {
        let own = store();
        let all_try = async |expected: Option<Stored>, new: Option<Record>, what: &str| {
            barrier.wait();
            let swap = own.swap(expected.as_ref(), new.as_ref()).await.unwrap();
            if matches!(swap, Swap::Done(_)) {
                winners.fetch_add(1, Ordering::Relaxed);
            }
            barrier.wait();
            assert_eq!(winners.load(Ordering::Relaxed), 1, "winners of {what}");
            let now = own.read().await.unwrap();
            if let Swap::Done(done) = swap {
                let id = |stored: &Stored| stored.record.lock_id();
                assert_eq!(now.as_ref().map(id), done.as_ref().map(id), "{what}");
            }
            barrier.wait();
            winners.store(0, Ordering::Relaxed);
            now
        };
        block_on(async {
            for _ in 0..rounds {
                let mine = record(&number.to_string());
                let holder = all_try(None, Some(mine), "taking").await;
                assert!(holder.is_some());
                // An S3 object is told from another by its body, so nobody may write what is there already.
                let next = record(&format!("{number}, replacing"));
                let next = all_try(holder, Some(next), "replacing").await;
                let nothing = all_try(next, None, "deleting").await;
                assert_eq!(nothing, None);
            }
        });
    };
    thread::scope(|scope| {
        for number in 0..RACERS {
            let racer = &racer;
            scope.spawn(move || racer(number));
        }
    });
}

#[test]
fn local_swaps_have_one_winner() {
    let directory = tempfile::tempdir().unwrap();
    race(40, || local_store(directory.path()));
}

#[test]
fn dynamodb_swaps_have_one_winner() {
    let engine = Dynamodb::start();
    let table = engine.create_table("locks");
    race(25, || dynamodb_store(engine.url(), table.name()));
}

#[test]
fn s3_swaps_have_one_winner() {
    let engine = S3::start();
    race(25, || s3_store(engine.url(), LOCK_KEY));
}
