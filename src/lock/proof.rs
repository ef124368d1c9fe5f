//! The proof of the protocol: the very code of `acquire`, `held`, `locks`, `removal` and `liveness`, run against a
//! simulated network and simulated machines, and judged after every change of a record.
//!
//! [`schedules`] draws thousands of schedules at random, each repeatable by its seed. [`exhaustive`] goes through all
//! schedules of small scenes with a bounded number of faults. [`mutants`] shows that both find a protocol that is
//! broken on purpose. `docs/lock-protocol.md` says in words what is proven here, and what cannot be.

mod client;
mod contender;
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
mod witness;

/// Tells whoever asks for the output of the tests how much was tried.
#[expect(clippy::print_stdout, reason = "the counts are worth reading")]
fn say(line: &str) {
    println!("{line}");
}
