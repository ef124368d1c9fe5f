//! The simulation itself: time, tasks, machines.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::simulation::*;
use crate::lock::host::{Host as _, ProcessFate};

#[test]
fn sleepers_wake_in_the_order_of_their_moments_and_no_time_is_spent() {
    let simulation = Simulation::default();
    let host = simulation.machine().tflock();
    let order = RefCell::new(Vec::new());
    let sleeper = async |name, seconds| {
        host.sleep(Duration::from_secs(seconds)).await;
        order
            .borrow_mut()
            .push((name, simulation.elapsed().as_secs()));
    };
    let real = std::time::Instant::now();
    simulation.run(async { tokio::join!(sleeper("late", 7200), sleeper("soon", 5)) });
    assert_eq!(*order.borrow(), [("soon", 5), ("late", 7200)]);
    assert!(real.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_sleep_that_is_given_up_moves_no_clock() {
    let simulation = Simulation::default();
    let host = simulation.machine().tflock();
    simulation.run(async {
        tokio::select! {
            () = host.sleep(Duration::from_hours(1)) => {}
            () = host.sleep(Duration::from_secs(1)) => {}
        }
        host.sleep(Duration::from_secs(1)).await;
    });
    assert_eq!(simulation.elapsed(), Duration::from_secs(2));
}

#[test]
fn processes_are_seen_on_their_own_machine_only_and_by_what_they_carry() {
    let simulation = Simulation::default();
    let (here, there) = (simulation.machine(), simulation.machine());
    let holder = here.tflock();
    let id = holder.claim(None).info.id;
    let named = holder.this_process().unwrap();
    let (observer, stranger) = (here.tflock(), there.tflock());
    assert_eq!(observer.fate_of(&named, &id), ProcessFate::Running);
    assert_eq!(stranger.fate_of(&named, &id), ProcessFate::Elsewhere);
    let child = here.child_under(&id);
    holder.kill();
    assert_eq!(observer.fate_of(&named, &id), ProcessFate::Running);
    here.end(child);
    assert_eq!(observer.fate_of(&named, &id), ProcessFate::Ended);
    here.reboot();
    assert_eq!(here.tflock().fate_of(&named, &id), ProcessFate::Rebooted);
}

#[test]
fn a_task_that_is_ended_goes_no_further_and_gives_nothing() {
    let simulation = Simulation::default();
    let reached = Rc::new(Cell::new(0));
    let (sleeping, counting) = (simulation.clone(), Rc::clone(&reached));
    let (task, output) = simulation.spawn(async move {
        for _ in 0..10 {
            sleeping.sleep(Duration::from_secs(1)).await;
            counting.set(counting.get() + 1);
        }
    });
    simulation.run(async {
        simulation.sleep(Duration::from_millis(3500)).await;
        simulation.end_task(task);
        assert!(output.await.is_err());
        simulation.sleep(Duration::from_secs(10)).await;
    });
    assert_eq!(reached.get(), 3);
}

#[test]
fn a_suspended_machine_does_nothing_its_timers_wait_and_its_clock_goes_on() {
    let simulation = Simulation::default();
    let machine = simulation.machine();
    let host = machine.tflock();
    let began = host.now();
    let (_, woke) = machine.spawn(async move {
        host.sleep(Duration::from_secs(10)).await;
        host.now()
    });
    simulation.run(async {
        simulation.sleep(Duration::from_secs(4)).await;
        machine.suspend();
        simulation.sleep(Duration::from_secs(100)).await;
        machine.resume();
        assert_eq!(woke.await.unwrap().since(began).as_secs(), 110);
    });
    assert_eq!(machine.running_for(), Duration::from_secs(10));
}

#[test]
fn a_task_that_is_stopped_does_nothing_until_it_is_continued_and_its_timers_go_on() {
    let simulation = Simulation::default();
    let machine = simulation.machine();
    let host = machine.tflock();
    let began = host.now();
    let (task, woke) = machine.spawn(async move {
        host.sleep(Duration::from_secs(10)).await;
        host.now()
    });
    simulation.run(async {
        simulation.sleep(Duration::from_secs(4)).await;
        simulation.stop_task(task);
        simulation.sleep(Duration::from_secs(26)).await;
        simulation.continue_task(task);
        assert_eq!(woke.await.unwrap().since(began).as_secs(), 30);
    });
    assert_eq!(machine.running_for(), Duration::from_secs(30));
}

#[test]
fn equal_seeds_draw_equal_numbers() {
    let draw = |seed| {
        let simulation = Simulation::seeded(seed);
        [0; 5].map(|_| simulation.random().draw())
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}
