//! `--shared`: plans that take no lock, and say so if they are outdated when they end.

mod beside_applies;
mod refusals;
mod runs;
