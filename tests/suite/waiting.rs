//! Runs that find the lock held: how they wait, what they print, and how the wait ends.

mod copies;
mod dead_holders;
mod display;
mod giving_up;
mod stale_holders;
mod taking_turns;
mod with_terraform;
