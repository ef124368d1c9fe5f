//! Commands that take no state lock: tflock becomes terraform, with no visible difference.

mod becoming;
mod links;
mod real_terraform;
mod writers;
