use std::fs::File;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::lock::acquire::Patience;
use crate::lock::own::OwnRecords;
use crate::lock::record::Record;
use crate::lock::store::memory::{Fault, MemoryStore};
use crate::simulation::{SimulatedHost, Simulation};
use crate::system::process::Named;
use crate::system::run_file::lent::{Loan, Turn};

const AT_ONCE: Patience = Patience::For(Duration::ZERO);

/// A run that lends its lock.
struct Lender {
    simulation: Simulation,
    host: SimulatedHost,
    store: MemoryStore,
    stores: Vec<Rc<dyn Store>>,
    announced: Announced,
    loan: Loan,
    run: File,
    _directory: TempDir,
}

impl Lender {
    fn new() -> Self {
        let simulation = Simulation::default();
        let host = simulation.machine().tflock();
        let store = MemoryStore::default();
        let claim = host.claim(None);
        let record = Record::new(&claim.info, claim.lease);
        store.overwrite(Some(record.clone()));
        let directory = tempfile::tempdir().unwrap();
        let runs = directory.path().join("runs");
        let loan = Loan::create([runs.clone()], &claim.info.id.0, 0).unwrap();
        let run_file = runs.join("run");
        let run = File::create(&run_file).unwrap();
        run.lock_shared().unwrap();
        let shared: Rc<dyn Store> = Rc::new(store.clone());
        let own = OwnRecords::default();
        own.set_held(&record);
        let held = HeldLock::new(
            Rc::clone(&shared),
            host.shared(),
            claim.info.id,
            own,
            store.current().unwrap(),
            host.now(),
        );
        let lent = Lent {
            turn: loan.path().to_owned(),
            run: Some(run_file),
            wait: String::new(),
        };
        Self {
            announced: Announced::of(&held, Some(&lent)),
            simulation,
            host,
            store,
            stores: vec![shared],
            loan,
            run,
            _directory: directory,
        }
    }

    fn run_file(&self) -> &Path {
        self.announced
            .lent
            .as_ref()
            .unwrap()
            .run
            .as_deref()
            .unwrap()
    }

    fn look(&self, announced: &[Announced]) -> Nested {
        let looking = look_for(&self.stores, announced, &self.host);
        self.simulation.run(looking).unwrap()
    }

    fn borrow(&self) -> Borrowed {
        match self.look(std::slice::from_ref(&self.announced)) {
            Nested::Borrows(borrowed) => borrowed,
            Nested::No | Nested::LendsNothing { .. } => panic!("it is lent"),
        }
    }

    fn take_turns(
        &self,
        borrowed: &Borrowed,
        patience: Patience,
    ) -> Result<Vec<Turn>, NotBorrowed> {
        self.simulation
            .run(borrowed.take_turns(&self.host, |_| patience, |_| {}))
    }

    /// Runs `future` while `act` happens after `delay`.
    fn meanwhile<T>(
        &self,
        delay: Duration,
        act: impl FnOnce() + 'static,
        future: impl Future<Output = T>,
    ) -> T {
        let simulation = self.simulation.clone();
        let _ = self.simulation.spawn(async move {
            simulation.sleep(delay).await;
            act();
        });
        self.simulation.run(future)
    }
}

#[test]
fn what_a_lender_holds_is_borrowed_and_what_nobody_around_holds_is_not() {
    let lender = Lender::new();
    assert!(lender.take_turns(&lender.borrow(), AT_ONCE).is_ok());
    assert!(matches!(lender.look(&[]), Nested::No));

    let mut of_a_clone = lender.announced.clone();
    of_a_clone.created = "2026-01-01T00:00:00.000000001Z".into();
    assert!(matches!(lender.look(&[of_a_clone]), Nested::No));

    lender.store.overwrite(None);
    let announced = [lender.announced.clone()];
    assert!(matches!(lender.look(&announced), Nested::No));
}

#[test]
fn the_innermost_decides_so_that_a_terraform_lends_nothing_on() {
    let lender = Lender::new();
    let announced = [lender.announced.clone(), lender.announced.borrowed()];
    let Nested::LendsNothing { key } = lender.look(&announced) else {
        panic!("its parent is about to write that state");
    };
    assert_eq!(key, lender.announced.key);
}

#[test]
fn a_lock_of_which_a_part_is_not_lent_is_not_borrowed() {
    let mut lender = Lender::new();
    lender.stores.clear();
    assert!(matches!(
        lender.look(std::slice::from_ref(&lender.announced)),
        Nested::No
    ));

    let mut lender = Lender::new();
    lender.stores.push(Rc::new(MemoryStore::with_companions()));
    let mut another = lender.announced.clone();
    another.id = LockId("another".into());
    assert!(matches!(lender.look(&[another]), Nested::No));
}

