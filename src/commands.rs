//! The commands, one file each.

pub mod completions;
pub mod create_table;
pub mod doctor;
pub mod exec;
pub mod force_unlock;
pub mod history;
pub mod hold;
pub mod list;
pub mod man;
pub mod release;
mod remembering;
pub mod status;
pub mod terraform;
pub mod version;
