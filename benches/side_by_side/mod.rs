//! The parts of the bench, and what they share.

pub mod footprint;
pub mod hand_over;
pub mod lock_cost;
pub mod pass_through;
pub mod sample;
pub mod streaming;
pub mod table;
pub mod timing;
