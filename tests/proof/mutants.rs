//! Protocols that are broken on purpose: a proof that does not find them proves nothing.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::exhaustive;
use super::explorer::{Pruning, SmallScene, explore};
use super::network::Weather;
use super::say;
use super::schedule::{self, Scene};
use super::schedules::{
    CLIENTS, CLONES, DYNAMODB, EQUAL_BYTES, FAIR, HOLDS, LOANS, LOCAL, PROMISES, SEVERAL,
};
use super::server::{Quirk, Rules};
use crate::lock::host::{Host, Instant, ProcessFate};
use crate::lock::queue::Tickets;
use crate::lock::record::{HolderProcess, LockId, LockInfo, Record};
use crate::lock::store::companion::Purpose;
use crate::lock::store::{Heartbeats, Store, StoreFuture, Stored, Swap};
use crate::simulation::{Alteration, Altered, SimulatedHost};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutation {
    /// Nothing.
    None,
    /// A delete removes any record.
    DeleteUncompared,
    /// A write replaces any record, in a renewal or a takeover.
    PutUncompared,
    /// Silence is measured by the wall clock.
    WallClockTrusted,
    /// An own record that is found in the way is taken for another's.
    OwnRecordUnknown,
    /// Processes of other machines and living children are taken for dead.
    EverybodyDead,
    /// Neither tflock nor its witness asks a child to stop, whatever happens to the lock.
    NewsIgnored,
    /// A child is started no matter how long the answer took that the lock is held.
    Unconfirmed,
    /// No witness asks the child of a stopped tflock to stop.
    WitnessIdle,
    /// A run that gives up does not look for what it may have left.
    NothingWithdrawn,
    /// A record is taken for one's own if it bears one's lock ID.
    IdIsEnough,
    /// Objects are renewed on any server.
    RenewsEverywhere,
    /// A late heartbeat is trusted where nothing compares it.
    LateHeartbeatTrusted,
    /// The first run in the queue takes the lock, no matter who holds it.
    QueueDecides,
    /// A run that gives its lock back forgets the hold.
    HoldForgotten,
    /// A run that finds a hold replaces it.
    HoldIgnored,
    /// A run keeps the locks that it has while it waits for the next, in the order in which they were named.
    WaitsWhileHolding,
    /// Whoever gets its turn trusts the look that it took before it waited.
    LookedOnce,
    /// Each borrower has a turn of its own.
    TurnForEach,
    /// A terraform lends its lock on to what it starts itself.
    LendsOn,
    /// A run that lends its lock does not wait for what has borrowed it.
    BorrowersForgotten,
    /// A client that has ended is taken for all that works.
    ClientIsAll,
}

impl Mutation {
    pub(super) fn store(self, store: Rc<dyn Store>, own: &LockId) -> Rc<dyn Store> {
        match self {
            Self::DeleteUncompared
            | Self::PutUncompared
            | Self::OwnRecordUnknown
            | Self::NothingWithdrawn
            | Self::IdIsEnough
            | Self::RenewsEverywhere
            | Self::LateHeartbeatTrusted
            | Self::HoldForgotten
            | Self::HoldIgnored
            | Self::LookedOnce
            | Self::QueueDecides => {
                let broken = BrokenStore {
                    first_read: RefCell::default(),
                    mutation: self,
                    own: own.clone(),
                };
                Altered::shared(store, broken)
            }
            _ => store,
        }
    }

    pub(super) fn host(self, inner: &SimulatedHost) -> Rc<dyn Host> {
        match self {
            Self::WallClockTrusted | Self::EverybodyDead | Self::ClientIsAll => {
                Rc::new(BrokenHost {
                    inner: inner.clone(),
                    mutation: self,
                })
            }
            _ => inner.shared(),
        }
    }
}

struct BrokenStore {
    first_read: RefCell<Option<Stored>>,
    mutation: Mutation,
    own: LockId,
}

impl BrokenStore {
    fn bears_our_id(&self, stored: &Stored) -> bool {
        stored.record.lock_id().as_ref() == Some(&self.own)
    }

    /// Whether the queue says that it is our turn.
    async fn is_first(&self, store: &dyn Store) -> bool {
        let Some(queue) = store.companion(Purpose::Queue) else {
            return false;
        };
        let document = queue.read().await.ok().flatten();
        let tickets = document.and_then(|document| Tickets::parse(document.text()));
        tickets.is_some_and(|all| all.tickets.first().is_some_and(|one| one.id == self.own))
    }

    /// The same record with another's lock ID.
    fn disguised(&self, stored: Stored) -> Stored {
        if !self.bears_our_id(&stored) {
            return stored;
        }
        let another = LockInfo {
            id: LockId("another".into()),
            ..stored.record.lock_info().unwrap_or_default()
        };
        let record = Record {
            info: Some(another.to_go_json()),
            ..stored.record
        };
        Stored { record, ..stored }
    }
}

