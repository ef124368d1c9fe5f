//! Numbers that a simulation draws.

use std::cell::Cell;
use std::time::Duration;

/// Numbers that look random (`SplitMix64`) and are the same in each run with the same seed.
#[derive(Debug, Default)]
pub struct Random(Cell<u64>);

impl Random {
    /// Numbers that differ from those of other seeds.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// The next number.
    pub fn draw(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.draw() % end
    }

    /// True in so many of a hundred cases.
    pub fn percent(&self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// A duration from `shortest` to `longest`, in whole milliseconds.
    pub fn between(&self, shortest: Duration, longest: Duration) -> Duration {
        let span = u64::try_from((longest - shortest).as_millis()).unwrap_or(u64::MAX - 1);
        shortest + Duration::from_millis(self.below(span + 1))
    }
}
