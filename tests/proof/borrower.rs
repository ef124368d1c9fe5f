//! A script under `exec`, and the terraforms that it starts: each borrows the lock, as `src/session.rs` has it.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use super::contender::Contender;
use super::mutants::Mutation;
use super::referee::{Party, Referee};
use super::server::Server;
use crate::lock::acquire::Patience;
use crate::lock::host::Host as _;
use crate::lock::lent::{Announced, Borrowed, Lent, Nested, NotBorrowed, look_for};
use crate::lock::record::LockId;
use crate::lock::store::Store;
use crate::simulation::SimulatedHost;
use tflock::system::run_file::lent::{Loan, Turn, are_back};
use tflock::system::run_file::{Run, RunFile};

/// How another process of the run reaches the places of its lock.
pub(super) type Reach = dyn Fn(Party, &SimulatedHost) -> Vec<Rc<dyn Store>>;

/// What a script does.
pub(super) struct Script {
    pub(super) errands: Vec<Errand>,
    /// The directory in which runs leave their traces.
    pub(super) runs: PathBuf,
    pub(super) reach: Rc<Reach>,
}

/// A terraform that a script runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errand {
    /// No other in the schedule has it.
    pub(super) number: usize,
    pub(super) after: Duration,
    pub(super) work: Duration,
    /// How long it waits for its turn.
    pub(super) patience: Duration,
    pub(super) session: Session,
    /// Whether a provisioner of it calls terraform once more.
    pub(super) calls_itself: bool,
}

/// Whether a process is stopped with the script that has started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    Shared,
    /// `setsid`: it is not asked to stop, and may outlive the script.
    Own,
}

/// A lender's traces: the very files.
pub(super) struct Lending {
    run_file: RunFile,
    loan: Loan,
}

impl Lending {
    pub(super) fn new(runs: &Path, id: &LockId) -> Self {
        let run = Run::of_this_process(&id.0, &[]).unwrap();
        Self {
            run_file: RunFile::create(runs, run).unwrap(),
            loan: Loan::create([runs.to_owned()], &id.0, 0).unwrap(),
        }
    }

    pub(super) fn lent(&self) -> Lent {
        Lent {
            turn: self.loan.path().to_owned(),
            run: Some(self.run_file.path().to_owned()),
            wait: String::new(),
        }
    }

    /// Whether all that was lent has come back.
    pub(super) fn is_back(&self) -> bool {
        are_back(std::slice::from_ref(&self.loan), Some(&self.run_file))
    }

    /// Removes the traces.
    pub(super) fn end(self) {
        self.loan.remove();
        self.run_file.remove();
    }
}

impl Script {
    /// Runs under the lock of `lender`, which announces it, until its time is over or it is asked to stop.
    pub(super) fn run(
        &self,
        lender: &Contender,
        announced: &[Announced],
        loan: &Path,
        mut stopped: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + use<> {
        for errand in &self.errands {
            let host = lender.host.machine().tflock_under(&lender.claim.info.id);
            let party = Party::Borrower(errand.number);
            let borrower = Borrower {
                party,
                lender: lender.party,
                stores: (self.reach)(party, &host),
                announced: announced.to_vec(),
                loan: loan.to_owned(),
                stops_within: lender.plan.stops_within,
                errand: *errand,
                stopped: stopped.clone(),
                referee: lender.referee.clone(),
                servers: lender.servers.clone(),
                mutation: lender.mutation,
                lender_id: lender.claim.info.id.clone(),
                host: host.clone(),
            };
            let _ = lender.host.machine().spawn(borrower.run());
        }
        let (host, work) = (lender.host.clone(), lender.plan.work);
        async move {
            tokio::select! {
                biased;
                () = host.sleep(work) => {}
                _ = stopped.changed() => {}
            }
        }
    }
}

/// A terraform under a lock that is lent around it.
struct Borrower {
    party: Party,
    lender: Party,
    lender_id: LockId,
    host: SimulatedHost,
    stores: Vec<Rc<dyn Store>>,
    announced: Vec<Announced>,
    /// The file of the loan.
    loan: PathBuf,
    stops_within: Duration,
    errand: Errand,
    stopped: watch::Receiver<bool>,
    referee: Referee,
    servers: Vec<Rc<Server>>,
    mutation: Mutation,
}

impl Borrower {
    async fn run(self) {
        let borrowed = tokio::select! {
            biased;
            () = self.asked_to_stop() => Err("asked to stop"),
            borrowed = self.borrow() => borrowed,
        };
        let how = match borrowed {
            Ok(borrowed) => {
                self.work().await;
                drop(borrowed);
                "has worked"
            }
            Err(how) => how,
        };
        self.referee.ended(self.party, how);
        self.host.kill();
    }

    async fn asked_to_stop(&self) {
        let mut stopped = self.stopped.clone();
        let is_meant = self.errand.session == Session::Shared;
        if !is_meant || stopped.wait_for(|it| *it).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn borrow(&self) -> Result<(Borrowed, Vec<Turn>), &'static str> {
        self.host.sleep(self.errand.after).await;
        let borrowed = match look_for(&self.stores, &self.announced, &self.host).await {
            Ok(Nested::Borrows(borrowed)) => borrowed,
            Ok(Nested::No) => return Err("nothing is lent to it"),
            Ok(Nested::LendsNothing { .. }) => return Err("refused"),
            Err(_) => return Err("cannot look"),
        };
        if self.mutation == Mutation::TurnForEach {
            std::fs::remove_file(&self.loan).unwrap();
            std::fs::write(&self.loan, "").unwrap();
        }
        let patience = |_: &Lent| Patience::For(self.errand.patience);
        match borrowed.take_turns(&self.host, patience, |_| {}).await {
            Ok(turns) => Ok((borrowed, turns)),
            Err(NotBorrowed::InUse { .. }) => {
                self.referee.count(|tally| tally.turns_in_use += 1);
                Err("its turn does not come")
            }
            Err(NotBorrowed::Lost { .. }) => {
                self.referee.count(|tally| tally.turns_of_lost_locks += 1);
                Err("its turn comes after the lock is lost")
            }
            Err(NotBorrowed::NotLent { .. } | NotBorrowed::Unknown(_)) => Err("not lent"),
        }
    }

    async fn work(&self) {
        let process = self.host.machine().child_under(&self.lender_id);
        let standing: Vec<_> = self.servers.iter().map(|server| server.holder()).collect();
        self.referee
            .borrower_starts(self.lender, process, &standing);
        let work = async {
            if self.errand.calls_itself {
                self.call_itself().await;
            }
            self.host.sleep(self.errand.work).await;
        };
        tokio::select! {
            biased;
            () = work => {}
            () = self.asked_to_stop() => self.host.sleep(self.stops_within).await,
        }
        self.host.machine().end(process);
        self.referee.child_ended(self.lender);
    }

    /// A provisioner calls terraform for the same state.
    async fn call_itself(&self) {
        let mut announced = self.announced.clone();
        if self.mutation != Mutation::LendsOn {
            announced.extend(self.announced.iter().map(Announced::borrowed));
        }
        match look_for(&self.stores, &announced, &self.host).await {
            Ok(Nested::LendsNothing { .. }) => {
                self.referee.count(|tally| tally.nested_refused += 1);
            }
            Ok(Nested::Borrows(_)) => self.referee.violate(format!(
                "{} lends the lock on to what it has started itself",
                self.party
            )),
            // It waits for a lock that is not its parent's any more.
            Ok(Nested::No) | Err(_) => {}
        }
    }
}
