//! Commands that take no state lock: tflock becomes terraform, and nobody can tell.

mod becoming;
mod links;
mod real_terraform;
mod writers;
