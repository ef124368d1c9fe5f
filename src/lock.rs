//! The lock protocol: one record in a store that changes only by compare-and-swap.
//!
//! Written once, above [`store::Store`] and [`host::Host`], so that the same code runs against DynamoDB, S3, local
//! files and a simulation. It knows nothing of terraform's command line, child processes or terminals.

pub mod acquire;
pub mod evict;
pub mod held;
pub mod host;
pub mod inherit;
pub mod keeper;
pub mod liveness;
mod outage;
pub mod own;
#[cfg(test)]
mod proof;
pub mod read;
pub mod record;
#[cfg(test)]
mod simulation;
pub mod store;
