//! Waiting in the queue: the order, and everything that can happen to a ticket.

use super::*;
use crate::lock::queue::Tickets;
use crate::lock::queue::order::{FIRST, GRACE};
use crate::lock::store::companion::Purpose;
use crate::lock::store::memory::Fault;

impl Scene {
    fn queued() -> Self {
        Self::on(&Simulation::default(), MemoryStore::with_companions())
    }

    /// Where the queue is.
    fn queue(&self) -> &MemoryStore {
        self.store.beside(Purpose::Queue).unwrap()
    }

    fn tickets(&self) -> Vec<LockId> {
        let Some(stored) = self.queue().current() else {
            return Vec::new();
        };
        let tickets = Tickets::parse(&stored.record.info.unwrap()).unwrap();
        tickets.tickets.into_iter().map(|one| one.id).collect()
    }

    fn put_tickets(&self, text: &str) {
        self.queue().overwrite(Some(Record {
            info: Some(text.to_owned()),
            lease: None,
        }));
    }

    /// Waits from `second` on, then holds the lock for two seconds. Returns when it got the lock.
    async fn waits_from(&self, second: u64) -> Duration {
        self.sleep(second).await;
        let (mut held, _) = self.held().await;
        let got = self.simulation.elapsed();
        self.sleep(2).await;
        held.release(Duration::ZERO, |_| {}).await.unwrap();
        got
    }

    /// Holds the lock for that long.
    async fn holds_for(&self, seconds: u64) {
        let (mut held, _) = self.held().await;
        self.sleep(seconds).await;
        held.release(Duration::ZERO, |_| {}).await.unwrap();
    }
}

#[test]
fn waiting_runs_are_served_in_the_order_of_their_arrival() {
    let holder = Scene::queued();
    let [first, second, third] = [holder.rival(), holder.rival(), holder.rival()];
    let times = holder.simulation.run(async {
        tokio::join!(
            holder.holds_for(10),
            third.waits_from(3),
            first.waits_from(1),
            second.waits_from(2)
        )
    });
    let ((), third, first, second) = times;
    assert!(first < second && second < third, "{times:?}");
    assert!(third <= Duration::from_secs(14) + 3 * FIRST, "{times:?}");
    assert_eq!(holder.queue().current(), None, "nothing is left");
}

#[test]
fn a_free_lock_and_a_single_attempt_do_not_touch_the_queue() {
    let holder = Scene::queued();
    let other = holder.rival();
    holder.simulation.run(async {
        holder.held().await;
        other.acquire(ONE_ATTEMPT).await;
    });
    assert_eq!(holder.queue().requests(), 0);
    assert_eq!(holder.store.requests(), 2);
}

#[test]
fn a_stop_and_a_time_out_remove_the_ticket() {
    let holder = Scene::queued();
    let [patient, impatient] = [holder.rival(), holder.rival()];
    holder.simulation.run(async {
        holder.held().await;
        let stop = async {
            holder.sleep(2).await;
            assert_eq!(holder.tickets().len(), 2);
            patient.stop.send_replace(true);
        };
        let waits = tokio::join!(
            stop,
            patient.acquire(Patience::Forever),
            impatient.acquire(patience(5))
        );
        assert!(matches!(
            waits,
            ((), Acquisition::Stopped, Acquisition::TimedOut(_))
        ));
    });
    assert_eq!(holder.queue().current(), None);
}

#[test]
fn a_dead_waiter_costs_three_seconds_and_its_ticket_goes_with_the_next_holder() {
    let holder = Scene::queued();
    let waiter = holder.rival();
    holder.put_tickets(r#"{"Tickets":[{"ID":"dead","Who":"eve@vm"}]}"#);
    let ((), got) = holder
        .simulation
        .run(async { tokio::join!(holder.holds_for(10), waiter.waits_from(1)) });
    let late = got - Duration::from_secs(10);
    assert!(late >= GRACE, "{late:?}");
    assert!(late <= GRACE + Duration::from_secs(2), "{late:?}");
    assert_eq!(holder.queue().current(), None);
}

#[test]
fn a_run_that_has_left_is_not_waited_for() {
    let holder = Scene::queued();
    let [leaves, stays] = [holder.rival(), holder.rival()];
    let ((), _, got) = holder.simulation.run(async {
        let leaving = async {
            holder.sleep(1).await;
            leaves.acquire(patience(8)).await
        };
        tokio::join!(holder.holds_for(10), leaving, stays.waits_from(2))
    });
    assert!(got <= Duration::from_millis(11_500), "{got:?}");
}

#[test]
fn a_lost_ticket_gets_its_place_back() {
    let holder = Scene::queued();
    let [first, second] = [holder.rival(), holder.rival()];
    let times = holder.simulation.run(async {
        let loss = async {
            holder.sleep(5).await;
            holder.queue().overwrite(None);
        };
        tokio::join!(
            holder.holds_for(40),
            first.waits_from(1),
            second.waits_from(2),
            loss
        )
    });
    let ((), first, second, ()) = times;
    assert!(first < second, "{times:?}");
}

#[test]
fn a_run_makes_a_last_attempt_before_it_gives_up_even_out_of_turn() {
    let holder = Scene::queued();
    let waiter = holder.rival();
    holder.put_tickets(r#"{"Tickets":[{"ID":"dead"}]}"#);
    let ((), acquisition) = holder
        .simulation
        .run(async { tokio::join!(holder.holds_for(4), waiter.acquire(patience(5))) });
    assert!(matches!(acquisition, Acquisition::Held { .. }));
}

#[test]
fn without_a_usable_queue_every_run_tries_about_twice_a_second() {
    let forbidden = Fault::Refused(StoreErrorKind::AccessDenied);
    let no_queue = r#"{"Tickets":"none"}"#;
    for (faults, text) in [
        (vec![forbidden], None),
        (vec![], Some(no_queue)),
        (vec![Fault::Silence; 50], None),
        (vec![Fault::RequestLost; 50], None),
    ] {
        let holder = Scene::queued();
        let waiter = holder.rival();
        holder.queue().inject(faults.clone());
        if let Some(text) = text {
            holder.put_tickets(text);
        }
        let ((), got) = holder
            .simulation
            .run(async { tokio::join!(holder.holds_for(10), waiter.waits_from(1)) });
        let late = got.saturating_sub(Duration::from_secs(10));
        // A queue that does not answer costs two seconds now and then.
        let most = POLL_INTERVAL + Duration::from_secs(2);
        assert!(late <= most, "{faults:?} {text:?}: {late:?}");
        let left = holder.queue().current().and_then(|left| left.record.info);
        assert_eq!(left.as_deref(), text, "another document was changed");
    }
}

#[test]
fn a_person_may_take_over_out_of_turn() {
    let holder = Scene::queued();
    let waiter = holder.rival();
    holder.put_tickets(r#"{"Tickets":[{"ID":"first"}]}"#);
    holder.simulation.run(async {
        holder.held().await;
        let store = Rc::new(waiter.store.clone());
        let decide = |progress: Progress<'_>| match progress {
            Progress::HeldBy(seen) if seen.waited >= Duration::from_secs(4) => Decision::TakeOver,
            _ => Decision::Wait,
        };
        let (claim, stop) = (&waiter.claim, waiter.stop.subscribe());
        let taken = acquire(
            store,
            waiter.host.shared(),
            claim,
            Patience::Forever,
            stop,
            decide,
        );
        let Acquisition::Held { replaced, .. } = taken.await.unwrap() else {
            panic!("not held")
        };
        assert_eq!(replaced.unwrap().position.unwrap().place(), 2);
    });
    assert!(waiter.holds());
}
