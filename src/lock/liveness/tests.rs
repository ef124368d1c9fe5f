//! What an observer makes of a record, on its own clock.

use chrono::TimeDelta;

use super::*;
use crate::lock::host::Host as _;
use crate::lock::record::Record;
use crate::simulation::{SimulatedHost, Simulation};

/// A record of a holder that began its lease at the wall time of its machine.
fn record(holder: &SimulatedHost, expire_after: Option<Duration>) -> Record {
    let mut claim = holder.claim(expire_after);
    claim.lease.heartbeat = Some(0);
    let record = Record::new(&claim.info, claim.lease);
    Record {
        lease: record.renewed(holder.wall()).lease,
        ..record
    }
}

/// A holder and an observer on machines of their own.
struct Scene {
    simulation: Simulation,
    holder: SimulatedHost,
    observer: SimulatedHost,
    looks: Observer,
}

impl Scene {
    fn new() -> Self {
        Self::with_clocks_apart(TimeDelta::zero())
    }

    /// The holder's wall clock is ahead of the observer's by this much.
    fn with_clocks_apart(ahead: TimeDelta) -> Self {
        let simulation = Simulation::default();
        let there = simulation.machine();
        there.set_wall_error(ahead);
        Self {
            holder: there.tflock(),
            observer: simulation.machine().tflock(),
            simulation,
            looks: Observer::default(),
        }
    }

    fn pass(&self, seconds: u64) {
        let pause = Duration::from_secs(seconds);
        self.simulation.run(self.observer.sleep(pause));
    }

    fn assess(&mut self, record: &Record) -> Assessment {
        self.looks
            .assess(&self.observer, record, self.observer.now())
    }
}

/// What is made of a record that was never seen before.
fn first_look(observer: &SimulatedHost, record: &Record) -> Assessment {
    Observer::default().assess(observer, record, observer.now())
}

const A_MINUTE: Option<Duration> = Some(Duration::from_mins(1));

#[test]
fn a_lock_of_plain_terraform_says_nothing_about_its_holder() {
    let mut scene = Scene::new();
    let record = Record {
        lease: None,
        ..record(&scene.holder, None)
    };
    scene.pass(100_000);
    let assessment = scene.assess(&record);
    assert_eq!(assessment.liveness, Liveness::Unknown);
    assert_eq!(assessment.silence, None);
    assert_eq!(assessment.replacement, Replacement::No);
}

#[test]
fn silence_turns_from_alive_to_silent_to_stale() {
    let mut scene = Scene::new();
    let record = record(&scene.holder, None);
    let expected = [
        (0, Liveness::Alive),
        (29, Liveness::Alive),
        (30, Liveness::Silent),
        (59, Liveness::Silent),
        (60, Liveness::Stale),
        (86_400, Liveness::Stale),
    ];
    for (moment, liveness) in expected {
        scene.pass(moment - scene.simulation.elapsed().as_secs());
        let assessment = scene.assess(&record);
        assert_eq!(assessment.liveness, liveness, "after {moment} s");
        assert_eq!(
            assessment.silence.map(|silence| silence.as_secs()),
            Some(moment)
        );
        assert_eq!(assessment.replacement, Replacement::No);
    }
}

#[test]
fn a_heartbeat_ends_the_silence() {
    let mut scene = Scene::new();
    let first = record(&scene.holder, A_MINUTE);
    scene.assess(&first);
    scene.pass(61);
    let second = first.renewed(scene.holder.wall());
    assert_eq!(scene.assess(&second).liveness, Liveness::Alive);
    scene.pass(61);
    assert_eq!(scene.assess(&second).replacement, Replacement::No);
    scene.pass(1);
    assert_eq!(scene.assess(&second).replacement, Replacement::ByPromise);
}

#[test]
fn another_holder_ends_the_silence() {
    let mut scene = Scene::new();
    let first = record(&scene.holder, A_MINUTE);
    scene.assess(&first);
    scene.pass(100);
    let second = record(&scene.holder, A_MINUTE);
    assert_eq!(scene.assess(&second).replacement, Replacement::No);
}

