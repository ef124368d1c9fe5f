//! The operating system: this machine, its processes and files, and the traces that runs leave on it.
//!
//! It knows nothing of locks, terraform or terminals, and decides nothing.

pub mod checkout;
pub mod file_watch;
pub mod hold_file;
pub mod machine;
pub mod own_directory;
pub mod plain_file;
pub mod process;
pub mod run_file;

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
