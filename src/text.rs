//! Text that others wrote, made fit to be shown and to be typed. Whatever is not our own words goes through here.

pub mod printable;
mod shell;

pub use self::printable::printable;
pub use self::shell::{quoted_for_shell, quoted_words};
