//! Waiting for facts: a file, a condition, a text. Tests synchronise with these and never with a bare sleep.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The pause between two looks: short at first, because most things that are waited for take a moment.
const GLANCES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_millis(16);

/// Waits until `condition` holds; panics with `what` after [`PATIENCE`].
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    assert!(
        comes_true_within(PATIENCE, &mut condition),
        "waited {} s in vain for: {what}",
        PATIENCE.as_secs()
    );
}

/// Waits until the file is there; panics after [`PATIENCE`].
#[track_caller]
pub fn wait_for_file(path: impl AsRef<Path>) {
    let path = path.as_ref();
    wait_until(&format!("the file `{}`", path.display()), || path.exists());
}

/// Whether `condition` came true within `limit`. It is looked at once more when the time is up.
pub fn comes_true_within(limit: Duration, condition: &mut dyn FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    let mut glance = *GLANCES.start();
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(glance);
        glance = (2 * glance).min(*GLANCES.end());
    }
}
