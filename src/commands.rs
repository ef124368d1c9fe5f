//! The commands, one file each.

pub mod completions;
pub mod exec;
pub mod force_unlock;
pub mod list;
pub mod status;
pub mod terraform;
pub mod version;
