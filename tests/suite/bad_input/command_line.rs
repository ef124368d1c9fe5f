//! Mistakes in tflock's own arguments, and in those of terraform's that tflock has to understand.

use super::{Bench, Refusal};
use crate::support::workspace::Workspace;

#[test]
fn an_option_that_there_is_not_is_a_usage_error() {
    Bench::new().refuses(
        |tflock| tflock.args(["--bogus", "plan"]),
        &Refusal {
            code: 64,
            error: "unknown option `--bogus`",
            hint: "see `tflock --help`",
        },
    );
}

#[test]
fn a_misspelt_option_is_answered_with_the_right_one() {
    Bench::new().refuses(
        |tflock| tflock.args(["--wiat", "5s", "plan"]),
        &Refusal {
            code: 64,
            error: "unknown option `--wiat`",
            hint: "did you mean `--wait`? see `tflock --help`",
        },
    );
}

#[test]
fn a_wait_without_a_unit_says_which_unit_to_write() {
    Bench::new().refuses(
        |tflock| tflock.args(["--wait", "10", "plan"]),
        &Refusal {
            code: 64,
            error: "the value of `--wait` cannot be used: `10` has no unit: write `10s` for seconds, or another \
                    unit as in `300ms` or `1h15m`",
            hint: "see `tflock --help`",
        },
    );
}

#[test]
fn a_mistake_in_a_variable_is_not_blamed_on_an_option_that_was_not_given() {
    Bench::new().refuses(
        |tflock| tflock.arg("plan").env("TFLOCK_WAIT", "10"),
        &Refusal {
            code: 64,
            error: "the value of TFLOCK_WAIT cannot be used: `10` has no unit: write `10s` for seconds, or another \
                    unit as in `300ms` or `1h15m`",
            hint: "see `tflock --help`",
        },
    );
}

#[test]
fn an_expiry_without_a_unit_says_which_unit_to_write() {
    Bench::new().refuses(
        |tflock| tflock.args(["--expire-after=60", "plan"]),
        &Refusal {
            code: 64,
            error: "the value of `--expire-after` cannot be used: `60` has no unit: write `60s` for seconds, or \
                    another unit as in `300ms` or `1h15m`",
            hint: "see `tflock --help`",
        },
    );
}

#[test]
fn an_expiry_that_heartbeats_cannot_keep_is_a_usage_error() {
    Bench::new().refuses(
        |tflock| tflock.args(["--expire-after", "1s", "plan"]),
        &Refusal {
            code: 64,
            error: "the value of `--expire-after` cannot be used: `1s` is too short: heartbeats need at least 3 s; \
                    or use `never`",
            hint: "see `tflock --help`",
        },
    );
}

#[test]
fn a_lock_timeout_without_a_unit_is_a_usage_error_wherever_it_stands() {
    let refusal = Refusal {
        code: 64,
        error: "the value of `-lock-timeout` is not a duration: `10` has no unit: write `10s` for seconds, or \
                another unit as in `300ms` or `1h15m`",
        hint: "write it with its unit, as in `-lock-timeout=10s`",
    };
    let bench = Bench::new();
    bench.refuses(|tflock| tflock.args(["plan", "-lock-timeout=10"]), &refusal);
    bench.refuses(
        |tflock| {
            tflock
                .arg("plan")
                .env("TF_CLI_ARGS_plan", "-lock-timeout 10")
        },
        &refusal,
    );
}

#[test]
fn a_value_that_is_none_of_the_possible_ones_is_answered_with_these() {
    Bench::new().refuses(
        |tflock| tflock.args(["--store", "disk", "plan"]),
        &Refusal {
            code: 64,
            error: "the value `disk` of `--store` is not one of `auto`, `dynamodb`, `s3`, `local`",
            hint: "see `tflock --help`",
        },
    );
}

#[test]
fn a_missing_value_is_a_usage_error() {
    let bench = Bench::new();
    bench.refuses(
        |tflock| tflock.arg("--wait"),
        &Refusal {
            code: 64,
            error: "`--wait` needs a value",
            hint: "see `tflock --help`",
        },
    );
    bench.refuses(
        |tflock| tflock.args(["--lock-id=", "plan"]),
        &Refusal {
            code: 64,
            error: "`--lock-id` needs a value",
            hint: "see `tflock --help`",
        },
    );
}

#[test]
fn options_that_contradict_each_other_are_a_usage_error() {
    Bench::new().refuses(
        |tflock| tflock.args(["-q", "-v", "plan"]),
        &Refusal {
            code: 64,
            error: "`--quiet` cannot be used with `--verbose`",
            hint: "see `tflock --help`",
        },
    );
}

