//! Reads single keys at a terminal, as long as something is watched.

use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, read, tcgetpgrp};

/// Makes the terminal deliver each key when it is pressed, without echo, until this is dropped. Ctrl-C and Ctrl-Z still send
/// signals.
pub struct Keys {
    before: Termios,
}

impl Keys {
    /// Listens at stdin; `None` if that is not a terminal, or not ours to read.
    #[must_use]
    pub fn listen() -> Option<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() || !is_foreground() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut keys = before.clone();
        keys.local_flags
            .remove(LocalFlags::ICANON | LocalFlags::ECHO);
        tcsetattr(&stdin, SetArg::TCSANOW, &keys).ok()?;
        Some(Self { before })
    }

    /// Whether `q` was pressed or input has ended. Does not wait.
    #[must_use]
    pub fn quit(&self) -> bool {
        let stdin = std::io::stdin();
        while is_foreground() {
            let mut watched = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            if !poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
                return false;
            }
            let mut byte = [0];
            match read(&stdin, &mut byte) {
                Ok(1) if matches!(byte, [b'q' | b'Q' | 4]) => return true,
                Ok(1) => {}
                _ => return true,
            }
        }
        false
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // Fails if the terminal is gone. In the background it would stop us.
        if is_foreground() {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.before);
        }
    }
}

fn is_foreground() -> bool {
    tcgetpgrp(std::io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}
