//! A party's connection to a store: the store that the protocol sees.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::oneshot;

use super::queue::Queue;
use super::referee::{Party, Referee};
use super::server::{Envelope, Request, Rules, Wire};
use crate::lock::host::Host as _;
use crate::lock::record::Record;
use crate::lock::store::companion::{Companion, Purpose};
use crate::lock::store::{
    Heartbeats, Identity, Refusal, Store, StoreError, StoreErrorKind, StoreFuture, Stored, Swap,
};
use crate::simulation::{SimulatedHost, Simulation};

/// How long a client waits for an answer: what the AWS clients are set to.
const TIME_OUT: Duration = Duration::from_secs(10);

/// A party's connection to a store: the store that the protocol sees.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) wire: Rc<dyn Wire>,
    pub(super) host: SimulatedHost,
    pub(super) party: Party,
    pub(super) referee: Referee,
    pub(super) simulation: Simulation,
    /// By how much its clock is wrong, as the last answer told: the AWS SDK signs by the server's clock from then on.
    pub(super) skew: Rc<Cell<TimeDelta>>,
    /// The queue beside the lock, if there is one.
    pub(super) queue: Option<Rc<Queue>>,
}

impl Client {
    /// One request, with the client's time-out.
    pub(super) async fn ask(&self, request: Request) -> Result<Swap, StoreError> {
        let (sender, answer) = oneshot::channel();
        let number = self.referee.sends(self.party);
        let envelope = Envelope {
            by: self.party,
            place: self.wire.server().place,
            number,
            request,
            sent: self.simulation.elapsed(),
            signed: self.host.wall() + self.skew.get(),
            suspended_when_sent: self.host.machine().suspended_for(),
        };
        self.wire.send(envelope, sender);
        let answered = async {
            match answer.await {
                Ok(outcome) => outcome,
                // Lost without a word: only the time-out tells.
                Err(_) => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            biased;
            outcome = answered => outcome,
            () = self.host.sleep(TIME_OUT) => Err(StoreErrorKind::Unreachable),
        };
        if !matches!(
            outcome,
            Err(StoreErrorKind::Unreachable | StoreErrorKind::NotCarriedOut)
        ) {
            self.skew.set(self.simulation.wall() - self.host.wall());
        }
        match outcome {
            Ok(reply) => {
                let place = self.wire.server().place;
                self.referee.answered(self.party, place, number, reply.at);
                Ok(reply.swap)
            }
            Err(kind) => {
                self.referee
                    .note(|| format!("  {} gets {kind:?}", self.party));
                Err(StoreError {
                    action: "request",
                    place: self.place(),
                    kind,
                    message: format!("{kind:?}"),
                    remedy: None,
                })
            }
        }
    }

    fn rules(&self) -> Rules {
        self.wire.server().rules
    }

    async fn swap_at_once(
        &self,
        expected: Option<&Stored>,
        new: Option<&Record>,
    ) -> Result<Swap, StoreError> {
        let request = Request::Swap {
            expected: expected.cloned(),
            new: new.cloned(),
        };
        match self.ask(request).await? {
            Swap::Refused(_) if self.rules().is_s3() => self.look().await,
            swap => Ok(swap),
        }
    }

    /// Where nothing can be overwritten: compares, removes, and puts, unless another party was faster.
    async fn replace(&self, old: &Stored, new: &Record) -> Result<Swap, StoreError> {
        match self.look().await? {
            Swap::Refused(Some(current)) if current == *old => {}
            other => return Ok(other),
        }
        match self.swap_at_once(Some(old), None).await? {
            Swap::Done(_) => self.swap_at_once(None, Some(new)).await,
            refused @ Swap::Refused(_) => Ok(refused),
        }
    }

    /// The read of the holder that S3 needs.
    async fn look(&self) -> Result<Swap, StoreError> {
        match self.ask(Request::Read).await {
            Err(error) if error.kind.is_transient() => Err(StoreError {
                kind: StoreErrorKind::NotCarriedOut,
                ..error
            }),
            answer => answer,
        }
    }
}

impl Store for Client {
    fn read(&self) -> StoreFuture<'_, Option<Stored>> {
        Box::pin(async {
            match self.ask(Request::Read).await? {
                Swap::Done(stored) | Swap::Refused(stored) => Ok(stored),
            }
        })
    }

    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        Box::pin(async move {
            if let (Rules::S3That(_), Some(old), Some(new)) = (self.rules(), expected, new)
                && !new.is_same_lock_as(&old.record)
            {
                return self.replace(old, new).await;
            }
            self.swap_at_once(expected, new).await
        })
    }

    fn heartbeats(&self) -> Heartbeats {
        match self.rules() {
            Rules::S3 => Heartbeats::NotCompared,
            Rules::S3BesideAnItem | Rules::S3That(_) => Heartbeats::None,
            Rules::DynamoDb | Rules::Local => Heartbeats::Compared,
        }
    }

    fn key(&self) -> &'static str {
        "lock"
    }

    fn identity(&self) -> Identity {
        self.wire.server().identity.clone()
    }

    fn place(&self) -> String {
        format!("{:?}", self.rules())
    }

    fn kind(&self) -> &'static str {
        "simulated"
    }

    fn refusal(&self) -> Refusal {
        match self.rules() {
            Rules::S3 | Rules::S3BesideAnItem | Rules::S3That(_) => Refusal::NeedsRead,
            Rules::DynamoDb | Rules::Local => Refusal::ReturnsHolder,
        }
    }

    fn companion(&self, _: Purpose) -> Option<Companion> {
        let queue: Rc<dyn Store> = self.queue.clone()?;
        Some(Companion::new(queue))
    }
}
