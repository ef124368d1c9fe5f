//! All schedules of small scenes.

use std::time::{Duration, Instant};

use super::contender::Plan;
use super::explorer::Fault::{Late, Lost, Mute, ReplyLost, Slow, SlowReply, Throttled};
use super::explorer::{Budget, Pruning, Role, SmallScene, explore};
use super::mutants::Mutation;
use super::say;
use super::schedule::Likeness;
use super::server::{Quirk, Rules};
use crate::lock::acquire::Patience;

/// A tflock on the machine of this number, with times in milliseconds.
fn tflock(machine: usize, work: u64, patience: u64) -> Role {
    Role::Tflock {
        machine,
        like: None,
        promise: None,
        plan: Plan {
            patience: Patience::For(Duration::from_millis(patience)),
            work: Duration::from_millis(work),
            stops_within: Duration::from_millis(300),
            asked_to_end: None,
            usurps_after: None,
            restless: None,
        },
    }
}

/// The same, replaceable after three seconds: the shortest promise that the command line takes.
fn promising(machine: usize, work: u64, patience: u64) -> Role {
    match tflock(machine, work, patience) {
        Role::Tflock {
            machine,
            like,
            plan,
            ..
        } => Role::Tflock {
            machine,
            like,
            promise: Some(Duration::from_secs(3)),
            plan,
        },
        other => other,
    }
}

/// The same role for a party that is like the first one.
fn like_the_first(role: Role, likeness: Likeness) -> Role {
    match role {
        Role::Tflock {
            machine,
            promise,
            plan,
            ..
        } => Role::Tflock {
            machine,
            like: Some((likeness, 0)),
            promise,
            plan,
        },
        other => other,
    }
}

/// Two of different machines, with two faults of any kind.
pub(super) fn two() -> SmallScene {
    SmallScene {
        rules: Rules::DynamoDb,
        roles: vec![tflock(0, 200, 500), tflock(1, 200, 500)],
        owners: &[],
        wants: &[],
        faults: &[Late, ReplyLost, Mute, Throttled, Slow, SlowReply],
        only_hits: None,
        budget: faults(2),
    }
}

/// The same two, if both are given the same random bytes.
pub(super) fn equal_bytes() -> SmallScene {
    let second = like_the_first(tflock(1, 200, 500), Likeness::RandomBytes);
    SmallScene {
        roles: vec![tflock(0, 200, 500), second],
        ..two()
    }
}

/// The same two on clones of one machine.
pub(super) fn clones() -> SmallScene {
    let second = like_the_first(tflock(1, 200, 500), Likeness::Everything);
    SmallScene {
        roles: vec![tflock(0, 200, 500), second],
        ..two()
    }
}

/// Two of one machine that may die.
fn neighbours() -> SmallScene {
    SmallScene {
        roles: vec![tflock(0, 200, 500), tflock(0, 200, 500)],
        faults: &[Late, ReplyLost, Slow],
        budget: Budget {
            crashes: 2,
            ..faults(1)
        },
        ..two()
    }
}

fn faults(faults: u32) -> Budget {
    Budget {
        faults,
        ..Budget::default()
    }
}

/// A holder that promised, and one that waits for longer than that.
pub(super) fn promise() -> SmallScene {
    SmallScene {
        roles: vec![promising(0, 2500, 0), tflock(1, 200, 6000)],
        faults: &[Late, ReplyLost, Throttled, Slow],
        only_hits: Some(0),
        budget: Budget {
            crashes: 1,
            ..faults(1)
        },
        ..two()
    }
}

/// The same with an S3 object.
pub(super) fn promise_over(rules: Rules) -> SmallScene {
    SmallScene {
        rules,
        faults: &[Late, Mute, Slow, SlowReply],
        ..promise()
    }
}

/// Machines that are suspended for half a minute, and an object whose heartbeats are not compared.
fn suspended_over_s3() -> SmallScene {
    SmallScene {
        rules: Rules::S3,
        ..suspended()
    }
}

