//! tflock's own exit codes. terraform's are passed through unchanged, so 1 and 2 are never ours.

macro_rules! exit_codes {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: u8 = $code;)*

        /// All of them, with their meanings.
        pub const ALL: &[(u8, &str)] = &[$(($code, $meaning)),*];
    };
}

exit_codes! {
    USAGE = 64, "The command line is invalid.";
    UNREACHABLE = 69, "The store cannot be reached.";
    BUG = 70, "A bug in tflock.";
    NOT_RELEASED = 73, "terraform succeeded, but the lock could not be released.";
    HELD = 75, "The lock is held, and the wait is over.";
    LOST = 76, "The lock was lost while terraform ran; for `status --exit-code`: it is stale.";
    REFUSED = 77, "Refused: not permitted, not confirmed, or not yours.";
    CONFIGURATION = 78, "A required setting is missing or invalid.";
    NOT_EXECUTABLE = 126, "terraform is there but cannot be executed.";
    NOT_FOUND = 127, "terraform was not found.";
}
