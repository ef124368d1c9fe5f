//! Thousands of schedules, drawn at random: the same ones in each run of the tests.
//!
//! A violation tells its seed and everything that happened. `PROOF_TIMES=100 cargo test proof::schedules`
//! draws a hundred times as many.

use std::time::Duration;

use chrono::TimeDelta;

use super::contender::Ending;
use super::mutants::Mutation;
use super::network::Weather;
use super::queue::Queueing;
use super::referee::Tally;
use super::say;
use super::schedule::{self, Likeness, Scene, Verdict, Wants};
use super::server::{Quirk, Rules};
use crate::lock::acquire::Patience;

const CALM: Weather = Weather {
    latency: Duration::from_millis(200),
    request_lost: 0,
    reply_lost: 0,
    late: 0,
    throttled: 0,
    server_failure: 0,
    not_carried_out: 0,
    breaks: 100,
};

const ROUGH: Weather = Weather {
    request_lost: 3,
    reply_lost: 5,
    late: 4,
    throttled: 3,
    server_failure: 3,
    not_carried_out: 2,
    breaks: 75,
    ..CALM
};

/// Everything that can happen does.
pub(super) const DYNAMODB: Scene = Scene {
    places: &[Rules::DynamoDb],
    weather: ROUGH,
    most_contenders: 6,
    likeness: None,
    patience: Patience::For(Duration::from_mins(1)),
    promises: 60,
    slow_to_stop: 15,
    asked_to_end: 15,
    restless: 20,
    crashes: 15,
    reboots: 7,
    suspends: 15,
    stops: 10,
    wall_errors: TimeDelta::minutes(5),
    wall_jumps: TimeDelta::hours(9),
    terraforms: 20,
    people: 20,
    usurpers: 5,
    cuts: 10,
    denials: 5,
    queueing: Queueing::None,
    owners: 0,
    lenders: 0,
    clients: 0,
    wants: Wants::OneLock,
};

const S3: Scene = Scene {
    places: &[Rules::S3],
    ..DYNAMODB
};

const BOTH: Scene = Scene {
    places: &[Rules::S3BesideAnItem, Rules::DynamoDb],
    ..DYNAMODB
};

/// Servers that are not Amazon's.
const CARELESS: [&[Rules]; 3] = [
    &[Rules::S3That(Quirk::IgnoresIfMatch)],
    &[Rules::S3That(Quirk::DoesNothing)],
    &[Rules::S3That(Quirk::RefusesIfMatch)],
];

pub(super) const LOCAL: Scene = Scene {
    places: &[Rules::Local],
    wall_errors: TimeDelta::hours(9),
    ..DYNAMODB
};

/// Each newcomer usually draws the lock ID of the one before.
pub(super) const EQUAL_BYTES: Scene = Scene {
    likeness: Some(Likeness::RandomBytes),
    ..DYNAMODB
};

/// Each newcomer is usually a clone of the one before.
pub(super) const CLONES: Scene = Scene {
    likeness: Some(Likeness::Everything),
    ..DYNAMODB
};

/// Holders that promised, and are cut off.
pub(super) const PROMISES: Scene = Scene {
    promises: 100,
    cuts: 60,
    terraforms: 0,
    people: 0,
    usurpers: 0,
    denials: 0,
    wall_jumps: TimeDelta::minutes(5),
    ..DYNAMODB
};

/// A lock that is on hold, which people and plain terraform may end.
pub(super) const HOLDS: Scene = Scene {
    owners: 60,
    people: 30,
    terraforms: 10,
    ..DYNAMODB
};

/// Runs that lend their lock to the terraforms in a script, some of which are processes of their own session.
pub(super) const LOANS: Scene = Scene {
    lenders: 60,
    crashes: 25,
    // A terraform in a session of its own is not asked to stop.
    promises: 0,
    ..DYNAMODB
};

/// Runs whose terraform outlives its client.
pub(super) const CLIENTS: Scene = Scene {
    clients: 60,
    crashes: 25,
    promises: 0,
    // Nothing is known of work out of sight on a machine that was booted.
    reboots: 0,
    ..DYNAMODB
};

/// Two locks, of which some want one and others both, named in either order.
pub(super) const SEVERAL: Scene = Scene {
    places: &[Rules::DynamoDb, Rules::DynamoDb],
    wants: Wants::SomeOfSeveral,
    ..DYNAMODB
};

/// Nothing goes wrong.
pub(super) const FAIR: Scene = Scene {
    weather: CALM,
    patience: Patience::Forever,
    promises: 30,
    slow_to_stop: 0,
    asked_to_end: 0,
    crashes: 0,
    reboots: 0,
    suspends: 0,
    stops: 0,
    // A clock that is set by more than five minutes makes AWS refuse one request.
    wall_errors: TimeDelta::minutes(2),
    wall_jumps: TimeDelta::minutes(2),
    terraforms: 0,
    people: 0,
    usurpers: 0,
    cuts: 0,
    denials: 0,
    ..DYNAMODB
};

/// Runs the schedules of `scene`, and says what happened in them.
#[track_caller]
pub(super) fn run(name: &str, scene: &Scene, count: u64) -> Tally {
    run_each(name, scene, count, |_| None)
}

