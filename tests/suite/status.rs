//! `tflock status`: who holds the lock, whether they are alive, and what it asks at a terminal.

mod at_a_terminal;
mod foreign;
mod holders;
mod json;
mod queue;
mod run_addresses;
mod watch;
