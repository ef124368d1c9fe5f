//! The proof of the protocol: the very code of `acquire`, `held_lock`, `held_locks`, `evict`, `queue` and `liveness`, run
//! against a simulated network and simulated machines, and judged after every change of a record.
//!
//! [`schedules`] draws thousands of schedules at random, each repeatable by its seed. [`exhaustive`] goes through all
//! schedules of small scenes with a bounded number of faults. [`mutants`] shows that both find a protocol that is
//! broken on purpose. [`crowd`] measures how crowds are served. `docs/lock-protocol.md` says in words what is proven here,
//! and what cannot be.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and says where; its own variable is none of tflock's"
)]

mod borrower;
mod child;
mod client;
mod contender;
mod crowd;
mod exhaustive;
mod explorer;
mod mutants;
mod network;
mod others;
mod queue;
mod referee;
mod schedule;
mod schedules;
mod server;
#[path = "../simulation/mod.rs"]
mod simulation;
mod simulation_works;
mod witness;

use tflock::lock;

/// Prints how much was tried, for those who read the tests' output.
#[expect(clippy::print_stdout, reason = "the counts are worth reading")]
fn say(line: &str) {
    println!("{line}");
}