#[test]
fn a_lock_expires_after_its_promise_and_a_margin() {
    let mut scene = Scene::new();
    let record = record(&scene.holder, A_MINUTE);
    scene.assess(&record);
    scene.pass(61);
    assert_eq!(scene.assess(&record).replacement, Replacement::No);
    scene.pass(1);
    assert_eq!(scene.assess(&record).replacement, Replacement::ByPromise);
}

#[test]
fn a_first_look_shows_what_the_holder_s_clock_claims_and_waits_for_a_heartbeat() {
    let mut scene = Scene::new();
    let record = record(&scene.holder, A_MINUTE);
    let watched = Some(Duration::from_secs(13));
    let expected = [
        (29, Liveness::Alive, None),
        (30, Liveness::Silent, watched),
        (659, Liveness::Silent, watched),
        (660, Liveness::Stale, watched),
        (86_400, Liveness::Stale, watched),
    ];
    for (moment, liveness, settles_in) in expected {
        scene.pass(moment - scene.simulation.elapsed().as_secs());
        let assessment = first_look(&scene.observer, &record);
        assert_eq!(assessment.liveness, liveness, "after {moment} s");
        assert_eq!(assessment.settles_in, settles_in, "after {moment} s");
        assert_eq!(assessment.replacement, Replacement::No, "after {moment} s");
        assert_eq!(
            assessment.silence.map(|silence| silence.as_secs()),
            Some(moment)
        );
    }
    scene.assess(&record);
    scene.pass(13);
    let assessment = scene.assess(&record);
    assert_eq!(assessment.liveness, Liveness::Stale);
    assert_eq!(assessment.settles_in, None);
}

#[test]
fn a_living_holder_is_alive_after_one_heartbeat_however_wrong_its_clock_is() {
    for minutes in [-1, -9, -20, -600, 6 * 60] {
        let mut scene = Scene::with_clocks_apart(TimeDelta::minutes(minutes));
        let first = record(&scene.holder, None);
        let assessment = scene.assess(&first);
        assert_ne!(assessment.liveness, Liveness::Alive, "{minutes}");
        assert!(assessment.settles_in.is_some(), "{minutes}");
        scene.pass(10);
        let next = first.renewed(scene.holder.wall());
        let assessment = scene.assess(&next);
        assert_eq!(assessment.liveness, Liveness::Alive, "{minutes}");
        assert_eq!(assessment.silence, Some(Duration::ZERO));
        assert_eq!(assessment.settles_in, None);
    }
}

#[test]
fn a_heartbeat_time_in_the_future_or_garbled_does_not_make_a_dead_lock_alive() {
    for claim in ["2999-01-01T00:00:00Z", "garbage"] {
        let mut scene = Scene::new();
        let mut record = record(&scene.holder, None);
        record.lease.as_mut().unwrap().heartbeat_at = Some(claim.into());
        assert_eq!(scene.assess(&record).liveness, Liveness::Silent, "{claim}");
        scene.pass(13);
        let assessment = scene.assess(&record);
        assert_eq!(assessment.liveness, Liveness::Silent, "{claim}");
        assert_eq!(assessment.settles_in, None, "{claim}");
        scene.pass(47);
        assert_eq!(scene.assess(&record).liveness, Liveness::Stale, "{claim}");
    }
}

#[test]
fn an_attribute_that_others_add_is_no_sign_of_life() {
    let mut scene = Scene::new();
    let mut record = record(&scene.holder, A_MINUTE);
    scene.assess(&record);
    scene.pass(62);
    record.lease.as_mut().unwrap().reason = Some("somebody's".into());
    let assessment = scene.assess(&record);
    assert_eq!(assessment.replacement, Replacement::ByPromise);
    assert_eq!(assessment.liveness, Liveness::Stale);
}

#[test]
fn correcting_a_clock_takes_no_lock_from_a_living_holder() {
    let simulation = Simulation::default();
    let machine = simulation.machine();
    let (holder, observer) = (machine.tflock(), machine.tflock());
    let record = record(&holder, A_MINUTE);
    machine.set_wall_error(TimeDelta::hours(5));
    let assessment = first_look(&observer, &record);
    assert_eq!(assessment.replacement, Replacement::No);
}

