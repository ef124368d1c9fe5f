//! Tests of the support code, with the real terraform where it has to work with that: a test that
//! relies on an engine, a fault or a terminal that is not what it claims proves nothing.

mod engines;
mod faults;
mod programs;
mod terraform_cycle;
