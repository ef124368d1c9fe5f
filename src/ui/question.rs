//! A question that does not block: the run keeps watching the lock and hears Ctrl-C.
//!
//! Input at the terminal belongs to terraform, except the line that answers. So nothing is read beyond that line, and
//! nothing is asked if input was already waiting, which cannot have been meant as an answer.

use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{FlushArg, tcflush};
use nix::unistd::{getpgrp, read, tcgetpgrp};

use super::{Reply, Ui};

/// An open question, with the part of the answer read so far.
pub(super) struct Question<'a> {
    ui: &'a Ui,
    line: Vec<u8>,
}

impl<'a> Question<'a> {
    pub(super) fn can_be_asked(ui: &Ui) -> bool {
        // With stdout in a pipe, the keys may go to a pager.
        ui.can_ask()
            && ui.writer.is_settled()
            && std::io::stdout().is_terminal()
            && is_foreground()
            && !has_input()
    }

    /// Asks a yes-or-no question; the default is no.
    pub(super) fn ask(ui: &'a Ui, text: &str) -> Self {
        ui.show_question(&format!("{text} [y/N] "));
        Self {
            ui,
            line: Vec::new(),
        }
    }

    /// The answer, once a whole line was read.
    pub(super) fn reply(&mut self) -> Option<Reply> {
        // Reading in the background would stop this process.
        while is_foreground() && has_input() {
            if !self.ui.writer.is_settled() {
                // Typed while the terminal was stopped, before the question was visible.
                discard_input();
                return None;
            }
            let mut byte = [0];
            match read(std::io::stdin(), &mut byte) {
                Ok(1) if byte == *b"\n" => {
                    self.ui.writer.end_answered_question();
                    return Some(Reply::parse(&String::from_utf8_lossy(&self.line)));
                }
                Ok(1) => self.line.extend(byte),
                // At the end of input the cursor is still on the question's line.
                _ => {
                    self.ui.writer.clear_bottom();
                    return Some(Reply::No);
                }
            }
        }
        None
    }

    /// Withdraws the question. Input typed since was meant for it, and must not answer the next prompt.
    pub(super) fn withdraw(self) {
        if is_foreground() {
            discard_input();
        }
        self.ui.writer.clear_bottom();
    }
}

fn discard_input() {
    // Fails if the terminal is gone, and the input with it.
    let _ = tcflush(std::io::stdin(), FlushArg::TCIFLUSH);
}

fn is_foreground() -> bool {
    tcgetpgrp(std::io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

/// Whether a line, or the end of input, is ready to be read.
fn has_input() -> bool {
    let stdin = std::io::stdin();
    let mut watched = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
