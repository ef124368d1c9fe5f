//! A queue that does what it likes: it loses, repeats, forgets and invents tickets, and answers or does not. The lock must
//! not care.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::mutants::Mutation;
use super::referee::Referee;
use super::say;
use super::schedule::{self, Scene};
use super::schedules::{self, DYNAMODB, FAIR};
use super::server::Rules;
use crate::lock::queue::{Ticket, Tickets};
use crate::lock::record::{LockId, Record};
use crate::lock::store::{
    Heartbeats, Identity, Revision, Store, StoreError, StoreErrorKind, StoreFuture, Stored, Swap,
};
use crate::simulation::Simulation;

/// What kind of queue the lock of a schedule has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queueing {
    None,
    Honest,
    Broken,
}

/// The place of one lock's queue.
pub(super) struct Queue {
    simulation: Simulation,
    referee: Referee,
    kind: Queueing,
    latency: Duration,
    text: RefCell<Option<String>>,
    revision: Cell<u64>,
    /// What stood there before.
    past: RefCell<Vec<Option<String>>>,
}

impl Queue {
    pub(super) fn new(simulation: &Simulation, referee: &Referee, scene: &Scene) -> Rc<Self> {
        Rc::new(Self {
            simulation: simulation.clone(),
            referee: referee.clone(),
            kind: scene.queueing,
            latency: scene.weather.latency,
            text: RefCell::default(),
            revision: Cell::default(),
            past: RefCell::default(),
        })
    }

    fn current(&self) -> Option<Stored> {
        let text = self.text.borrow().clone()?;
        Some(Stored {
            record: Record {
                info: Some(text),
                lease: None,
            },
            revision: Revision::Bytes(self.revision.get().to_be_bytes().to_vec()),
        })
    }

    fn put(&self, text: Option<String>) {
        let before = self.text.replace(text);
        self.past.borrow_mut().push(before);
        self.revision.set(self.revision.get() + 1);
    }

    /// Does to the tickets what must do no harm.
    fn spoil(&self) {
        let random = self.simulation.random();
        let text = self.text.borrow().clone();
        let mut tickets = text.as_deref().and_then(Tickets::parse).unwrap_or_default();
        let all = &mut tickets.tickets;
        let some = usize::try_from(random.draw()).unwrap_or(7) % all.len().max(1);
        let spoilt = match random.below(7) {
            0 => None,
            1 if !all.is_empty() => {
                all.remove(some);
                tickets.to_text()
            }
            2 if !all.is_empty() => {
                all.insert(0, all[some].clone());
                tickets.to_text()
            }
            3 => {
                let nobody = LockId::from_bytes([u8::try_from(some % 200).unwrap_or(0); 16]);
                all.insert(0, Ticket::new(nobody));
                tickets.to_text()
            }
            4 => {
                all.reverse();
                tickets.to_text()
            }
            5 => self.past.borrow().get(some).cloned().flatten(),
            _ => Some("not a queue".to_owned()),
        };
        self.put(spoilt);
        self.referee.count(|tally| tally.spoilt_queues += 1);
    }

    async fn request(&self) -> Result<(), StoreError> {
        let random = self.simulation.random();
        let travel = random.between(Duration::ZERO, self.latency * 2);
        self.simulation.sleep(travel).await;
        if self.kind != Queueing::Broken {
            return Ok(());
        }
        let kind = match random.below(100) {
            0..15 => {
                self.spoil();
                return Ok(());
            }
            15..20 => StoreErrorKind::Unreachable,
            20..23 => StoreErrorKind::Throttled,
            23..25 => StoreErrorKind::AccessDenied,
            25..28 => return std::future::pending().await,
            _ => return Ok(()),
        };
        Err(StoreError {
            action: "request",
            place: self.place(),
            kind,
            message: format!("{kind:?}"),
            remedy: None,
        })
    }
}

impl Store for Queue {
    fn read(&self) -> StoreFuture<'_, Option<Stored>> {
        Box::pin(async {
            self.request().await?;
            Ok(self.current())
        })
    }

    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        Box::pin(async move {
            self.request().await?;
            let revision = |stored: &Stored| stored.revision.clone();
            let is_same = self.current().as_ref().map(revision) == expected.map(revision);
            let compares = self.kind == Queueing::Honest || self.simulation.random().percent(95);
            if compares && !is_same {
                return Ok(Swap::Refused(self.current()));
            }
            self.put(new.and_then(|record| record.info.clone()));
            if self.kind == Queueing::Broken && self.simulation.random().percent(5) {
                // The answer is lost.
                std::future::pending::<()>().await;
            }
            Ok(Swap::Done(self.current()))
        })
    }

    fn heartbeats(&self) -> Heartbeats {
        Heartbeats::Compared
    }

    fn key(&self) -> &'static str {
        "lock-tflock-queue"
    }

    fn identity(&self) -> Identity {
        Identity::of(&[self.kind()])
    }

    fn place(&self) -> String {
        "the queue".to_owned()
    }

    fn kind(&self) -> &'static str {
        "queue"
    }
}

const PLACES: [&[Rules]; 4] = [
    &[Rules::DynamoDb],
    &[Rules::S3],
    &[Rules::S3, Rules::DynamoDb],
    &[Rules::Local],
];

#[test]
fn no_queue_breaks_the_protocol_whatever_it_does_to_its_tickets() {
    for places in PLACES {
        let scene = Scene {
            places,
            queueing: Queueing::Broken,
            ..DYNAMODB
        };
        let tally = schedules::run("a broken queue", &scene, 400);
        assert!(tally.spoilt_queues > 100, "{tally:?}");
    }
}

#[test]
fn no_queue_breaks_a_promise_or_mixes_up_clones() {
    for scene in [
        schedules::PROMISES,
        schedules::CLONES,
        schedules::EQUAL_BYTES,
    ] {
        for queueing in [Queueing::Honest, Queueing::Broken] {
            let scene = Scene { queueing, ..scene };
            schedules::run("promises and clones in a queue", &scene, 200);
        }
    }
}

#[test]
fn whatever_becomes_of_the_queue_everybody_gets_the_lock_in_fair_weather() {
    for places in PLACES {
        for queueing in [Queueing::Honest, Queueing::Broken] {
            let scene = Scene {
                places,
                queueing,
                ..FAIR
            };
            schedules::run_each("fair weather", &scene, 60, schedules::not_everybody_ran);
        }
    }
}

#[test]
fn a_run_that_takes_the_queue_for_the_lock_is_found() {
    let scene = Scene {
        queueing: Queueing::Broken,
        ..DYNAMODB
    };
    let found =
        (0..2000).find_map(|seed| schedule::run(&scene, Mutation::QueueDecides, seed).err());
    let Some(violation) = found else {
        panic!("it is not found");
    };
    say(&format!("seed {}: {}", violation.seed, violation.what));
}
