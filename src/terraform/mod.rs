//! What terraform is: which of its commands take the state lock, how its flags are written, what `init` recorded
//! about the backend, which workspace is selected, what the lock is called, and where the program is.
//!
//! This module reads files and never writes one, never starts a process, never goes to the network, and never reads
//! the process environment by itself: it is given as [`Environment`](crate::environment::Environment). It knows nothing
//! of locks as they are taken (`lock/`), of child processes (`child/`) or of what is shown to people.
//!
//! Facts are those of terraform 1.11 and OpenTofu 1.10; where the two differ, the item says so.

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
