//! The support proves itself, with the real terraform where terraform is what it must carry: a test that
//! leans on an engine, a fault or a terminal which is not what it claims proves nothing.

mod engines;
mod faults;
mod programs;
mod terraform_cycle;