/// A holder that promised, and may be cut off.
pub(super) fn cut_off() -> SmallScene {
    SmallScene {
        roles: vec![promising(0, 8000, 0), tflock(1, 200, 9000)],
        faults: &[Lost],
        budget: faults(6),
        ..promise()
    }
}

/// Machines that are suspended for half a minute.
pub(super) fn suspended() -> SmallScene {
    SmallScene {
        roles: vec![promising(0, 2500, 0), promising(1, 200, 6000)],
        faults: &[Slow],
        only_hits: Some(1),
        budget: Budget {
            suspends: 1,
            ..faults(1)
        },
        ..promise()
    }
}

/// A holder that promised, and whose tflock is stopped for half a minute, twice.
pub(super) fn stopped() -> SmallScene {
    SmallScene {
        roles: vec![promising(0, 6000, 0), tflock(1, 200, 6500)],
        budget: Budget {
            stops: 2,
            ..Budget::default()
        },
        ..promise()
    }
}

/// A holder with an expiry whose answers do not arrive in time.
pub(super) fn slow_answers() -> SmallScene {
    SmallScene {
        faults: &[Mute, SlowReply],
        budget: faults(2),
        ..promise()
    }
}

/// A promise, and wall clocks that are set at any moment.
pub(super) fn wrong_clocks() -> SmallScene {
    SmallScene {
        budget: Budget {
            clock_jumps: 2,
            ..Budget::default()
        },
        ..promise()
    }
}

/// A lock on hold: two that work under it, one of whom may die, and one that waits until it is over.
pub(super) fn hold() -> SmallScene {
    SmallScene {
        roles: vec![
            tflock(0, 200, 700),
            tflock(0, 200, 700),
            tflock(1, 200, 900),
        ],
        owners: &[0, 1],
        faults: &[Late, ReplyLost],
        budget: Budget {
            crashes: 1,
            ..faults(1)
        },
        ..two()
    }
}

/// Explores all of it: `least` schedules or more.
#[track_caller]
fn holds_in_all_of(name: &str, scene: &SmallScene, least: u64) {
    let began = Instant::now();
    match explore(scene, Mutation::None, Pruning::On) {
        Ok(explored) => {
            say(&format!("{name}: {explored} in {:?}", began.elapsed()));
            assert!(explored.schedules >= least, "{name}: {explored:?}");
        }
        Err(story) => panic!("{name}: {story}"),
    }
}

/// Two that name two locks in opposite order.
pub(super) fn opposite() -> SmallScene {
    SmallScene {
        wants: &[&[0, 1], &[1, 0]],
        faults: &[Late, ReplyLost],
        budget: faults(1),
        ..two()
    }
}

#[test]
fn two_contenders_that_name_two_locks_in_opposite_order() {
    holds_in_all_of("opposite order", &opposite(), 100);
}

#[test]
fn two_contenders_for_two_locks_and_one_for_the_second_alone() {
    let scene = SmallScene {
        roles: vec![
            tflock(0, 200, 500),
            tflock(1, 200, 500),
            tflock(2, 200, 500),
        ],
        wants: &[&[0, 1], &[1, 0], &[1]],
        budget: faults(0),
        ..opposite()
    };
    holds_in_all_of("and one for the second", &scene, 20);
}

#[test]
fn two_contenders_for_two_locks_of_which_one_dies_at_any_step() {
    let scene = SmallScene {
        roles: vec![tflock(0, 200, 500), tflock(0, 200, 500)],
        budget: Budget {
            crashes: 1,
            ..faults(0)
        },
        ..opposite()
    };
    holds_in_all_of("deaths with two locks", &scene, 100);
}

#[test]
fn two_contenders_with_two_faults_of_any_kind() {
    holds_in_all_of("two", &two(), 10_000);
}

#[test]
fn two_contenders_that_draw_the_same_random_bytes() {
    holds_in_all_of("equal random bytes", &equal_bytes(), 10_000);
}

