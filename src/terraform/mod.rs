//! Knowledge about terraform: which commands take the state lock, flag syntax, the recorded backend, the selected
//! workspace, lock names, and where the program is.
//!
//! This module only reads files: it never writes one, starts a process, or uses the network, and gets the environment
//! as [`Environment`](crate::environment::Environment). It knows nothing of taking locks (`lock/`), child processes
//! (`child/`) or output.
//!
//! Facts are from terraform 1.11 and OpenTofu 1.10; items say where the two differ.

pub mod addresses;
pub mod backend;
pub mod command;
pub mod configuration;
pub mod directory;
pub mod duration;
pub mod local_state;
pub mod lock_name;
pub mod own_lock;
pub mod plan_file;
pub mod program;
pub mod workspace;

#[cfg(test)]
pub(crate) mod real_terraform;
