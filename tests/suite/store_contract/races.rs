//! Races: of all that swap the same record, exactly one is told that it succeeded.

use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

use tflock::lock::record::{LockId, Record};
use tflock::lock::store::{Store, Stored, Swap};

use super::places::{block_on, dynamodb_store, local_store, s3_store};
use super::records::record;
use crate::support::backend::LOCK_KEY;
use crate::support::dynamodb::Dynamodb;
use crate::support::s3::S3;

const RACERS: usize = 6;

/// What one racer was told in one race, and what it saw afterwards.
struct Finish {
    race: usize,
    told: Result<Swap, String>,
    seen: Option<Stored>,
}

/// Each racer has its own store for the same lock. In each round all of them try to take the free lock, then
/// all try to replace the winner, then all try to delete that one.
///
/// What is wrong is found at the end: a racer that stopped would leave the others waiting for it.
fn race<S: Store>(rounds: usize, store: impl Fn() -> S + Sync) {
    let barrier = Barrier::new(RACERS);
    let finishes = Mutex::new(Vec::new());
    let racer = |number: usize| {
        let own = store();
        let run = async |race, expected: Option<Stored>, new: Option<Record>| {
            barrier.wait();
            let told = own.swap(expected.as_ref(), new.as_ref()).await;
            barrier.wait();
            let seen = own.read().await.ok().flatten();
            let finish = Finish {
                race,
                told: told.map_err(|error| error.to_string()),
                seen: seen.clone(),
            };
            let mut finishes = finishes.lock().unwrap_or_else(PoisonError::into_inner);
            finishes.push(finish);
            seen
        };
        block_on(async {
            for round in 0..rounds {
                let mine = record(&number.to_string());
                let holder = run(3 * round, None, Some(mine)).await;
                // An S3 object is told from another by its body, so nobody may write what is there already.
                let next = record(&format!("{number}, replacing"));
                let next = run(3 * round + 1, holder, Some(next)).await;
                run(3 * round + 2, next, None).await;
            }
        });
    };
    thread::scope(|scope| {
        for number in 0..RACERS {
            let racer = &racer;
            scope.spawn(move || racer(number));
        }
    });
    let finishes = finishes.into_inner().unwrap();
    for race in 0..3 * rounds {
        let finishes: Vec<_> = finishes.iter().filter(|one| one.race == race).collect();
        let done = finishes.iter().filter_map(|one| match &one.told {
            Ok(Swap::Done(stored)) => Some(stored.as_ref().and_then(id)),
            Ok(Swap::Refused(_)) => None,
            Err(error) => panic!("race {race}: {error}"),
        });
        let winners: Vec<_> = done.collect();
        assert_eq!(winners.len(), 1, "race {race}: {winners:?}");
        for finish in finishes {
            assert_eq!(finish.seen.as_ref().and_then(id), winners[0]);
        }
    }
}

fn id(stored: &Stored) -> Option<LockId> {
    stored.record.lock_id()
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
