//! `tflock force-unlock`: removes exactly the lock that it showed, on somebody's word, or nothing.

mod asking;
mod clocks;
mod permission;
mod places;
mod plain_terraform;
