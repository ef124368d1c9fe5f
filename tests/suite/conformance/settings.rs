//! Settings that an SDK may choke on, and that decide nothing about a lock.

use serde_json::json;

use super::conform;
use super::row::{Row, row};

fn signed(name: &'static str) -> Row {
    row(name).keys("K").signed_by("K")
}

#[test]
fn settings_of_retries() {
    conform(&[
        signed("empty variables")
            .var("AWS_MAX_ATTEMPTS", "")
            .var("AWS_RETRY_MODE", ""),
        signed("no attempt").var("AWS_MAX_ATTEMPTS", "0"),
        signed("less than none").var("AWS_MAX_ATTEMPTS", "-1"),
        signed("a huge number").var("AWS_MAX_ATTEMPTS", "9223372036854775807"),
        signed("a known mode").var("AWS_RETRY_MODE", "adaptive"),
        signed("in the file").config("[default]\nmax_attempts = 0\nretry_mode = adaptive\n"),
        signed("less than none in the file").config("[default]\nmax_attempts = -3\n"),
        signed("in the backend").backend(json!({ "max_retries": 0, "retry_mode": "standard" })),
    ]);
}
