//! A network at its worst: requests and answers that are late, lost or refused, in any order.
//!
//! Never twice: TLS and a client that does not repeat by itself see to that. And never later than a signature is good
//! for: that bounds how long a request can linger.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::oneshot;

use super::referee::{Party, Referee};
use super::server::{Envelope, Outcome, Rules, Server, Wire};
use crate::lock::store::StoreErrorKind;
use crate::simulation::Simulation;

/// How often what goes wrong, in percent of the requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    /// The longest that a message travels when nothing is wrong.
    pub(super) latency: Duration,
    pub(super) request_lost: u64,
    pub(super) reply_lost: u64,
    /// Carried out long after the client has given up.
    pub(super) late: u64,
    pub(super) throttled: u64,
    /// 5xx, carried out or not.
    pub(super) server_failure: u64,
    /// No connection, no credentials.
    pub(super) not_carried_out: u64,
    /// A lost message is noticed by a broken connection and not by the time-out.
    pub(super) breaks: u64,
}

/// A time in which nothing of a party's gets through, or nothing is allowed to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    /// Whose; `None`: all parties'.
    pub(super) of: Option<Party>,
    pub(super) from: Duration,
    pub(super) until: Duration,
    pub(super) kind: TroubleKind,
}

/// What kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TroubleKind {
    Cut,
    Denied,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    RequestLost,
    ReplyLost,
    Late,
    Refused(StoreErrorKind),
    /// It fails, but was carried out.
    FailedAfter,
}

/// Counts each party's steps, so that it can be killed at any of them.
#[derive(Clone, Default)]
pub(super) struct Steps(Rc<RefCell<BTreeMap<Party, Step>>>);

#[derive(Default)]
struct Step {
    passed: u64,
    wanted: Option<(u64, oneshot::Sender<()>)>,
}

impl Steps {
    /// Tells when `party` has passed `count` steps: each request has three.
    pub(super) fn reached(&self, party: Party, count: u64) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut steps = self.0.borrow_mut();
        steps.entry(party).or_default().wanted = Some((count, sender));
        receiver
    }

    fn pass(&self, party: Party) {
        let mut steps = self.0.borrow_mut();
        let step = steps.entry(party).or_default();
        step.passed += 1;
        let passed = step.passed;
        if let Some((_, sender)) = step.wanted.take_if(|(count, _)| *count == passed) {
            // Whoever wanted to know may be gone.
            let _ = sender.send(());
        }
    }
}

/// The way to one server. Clones are the same way.
#[derive(Clone)]
pub(super) struct Network(Rc<Parts>);

struct Parts {
    simulation: Simulation,
    referee: Referee,
    server: Rc<Server>,
    weather: Cell<Weather>,
    troubles: RefCell<Vec<Trouble>>,
    steps: Steps,
}

impl Network {
    pub(super) fn new(
        simulation: &Simulation,
        referee: &Referee,
        server: &Rc<Server>,
        weather: Weather,
        steps: &Steps,
    ) -> Self {
        Self(Rc::new(Parts {
            simulation: simulation.clone(),
            referee: referee.clone(),
            server: Rc::clone(server),
            weather: Cell::new(weather),
            troubles: RefCell::default(),
            steps: steps.clone(),
        }))
    }

    /// From now on nothing goes wrong.
    pub(super) fn heal(&self) {
        let latency = self.0.weather.get().latency;
        self.0.troubles.borrow_mut().clear();
        self.0.weather.set(Weather {
            latency,
            ..Weather::default()
        });
    }

    pub(super) fn add(&self, trouble: Trouble) {
        self.0.troubles.borrow_mut().push(trouble);
    }

    fn trouble_of(&self, party: Party) -> Option<TroubleKind> {
        let now = self.0.simulation.elapsed();
        let troubles = self.0.troubles.borrow();
        let met = troubles.iter().find(|trouble| {
            trouble.of.is_none_or(|of| of == party) && (trouble.from..trouble.until).contains(&now)
        });
        met.map(|trouble| trouble.kind)
    }