/// CI systems leave a variable out by setting it to nothing.
#[test]
fn a_variable_that_is_set_to_nothing_counts_as_not_set() {
    let bench = Bench::new();
    let mut run = bench.tflock().arg("plan");
    for name in [
        "TFLOCK_STORE",
        "TFLOCK_TABLE",
        "TFLOCK_LOCK_ID",
        "TFLOCK_WAIT",
        "TFLOCK_REASON",
        "TFLOCK_EXPIRE_AFTER",
        "TFLOCK_TERRAFORM",
        "TFLOCK_NO_INPUT",
        "TFLOCK_QUIET",
        "TFLOCK_LOG",
        "TFLOCK_LOCAL_DIR",
    ] {
        run = run.env(name, "");
    }
    let finished = run.run().succeeded();
    assert_eq!(finished.stderr, "");
    assert_eq!(
        bench.terraform.only_call().arguments,
        ["plan", "-lock-timeout=900s"]
    );
}

#[test]
fn a_mistake_in_a_command_of_our_own_is_a_usage_error() {
    let bench = Bench::new();
    bench.refuses(
        |tflock| tflock.arg("exec"),
        &Refusal {
            code: 64,
            error: "`PROGRAM` is missing",
            hint: "see `tflock --help`",
        },
    );
    bench.refuses(
        |tflock| tflock.args(["status", "--jsn"]),
        &Refusal {
            code: 64,
            error: "unknown option `--jsn`",
            hint: "did you mean `--json`? see `tflock --help`",
        },
    );
    bench.refuses(
        |tflock| tflock.args(["force-unlock", "one", "two"]),
        &Refusal {
            code: 64,
            error: "unexpected argument `two`",
            hint: "see `tflock --help`",
        },
    );
}

#[test]
fn an_option_of_ours_behind_the_command_is_answered_with_the_line_as_it_should_be() {
    let bench = Bench::new();
    bench.refuses(
        |tflock| tflock.args(["plan", "--wait", "3s", "-target=a[\"b\"]"]),
        &Refusal {
            code: 64,
            error: "`--wait` is a tflock option: it must come before the command",
            hint: "type `tflock --wait 3s plan '-target=a[\"b\"]'`",
        },
    );
    bench.refuses(
        |tflock| tflock.args(["-chdir=.", "apply", "--reason=a b", "p.plan"]),
        &Refusal {
            code: 64,
            error: "`--reason` is a tflock option: it must come before the command",
            hint: "type `tflock -chdir=. '--reason=a b' apply p.plan`",
        },
    );
}

#[test]
fn a_slip_of_the_fingers_in_a_command_of_ours_is_asked_about() {
    Bench::new().refuses(
        |tflock| tflock.args(["statsu", "--json"]),
        &Refusal {
            code: 64,
            error: "neither tflock nor terraform has a command `statsu`",
            hint: "did you mean `status`? see `tflock --help`",
        },
    );
}

#[test]
fn options_without_a_command_are_a_usage_error() {
    Bench::new().refuses(
        |tflock| tflock.args(["--wait", "5s"]),
        &Refusal {
            code: 64,
            error: "no command given",
            hint: "see `tflock --help`",
        },
    );
}

#[test]
fn a_table_that_could_not_be_is_refused_by_name() {
    Bench::new().refuses(
        |tflock| tflock.args(["--table", "$(touch x);a", "plan"]),
        &Refusal {
            code: 78,
            error: "`$(touch x);a` cannot be a DynamoDB table",
            hint: "a table's name has letters, digits, `_`, `-` and `.` only",
        },
    );
}

#[test]
fn an_empty_chdir_is_a_usage_error() {
    Bench::new().refuses(
        |tflock| tflock.args(["-chdir=", "plan"]),
        &Refusal {
            code: 64,
            error: "`-chdir` needs a directory, as in `-chdir=environments/prod`",
            hint: "see `tflock --help`",
        },
    );
}

/// The only mistake in this file that is checked against terraform itself.
#[test]
fn a_chdir_to_nowhere_ends_in_terraforms_own_words_and_code() {
    let workspace = Workspace::new();
    let plain = workspace.terraform(["-chdir=nowhere", "plan"]).run();
    assert!(plain.stderr.contains("chdir nowhere"), "{plain}");
    assert_eq!(workspace.tflock(["-chdir=nowhere", "plan"]).run(), plain);
}
