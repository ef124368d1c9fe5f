//! The child's process group as a job: in the foreground or background, suspended or running, in step with tflock's own
//! job.
//!
//! Shells see only tflock. So when the child is stopped, tflock stops its own group the same way, and when tflock is
//! continued it continues the child.

use std::time::Duration;

use nix::sys::signal::{Signal as Number, kill, killpg};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::group::Left;
use super::signal::Kind;
use super::signals::Signals;
use super::terminal::{self, HandOver, Terminal};

/// How long to leave a child stopped when it wants the terminal but we cannot give it.
const TERMINAL_RETRY: Duration = Duration::from_secs(1);

/// How long to leave a child stopped after a suspension until the lock is confirmed. A terraform that never stopped
/// would run on without an answer from the store, so this one must not wait forever.
const CONFIRMATION_LIMIT: Duration = Duration::from_secs(3);

/// How long to wait for a stop that may not take effect: in a session without a shell, or if a process above us is
/// stopped instead, as the first process of a container. Its shell takes the terminal in the meantime.
const SECOND_LOOK: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Job {
    child: Pid,
    terminal: Option<Terminal>,
    hand_over: HandOver,
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

    /// Sends a signal to the whole group, as the terminal would, so that wrappers (`sh -c`, make, version switchers)
    /// behave as at a terminal. An empty group is no error.
    pub(super) fn send(&self, signal: Number) {
        let _ = killpg(self.child, signal);
    }

    /// A key has reached the child, which is in the foreground because it once wanted the terminal. Without tflock the
    /// rest of our group would have got the key too, so it gets a copy.
    pub(super) fn share_key(&self, signal: Number) {
        if self.shares_keys() {
            // We recognise our own copy by its sender, and ignore it.
            let _ = kill(Pid::from_raw(0), signal);
        }
    }

    /// Whether others in our group should get the child's keys.
    pub(super) fn shares_keys(&self) -> bool {
        self.terminal.as_ref().is_some_and(Terminal::was_on_demand)
    }

    /// Puts the child in the foreground if we are there.
    pub(super) fn offer_terminal(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            terminal.give_to(self.child);
        }
    }

    pub(super) fn continue_child(&mut self) {
        self.continue_at = None;
        self.send(Number::SIGCONT);
    }

    /// Resumes after a suspension; the child follows soon.
    pub(super) fn resume_soon(&mut self) {
        self.offer_terminal();
        self.continue_at = Some(Instant::now() + CONFIRMATION_LIMIT);
    }

    /// Continues at once a child that was to be left stopped for longer.
    pub(super) fn hurry(&mut self) {
        if self.continue_at.is_some() {
            self.continue_child();
        }
    }

    /// Continues the child, with the terminal if we can give it.
    pub(super) fn resume(&mut self) {
        self.offer_terminal();
        self.continue_child();
    }

    /// The child was stopped by `signal`: stop as well, if there is a terminal with jobs.
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
                // Another process beside us may have the terminal, and will give it back.
                self.continue_at = Some(Instant::now() + TERMINAL_RETRY);
                return;
            }
        }
        // SIGSTOP is not a key. It counts only if it leaves no running foreground process, as bash's `suspend` does.
        if signal == Number::SIGSTOP && !terminal.is_foreground(self.child) {
            return;
        }
        terminal.take_back_from(self.child);
        let stop = if signal == Number::SIGSTOP {
            // Unlike SIGSTOP, this one leaves us running if there is no shell to continue us.
            Number::SIGTSTP
        } else {
            signal
        };
        terminal::suspend_group(stop);

        if signals.has_recorded(Kind::Continue) || signal == Number::SIGSTOP {
            return;
        }
        self.continue_at = Some(Instant::now() + pause_after(signal));
    }

    /// Returns once the terminal is gone, if that affects the child.
    pub(super) async fn hung_up(&mut self) {
        match &mut self.terminal {
            Some(terminal) => terminal.hung_up().await,
            None => std::future::pending().await,
        }
    }

    /// The child has ended: takes the terminal back and restores its modes.
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

/// How long to leave a child stopped that this signal has stopped, and that we could not follow: an orphaned job cannot be
/// suspended. Continuing a child at once that wants the terminal would only make it ask again.
fn pause_after(stop: Number) -> Duration {
    match stop {
        Number::SIGTTIN | Number::SIGTTOU => TERMINAL_RETRY,
        _ => SECOND_LOOK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_whose_stop_cannot_be_followed_goes_on_soon_unless_it_wants_the_terminal() {
        for (stop, milliseconds) in [
            (Number::SIGTSTP, 300),
            (Number::SIGTTIN, 1_000),
            (Number::SIGTTOU, 1_000),
        ] {
            assert_eq!(pause_after(stop), Duration::from_millis(milliseconds));
        }
    }

    #[test]
    fn a_child_that_was_suspended_goes_on_three_seconds_later_or_when_it_is_hurried() {
        // Nobody's group: above the largest process ID.
        let mut job = Job::new(Pid::from_raw(i32::MAX), None, HandOver::AtOnce);
        let before = Instant::now();
        job.resume_soon();
        let after = Instant::now();
        let limit = Duration::from_secs(3);
        let due = job.continue_at.expect("a time");
        assert!((before + limit..=after + limit).contains(&due));
        job.hurry();
        assert_eq!(job.continue_at, None);
    }
}
