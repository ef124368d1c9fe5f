//! `tflock force-unlock`: removes exactly the lock that it showed, once confirmed, or nothing.

mod asking;
mod clocks;
mod permission;
mod places;
mod plain_terraform;