#[test]
fn a_lock_that_was_taken_again_with_the_same_id_ends_the_silence() {
    let mut scene = Scene::new();
    let first = record(&scene.holder, A_MINUTE);
    scene.assess(&first);
    scene.pass(61);
    // As many heartbeats as before, and taken later.
    let mut info = first.lock_info().unwrap();
    info.created = "2026-01-01T00:00:00Z".into();
    let again = Record::new(&info, record(&scene.holder, A_MINUTE).lease.unwrap());
    scene.assess(&again);
    scene.pass(61);
    assert_eq!(scene.assess(&again).replacement, Replacement::No);
}

#[test]
fn clocks_that_aws_would_both_accept_never_take_a_lock_from_a_living_holder() {
    // Five minutes behind, seen from five minutes ahead.
    let mut scene = Scene::with_clocks_apart(TimeDelta::minutes(-10));
    let mut record = record(&scene.holder, A_MINUTE);
    for _ in 0..20 {
        let assessment = scene.assess(&record);
        assert_ne!(assessment.liveness, Liveness::Stale);
        assert_eq!(assessment.replacement, Replacement::No);
        scene.pass(10);
        record = record.renewed(scene.holder.wall());
    }
}

#[test]
fn a_holder_whose_clock_is_ahead_is_judged_by_the_observer_s_clock() {
    let mut scene = Scene::with_clocks_apart(TimeDelta::hours(1));
    let record = record(&scene.holder, None);
    assert_eq!(scene.assess(&record).silence, Some(Duration::ZERO));
    scene.pass(60);
    let assessment = scene.assess(&record);
    assert_eq!(assessment.silence, Some(Duration::from_mins(1)));
    assert_eq!(assessment.liveness, Liveness::Stale);
}

#[test]
fn a_heartbeat_without_a_readable_time_is_judged_by_what_was_observed() {
    let mut scene = Scene::new();
    let mut record = record(&scene.holder, A_MINUTE);
    record.lease.as_mut().unwrap().heartbeat_at = Some("yesterday".into());
    assert_eq!(scene.assess(&record).liveness, Liveness::Silent);
    scene.pass(62);
    assert_eq!(scene.assess(&record).replacement, Replacement::ByPromise);
}

#[test]
fn a_process_that_exists_here_is_alive_however_silent_it_is() {
    let simulation = Simulation::default();
    let machine = simulation.machine();
    let (holder, observer) = (machine.tflock(), machine.tflock());
    let record = record(&holder, None);
    simulation.run(observer.sleep(Duration::from_hours(10)));
    let assessment = first_look(&observer, &record);
    assert_eq!(assessment.liveness, Liveness::Alive);
    assert_eq!(assessment.replacement, Replacement::No);
}

#[test]
fn a_proof_beats_a_fresh_heartbeat() {
    let simulation = Simulation::default();
    let machine = simulation.machine();
    let (holder, observer) = (machine.tflock(), machine.tflock());
    let record = record(&holder, None);
    holder.kill();
    let assessment = first_look(&observer, &record);
    assert_eq!(assessment.liveness, Liveness::Gone(Proof::Ended));
    assert_eq!(assessment.replacement, Replacement::ByProof(Proof::Ended));
}

#[test]
fn a_proof_needs_no_heartbeats() {
    let simulation = Simulation::default();
    let machine = simulation.machine();
    let holder = machine.tflock();
    let claim = holder.claim(None);
    let record = Record::new(&claim.info, claim.lease);
    let observer = machine.tflock();
    let alive = first_look(&observer, &record);
    assert_eq!((alive.liveness, alive.silence), (Liveness::Alive, None));
    holder.kill();
    let gone = first_look(&observer, &record);
    assert_eq!(gone.replacement, Replacement::ByProof(Proof::Ended));
}

#[test]
fn a_record_whose_lock_id_cannot_be_read_is_never_proven_dead() {
    let simulation = Simulation::default();
    let machine = simulation.machine();
    let holder = machine.tflock();
    let record = Record {
        info: Some("garbage".into()),
        ..record(&holder, None)
    };
    holder.kill();
    let assessment = first_look(&machine.tflock(), &record);
    assert_eq!(assessment.replacement, Replacement::No);
}

/// A record whose holder says how often it renews it.
fn record_of_object(holder: &SimulatedHost, seconds: u64, promise: Option<Duration>) -> Record {
    let mut record = record(holder, promise);
    if let Some(lease) = &mut record.lease {
        lease.renewed_every = Some(Duration::from_secs(seconds));
    }
    record
}