#[test]
fn a_lender_that_has_ended_lends_nothing_and_one_that_is_ending_is_waited_for() {
    let lender = Lender::new();
    let run = lender.run.try_clone().unwrap();
    run.try_lock().unwrap();
    let path = lender.run_file().to_owned();
    let announced = [lender.announced.clone()];
    let looking = look_for(&lender.stores, &announced, &lender.host);
    let second = Duration::from_secs(1);
    let store = lender.store.clone();
    let end = move || {
        store.overwrite(None);
        std::fs::remove_file(path).unwrap();
    };
    assert!(matches!(
        lender.meanwhile(second, end, looking),
        Ok(Nested::No)
    ));
    assert!(lender.simulation.elapsed() >= second);

    let lender = Lender::new();
    std::fs::remove_file(lender.run_file()).unwrap();
    assert!(matches!(
        lender.look(std::slice::from_ref(&lender.announced)),
        Nested::No
    ));
}

#[test]
fn a_place_keeps_the_lender_from_ending() {
    let lender = Lender::new();
    let borrowed = lender.borrow();
    assert!(lender.run.try_lock().is_err());
    drop(borrowed);
    // A process that another test forks has it for a moment.
    while lender.run.try_lock().is_err() {
        std::thread::yield_now();
    }
}

#[test]
fn a_second_borrower_is_refused_after_half_a_second_or_as_late_as_it_wants() {
    for (patience, limit) in [(0, 500), (400, 500), (3000, 3000)] {
        let lender = Lender::new();
        let (first, second) = (lender.borrow(), lender.borrow());
        let _turns = lender.take_turns(&first, AT_ONCE).unwrap();
        let asked = Patience::For(Duration::from_millis(patience));
        let Err(NotBorrowed::InUse { patience: told, .. }) = lender.take_turns(&second, asked)
        else {
            panic!("it is in use");
        };
        assert_eq!(told, asked);
        let waited = lender.simulation.elapsed();
        let limit = Duration::from_millis(limit);
        assert!(
            waited >= limit && waited < limit + Duration::from_millis(200),
            "{waited:?}"
        );
    }
}

#[test]
fn a_turn_that_becomes_free_is_taken_and_a_wait_of_a_second_is_told_once() {
    let lender = Lender::new();
    let (first, second) = (lender.borrow(), lender.borrow());
    let turns = lender.take_turns(&first, AT_ONCE).unwrap();
    let told = std::cell::Cell::new(0);
    let waiting = |_: &[Named]| told.set(told.get() + 1);
    let taking = second.take_turns(&lender.host, |_| Patience::Forever, waiting);
    let requests = lender.store.requests();
    assert!(
        lender
            .meanwhile(Duration::from_secs(5), || drop(turns), taking)
            .is_ok()
    );
    assert_eq!(told.get(), 1);
    assert_eq!(lender.store.requests(), requests + 1, "looked once more");
}

#[test]
fn a_turn_that_is_free_costs_no_request() {
    let lender = Lender::new();
    let borrowed = lender.borrow();
    let requests = lender.store.requests();
    lender.take_turns(&borrowed, AT_ONCE).unwrap();
    assert_eq!(lender.store.requests(), requests);
}

#[test]
fn a_lock_that_was_lost_while_its_turn_was_waited_for_is_not_borrowed() {
    let lender = Lender::new();
    let (first, second) = (lender.borrow(), lender.borrow());
    let turns = lender.take_turns(&first, AT_ONCE).unwrap();
    let store = lender.store.clone();
    let lose = move || {
        store.overwrite(None);
        drop(turns);
    };
    let taking = second.take_turns(&lender.host, |_| Patience::Forever, |_| {});
    let taken = lender.meanwhile(Duration::from_secs(5), lose, taking);
    let Err(NotBorrowed::Lost { key }) = taken else {
        panic!("nobody holds it: {taken:?}");
    };
    assert_eq!(key, lender.announced.key);
}

#[test]
fn a_store_that_does_not_say_who_holds_it_lends_nothing() {
    let lender = Lender::new();
    let (first, second) = (lender.borrow(), lender.borrow());
    let turns = lender.take_turns(&first, AT_ONCE).unwrap();
    lender.store.inject(vec![Fault::RequestLost; 200]);
    let taking = second.take_turns(&lender.host, |_| Patience::Forever, |_| {});
    let taken = lender.meanwhile(Duration::from_millis(300), || drop(turns), taking);
    assert!(matches!(taken, Err(NotBorrowed::Unknown(_))), "{taken:?}");
}

#[test]
fn a_loan_that_was_taken_back_gives_no_turn() {
    let lender = Lender::new();
    let borrowed = lender.borrow();
    assert!(lender.loan.take_back().unwrap());
    assert!(matches!(
        lender.take_turns(&borrowed, AT_ONCE),
        Err(NotBorrowed::InUse { .. })
    ));
    std::fs::remove_file(lender.loan.path()).unwrap();
    let Err(NotBorrowed::NotLent { turn, reason }) = lender.take_turns(&borrowed, AT_ONCE) else {
        panic!("there is no loan");
    };
    assert_eq!(
        (turn.as_path(), reason.as_str()),
        (lender.loan.path(), "it is not there")
    );
}
