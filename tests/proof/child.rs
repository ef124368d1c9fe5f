//! What a tflock runs under its lock. The child is a process of its own: it goes on when tflock is killed.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::borrower::Script;
use super::contender::Contender;
use crate::lock::host::Host as _;
use crate::lock::lent::{Announced, Lent};
use crate::lock::record::ProcessIdentity;
use crate::simulation::Simulation;

/// What runs under the lock.
#[derive(Clone)]
pub(super) enum Child {
    Terraform,
    /// A client that has terraform started out of sight, and is killed after a while: terraform goes on.
    Client {
        killed_after: Duration,
        /// Where terraform works.
        elsewhere: Simulation,
    },
    /// A script, whose terraforms borrow the lock.
    Script(Rc<Script>),
}

/// What a child tells its tflock.
pub(super) enum ChildEvent {
    Ended,
    /// It was a client, and its terraform may go on.
    ClientKilled,
    /// After Ctrl-Z and `fg`.
    Resumed,
    Other,
}

type Task = Pin<Box<dyn Future<Output = ChildEvent>>>;

impl Contender {
    /// Starts it under the locks `announced`, which are lent to it in that way. It tells what happens, and stops when its
    /// witness asks it to.
    pub(super) fn start_child(
        &self,
        announced: &[Announced],
        lent: Option<Lent>,
    ) -> mpsc::UnboundedReceiver<ChildEvent> {
        let (events, receiver) = mpsc::unbounded_channel();
        let machine = self.host.machine().clone();
        let id = &self.claim.info.id;
        let process = match &self.child {
            Child::Terraform | Child::Script(_) => machine.child_under(id),
            Child::Client { .. } => machine.client_under(id),
        };
        let (stopped, limits) = self.witness.begin(process);
        let watching =
            self.witness
                .clone()
                .watch(limits, self.host.clone(), self.referee.clone(), self.party);
        let work = match &self.child {
            Child::Terraform => self.terraform(process, stopped),
            Child::Client {
                killed_after,
                elsewhere,
            } => self.client(process, *killed_after, elsewhere, stopped),
            Child::Script(script) => {
                let loan = lent.map(|lent| lent.turn).unwrap_or_default();
                let work = script.run(self, announced, &loan, stopped);
                Box::pin(async move {
                    work.await;
                    ChildEvent::Ended
                })
            }
        };
        let restless = self.restless(events.clone());
        let live = async move {
            let last = tokio::select! {
                biased;
                last = work => last,
                () = restless => unreachable!("it goes on for ever"),
                () = watching => unreachable!("it goes on for ever"),
            };
            machine.end(process);
            // Nobody may be left to hear it.
            let _ = events.send(last);
        };
        // It is not waited for by anybody but through its events.
        let _ = self.host.machine().spawn(live);
        receiver
    }

    fn note_start(&self, process: ProcessIdentity) {
        let standing: Vec<_> = self.servers.iter().map(|server| server.holder()).collect();
        self.referee.child_started(self.party, process, &standing);
    }

    fn terraform(&self, process: ProcessIdentity, mut stopped: watch::Receiver<bool>) -> Task {
        self.note_start(process);
        let (host, plan) = (self.host.clone(), self.plan.clone());
        let (referee, party) = (self.referee.clone(), self.party);
        Box::pin(async move {
            tokio::select! {
                biased;
                () = host.sleep(plan.work) => {}
                _ = stopped.changed() => host.sleep(plan.stops_within).await,
            }
            referee.child_ended(party);
            ChildEvent::Ended
        })
    }

    /// It hands a request to stop on, as long as it lives.
    fn client(
        &self,
        process: ProcessIdentity,
        killed_after: Duration,
        elsewhere: &Simulation,
        mut stopped: watch::Receiver<bool>,
    ) -> Task {
        self.note_start(process);
        let (hand_on, mut handed_on) = watch::channel(false);
        let (simulation, plan) = (elsewhere.clone(), self.plan.clone());
        let (referee, party) = (self.referee.clone(), self.party);
        let (_, ended) = elsewhere.spawn(async move {
            let asked = async {
                if handed_on.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = simulation.sleep(plan.work) => {}
                () = asked => simulation.sleep(plan.stops_within).await,
            }
            referee.child_ended(party);
        });
        let host = self.host.clone();
        let attend = async move {
            let _ = stopped.changed().await;
            hand_on.send_replace(true);
            std::future::pending::<()>().await;
        };
        Box::pin(async move {
            tokio::select! {
                biased;
                _ = ended => ChildEvent::Ended,
                () = host.sleep(killed_after) => ChildEvent::ClientKilled,
                () = attend => unreachable!("it goes on for ever"),
            }
        })
    }

    /// Makes itself felt now and then, if the plan says so.
    fn restless(
        &self,
        events: mpsc::UnboundedSender<ChildEvent>,
    ) -> impl Future<Output = ()> + use<> {
        let (host, every) = (self.host.clone(), self.plan.restless);
        async move {
            loop {
                host.sleep(every.unwrap_or(Duration::from_hours(24))).await;
                let [chance, ..] = host.random();
                let event = if chance < 64 {
                    ChildEvent::Resumed
                } else {
                    ChildEvent::Other
                };
                // Nobody may be left to hear it.
                let _ = events.send(event);
            }
        }
    }
}