/// The same, with a look at each: what is wrong with it.
#[track_caller]
pub(super) fn run_each(
    name: &str,
    scene: &Scene,
    count: u64,
    fault_of: impl Fn(&Verdict) -> Option<String>,
) -> Tally {
    let times = std::env::var("PROOF_TIMES").ok();
    let count = count * times.and_then(|times| times.parse().ok()).unwrap_or(1);
    let began = std::time::Instant::now();
    let (mut tally, mut requests) = (Tally::default(), 0);
    for seed in 0..count {
        match schedule::run(scene, Mutation::None, seed) {
            Ok(verdict) => {
                if let Some(fault) = fault_of(&verdict) {
                    panic!(
                        "{name}, seed {seed}: {fault}\n{}",
                        schedule::story(scene, seed)
                    );
                }
                tally += verdict.tally;
                requests += verdict.requests;
            }
            Err(violation) => panic!("{name}, {violation}"),
        }
    }
    let took = began.elapsed();
    say(&format!(
        "{name}: {count} schedules with {requests} requests in {took:?}: {tally:#?}"
    ));
    tally
}

/// Everybody has run to the end under the lock, and given it back.
pub(super) fn not_everybody_ran(verdict: &Verdict) -> Option<String> {
    let ran = Ending::Ran {
        lost: false,
        released: true,
    };
    let other = verdict.endings.iter().find(|ending| **ending != ran)?;
    Some(format!("somebody ended so: {other:?}"))
}

#[test]
fn no_schedule_over_dynamodb_breaks_the_protocol() {
    let tally = run("DynamoDB", &DYNAMODB, 1500);
    assert!(tally.taken_over_by_proof > 100 && tally.taken_over_by_promise > 20);
    assert!(tally.robbed > 100 && tally.excused_overlaps > 50 && tally.taken_anew > 0);
    assert!(
        tally.late_orphans > 0,
        "the worst of the network was not met"
    );
    // A signature is good for five minutes, and the clock that it was made by may be five more ahead.
    assert!(tally.latest_orphan <= Duration::from_mins(10));
}

#[test]
fn no_schedule_over_s3_breaks_the_protocol() {
    let tally = run("S3", &S3, 1200);
    assert!(tally.taken_over_by_proof > 100 && tally.robbed > 50);
    assert!(tally.taken_over_by_promise > 20 && tally.taken_anew > 0);
    assert!(
        tally.late_orphans > 0,
        "the worst of the network was not met"
    );
    assert!(tally.latest_orphan <= Duration::from_mins(20));
}

#[test]
fn no_schedule_over_s3_servers_that_do_not_compare_on_writes_breaks_the_protocol() {
    for places in CARELESS {
        let scene = Scene { places, ..S3 };
        let tally = run("careless S3", &scene, 300);
        assert!(tally.taken_over_by_proof > 20 && tally.robbed > 10);
        assert_eq!(tally.taken_over_by_promise, 0, "nothing is renewed there");
    }
}

#[test]
fn no_schedule_over_both_at_once_breaks_the_protocol() {
    let tally = run("S3 and DynamoDB", &BOTH, 1000);
    assert!(tally.taken_over_by_proof > 100 && tally.robbed > 50);
}

#[test]
fn no_schedule_over_files_breaks_the_protocol() {
    let tally = run("local files", &LOCAL, 1000);
    assert!(tally.taken_over_by_proof > 50 && tally.taken_over_by_promise > 10);
    assert_eq!(tally.late_orphans, 0, "nothing is late here");
}

#[test]
fn no_schedule_breaks_the_protocol_where_everybody_draws_the_same_random_bytes() {
    for places in [DYNAMODB.places, S3.places, BOTH.places, LOCAL.places] {
        let scene = Scene {
            places,
            ..EQUAL_BYTES
        };
        let tally = run("equal random bytes", &scene, 300);
        assert!(tally.met_its_like > 100, "{tally:?}");
    }
}

#[test]
fn no_schedule_breaks_the_protocol_where_everybody_is_a_clone() {
    for places in [DYNAMODB.places, S3.places, BOTH.places] {
        let scene = Scene { places, ..CLONES };
        let tally = run("clones", &scene, 300);
        assert!(tally.met_its_like > 100, "{tally:?}");
    }
}

#[test]
fn no_promise_is_broken_by_a_holder_that_is_cut_off() {
    // Whoever has not looked at an object for as long as it is renewed begins to count anew.
    for (places, taken_over) in [(DYNAMODB.places, 60), (S3.places, 20)] {
        let scene = Scene { places, ..PROMISES };
        let tally = run("promises", &scene, 1000);
        assert!(tally.taken_over_by_promise > taken_over && tally.taken_anew > 0);
    }
}

#[test]
fn no_schedule_breaks_a_hold_or_lets_a_stranger_in() {
    for places in [DYNAMODB.places, S3.places, BOTH.places, LOCAL.places] {
        let scene = Scene { places, ..HOLDS };
        let tally = run("holds", &scene, 500);
        assert!(tally.begun_under_hold > 100 && tally.returned_to_hold > 100);
        assert!(tally.put_back_by_others > 10 && tally.holds_ended > 10);
    }
}

