//! The controlling terminal: which group is in the foreground, and how jobs are suspended and resumed.
//!
//! The child has a process group of its own, so that signals to tflock's group do not reach it twice. Keys go to the
//! foreground group, so the child's group is put in the foreground whenever tflock's own group is. Never take the
//! terminal from anyone else: if this job is in the background, the shell has it.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, Signal, kill, killpg, raise, sigaction,
};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::group;

/// When to put the child in the foreground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// From the start.
    AtOnce,
    /// Once the child was stopped for using the terminal in the background. For cases in which others in our group may
    /// read the keyboard, as in any pipeline: `tflock plan | less`.
    OnDemand,
}

#[derive(Debug)]
pub(super) struct Terminal {
    device: File,
    own: Pid,
    hand_over: HandOver,
    was_on_demand: bool,
    /// Whether we put the child's group in the foreground, and have not taken the terminal back.
    given: bool,
    modes: Option<Termios>,
    watch: Option<AsyncFd<OwnedFd>>,
    background_output: SigAction,
}

impl Terminal {
    /// Opens the controlling terminal, whatever stdin, stdout and stderr are. `None` if there is none.
    pub(super) fn open(hand_over: HandOver) -> Option<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY)
            .open("/dev/tty")
            .ok()?;
        // Watch only for errors and hang-ups, which epoll always reports, not for every key. macOS cannot watch
        // /dev/tty, and goes without.
        let watch = device.try_clone().ok().and_then(|copy| {
            // SAFETY: the descriptor is owned by what watches it, is never taken out again or replaced.
            unsafe { AsyncFd::register_with_interest(OwnedFd::from(copy), Interest::ERROR) }.ok()
        });
        // Neither messages in the background (`stty tostop`) nor tcsetpgrp may stop tflock.
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: ignoring a signal runs no code of ours.
        let background_output = unsafe { sigaction(Signal::SIGTTOU, &ignore) }.ok()?;
        let modes = tcgetattr(&device).ok();
        Some(Self {
            device,
            own: getpgrp(),
            hand_over,
            was_on_demand: hand_over == HandOver::OnDemand,
            given: false,
            modes,
            watch,
            background_output,
        })
    }

    /// Whether the child should put itself in the foreground before its exec. It does so itself, because Ctrl-C between
    /// its start and a call of ours would be lost.
    pub(super) fn gives_at_start(&self) -> bool {
        self.hand_over == HandOver::AtOnce && self.is_ours()
    }

    /// Whether the child started in the background.
    pub(super) fn was_on_demand(&self) -> bool {
        self.was_on_demand
    }

    /// The open terminal, for [`put_in_foreground`] in the forked child.
    pub(super) fn device(&self) -> &File {
        &self.device
    }

    pub(super) fn note_given(&mut self) {
        self.given = true;
    }

    /// From now on the child is in the foreground whenever we would be: it has shown that it wants to.
    pub(super) fn want(&mut self) {
        self.hand_over = HandOver::AtOnce;
    }

    /// Puts the child's group in the foreground if our own is there and it is time. Tells whether the child is in the
    /// foreground now.
    pub(super) fn give_to(&mut self, child: Pid) -> bool {
        if self.hand_over == HandOver::AtOnce
            && self.is_ours()
            && tcsetpgrp(&self.device, child).is_ok()
        {
            self.given = true;
        }
        self.is_foreground(child)
    }

    /// Puts our own group back in the foreground, if the child's group or an extinct one is there.
    pub(super) fn take_back_from(&mut self, child: Pid) {
        if let Ok(front) = tcgetpgrp(&self.device)
            && (front == child || (self.given && has_died_out(front)))
        {
            // Fails if the terminal is gone; then there is nothing to take back.
            let _ = tcsetpgrp(&self.device, self.own);
        }
        self.given = false;
    }

    /// Restores the terminal modes after a child that died without doing so.
    pub(super) fn restore_modes(&self) {
        if let Some(modes) = &self.modes
            && self.is_ours()
        {
            let _ = tcsetattr(&self.device, SetArg::TCSANOW, modes);
        }
    }

    pub(super) fn is_foreground(&self, child: Pid) -> bool {
        tcgetpgrp(&self.device).is_ok_and(|front| front == child)
    }

    /// Ignores a closed terminal: we run under nohup.
    pub(super) fn ignore_hang_up(&mut self) {
        self.watch = None;
    }

    /// Returns once the terminal is gone, if that affects the child: a background job survives its terminal. The kernel
    /// signals only the foreground group, and not even that if its job has handed on the terminal.
    pub(super) async fn hung_up(&mut self) {
        if let Some(watch) = &self.watch {
            while let Ok(mut ready) = watch.ready(Interest::ERROR).await {
                if is_hung_up(watch.get_ref()) {
                    break;
                }
                ready.clear_ready();
            }
            self.watch = None;
            if self.given {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    fn is_ours(&self) -> bool {
        tcgetpgrp(&self.device).is_ok_and(|front| front == self.own)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // SAFETY: this is the action that was there before, installed by code that knew what it did.
        let _ = unsafe { sigaction(Signal::SIGTTOU, &self.background_output) };
    }
}

/// Whether a group has no living process. A zombie does not, though it can still be signalled; another user's process does, though
/// it cannot.
fn has_died_out(group: Pid) -> bool {
    killpg(group, None) == Err(Errno::ESRCH)
        || group::living(group, &[]).is_ok_and(|living| living.is_empty())
}

fn is_hung_up(device: &OwnedFd) -> bool {
    let mut watched = [PollFd::new(device.as_fd(), PollFlags::empty())];
    poll(&mut watched, PollTimeout::ZERO).is_ok()
        && watched[0]
            .revents()
            .is_some_and(|events| events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR))
}

/// Puts the calling process, a group leader, in the foreground. For the forked child, with SIGTTOU blocked.
pub(super) fn put_in_foreground(device: &File) -> nix::Result<()> {
    tcsetpgrp(device, getpgrp())
}

/// Suspends our whole process group, including the rest of a pipeline and the scripts around us, as the key would have
/// done had we all been in the foreground. Returns when we are continued; or at once, because the signal does not stop
/// an orphaned group.
pub(super) fn suspend_group(signal: Signal) {
    with_action(signal, SigHandler::SigIgn, || {
        let _ = kill(Pid::from_raw(0), signal);
    });
    with_action(signal, SigHandler::SigDfl, || {
        // To this thread, so that the stop happens here and not after the handler is restored.
        let _ = raise(signal);
    });
}

/// Suspends only tflock, which caught a Ctrl-Z that everyone else in the group got too.
pub(super) fn suspend_self() {
    with_action(Signal::SIGTSTP, SigHandler::SigDfl, || {
        let _ = raise(Signal::SIGTSTP);
    });
}

fn with_action(signal: Signal, handler: SigHandler, body: impl FnOnce()) {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: called with the default action and with ignoring only, which run no code of ours.
    let Ok(before) = (unsafe { sigaction(signal, &action) }) else {
        return;
    };
    body();
    // SAFETY: this is the action that was there before, installed by code that knew what it did.
    let _ = unsafe { sigaction(signal, &before) };
}