#[test]
fn two_clones_of_one_machine() {
    holds_in_all_of("clones", &clones(), 10_000);
}

#[test]
fn two_clones_of_one_machine_over_s3() {
    let scene = SmallScene {
        rules: Rules::S3,
        faults: &[Late, ReplyLost, Mute, Slow],
        ..clones()
    };
    holds_in_all_of("clones over S3", &scene, 5_000);
}

#[test]
fn two_clones_of_which_one_dies_or_is_robbed() {
    let clone = like_the_first(tflock(1, 300, 500), Likeness::Everything);
    let scene = SmallScene {
        roles: vec![
            tflock(0, 300, 500),
            clone,
            Role::Person(Duration::from_millis(100)),
        ],
        faults: &[Late, ReplyLost],
        budget: Budget {
            crashes: 1,
            ..faults(1)
        },
        ..two()
    };
    holds_in_all_of("clones and a person", &scene, 3_000);
}

#[test]
fn two_contenders_with_three_lost_or_late_messages() {
    let scene = SmallScene {
        roles: vec![tflock(0, 200, 300), tflock(1, 200, 300)],
        faults: &[Late, ReplyLost],
        budget: faults(3),
        ..two()
    };
    holds_in_all_of("three lost messages", &scene, 5_000);
}

#[test]
fn two_contenders_over_s3_with_two_faults() {
    let scene = SmallScene {
        rules: Rules::S3,
        faults: &[Late, ReplyLost, Mute, Slow],
        ..two()
    };
    holds_in_all_of("S3", &scene, 5_000);
}

#[test]
fn three_contenders_with_two_lost_or_late_messages() {
    let scene = SmallScene {
        roles: vec![
            tflock(0, 200, 500),
            tflock(1, 200, 500),
            tflock(2, 200, 500),
        ],
        faults: &[Late, ReplyLost],
        ..two()
    };
    holds_in_all_of("three contenders", &scene, 5_000);
}

#[test]
fn neighbours_that_die_at_any_step() {
    holds_in_all_of("deaths", &neighbours(), 5_000);
}

#[test]
fn two_that_take_over_from_one_that_dies_at_any_step() {
    let scene = SmallScene {
        roles: vec![tflock(0, 200, 0), tflock(0, 200, 700), tflock(0, 200, 700)],
        faults: &[Late, ReplyLost],
        budget: Budget {
            crashes: 1,
            ..faults(1)
        },
        ..two()
    };
    holds_in_all_of("two heirs", &scene, 5_000);
}

#[test]
fn a_promise_with_a_fault_and_a_death() {
    holds_in_all_of("promise", &promise(), 5_000);
}

#[test]
fn a_promise_with_two_answers_that_do_not_come_in_time() {
    holds_in_all_of("promise and slow answers", &slow_answers(), 1_000);
}

#[test]
fn a_promise_with_a_store_that_falls_silent() {
    holds_in_all_of("cut off", &cut_off(), 100);
}

#[test]
fn a_promise_with_a_suspended_machine_and_a_taking_over_that_is_slow() {
    holds_in_all_of("suspended", &suspended(), 1_000);
}

#[test]
fn two_contenders_and_a_person_who_removes_locks() {
    let scene = SmallScene {
        roles: vec![
            tflock(0, 300, 500),
            tflock(1, 300, 500),
            Role::Person(Duration::from_millis(100)),
        ],
        faults: &[Late, Slow],
        ..two()
    };
    holds_in_all_of("person", &scene, 5_000);
}

#[test]
fn two_contenders_and_plain_terraform() {
    let scene = SmallScene {
        roles: vec![
            tflock(0, 500, 700),
            tflock(1, 500, 700),
            Role::Terraform(Duration::from_millis(500)),
        ],
        budget: faults(1),
        ..two()
    };
    holds_in_all_of("terraform", &scene, 1_000);
}

