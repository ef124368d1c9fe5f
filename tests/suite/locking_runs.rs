//! Commands that work under the state lock of an S3 backend with a table: what the lock looks like to others,
//! what the child is told, what it costs, and that it is given back.

mod as_terraform;
mod child;
mod output;
