//! Signals and losses at critical moments: before the child is started, and after it was asked to stop.

use super::*;

const SIGTERM: Outcome = Outcome::Signal(SignalNumber(Number::SIGTERM as i32));

#[test]
fn after_a_signal_at_the_moment_when_the_lock_is_taken_nothing_is_started() {
    let scene = Scene::new();
    let outcome = scene.run(&Play {
        when_taken: be_sent_sigterm,
        ..Play::default()
    });
    assert_eq!(outcome.unwrap().ok(), Some(SIGTERM));
    assert!(!scene.file("started").exists());
    assert_eq!(scene.released.get(), Some(When::WithoutLastWord));
    assert_eq!(scene.store.current(), None);
}

#[test]
fn a_signal_while_the_lock_is_left_to_terraform_starts_nothing() {
    let scene = Scene::new();
    let outcome = scene.run(&Play {
        when_given_back: be_sent_sigterm,
        takes_turns: true,
        ..Play::default()
    });
    assert_eq!(outcome.unwrap().ok(), Some(SIGTERM));
    assert!(!scene.file("started").exists());
    assert_eq!((scene.store.current(), scene.turn.current()), (None, None));
}

#[test]
fn a_lock_that_may_have_been_taken_over_before_the_start_is_confirmed_first() {
    let scene = Scene::new();
    let heartbeat = Cell::new(None);
    let play = Play {
        // Forty-five seconds of a minute.
        when_taken: || std::thread::sleep(Duration::from_millis(450)),
        promise: Some(Duration::from_mins(1)),
        script: "exit 0",
        ..Play::default()
    };
    let look = || {
        let stored = scene.store.current();
        heartbeat.set(stored.and_then(|stored| stored.record.lease?.heartbeat));
    };
    let outcome = scene.run_child(&play, async {}, look);
    assert_eq!(outcome.unwrap().ok(), Some(Outcome::Exit(0)));
    assert_eq!(heartbeat.get(), Some(1));
}

#[test]
fn a_lock_that_is_lost_after_a_signal_asks_the_child_no_second_time() {
    let scene = Scene::new();
    let play = Play {
        script: "trap 'echo asked >>requests' INT TERM; : >started; while [ ! -e go ]; do sleep 0.02; done",
        ..Play::default()
    };
    let ran = scene.run_while(&play, async {
        scene.has("started").await;
        be_sent_sigterm();
        scene.has("requests").await;
        scene.store.overwrite(None);
        // The next renewal notices, and its answer decides what happens.
        let before = scene.store.requests();
        while scene.store.requests() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        scene.make("go");
    });
    assert_eq!(ran.unwrap().unwrap_err().exit_code, exit_code::LOST);
    assert_eq!(scene.requests(), "asked\n");
}