#[test]
fn a_promise_and_two_that_wait_for_it() {
    let scene = SmallScene {
        roles: vec![
            promising(0, 100, 0),
            tflock(1, 100, 5600),
            tflock(2, 100, 5600),
        ],
        only_hits: Some(1),
        faults: &[Late],
        ..promise()
    };
    holds_in_all_of("promise and two heirs", &scene, 1_000);
}

#[test]
fn a_hold_whose_runs_die_at_any_step() {
    holds_in_all_of("hold", &hold(), 1_000);
}

#[test]
fn a_hold_that_a_person_ends_at_any_step() {
    let scene = SmallScene {
        roles: vec![
            tflock(0, 200, 500),
            tflock(1, 200, 2000),
            Role::Person(Duration::from_millis(100)),
        ],
        owners: &[0],
        budget: faults(1),
        ..hold()
    };
    for rules in [Rules::DynamoDb, Rules::S3, Rules::Local] {
        holds_in_all_of(
            "hold and a person",
            &SmallScene {
                rules,
                ..scene.clone()
            },
            200,
        );
    }
}

#[test]
fn a_promise_whose_tflock_is_stopped_at_any_step() {
    holds_in_all_of("stopped", &stopped(), 1_000);
}

#[test]
fn a_promise_over_s3_with_a_fault_and_a_death() {
    holds_in_all_of("promise over S3", &promise_over(Rules::S3), 5_000);
}

#[test]
fn a_promise_over_s3_that_is_not_kept_in_time() {
    for (name, scene) in [
        ("slow answers over S3", slow_answers()),
        ("cut off from S3", cut_off()),
        ("stopped, over S3", stopped()),
    ] {
        let scene = SmallScene {
            rules: Rules::S3,
            ..scene
        };
        holds_in_all_of(name, &scene, 100);
    }
}

#[test]
fn a_promise_over_s3_with_a_suspended_machine_and_a_taking_over_that_is_slow() {
    holds_in_all_of("suspended, over S3", &suspended_over_s3(), 1_000);
}

#[test]
fn a_promise_over_s3_and_a_fault_of_whoever_waits() {
    let scene = SmallScene {
        faults: &[Slow, SlowReply],
        only_hits: Some(1),
        budget: faults(1),
        ..promise_over(Rules::S3)
    };
    holds_in_all_of("slow heirs over S3", &scene, 100);
}

#[test]
fn two_contenders_over_s3_servers_that_do_not_compare_on_writes() {
    for quirk in [
        Quirk::IgnoresIfMatch,
        Quirk::DoesNothing,
        Quirk::RefusesIfMatch,
    ] {
        let scene = SmallScene {
            rules: Rules::S3That(quirk),
            faults: &[Late, ReplyLost],
            budget: Budget {
                crashes: 1,
                ..faults(1)
            },
            ..neighbours()
        };
        holds_in_all_of("careless S3", &scene, 200);
    }
}

#[test]
fn a_promise_and_wall_clocks_that_jump() {
    holds_in_all_of("wrong clocks", &wrong_clocks(), 1_000);
}

#[test]
fn schedules_that_are_given_up_would_have_come_to_the_same_ends() {
    let scenes = [
        SmallScene {
            budget: faults(1),
            ..two()
        },
        SmallScene {
            budget: Budget {
                crashes: 1,
                ..faults(1)
            },
            faults: &[Late, Slow],
            ..two()
        },
        SmallScene {
            budget: Budget {
                suspends: 1,
                ..faults(1)
            },
            faults: &[SlowReply],
            ..two()
        },
    ];
    for scene in scenes {
        let [pruned, whole] = [Pruning::On, Pruning::Off]
            .map(|pruning| explore(&scene, Mutation::None, pruning).unwrap());
        say(&format!("with the short cut: {pruned}; without: {whole}"));
        assert!(pruned.given_up > 0 && pruned.schedules < whole.schedules);
        assert_eq!(pruned.ends, whole.ends);
    }
}
