//! tflock's own exit codes. terraform's are passed through unchanged, so 1 and 2 are never ours.

/// The command line is invalid.
pub const USAGE: u8 = 64;
/// The store cannot be reached.
pub const UNREACHABLE: u8 = 69;
/// A bug in tflock.
pub const BUG: u8 = 70;
/// terraform succeeded, but the lock could not be released.
pub const NOT_RELEASED: u8 = 73;
/// The lock is held, and the wait is over.
pub const HELD: u8 = 75;
/// The lock was lost while terraform ran; for `status --exit-code`: it is stale.
pub const LOST: u8 = 76;
/// Refused: not permitted, not confirmed, or not yours.
pub const REFUSED: u8 = 77;
/// A required setting is missing or invalid.
pub const CONFIGURATION: u8 = 78;
/// terraform is there but cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// terraform was not found.
pub const NOT_FOUND: u8 = 127;
