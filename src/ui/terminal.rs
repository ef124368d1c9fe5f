//! What the terminal behind stderr can do.

use console::{Term, is_dumb};

/// Whether the terminal shows notifications of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notifications {
    /// Not known to.
    None,
    /// By OSC 9.
    ByTerminal,
}

impl Notifications {
    /// What the terminal `program` (`TERM_PROGRAM`) of type `term` (`TERM`) is known to support.
    #[must_use]
    pub fn of(program: &str, term: &str) -> Self {
        let is_known = matches!(program, "iTerm.app" | "WezTerm" | "ghostty")
            || matches!(term, "xterm-ghostty" | "xterm-kitty" | "wezterm" | "foot");
        if is_known {
            Self::ByTerminal
        } else {
            Self::None
        }
    }
}

/// Whether stderr is a terminal, and what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terminal {
    None,
    /// It cannot move its cursor (`TERM=dumb`).
    Dumb,
    Capable,
}

impl Terminal {
    pub(super) fn of(stderr: &Term) -> Self {
        match stderr.is_term() {
            false => Self::None,
            true if is_dumb() => Self::Dumb,
            true => Self::Capable,
        }
    }
}
