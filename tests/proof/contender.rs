//! One tflock from its first attempt to its end, as `src/session.rs` has it, with one of the children of `child.rs`.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use super::borrower::Lending;
use super::child::{Child, ChildEvent};
use super::mutants::Mutation;
use super::referee::{Party, Referee};
use super::server::Server;
use super::witness::Witness;
use crate::lock::acquire::all::{Held, NotHeld, Onlooker, Wanted, acquire_all, rank};
use crate::lock::acquire::{Acquisition, Claim, Decision, Observed, Patience, Progress, acquire};
use crate::lock::held_locks::{HeldLocks, News, NotReleased, Released};
use crate::lock::host::Host;
use crate::lock::lent::Announced;
use crate::lock::store::Store;
use crate::simulation::SimulatedHost;

/// What a tflock is to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) patience: Patience,
    /// How long the child works if nobody asks it to stop.
    pub(super) work: Duration,
    pub(super) stops_within: Duration,
    /// How long after its start somebody asks it to end.
    pub(super) asked_to_end: Option<Duration>,
    /// After how long a wait a person tells it to take the holder's place.
    pub(super) usurps_after: Option<Duration>,
    /// How often the child makes itself felt, which drops whatever the locks is at.
    pub(super) restless: Option<Duration>,
}

/// How a tflock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its child has run; the lock was ours to the end, or not.
    Ran {
        lost: bool,
        released: bool,
    },
    /// Asked to end before its child was started.
    Stopped,
    TimedOut,
    Failed,
    /// Its child was a client and was killed: the lock stays, for a person.
    LeftElsewhere,
}

/// What a child leaves that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    Nothing,
    ProgramElsewhere,
}

/// How often a lender looks whether all has come back.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A tflock, ready to go.
#[derive(Clone)]
pub(super) struct Contender {
    pub(super) party: Party,
    pub(super) host: SimulatedHost,
    /// The host that the protocol sees; another in broken protocols.
    pub(super) seen_host: Rc<dyn Host>,
    pub(super) claim: Claim,
    pub(super) plan: Plan,
    pub(super) child: Child,
    /// The places that it wants, as it names them, each with the number of the lock that it is a part of.
    pub(super) wanted: Vec<(usize, Rc<dyn Store>)>,
    pub(super) servers: Vec<Rc<Server>>,
    pub(super) referee: Referee,
    pub(super) witness: Witness,
    pub(super) mutation: Mutation,
}

enum Taking {
    Held(HeldLocks),
    Not(Ending),
}

impl Contender {
    pub(super) async fn run(self) -> Ending {
        let stop = watch::Sender::new(false);
        let ask_to_end = async {
            match self.plan.asked_to_end {
                Some(after) => self.host.sleep(after).await,
                None => std::future::pending().await,
            }
            self.referee
                .note(|| format!("{} is asked to end", self.party));
            stop.send_replace(true);
            std::future::pending::<()>().await;
        };
        let ending = tokio::select! {
            biased;
            () = ask_to_end => unreachable!("it goes on for ever"),
            ending = self.take_and_run(&stop) => ending,
        };
        self.referee.ended(self.party, &format!("{ending:?}"));
        self.host.kill();
        ending
    }

    async fn take_and_run(&self, stop: &watch::Sender<bool>) -> Ending {
        let lending = match &self.child {
            Child::Script(script) => Some(Lending::new(&script.runs, &self.claim.info.id)),
            Child::Terraform | Child::Client { .. } => None,
        };
        let mut locks = loop {
            let mut locks = match self.take(stop).await {
                Taking::Held(locks) => locks,
                Taking::Not(ending) => return ending,
            };
            if *stop.borrow() {
                self.release(&mut locks).await;
                return Ending::Stopped;
            }
            if self.mutation == Mutation::Unconfirmed || locks.confirm().await {
                break locks;
            }
            self.referee
                .note(|| format!("{} has lost the lock before its start", self.party));
            self.referee.count(|tally| tally.taken_anew += 1);
            self.release(&mut locks).await;
        };
        let leaves = self
            .run_child(&mut locks, lending.as_ref(), stop.subscribe())
            .await;
        if leaves == Leaves::ProgramElsewhere && self.mutation != Mutation::ClientIsAll {
            self.referee.count(|tally| tally.left_elsewhere += 1);
            self.referee.left_with_a_word(self.party);
            return Ending::LeftElsewhere;
        }
        if let Some(lending) = &lending
            && self.mutation != Mutation::BorrowersForgotten
        {
            self.wait_for_borrowers(lending, &mut locks).await;
        }
        let released = self.release(&mut locks).await;
        let lost = locks.lost_any() || locks.gave_up_any() || !released.lost.is_empty();
        if !lost {
            self.referee.lost_nothing(self.party);
        }
        if let Some(lending) = lending {
            lending.end();
        }
        Ending::Ran {
            lost,
            released: released.failed.is_empty(),
        }
    }