impl Alteration for BrokenStore {
    fn read<'a>(&'a self, below: &'a dyn Store) -> StoreFuture<'a, Option<Stored>> {
        if self.mutation == Mutation::NothingWithdrawn {
            // Only a withdrawal reads.
            return Box::pin(async { Ok(None) });
        }
        if self.mutation == Mutation::LookedOnce {
            return Box::pin(async {
                let before = self.first_read.borrow().clone();
                if before.is_some() {
                    return Ok(before);
                }
                let read = below.read().await?;
                self.first_read.replace(read.clone());
                Ok(read)
            });
        }
        below.read()
    }

    fn swap<'a>(
        &'a self,
        below: &'a dyn Store,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        let uncompared = match self.mutation {
            Mutation::DeleteUncompared => expected.is_some() && new.is_none(),
            Mutation::PutUncompared => expected.is_some() && new.is_some(),
            _ => false,
        };
        Box::pin(async move {
            if uncompared {
                let current = below.read().await?;
                return below.swap(current.as_ref(), new).await;
            }
            let forgets = self.mutation == Mutation::HoldForgotten;
            let new = new.filter(|record| !(forgets && record.is_hold()));
            let swap = below.swap(expected, new).await?;
            let Swap::Refused(Some(stored)) = swap else {
                return Ok(swap);
            };
            match self.mutation {
                Mutation::OwnRecordUnknown => Ok(Swap::Refused(Some(self.disguised(stored)))),
                Mutation::IdIsEnough if self.bears_our_id(&stored) => match new {
                    Some(_) => Ok(Swap::Done(Some(stored))),
                    None => below.swap(Some(&stored), None).await,
                },
                Mutation::HoldIgnored if new.is_some() && stored.record.is_hold() => {
                    below.swap(Some(&stored), new).await
                }
                Mutation::QueueDecides if new.is_some() && self.is_first(below).await => {
                    below.swap(Some(&stored), new).await
                }
                _ => Ok(Swap::Refused(Some(stored))),
            }
        })
    }

    fn heartbeats(&self, below: &dyn Store) -> Heartbeats {
        match self.mutation {
            Mutation::RenewsEverywhere => Heartbeats::NotCompared,
            Mutation::LateHeartbeatTrusted => Heartbeats::Compared,
            _ => below.heartbeats(),
        }
    }
}

struct BrokenHost {
    inner: SimulatedHost,
    mutation: Mutation,
}

impl Host for BrokenHost {
    fn now(&self) -> Instant {
        if self.mutation == Mutation::WallClockTrusted {
            let since = self.inner.wall() - DateTime::UNIX_EPOCH;
            return Instant(since.to_std().unwrap_or_default());
        }
        self.inner.now()
    }

    fn wall(&self) -> DateTime<Utc> {
        self.inner.wall()
    }

    fn sleep(&self, duration: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
        self.inner.sleep(duration)
    }

    fn random(&self) -> [u8; 16] {
        self.inner.random()
    }

    fn this_process(&self) -> Option<HolderProcess> {
        self.inner.this_process()
    }

    fn fate_of(&self, holder: &HolderProcess, id: &LockId) -> ProcessFate {
        if self.mutation == Mutation::EverybodyDead {
            return ProcessFate::Ended;
        }
        match self.inner.fate_of(holder, id) {
            ProcessFate::Elsewhere
                if self.mutation == Mutation::ClientIsAll
                    && self.inner.machine().has_unseen_work(id) =>
            {
                ProcessFate::Ended
            }
            fate => fate,
        }
    }
}

/// The schedules of `scene` find `mutation`, and tell what they have seen.
#[track_caller]
fn is_found_by_schedules(mutation: Mutation, scene: &Scene) {
    // The rarest is found after six thousand.
    let found = (0..20_000).find_map(|seed| schedule::run(scene, mutation, seed).err());
    let Some(violation) = found else {
        panic!("{mutation:?} is not found");
    };
    say(&format!(
        "{mutation:?}: seed {}: {}",
        violation.seed, violation.what
    ));
    let story = violation.to_string();
    let enters = story.matches(" enters on ").count();
    assert!(enters >= 2 && story.contains("is carried out"), "{story}");
}

/// So does the exploration of `scene`.
#[track_caller]
fn is_found_by_exploring(mutation: Mutation, scene: &SmallScene) {
    let Err(story) = explore(scene, mutation, Pruning::On) else {
        panic!("{mutation:?} is not found");
    };
    say(&format!(
        "{mutation:?}: {}",
        story.lines().last().unwrap_or_default()
    ));
    assert!(story.contains("is carried out"), "{story}");
}

#[test]
fn a_release_that_compares_nothing_is_found() {
    is_found_by_schedules(Mutation::DeleteUncompared, &DYNAMODB);
    is_found_by_exploring(Mutation::DeleteUncompared, &exhaustive::two());
}

#[test]
fn a_renewal_that_compares_nothing_is_found() {
    is_found_by_schedules(Mutation::PutUncompared, &DYNAMODB);
    is_found_by_exploring(Mutation::PutUncompared, &exhaustive::suspended());
}

