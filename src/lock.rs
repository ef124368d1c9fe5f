//! The lock protocol: one record in a store that changes only by compare-and-swap.
//!
//! Written once, above [`store::Store`] and [`host::Host`], so that the same code runs against DynamoDB, S3, local
//! files and a simulation. It knows nothing of terraform's command line, child processes or terminals.

pub mod acquire;
mod backoff;
pub mod evict;
pub mod held_lock;
pub mod held_locks;
pub mod history;
pub mod hold;
pub mod host;
pub mod inherit;
pub mod lent;
pub mod list;
pub mod liveness;
pub mod own;
pub mod queue;
pub mod read;
pub mod record;
pub mod store;
pub mod together;
