//! A question that stands while the run goes on: it blocks nothing, so that the lock and Ctrl-C are looked after.
//!
//! What is typed at the terminal belongs to terraform, but for the line that answers. So nothing is read beyond its
//! end, and nothing is asked where something was typed before, which cannot have been meant as an answer.

use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{FlushArg, tcflush};
use nix::unistd::{getpgrp, read, tcgetpgrp};

use super::{Reply, Ui};

/// A question that was put, and as much of the answer as was read.
pub(super) struct Question<'a> {
    ui: &'a Ui,
    line: Vec<u8>,
}

impl<'a> Question<'a> {
    /// Whether somebody can answer now.
    pub(super) fn can_be_put(ui: &Ui) -> bool {
        // With stdout in a pipe the keys may be a pager's.
        ui.can_ask()
            && ui.writer.is_settled()
            && std::io::stdout().is_terminal()
            && is_in_front()
            && !has_input()
    }

    /// Puts a question that is answered with `y` or `n`; the default is no.
    pub(super) fn put(ui: &'a Ui, text: &str) -> Self {
        ui.put_question(&format!("{text} [y/N] "));
        Self {
            ui,
            line: Vec::new(),
        }
    }

    /// What was answered, once a whole line was.
    pub(super) fn reply(&mut self) -> Option<Reply> {
        // To read from behind would stop us.
        while is_in_front() && has_input() {
            if !self.ui.writer.is_settled() {
                // Typed at a terminal that is stopped, where nobody has seen the question.
                discard_input();
                return None;
            }
            let mut byte = [0];
            match read(std::io::stdin(), &mut byte) {
                Ok(1) if byte == *b"\n" => {
                    self.ui.writer.end_answered_question();
                    return Some(Reply::to_yes_or_no(&String::from_utf8_lossy(&self.line)));
                }
                Ok(1) => self.line.extend(byte),
                // The end of the input leaves the cursor behind the question.
                _ => {
                    self.ui.writer.clear_bottom();
                    return Some(Reply::No);
                }
            }
        }
        None
    }

    /// Takes it back: what was typed since was meant for it, and must not answer whoever asks next.
    pub(super) fn withdraw(self) {
        if is_in_front() {
            discard_input();
        }
        self.ui.writer.clear_bottom();
    }
}

fn discard_input() {
    // Fails where the terminal is gone, and with it whatever was typed.
    let _ = tcflush(std::io::stdin(), FlushArg::TCIFLUSH);
}

/// Whether the keys come to this process.
fn is_in_front() -> bool {
    tcgetpgrp(std::io::stdin()).is_ok_and(|front| front == getpgrp())
}

/// Whether a line waits to be read, or the end of the input.
fn has_input() -> bool {
    let stdin = std::io::stdin();
    let mut watched = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
