//! A signal as a value: its kind and its origin.

use nix::sys::signal::Signal as Number;

use super::ending::SignalNumber;

/// The signals that tflock handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SIGHUP: the terminal was closed or the connection lost.
    HangUp,
    /// SIGINT: Ctrl-C, and what CI systems send first.
    Interrupt,
    /// SIGQUIT: Ctrl-\.
    Quit,
    /// SIGTERM: what `kill`, `timeout` and supervisors send.
    Terminate,
    /// SIGTSTP: Ctrl-Z.
    Suspend,
    /// SIGCONT: `fg` and `bg`.
    Continue,
    /// SIGCHLD: the child ended, stopped or continued.
    Child,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::HangUp,
        Self::Interrupt,
        Self::Quit,
        Self::Terminate,
        Self::Suspend,
        Self::Continue,
        Self::Child,
    ];

    /// Its signal number.
    #[must_use]
    pub fn number(self) -> SignalNumber {
        SignalNumber(self.to_nix() as i32)
    }

    pub(super) fn to_nix(self) -> Number {
        match self {
            Self::HangUp => Number::SIGHUP,
            Self::Interrupt => Number::SIGINT,
            Self::Quit => Number::SIGQUIT,
            Self::Terminate => Number::SIGTERM,
            Self::Suspend => Number::SIGTSTP,
            Self::Continue => Number::SIGCONT,
            Self::Child => Number::SIGCHLD,
        }
    }

    pub(super) fn from_raw(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number().0 == number)
    }
}

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The kernel, for the terminal: a key was pressed, or the terminal is gone.
    Terminal,
    /// A process, by ID; 0 for one outside of this container.
    Process(i32),
    /// tflock itself.
    Tflock,
}

impl Origin {
    pub(super) fn process(pid: i32) -> Self {
        if u32::try_from(pid) == Ok(std::process::id()) {
            Self::Tflock
        } else {
            Self::Process(pid)
        }
    }
}

/// A received signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Its kind.
    pub kind: Kind,
    /// Its sender.
    pub origin: Origin,
}