#[test]
fn an_object_is_silent_after_two_missed_renewals_and_stale_after_five() {
    let mut scene = Scene::new();
    let record = record_of_object(&scene.holder, 60, None);
    for (moment, liveness) in [
        (0, Liveness::Alive),
        (179, Liveness::Alive),
        (180, Liveness::Silent),
        (359, Liveness::Silent),
        (360, Liveness::Stale),
    ] {
        scene.pass(moment - scene.simulation.elapsed().as_secs());
        let assessment = scene.assess(&record);
        assert_eq!(assessment.liveness, liveness, "after {moment} s");
        assert_eq!(assessment.misses_heartbeats, liveness != Liveness::Alive);
    }
}

#[test]
fn an_object_with_five_minutes_of_promise_expires_before_it_is_stale() {
    let mut scene = Scene::new();
    let promise = Some(Duration::from_mins(5));
    let record = record_of_object(&scene.holder, 60, promise);
    for _ in 0..10 {
        scene.assess(&record);
        scene.pass(30);
    }
    for replacement in [Replacement::No, Replacement::ByPromise] {
        scene.pass(1);
        let assessment = scene.assess(&record);
        assert_eq!(assessment.liveness, Liveness::Silent);
        assert_eq!(assessment.replacement, replacement);
    }
}

#[test]
fn an_object_that_seems_silent_by_its_clock_is_watched_for_a_whole_renewal() {
    let mut scene = Scene::new();
    let record = record_of_object(&scene.holder, 60, None);
    scene.pass(180);
    let assessment = scene.assess(&record);
    assert_eq!(assessment.liveness, Liveness::Silent);
    assert_eq!(assessment.settles_in, Some(Duration::from_secs(63)));
}

#[test]
fn a_record_that_names_an_absurd_interval_is_stale_in_six_hours_and_never_before_a_minute() {
    for (every, stale) in [(0, 60), (1, 60), (u64::from(u32::MAX), 6 * 3600)] {
        let mut scene = Scene::new();
        let record = record_of_object(&scene.holder, every, None);
        scene.assess(&record);
        scene.pass(stale - 1);
        assert_ne!(scene.assess(&record).liveness, Liveness::Stale, "{every}");
        scene.pass(1);
        assert_eq!(scene.assess(&record).liveness, Liveness::Stale, "{every}");
    }
}

#[test]
fn the_time_that_a_reply_takes_is_no_silence() {
    let mut scene = Scene::new();
    let record = record(&scene.holder, A_MINUTE);
    scene.assess(&record);
    scene.pass(50);
    let asked = scene.observer.now();
    scene.pass(20);
    let assessment = scene.looks.assess(&scene.observer, &record, asked);
    assert_eq!(assessment.replacement, Replacement::No);
}

#[test]
fn no_holder_is_silent_before_half_a_minute_or_stale_before_a_minute_however_short_its_interval() {
    let seconds = Duration::from_secs;
    for (interval, silent, stale) in [(2, 30, 60), (10, 30, 60), (60, 180, 360)] {
        let interval = seconds(interval);
        assert_eq!(silent_after(interval), seconds(silent));
        assert_eq!(stale_after(interval), seconds(stale));
    }
}

#[test]
fn an_object_s_heartbeat_that_was_not_watched_may_have_come_back_and_is_no_silence() {
    let every = |renewed_every| {
        let mut scene = Scene::new();
        let record = record(&scene.holder, Some(Duration::from_mins(5)));
        let lease = record.lease.clone().map(|lease| Lease {
            renewed_every,
            ..lease
        });
        let record = Record { lease, ..record };
        let mut look_after = |seconds| {
            scene.pass(seconds);
            scene.assess(&record).replacement
        };
        look_after(0);
        let unwatched = look_after(310);
        let watched = (0..32).map(|_| look_after(10)).last();
        (unwatched, watched)
    };
    let object = every(Some(Duration::from_mins(1)));
    assert_eq!(object, (Replacement::No, Some(Replacement::ByPromise)));
    let item = every(None);
    assert_eq!(item, (Replacement::ByPromise, Some(Replacement::ByPromise)));
}
