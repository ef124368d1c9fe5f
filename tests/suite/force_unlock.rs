//! `tflock force-unlock`: removes exactly the lock that it showed, on somebody's word, or nothing.

mod asking;
mod permission;
mod plain_terraform;
