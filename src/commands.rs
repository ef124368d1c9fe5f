//! One file for each command.

pub mod completions;
pub mod exec;
pub mod force_unlock;
pub mod status;
pub mod terraform;
pub mod version;
