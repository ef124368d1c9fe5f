//! Whatever others wrote, changed at random: nothing of it makes us panic, takes long, fills the memory, or reaches the
//! screen as anything but text.
//!
//! Each test mutates its samples for `TFLOCK_FUZZ_SECONDS` (two by default) from a fixed seed, so that what fails once fails
//! again, and says with which input. By hand: `TFLOCK_FUZZ_SECONDS=600 cargo test --test fuzz`.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and says where; its own variable is none of tflock's"
)]

mod answers;
mod command_lines;
mod configurations;
mod files;
mod mutation;
mod records;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mutation::Mutator;

/// The longest that one input may take, on a machine that is busy with other tests.
const LONGEST: Duration = Duration::from_secs(5);
/// The most memory that all tests of this program may ever have had, in kB.
const LARGEST: u64 = 1_000_000;

/// Tries the samples and what becomes of them until the time is over.
#[track_caller]
fn fuzz(samples: &[&[u8]], mut attempt: impl FnMut(&[u8])) {
    let seconds = std::env::var("TFLOCK_FUZZ_SECONDS").ok();
    let seconds = seconds.map_or(2, |text| text.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut mutator = Mutator::new(samples);
    let mut inputs = samples
        .iter()
        .map(|sample| sample.to_vec())
        .collect::<Vec<_>>()
        .into_iter();
    while Instant::now() < end {
        let input = inputs.next().unwrap_or_else(|| mutator.next());
        let begun = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| attempt(&input)));
        let shown = || String::from_utf8_lossy(&input[..input.len().min(4096)]).into_owned();
        assert!(result.is_ok(), "a panic with {:?}", shown());
        let took = begun.elapsed();
        assert!(took < LONGEST, "{took:?} with {:?}", shown());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    assert!(peak.is_some_and(|peak: u64| peak < LARGEST), "{peak:?} kB");
}

/// Fails unless it is text that a terminal shows as it is.
#[track_caller]
fn assert_printable(shown: &str) {
    let wrong = shown.chars().find(|character| {
        character.is_control() || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    });
    assert_eq!(wrong, None, "{shown:?}");
}
