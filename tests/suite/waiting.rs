//! Runs that meet a held lock: how they wait, what they say meanwhile, and how the wait ends.

mod copies;
mod dead_holders;
mod display;
mod giving_up;
mod stale_holders;
mod taking_turns;
mod with_terraform;
