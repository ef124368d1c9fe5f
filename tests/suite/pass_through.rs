//! Commands that take no state lock: tflock becomes terraform, and nobody can tell.

mod becoming;
mod real_terraform;
