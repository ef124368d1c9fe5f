//! Timing programs against each other.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::sample::Sample;
use crate::support::process::Invocation;

/// Runs the program with its output in pipes and says how many milliseconds that took.
///
/// The support's own waiting looks every few milliseconds, which is too coarse here.
#[track_caller]
pub fn timed(invocation: Invocation) -> f64 {
    let mut command = invocation.into_command();
    command.stdin(Stdio::null());
    let started = Instant::now();
    let output = command.output();
    let took = milliseconds(started.elapsed());
    let output = output.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    took
}

/// Times contestants in turns. A first round, which warms caches, is not counted; each further one begins
/// with another contestant.
pub fn interleaved<const N: usize>(
    rounds: usize,
    contestants: [&dyn Fn() -> f64; N],
) -> [Sample; N] {
    let mut samples = [(); N].map(|()| Sample::default());
    for round in 0..=rounds {
        for turn in 0..N {
            let contestant = (round + turn) % N;
            let figure = contestants[contestant]();
            if round > 0 {
                samples[contestant].add(figure);
            }
        }
    }
    samples
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
