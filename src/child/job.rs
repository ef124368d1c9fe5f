//! The child's process group as a job: in front of the terminal or behind, suspended or running, as the job that tflock
//! itself is in.
//!
//! Shells see tflock only. So when the child is stopped, tflock stops its own group in the same way, and when it is
//! continued it brings the child back with it.

use std::time::Duration;

use nix::sys::signal::{Signal as Number, kill, killpg};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::group::Left;
use super::signal::Kind;
use super::signals::Signals;
use super::terminal::{self, HandOver, Terminal};

/// How long a child is left stopped that wants a terminal which nobody can give it.
const TERMINAL_RETRY: Duration = Duration::from_secs(1);

/// How long a child is left stopped after a suspension while nobody knows whether the lock is still ours. A store that does
/// not answer must not keep a terraform from going on that would go on without an answer as well.
const CONFIRMATION_LIMIT: Duration = Duration::from_secs(3);

/// How long a stop is waited for that may not concern us: in a session without a shell, or if somebody above us is stopped in
/// our stead, as with the first process of a container. Their shell takes the terminal meanwhile.
const SECOND_LOOK: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Job {
    child: Pid,
    terminal: Option<Terminal>,
    hand_over: HandOver,
    /// When a child that was left stopped goes on.
    pub(super) continue_at: Option<Instant>,
}

impl Job {
    pub(super) fn new(child: Pid, terminal: Option<Terminal>, hand_over: HandOver) -> Self {
        Self {
            child,
            terminal,
            hand_over,
            continue_at: None,
        }
    }

    /// Sends a signal to the whole group, as the terminal would: wrappers (`sh -c`, make, version switchers) then do what
    /// they do at a terminal. If nobody is left there is nobody to tell.
    pub(super) fn send(&self, signal: Number) {
        let _ = killpg(self.child, signal);
    }

    /// A key has reached the child, who stands in front because it once wanted the terminal. Without us it would be in one
    /// group with the rest of ours, which gets the key as well.
    pub(super) fn share_key(&self, signal: Number) {
        if self.shares_keys() {
            // Our own copy is known by its sender, and means nothing.
            let _ = kill(Pid::from_raw(0), signal);
        }
    }

    /// Whether others of our group want the keys of the child.
    pub(super) fn shares_keys(&self) -> bool {
        self.terminal.as_ref().is_some_and(Terminal::was_on_demand)
    }

    /// Puts the child in front if we stand there.
    pub(super) fn offer_terminal(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            terminal.give_to(self.child);
        }
    }

    /// Lets the child go on.
    pub(super) fn continue_child(&mut self) {
        self.continue_at = None;
        self.send(Number::SIGCONT);
    }

    /// Goes on after a suspension, with the child to follow soon.
    pub(super) fn resume_soon(&mut self) {
        self.offer_terminal();
        self.continue_at = Some(Instant::now() + CONFIRMATION_LIMIT);
    }

    /// Lets a child go on that was to be left stopped for longer.
    pub(super) fn hurry(&mut self) {
        if self.continue_at.is_some() {
            self.continue_child();
        }
    }

    /// Goes on with the terminal, if that is ours to give.
    pub(super) fn resume(&mut self) {
        self.offer_terminal();
        self.continue_child();
    }

    /// The child has been stopped by `signal`: follow it, if there is a terminal to have jobs.
    pub(super) fn follow_stop(&mut self, signal: Number, signals: &mut Signals) {
        let Some(terminal) = &mut self.terminal else {
            return;
        };
        let for_terminal = matches!(signal, Number::SIGTTIN | Number::SIGTTOU);
        if for_terminal {
            terminal.want();
            if terminal.give_to(self.child) {
                self.continue_child();
                return;
            }
            if self.hand_over == HandOver::OnDemand {
                // Somebody beside us may have the terminal, who goes on and gives it back.
                self.continue_at = Some(Instant::now() + TERMINAL_RETRY);
                return;
            }
        }
        // SIGSTOP is no key. It counts only if it leaves nobody in front, as bash's `suspend` does.
        if signal == Number::SIGSTOP && !terminal.is_in_front(self.child) {
            return;
        }
        terminal.take_back_from(self.child);
        let stop = if signal == Number::SIGSTOP {
            // Unlike SIGSTOP it leaves us running if there is no shell to continue us.
            Number::SIGTSTP
        } else {
            signal
        };
        terminal::suspend_group(stop);

        if signals.has_noted(Kind::Continue) || signal == Number::SIGSTOP {
            return;
        }
        // Nobody suspends an orphaned job. To continue a child at once that wants the terminal would only make it ask again.
        let pause = if for_terminal {
            TERMINAL_RETRY
        } else {
            SECOND_LOOK
        };
        self.continue_at = Some(Instant::now() + pause);
    }

    /// Returns once the terminal is gone and the child concerned.
    pub(super) async fn hung_up(&mut self) {
        match &mut self.terminal {
            Some(terminal) => terminal.hung_up().await,
            None => std::future::pending().await,
        }
    }

    /// The child has ended: the terminal is ours again, as it was.
    pub(super) fn end(&mut self, left: Left) {
        self.continue_at = None;
        if let Some(mut terminal) = self.terminal.take() {
            terminal.take_back_from(self.child);
            if left == Left::Killed {
                terminal.restore_modes();
            }
        }
    }
}