    fn fate_of(&self, party: Party) -> Fate {
        let weather = self.0.weather.get();
        let random = self.0.simulation.random();
        match self.trouble_of(party) {
            // During an outage a message is lost in either direction, or arrives once the outage is over.
            Some(TroubleKind::Cut) if random.percent(15) => return Fate::Late,
            Some(TroubleKind::Cut) if random.percent(10) => return Fate::ReplyLost,
            Some(TroubleKind::Cut) => return Fate::RequestLost,
            Some(TroubleKind::Denied) => return Fate::Refused(StoreErrorKind::AccessDenied),
            None => {}
        }
        let mut roll = random.below(100);
        let mut falls_to = |share: u64| {
            let hit = roll < share;
            roll = roll.wrapping_sub(share);
            hit
        };
        if falls_to(weather.request_lost) {
            Fate::RequestLost
        } else if falls_to(weather.reply_lost) {
            Fate::ReplyLost
        } else if falls_to(weather.late) {
            Fate::Late
        } else if falls_to(weather.throttled) {
            Fate::Refused(StoreErrorKind::Throttled)
        } else if falls_to(weather.server_failure) {
            if random.percent(50) {
                Fate::FailedAfter
            } else {
                Fate::Refused(StoreErrorKind::ServerFailure)
            }
        } else if falls_to(weather.not_carried_out) {
            Fate::Refused(StoreErrorKind::NotCarriedOut)
        } else {
            Fate::Fine
        }
    }

    /// How long a request lingers: seconds mostly, minutes sometimes.
    fn lingering(&self) -> Duration {
        let random = self.0.simulation.random();
        let longest = match random.below(5) {
            0 => Duration::from_secs(2),
            1 | 2 => Duration::from_secs(15),
            3 => Duration::from_mins(1),
            _ => Duration::from_mins(21),
        };
        random.between(Duration::ZERO, longest)
    }

    fn travel(&self) -> Duration {
        let latency = self.0.weather.get().latency;
        self.0.simulation.random().between(Duration::ZERO, latency)
    }

    /// Whether the server takes the signature: five minutes for DynamoDB, fifteen for S3.
    fn is_signature_good(&self, envelope: &Envelope) -> bool {
        let bound = match self.0.server.rules {
            Rules::DynamoDb => TimeDelta::minutes(5),
            Rules::S3 | Rules::S3BesideAnItem | Rules::S3That(_) => TimeDelta::minutes(15),
            Rules::Local => return true,
        };
        (self.0.simulation.wall() - envelope.signed).abs() <= bound
    }

    fn arrive(&self, envelope: &Envelope, fate: Fate) -> Outcome {
        self.0.steps.pass(envelope.by);
        if !self.is_signature_good(envelope) {
            return Err(StoreErrorKind::CredentialsRejected);
        }
        if let Fate::Refused(kind) = fate {
            return Err(kind);
        }
        let reply = self.0.server.carry_out(envelope)?;
        if fate == Fate::FailedAfter {
            return Err(StoreErrorKind::ServerFailure);
        }
        Ok(reply)
    }

    async fn carry(self, envelope: Envelope, answer: oneshot::Sender<Outcome>) {
        let simulation = &self.0.simulation;
        let by = envelope.by;
        let fate = match self.0.server.rules {
            // A file is written, or fails half-way.
            Rules::Local => match self.fate_of(by) {
                Fate::RequestLost | Fate::Late => Fate::Refused(StoreErrorKind::ServerFailure),
                Fate::ReplyLost => Fate::FailedAfter,
                fate => fate,
            },
            _ => self.fate_of(by),
        };
        if fate != Fate::Fine {
            self.0
                .referee
                .note(|| format!("  a request of {by}: {fate:?}"));
        }
        simulation.sleep(self.travel()).await;
        let breaks = simulation.random().percent(self.0.weather.get().breaks);
        match fate {
            Fate::Fine | Fate::Refused(_) | Fate::FailedAfter => {
                let outcome = self.arrive(&envelope, fate);
                simulation.sleep(self.travel()).await;
                // The client may have given up.
                let _ = answer.send(outcome);
                self.0.steps.pass(by);
            }
            Fate::RequestLost if breaks => {
                let _ = answer.send(Err(StoreErrorKind::Unreachable));
            }
            Fate::RequestLost => {}
            Fate::ReplyLost => {
                // No party learns the outcome.
                let _ = self.arrive(&envelope, fate);
                if breaks {
                    simulation.sleep(self.travel()).await;
                    let _ = answer.send(Err(StoreErrorKind::Unreachable));
                }
            }
            Fate::Late => {
                if breaks {
                    let _ = answer.send(Err(StoreErrorKind::Unreachable));
                }
                simulation.sleep(self.lingering()).await;
                let _ = self.arrive(&envelope, fate);
            }
        }
    }
}

impl Wire for Network {
    fn send(&self, envelope: Envelope, answer: oneshot::Sender<Outcome>) {
        self.0.steps.pass(envelope.by);
        let carrying = self.clone().carry(envelope, answer);
        // It continues whatever happens to its sender.
        let _ = self.0.simulation.spawn(carrying);
    }

    fn server(&self) -> &Server {
        &self.0.server
    }
}