#[test]
fn an_acquisition_that_does_not_know_its_own_record_is_found() {
    is_found_by_schedules(Mutation::OwnRecordUnknown, &DYNAMODB);
    is_found_by_exploring(Mutation::OwnRecordUnknown, &exhaustive::two());
}

#[test]
fn a_tflock_that_takes_what_bears_its_id_for_its_own_is_found() {
    for scene in [&EQUAL_BYTES, &CLONES] {
        is_found_by_schedules(Mutation::IdIsEnough, scene);
    }
    for scene in [exhaustive::equal_bytes(), exhaustive::clones()] {
        is_found_by_exploring(Mutation::IdIsEnough, &scene);
    }
}

#[test]
fn an_observer_that_trusts_the_wall_clock_is_found() {
    is_found_by_schedules(Mutation::WallClockTrusted, &PROMISES);
    is_found_by_schedules(Mutation::WallClockTrusted, &LOCAL);
    is_found_by_exploring(Mutation::WallClockTrusted, &exhaustive::wrong_clocks());
}

#[test]
fn an_observer_that_takes_everybody_for_dead_is_found() {
    is_found_by_schedules(Mutation::EverybodyDead, &DYNAMODB);
    is_found_by_exploring(Mutation::EverybodyDead, &exhaustive::two());
}

#[test]
fn a_holder_that_does_not_stop_its_child_in_time_is_found() {
    is_found_by_schedules(Mutation::NewsIgnored, &PROMISES);
    is_found_by_exploring(Mutation::NewsIgnored, &exhaustive::cut_off());
}

#[test]
fn a_child_that_is_started_on_an_answer_that_came_too_late_is_found() {
    let mute = Weather {
        reply_lost: 25,
        breaks: 0,
        ..PROMISES.weather
    };
    let scene = Scene {
        weather: mute,
        ..PROMISES
    };
    is_found_by_schedules(Mutation::Unconfirmed, &scene);
    is_found_by_exploring(Mutation::Unconfirmed, &exhaustive::slow_answers());
}

#[test]
fn an_acquisition_that_leaves_its_lost_attempt_behind_is_found() {
    is_found_by_schedules(Mutation::NothingWithdrawn, &DYNAMODB);
    is_found_by_exploring(Mutation::NothingWithdrawn, &exhaustive::two());
}

#[test]
fn a_witness_that_does_not_keep_a_stopped_tflock_s_promise_is_found() {
    is_found_by_schedules(Mutation::WitnessIdle, &PROMISES);
    is_found_by_exploring(Mutation::WitnessIdle, &exhaustive::stopped());
}

#[test]
fn a_renewal_on_a_server_that_does_not_compare_is_found() {
    let careless = Scene {
        places: &[Rules::S3That(Quirk::IgnoresIfMatch)],
        ..DYNAMODB
    };
    is_found_by_schedules(Mutation::RenewsEverywhere, &careless);
    let idle = Scene {
        places: &[Rules::S3That(Quirk::DoesNothing)],
        ..PROMISES
    };
    is_found_by_schedules(Mutation::RenewsEverywhere, &idle);
    let scene = exhaustive::promise_over(Rules::S3That(Quirk::IgnoresIfMatch));
    is_found_by_exploring(Mutation::RenewsEverywhere, &scene);
}

#[test]
fn a_late_heartbeat_that_is_trusted_though_nothing_compares_it_is_found() {
    let scene = Scene {
        places: &[Rules::S3],
        ..PROMISES
    };
    is_found_by_schedules(Mutation::LateHeartbeatTrusted, &scene);
}

#[test]
fn a_release_that_forgets_the_hold_and_a_run_that_ignores_it_are_found() {
    for mutation in [Mutation::HoldForgotten, Mutation::HoldIgnored] {
        is_found_by_schedules(mutation, &HOLDS);
        is_found_by_exploring(mutation, &exhaustive::hold());
    }
}

#[test]
fn a_lock_that_is_lent_in_a_wrong_way_is_found() {
    for mutation in [
        Mutation::LookedOnce,
        Mutation::TurnForEach,
        Mutation::LendsOn,
        Mutation::BorrowersForgotten,
    ] {
        is_found_by_schedules(mutation, &LOANS);
    }
}

#[test]
fn a_client_that_is_taken_for_all_that_works_is_found() {
    is_found_by_schedules(Mutation::ClientIsAll, &CLIENTS);
}

#[test]
fn a_run_that_waits_for_one_lock_while_it_holds_another_is_found() {
    let fair = Scene {
        places: SEVERAL.places,
        wants: SEVERAL.wants,
        ..FAIR
    };
    for scene in [&SEVERAL, &fair] {
        is_found_by_schedules(Mutation::WaitsWhileHolding, scene);
    }
    is_found_by_exploring(Mutation::WaitsWhileHolding, &exhaustive::opposite());
}