#[test]
fn no_schedule_lets_two_terraforms_work_under_a_lent_lock_or_one_under_a_lost_one() {
    let mut tally = Tally::default();
    for places in [DYNAMODB.places, S3.places, BOTH.places, LOCAL.places] {
        let scene = Scene { places, ..LOANS };
        tally += run("loans", &scene, 150);
    }
    assert!(
        tally.borrowed > 600 && tally.turns_in_use > 200,
        "{tally:?}"
    );
    assert!(tally.nested_refused > 150, "{tally:?}");
    assert!(tally.turns_of_lost_locks > 3, "{tally:?}");
}

#[test]
fn no_schedule_takes_the_lock_of_a_terraform_that_outlives_its_client() {
    for places in [DYNAMODB.places, S3.places, BOTH.places, LOCAL.places] {
        let scene = Scene { places, ..CLIENTS };
        let tally = run("clients", &scene, 200);
        assert!(
            tally.left_elsewhere > 50 && tally.children > 200,
            "{tally:?}"
        );
    }
}

/// The stores of several locks.
const SEVERAL_PLACES: [&[Rules]; 4] = [
    &[Rules::DynamoDb, Rules::DynamoDb],
    &[Rules::S3, Rules::DynamoDb],
    &[Rules::S3, Rules::S3],
    &[Rules::DynamoDb, Rules::S3, Rules::DynamoDb],
];

#[test]
fn no_schedule_of_runs_that_want_several_locks_breaks_the_protocol() {
    for places in SEVERAL_PLACES {
        for queueing in [Queueing::None, Queueing::Honest, Queueing::Broken] {
            let scene = Scene {
                places,
                queueing,
                ..SEVERAL
            };
            let tally = run("several locks", &scene, 250);
            assert!(
                tally.taken_over_by_proof > 10 && tally.robbed > 10,
                "{tally:?}"
            );
        }
    }
}

#[test]
fn in_fair_weather_everybody_gets_all_the_locks_that_it_wants_however_they_are_named() {
    for places in SEVERAL_PLACES {
        for queueing in [Queueing::None, Queueing::Honest, Queueing::Broken] {
            let scene = Scene {
                places,
                queueing,
                wants: Wants::SomeOfSeveral,
                ..FAIR
            };
            let tally = run_each(
                "several locks in fair weather",
                &scene,
                60,
                not_everybody_ran,
            );
            assert_eq!(tally.taken_over_by_promise + tally.taken_over_by_proof, 0);
        }
    }
}

#[test]
fn in_fair_weather_all_owners_of_a_hold_work_under_it_one_after_the_other() {
    for places in [DYNAMODB.places, S3.places, BOTH.places, LOCAL.places] {
        let scene = Scene {
            places,
            owners: 100,
            ..FAIR
        };
        let tally = run_each("owners", &scene, 60, not_everybody_ran);
        assert_eq!(tally.holds_ended, 0);
        assert_eq!(tally.begun_under_hold, tally.returned_to_hold);
    }
}

#[test]
fn in_fair_weather_everybody_gets_the_lock_and_gives_it_back() {
    for places in [DYNAMODB.places, S3.places, BOTH.places, LOCAL.places] {
        let scene = Scene { places, ..FAIR };
        let tally = run_each("fair weather", &scene, 60, not_everybody_ran);
        assert_eq!(tally.taken_over_by_promise + tally.taken_over_by_proof, 0);
    }
}

#[test]
fn answers_that_are_lost_change_nothing() {
    let weather = Weather {
        // More, and sometimes a store fails for ten seconds on end, which ends an acquisition.
        reply_lost: 5,
        server_failure: 3,
        ..CALM
    };
    for places in [DYNAMODB.places, S3.places, BOTH.places, LOCAL.places] {
        let scene = Scene {
            places,
            weather,
            // Whoever promised stops its child when it does not hear that it was renewed.
            promises: 0,
            ..FAIR
        };
        let tally = run_each("lost answers", &scene, 150, not_everybody_ran);
        assert_eq!(tally.taken_over_by_promise + tally.taken_over_by_proof, 0);
        assert_eq!(tally.late_orphans + tally.loud_orphans, 0);
    }
}

#[test]
fn a_lock_that_was_taken_away_is_noticed_within_twelve_seconds_and_reported() {
    for places in [
        DYNAMODB.places,
        S3.places,
        BOTH.places,
        LOCAL.places,
        CARELESS[0],
    ] {
        let scene = Scene {
            places,
            people: 100,
            usurpers: 20,
            patience: Patience::For(Duration::from_mins(1)),
            ..FAIR
        };
        let tally = run("robberies", &scene, 150);
        assert!(tally.robbed > 50);
        // Ten seconds to the next look, two more if something else has just dropped it, and the way there and back.
        let noticed = Duration::from_secs(12) + 4 * CALM.latency;
        assert!(tally.longest_unnoticed <= noticed, "{tally:?}");
        assert_eq!(tally.unreported, 0);
    }
}
