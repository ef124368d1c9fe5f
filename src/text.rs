//! Makes foreign text safe to show and to type. Everything that is not our own wording goes through here.

pub mod printable;
mod shell;

pub use self::printable::printable;
pub use self::shell::{quoted_for_shell, quoted_words};