    /// All that it wants, as `src/session.rs` puts it: in everybody's order.
    fn places(&self) -> Vec<Wanted<'_>> {
        let places = self.wanted.iter().map(|(lock, store)| Wanted {
            store: Rc::clone(store),
            claim: &self.claim,
            lock: *lock,
        });
        let mut places: Vec<_> = places.collect();
        let is_several = places.iter().any(|place| place.lock != places[0].lock);
        if is_several && self.mutation != Mutation::WaitsWhileHolding {
            places.sort_by_key(|place| rank(place.store.as_ref()));
        }
        places
    }

    async fn take(&self, stop: &watch::Sender<bool>) -> Taking {
        let began = self.host.machine().running_for();
        let places = self.places();
        let taken = if self.mutation == Mutation::WaitsWhileHolding {
            self.take_one_by_one(&places, stop).await
        } else {
            self.take_all(&places, stop).await.map(|held| held.locks)
        };
        self.note_overtime(self.host.machine().running_for() - began);
        Taking::Not(match taken {
            Ok(locks) => {
                self.referee
                    .note(|| format!("{} holds what it wants", self.party));
                return Taking::Held(locks);
            }
            Err(NotHeld::TimedOut { .. }) => Ending::TimedOut,
            Err(NotHeld::Stopped | NotHeld::HoldGone { .. }) => Ending::Stopped,
            Err(NotHeld::Failed { error, .. }) => {
                self.referee
                    .note(|| format!("{} fails: {error}", self.party));
                if error.maybe_left.is_some() {
                    self.referee.left_with_a_word(self.party);
                }
                Ending::Failed
            }
            Err(NotHeld::Stuck | NotHeld::Same { .. }) => Ending::Failed,
        })
    }

    async fn take_all(
        &self,
        places: &[Wanted<'_>],
        stop: &watch::Sender<bool>,
    ) -> Result<Held, NotHeld> {
        let (host, patience) = (Rc::clone(&self.seen_host), self.plan.patience);
        acquire_all(places, host, patience, stop.subscribe(), self).await
    }

    /// What must not be done.
    async fn take_one_by_one(
        &self,
        places: &[Wanted<'_>],
        stop: &watch::Sender<bool>,
    ) -> Result<HeldLocks, NotHeld> {
        let mut locks = HeldLocks::none(Rc::clone(&self.seen_host));
        for place in places {
            let (store, host) = (Rc::clone(&place.store), Rc::clone(&self.seen_host));
            let (patience, stop) = (self.plan.patience, stop.subscribe());
            let decide = |progress: Progress<'_>| self.progress(0, progress);
            let taken = acquire(store, host, place.claim, patience, stop, decide).await;
            let Ok(Acquisition::Held { held, .. }) = taken else {
                self.release(&mut locks).await;
                return Err(NotHeld::Stopped);
            };
            locks.push(place.lock, held);
        }
        Ok(locks)
    }

    /// Somebody at the terminal says that the holder is dead, and may be wrong.
    fn decide(&self, progress: &Progress<'_>) -> Decision {
        match (progress, self.plan.usurps_after) {
            (Progress::HeldBy(seen), Some(patience)) if seen.waited >= patience => {
                self.referee.told_to_take_over(self.party);
                Decision::TakeOver
            }
            _ => Decision::Wait,
        }
    }

    fn note_overtime(&self, took: Duration) {
        if let Patience::For(patience) = self.plan.patience {
            self.referee
                .overtime(self.party, took.saturating_sub(patience));
        }
    }

    async fn run_child(
        &self,
        locks: &mut HeldLocks,
        lending: Option<&Lending>,
        mut ask_to_end: watch::Receiver<bool>,
    ) -> Leaves {
        let lent = lending.map(Lending::lent);
        let held = locks.held_of(0);
        let announced = held.map(|held| Announced::of(held, lent.as_ref()));
        let announced: Vec<_> = announced.collect();
        let mut events = self.start_child(&announced, lent);
        let interrupt = |why: &str| self.witness.ask_to_stop(&self.referee, self.party, why);
        locks.set_child(self.witness.process());
        self.set_limit(locks);
        loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Some(ChildEvent::Resumed) => locks.renew_now(),
                    Some(ChildEvent::Other) => {}
                    Some(ChildEvent::ClientKilled) => return Leaves::ProgramElsewhere,
                    Some(ChildEvent::Ended) | None => return Leaves::Nothing,
                },
                news = locks.next() => match news {
                    _ if self.mutation == Mutation::NewsIgnored => {}
                    News::Lost(_) => interrupt("the lock is lost"),
                    News::Expiring { .. } => interrupt("time is up"),
                    News::Renewed => self.set_limit(locks),
                    News::NotRenewed(_) => {}
                },
                Ok(()) = ask_to_end.changed() => interrupt("asked to end"),
            }
        }
    }

    /// As `src/session/ending.rs` has it.
    async fn wait_for_borrowers(&self, lending: &Lending, locks: &mut HeldLocks) {
        while !lending.is_back() {
            tokio::select! {
                biased;
                _ = locks.next() => {}
                () = self.host.sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn set_limit(&self, locks: &HeldLocks) {
        let idle = matches!(self.mutation, Mutation::WitnessIdle | Mutation::NewsIgnored);
        if !idle {
            self.witness.set_limit(locks.time_left());
        }
    }

    async fn release(&self, locks: &mut HeldLocks) -> Released {
        let released = locks.release(|_| {}).await;
        for failed in &released.failed {
            self.not_given_back(failed);
        }
        released
    }
}

impl Onlooker for Contender {
    fn asking(&self, _: usize) {}

    fn progress(&self, _: usize, progress: Progress<'_>) -> Decision {
        if let Progress::HeldBy(_) = progress {
            for server in &self.servers {
                if let Some(entry) = server.entry() {
                    self.referee.waits(self.party, server.place, &entry);
                }
            }
        }
        self.decide(&progress)
    }

    fn took_over(&self, _: usize, _: &Observed) {}

    fn not_given_back(&self, failed: &NotReleased) {
        self.referee
            .note(|| format!("{} cannot release: {}", self.party, failed.error));
        self.referee.left_with_a_word(self.party);
    }
}
