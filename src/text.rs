//! Makes foreign text safe to show and to type. Everything that is not our own wording goes through here.

mod address;
pub mod printable;
mod shell;

pub use self::address::Address;
pub use self::printable::printable;
pub use self::shell::{quoted_for_shell, quoted_words};
